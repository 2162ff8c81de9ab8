import { type FileHandle, open } from 'node:fs/promises';
import { HearthcamError } from '../../core/errors.ts';
import { type AccessUnit, type Track, VIDEO_CLOCK_HZ } from '../../core/media.ts';
import { Mp4Tracks } from '../../core/mp4-tracks.ts';
import type { Stream } from '../../core/stream.ts';
import { LivePackager, type Packed } from '../../wire/mp4/live.ts';
import { rebaseFragment } from '../../wire/mp4/rebase.ts';

export interface ClipWriterOptions {
  readonly stream: Stream;
  /** Their formats are known. */
  readonly tracks: readonly Track[];
  readonly path: string;
  readonly maxMs: number;
}

const NO_PREFIX = { bytes: () => 0, write: () => {} };
/** A fragment for each second at most, and for each key frame. */
const FRAGMENT_MS = 1_000;
/** What a disk has not taken yet. Beyond, the clip is given up. */
const MAX_QUEUE_BYTES = 16 * 1024 * 1024;

/** Writes access units to a fragmented MP4 as they come: it can be played up to wherever it was cut off. */
export class ClipWriter {
  readonly #options: ClipWriterOptions;
  readonly #tracks: Mp4Tracks;
  readonly #packager: LivePackager;
  readonly #hasVideo: boolean;
  #batch: AccessUnit[] = [];
  #begun = false;
  #baseTicks = Number.NaN;
  #endTicks = 0;
  #file: FileHandle | undefined;
  #work: Promise<void>;
  #queuedBytes = 0;
  #bytes = 0;
  #failure: unknown;
  #full = false;

  /** @throws HearthcamError when a track can't be in an MP4 */
  constructor(options: ClipWriterOptions) {
    this.#options = options;
    this.#tracks = new Mp4Tracks(options.stream, options.tracks);
    this.#packager = new LivePackager(this.#tracks.live, NO_PREFIX);
    this.#hasVideo = options.tracks.some((track) => track.kind === 'video');
    this.#work = open(options.path, 'w', 0o600).then(
      (file) => {
        this.#file = file;
      },
      (error: unknown) => {
        this.#failure = error;
      },
    );
  }

  /** It takes nothing more: it is as long as it may be, its format changed, or the disk fails. */
  get full(): boolean {
    return this.#full || this.#failure !== undefined;
  }

  push(units: readonly AccessUnit[]): void {
    for (const unit of units) {
      if (this.full) return;
      if (!this.#options.tracks.some((track) => track.id === unit.trackId)) continue;
      const keyPicture = unit.format.kind === 'video' && unit.key;
      if (!this.#begun && this.#hasVideo && !keyPicture) continue;
      this.#begun = true;
      const first = this.#batch[0];
      if (first !== undefined && (keyPicture || unit.wallMs - first.wallMs >= FRAGMENT_MS)) this.#pack();
      this.#batch.push(unit);
    }
  }

  /** Writes what is left. @returns bytes of the file. @throws when it could not be written, or nothing came */
  async finish(): Promise<number> {
    if (!this.full) this.#pack();
    this.#full = true;
    await this.#work;
    try {
      if (this.#failure !== undefined) throw this.#failure;
      if (Number.isNaN(this.#baseTicks)) throw new HearthcamError('events.empty', 'nothing came from the camera');
      // The head was written before the length was known: the same bytes again, with the length.
      await this.#file?.write(this.#init(), 0, undefined, 0);
      return this.#bytes;
    } finally {
      this.#tracks[Symbol.dispose]();
      await this.#file?.close();
    }
  }

  #pack(): void {
    const batch = this.#batch;
    this.#batch = [];
    for (const packed of this.#packager.push(this.#tracks.convert(batch))) {
      if (Number.isNaN(this.#baseTicks)) {
        this.#baseTicks = packed.startTicks;
        this.#write(this.#init());
      } else if (packed.newInit) {
        // One file has one head. A camera that changes its picture in the middle of an event is rare; the event's own
        // numbers go on.
        this.#full = true;
        return;
      }
      this.#write(this.#rebased(packed));
      this.#endTicks = packed.startTicks - this.#baseTicks + this.#span(batch);
      if (this.#endTicks >= (this.#options.maxMs * VIDEO_CLOCK_HZ) / 1_000) this.#full = true;
    }
  }

  #init(): Buffer {
    return this.#packager.init(0, { durationMs: Math.round((this.#endTicks * 1_000) / VIDEO_CLOCK_HZ) });
  }

  #rebased(packed: Packed): Buffer {
    const { formats } = this.#packager;
    return rebaseFragment(packed.data, (trackId) => {
      const clockHz = formats[trackId - 1]?.clockRateHz ?? VIDEO_CLOCK_HZ;
      return Math.round((this.#baseTicks * clockHz) / VIDEO_CLOCK_HZ);
    });
  }

  /** How long the units of a fragment last, 90 kHz, near enough for the length of a file. */
  #span(units: readonly AccessUnit[]): number {
    const kind = this.#hasVideo ? 'video' : 'audio';
    const main = units.filter((unit) => unit.format.kind === kind);
    const [first, last] = [main[0], main.at(-1)];
    if (first === undefined || last === undefined) return 0;
    const steps = Math.max(1, main.length - 1);
    return (((last.dts - first.dts) * (steps + 1)) / steps / first.format.clockRateHz) * VIDEO_CLOCK_HZ;
  }

  #write(data: Buffer): void {
    if (this.#queuedBytes > MAX_QUEUE_BYTES) {
      this.#failure ??= new HearthcamError('events.disk', 'the disk does not keep up with the clip');
      return;
    }
    this.#queuedBytes += data.length;
    this.#work = this.#work.then(async () => {
      if (this.#failure !== undefined || this.#file === undefined) return;
      try {
        await this.#file.write(data, 0, undefined, this.#bytes);
        this.#bytes += data.length;
      } catch (error) {
        this.#failure = error;
      } finally {
        this.#queuedBytes -= data.length;
      }
    });
  }
}
