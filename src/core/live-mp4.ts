import type { Socket } from 'node:net';
import { FlacTrack, isPcm } from '../wire/flac/track.ts';
import type { InitOptions } from '../wire/mp4/init.ts';
import { LivePackager, type Packed } from '../wire/mp4/live.ts';
import { writeWsBinaryHeader, wsBinaryFrame, wsBinaryHeader, wsHeaderBytes } from '../wire/websocket/frame.ts';
import { HearthcamError } from './errors.ts';
import type { AccessUnit, Track, TrackFormat } from './media.ts';
import type { Consumer, Stream } from './stream.ts';
import { DEFAULT_VIEWER_LIMITS, SocketViewer, type ViewerLimits } from './viewer.ts';

export interface LiveMp4ViewerOptions {
  readonly socket: Socket;
  readonly consumer: Consumer;
  /** Each init segment and fragment is a binary WebSocket message; else they follow one another bare. */
  readonly framed: boolean;
  /** Begin at the newest picture (the cached ones fly past); else with the whole cached GOP, as recordings want it. */
  readonly atOnce: boolean;
  readonly init?: InitOptions;
  readonly limits?: ViewerLimits;
  /** It took nothing for too long: close it. */
  readonly onStuck: () => void;
  /** After each write, with the time written so far on the viewer's own time line (starts at 0). */
  readonly onProgress?: (writtenMs: number) => void;
}

/**
 * One fragmented MP4 of a stream for all who want the same tracks: packed and framed once, the same Buffer written to
 * every viewer. Use by `Stream.share(LiveMp4.key(tracks), …)`.
 */
export class LiveMp4 implements Disposable {
  readonly #stream: Stream;
  readonly #packager: LivePackager;
  readonly #flac = new Map<number, FlacTrack>();
  readonly #unsubscribe: () => void;
  #viewers: readonly LiveMp4Viewer[] = [];

  static key(tracks: readonly Track[]): string {
    return `fmp4:${tracks.map((track) => track.id).join(',')}`;
  }

