import { WireError } from '../../core/errors.ts';
import { type Codec, type MediaKind, type TrackFormat, VIDEO_CLOCK_HZ } from '../../core/media.ts';
import { ByteQueue } from '../byte-queue.ts';
import { addLengthPrefixed, type MediaProblem, NalAssembler } from '../codecs/nal-assembler.ts';
import { parseMoof, type SampleAt } from './moof.ts';
import { type MovieTrack, parseMoov } from './moov.ts';
import { readBoxHeader } from './walk.ts';

/** A track of the file, as a source describes it (`SourceTrack`). */
export interface DemuxedTrack {
  readonly kind: MediaKind;
  readonly codec: Codec;
  readonly clockRateHz: number;
  readonly format: TrackFormat | null;
}

/** One access unit (`SourceUnit`): times in ticks of the track's clock, all tracks on one clock. */
export interface DemuxedUnit {
  /** Index into the tracks. */
  readonly track: number;
  readonly format: TrackFormat;
  readonly ticks: number;
  readonly decodeTicks: number;
  readonly key: boolean;
  readonly data: Buffer;
}

export interface DemuxerEvents {
  /** What the file holds that we can carry, possibly nothing; again when a later `moov` says something else. */
  tracks(tracks: readonly DemuxedTrack[]): void;
  unit(unit: DemuxedUnit): void;
  /** Damage that was passed over. */
  problem?(problem: MediaProblem): void;
}

/** `moov` and `moof` are held whole; a live stream's have some kilobytes. */
const MAX_META_BYTES = 4 * 1024 * 1024;
const META = new Set(['moov', 'moof']);
/** Boxes that begin a stream or stand between fragments and say nothing that we need. */
const SKIPPED = new Set([
  'ftyp',
  'styp',
  'sidx',
  'ssix',
  'emsg',
  'prft',
  'free',
  'skip',
  'wide',
  'uuid',
  'pdin',
  'mfra',
  'meta',
]);

interface TrackState {
  readonly movie: MovieTrack;
  readonly clockRateHz: number;
  readonly assembler: NalAssembler | undefined;
}

/**
 * Takes a fragmented MP4 apart (ISO/IEC 14496-12 §8.8) however its bytes arrive: CMAF, HLS segments one behind the
 * other, or an endless HTTP response. Holds at most one `moof`, one sample, and what `push` was given.
 */
export class Mp4Demuxer {
  readonly #events: DemuxerEvents;
  readonly #queue = new ByteQueue();
  /** Offset of the queue's first byte in the stream. */
  #offset = 0;
  #skip = 0;
  /** Inside `mdat`: bytes of it that are not read yet. */
  #mdat = 0;
  #pending: SampleAt[] = [];
  #next = 0;
  #movie: MovieTrack[] = [];
  #states: TrackState[] = [];
  #clocks = new Map<number, number>();

  constructor(events: DemuxerEvents) {
    this.#events = events;
  }

  /**
   * Gives the units that these bytes complete to `events.unit`. The bytes must not be written to afterwards: units of
   * codecs other than H.264 and H.265 are views of them.
   * @throws WireError when this is no fragmented MP4 or it is damaged; the demuxer is of no use then
   */
  push(bytes: Buffer): void {
    this.#queue.push(bytes);
    while (this.#step()) {
      // All work is in the condition.
    }
  }

  /** Forgets what is half read; the next bytes begin a new segment (possibly with a new `moov`). */
  restart(): void {
    this.#queue.clear();
    this.#offset = 0;
    this.#skip = 0;
    this.#mdat = 0;
    this.#pending = [];
    this.#next = 0;
  }

  #step(): boolean {
    if (this.#skip > 0) {
      const bytes = Math.min(this.#skip, this.#queue.length);
      this.#drop(bytes);
      if (Number.isFinite(this.#skip)) this.#skip -= bytes;
      return this.#skip === 0 && this.#queue.length > 0;
    }
    if (this.#mdat > 0) return this.#readData();
    return this.#readBox();
  }

  #drop(bytes: number): void {
    this.#queue.skip(bytes);
    this.#offset += bytes;
  }

  #readBox(): boolean {
    const header = readBoxHeader(this.#queue.peek(16));
    if (header === null) {
      return false;
    }
    const { type, headerBytes, bytes } = header;
    if (bytes < headerBytes) throw new WireError('mp4.box', `box "${printable(type)}" of ${bytes} bytes`, this.#offset);
    if (type === 'mdat') {
      this.#drop(headerBytes);
      this.#mdat = bytes - headerBytes;
      return this.#queue.length > 0;
    }
    if (META.has(type)) {
      if (bytes > MAX_META_BYTES) throw new WireError('mp4.large', `box "${type}" of ${bytes} bytes`, this.#offset);
      if (this.#queue.length < bytes) return false;
      const at = this.#offset;
      const data = this.#queue.take(bytes);
      this.#offset += bytes;
      const box = { type, start: headerBytes, end: bytes };
      if (type === 'moov') this.#readMoov(parseMoov(data, box));
      else {
        this.#pending = parseMoof(data, box, at, this.#movie, this.#clocks);
        this.#next = 0;
      }
      return this.#queue.length > 0;
    }
    if (!SKIPPED.has(type) && this.#offset === 0) {
      throw new WireError('mp4.start', `not an MP4: it begins with a box "${printable(type)}"`, 0);
    }
    this.#skip = bytes;
    return true;
  }

  #readMoov(movie: MovieTrack[]): void {
    this.#movie = movie;
    this.#clocks = new Map();
    this.#pending = [];
    this.#next = 0;
    this.#states = movie.map((track) => this.#makeState(track));
    this.#events.tracks(
      this.#states.map(({ movie: { kind, codec, format }, clockRateHz }) => ({ kind, codec, clockRateHz, format })),
    );
  }

  #makeState(movie: MovieTrack): TrackState {
    const { nal, codec } = movie;
    const clockRateHz = movie.kind === 'video' ? VIDEO_CLOCK_HZ : (movie.format?.clockRateHz ?? movie.timescaleHz);
    if (nal === undefined || (codec !== 'h264' && codec !== 'h265'))
      return { movie, clockRateHz, assembler: undefined };
    const assembler = new NalAssembler(codec, (problem) => this.#events.problem?.(problem));
    for (const set of nal.sets) assembler.add(set);
    assembler.reset();
    return { movie, clockRateHz, assembler };
  }

  #readData(): boolean {
    const sample = this.#pending[this.#next];
    if (sample === undefined) {
      // Nothing (more) that we want in this box.
      this.#skip = this.#mdat;
      this.#mdat = 0;
      this.#pending = [];
      return true;
    }
    const ahead = sample.offset - this.#offset;
    if (ahead < 0) {
      // It lies before what is left: overlapping runs, or data in front of the `moof`, which can't be had any more.
      this.#events.problem?.({ code: 'mp4.order', message: 'a sample lies before its fragment' });
      this.#next++;
      return true;
    }
    if (ahead + sample.bytes > this.#mdat) {
      // Some writers put the data of one fragment into several boxes; what is not in this one may be in the next.
      this.#skip = this.#mdat;
      this.#mdat = 0;
      return true;
    }
    if (ahead > 0) {
      const bytes = Math.min(ahead, this.#queue.length);
      this.#drop(bytes);
      this.#mdat -= bytes;
      if (bytes < ahead) return false;
    }
    if (this.#queue.length < sample.bytes) return false;
    const data = this.#queue.take(sample.bytes);
    this.#offset += sample.bytes;
    this.#mdat -= sample.bytes;
    this.#next++;
    this.#emit(sample, data);
    return this.#mdat === 0 || this.#queue.length > 0 || this.#pending[this.#next]?.bytes === 0;
  }

  #emit(sample: SampleAt, data: Buffer): void {
    const track = this.#movie.indexOf(sample.track);
    const state = this.#states[track];
    if (state === undefined || data.length === 0) return;
    const { movie, clockRateHz, assembler } = state;
    const scale = (ticks: number): number => Math.round((ticks * clockRateHz) / movie.timescaleHz);
    const decodeTicks = scale(sample.decodeTicks - movie.editTicks);
    const ticks = scale(sample.decodeTicks + sample.offsetTicks - movie.editTicks);
    if (assembler === undefined) {
      if (movie.format === null) return;
      this.#events.unit({
        track,
        format: movie.format,
        ticks,
        decodeTicks,
        key: sample.key || movie.kind === 'audio',
        data,
      });
      return;
    }
    try {
      addLengthPrefixed(assembler, data, movie.nal?.lengthBytes);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      assembler.reset();
      this.#events.problem?.({ code: error.code, message: error.message });
      return;
    }
    const unit = assembler.take();
    if (unit === null) return;
    this.#events.unit({ track, format: unit.format, ticks, decodeTicks, key: unit.key, data: unit.data });
  }
}

function printable(type: string): string {
  return type.replace(/[^ -~]/g, '?');
}