  /** @throws HearthcamError when a track's format is not known yet (see `knownFormats`). */
  constructor(stream: Stream, tracks: readonly Track[]) {
    this.#stream = stream;
    const live = tracks.map((track) => {
      const { format } = track;
      if (format === null) throw new HearthcamError('mp4.format', `a ${track.codec} track has no format yet`);
      if (!isPcm(format)) return { id: track.id, format };
      const flac = new FlacTrack(format);
      this.#flac.set(track.id, flac);
      return { id: track.id, format: flac.format };
    });
    this.#packager = new LivePackager(live, {
      bytes: wsHeaderBytes,
      write: (target, fragmentBytes) => {
        writeWsBinaryHeader(target, 0, fragmentBytes);
      },
    });
    this.#unsubscribe = stream.subscribe((units) => this.#onUnits(units));
    this.#packager.prime(this.#converted(stream.gop().units));
  }

  /** What the file holds, in its order. */
  get formats(): readonly TrackFormat[] {
    return this.#packager.formats;
  }

  /** Begins to write: init segment and cached GOP now (or with the next key frame), then everything new. */
  add(options: LiveMp4ViewerOptions): LiveMp4Viewer {
    this.#stream.settle();
    const gop = this.#stream.gop();
    const viewer = new LiveMp4Viewer(this.#packager, options);
    viewer.begin(this.#converted(gop.units), gop.complete);
    this.#viewers = [...this.#viewers, viewer];
    return viewer;
  }

  remove(viewer: LiveMp4Viewer): void {
    this.#viewers = this.#viewers.filter((other) => other !== viewer);
  }

  [Symbol.dispose](): void {
    this.#unsubscribe();
    this.#viewers = [];
    for (const flac of this.#flac.values()) flac[Symbol.dispose]();
  }

  #onUnits(units: readonly AccessUnit[]): void {
    const packs = this.#packager.push(this.#converted(units));
    if (packs.length === 0) return;
    const nowMs = performance.now();
    const viewers = this.#viewers;
    for (const packed of packs) {
      for (const viewer of viewers) viewer.deliver(packed, nowMs);
    }
  }

  /** PCM as FLAC, all else as it is. */
  #converted(units: readonly AccessUnit[]): readonly AccessUnit[] {
    if (this.#flac.size === 0) return units;
    return units.flatMap((unit) => this.#flac.get(unit.trackId)?.convert(unit) ?? unit);
  }
}

/** One viewer of a LiveMp4. */
export class LiveMp4Viewer {
  readonly #packager: LivePackager;
  readonly #options: LiveMp4ViewerOptions;
  #out: SocketViewer;
  /** Where its presentation time 0 lies on the packager's time line, 90 kHz; NaN before its first picture. */
  #baseTicks = Number.NaN;
  /** Its own time line ends here while it is left out, 90 kHz; NaN while it is served. */
  #heldTicks = 0;

  constructor(packager: LivePackager, options: LiveMp4ViewerOptions) {
    this.#packager = packager;
    this.#options = options;
    this.#out = this.#makeOut(0);
  }

  /** Writes init segment and cached GOP without copying what is cached. */
  begin(gop: readonly AccessUnit[], complete: boolean): void {
    const burst = this.#packager.join(gop, { complete, pressed: this.#options.atOnce });
    if (burst === null) return;
    const { socket, consumer, framed } = this.#options;
    this.#baseTicks = burst.startTicks;
    this.#heldTicks = Number.NaN;
    this.#out = this.#makeOut(burst.bytes);
    const init = this.#packager.init(burst.startTicks, this.#options.init);
    socket.cork();
    if (framed) socket.write(wsBinaryHeader(init.length));
    socket.write(init);
    for (const message of burst.messages) {
      for (const [index, piece] of message.entries()) {
        socket.write(index === 0 && !framed ? piece.subarray(prefixBytes(piece)) : piece);
      }
    }
    socket.uncork();
    consumer.bytesSent += init.length + burst.bytes;
    consumer.unitsSent += burst.units;
    if (!complete) {
      this.#out.waitForKey();
      this.#heldTicks = LEAST_HELD_TICKS;
    }
  }

  deliver(packed: Packed, nowMs: number): void {
    const held = !Number.isNaN(this.#heldTicks);
    const { consumer, framed } = this.#options;
    let data = framed ? packed.data : packed.data.subarray(packed.prefixBytes);
    let base = this.#baseTicks;
    if (held && !packed.key) {
      // Written to nothing yet: nothing to look after. Else the socket is still watched for being stuck.
      if (!Number.isNaN(base)) this.#out.send(data, false, nowMs);
      consumer.unitsDropped += packed.units;
      return;
    }
    if (held || packed.newInit) {
      // A new edit list puts this key frame right behind what the viewer has got: no hole to stall at.
      if (held) base = packed.startTicks - this.#heldTicks;
      const init = this.#packager.init(base, this.#options.init);
      data = Buffer.concat([framed ? wsBinaryFrame(init) : init, data]);
    }
    if (this.#out.send(data, packed.key, nowMs)) {
      this.#baseTicks = base;
      this.#heldTicks = Number.NaN;
      consumer.bytesSent += data.length;
      consumer.unitsSent += packed.units;
      this.#options.onProgress?.((packed.startTicks - base) / 90);
    } else {
      if (!held) this.#heldTicks = Math.max(0, packed.startTicks - base);
      consumer.unitsDropped += packed.units;
    }
  }

  #makeOut(burstBytes: number): SocketViewer {
    const limits = this.#options.limits ?? DEFAULT_VIEWER_LIMITS;
    const { socket, onStuck } = this.#options;
    const maxQueueBytes = limits.maxQueueBytes + burstBytes;
    return new SocketViewer(socket, { ...limits, maxQueueBytes }, performance.now(), onStuck);
  }
}

/** A key frame that stands alone was given this much time on the viewer's own time line. */
const LEAST_HELD_TICKS = 9_000;

function prefixBytes(message: Buffer): number {
  const short = (message[1] ?? 0) & 0x7f;
  return short < 126 ? 2 : short === 126 ? 4 : 10;
}

/**
 * Waits until the formats of all tracks are known. Audio that stays silent is left out after a second.
 * @returns the tracks that have a format; at least one, and the video if there is one
 * @throws HearthcamError 504 when the video's parameters do not come
 */
export async function knownFormats(
  stream: Stream,
  tracks: readonly Track[],
  signal: AbortSignal,
  limits: { readonly videoMs?: number; readonly audioMs?: number } = {},
): Promise<readonly Track[]> {
  const video = tracks.filter((track) => track.kind === 'video');
  const all = await untilTracks(stream, () => tracks.every(hasFormat), signal, limits.audioMs ?? 1_000);
  if (all) return tracks;
  const needed = video.length > 0 ? video : tracks;
  const some = (): boolean => needed.some(hasFormat);
  if (some() || (await untilTracks(stream, some, signal, limits.videoMs ?? 10_000))) return tracks.filter(hasFormat);
  throw new HearthcamError('stream.format', `the camera of "${stream.name}" has sent no key frame yet`, {
    status: 504,
    hint: 'is its key frame interval (I-frame interval) very long?',
  });
}

function hasFormat(track: Track): boolean {
  return track.format !== null;
}

/** Whether `done` became true, looked at whenever units arrive, before the time is over. */
async function untilTracks(
  stream: Stream,
  done: () => boolean,
  signal: AbortSignal,
  timeoutMs: number,
): Promise<boolean> {
  signal.throwIfAborted();
  if (done()) return true;
  return new Promise<boolean>((resolve, reject) => {
    const finish = (settle: () => void): void => {
      unsubscribe();
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      settle();
    };
    const onAbort = (): void => finish(() => reject(signal.reason));
    const unsubscribe = stream.subscribe(
      () => {
        if (done()) finish(() => resolve(true));
      },
      { immediate: true },
    );
    const timer = setTimeout(() => finish(() => resolve(done())), timeoutMs);
    signal.addEventListener('abort', onAbort, { once: true });
  });
}
