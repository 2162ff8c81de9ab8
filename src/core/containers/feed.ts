import { boundaryOf } from '../../wire/multipart/reader.ts';
import type { HearthcamError } from '../errors.ts';
import type { SourceSink } from '../source.ts';
import { type Kind, kindByBytes } from './detect.ts';
import { FlvInput } from './flv.ts';
import type { Input, Problems } from './input.ts';
import { JpegInput, MultipartInput } from './jpeg.ts';
import { Mp4Input } from './mp4.ts';
import { TsInput } from './mpegts.ts';
import { AudioFramesInput, NalStreamInput, PcmInput, WavInput } from './raw.ts';
import { type About, TrackSet } from './track-set.ts';

/** Kinds that are one endless body. */
export type BodyKind = Exclude<Kind, 'hls' | 'still' | 'web'>;

/** `format_name` of compatibility.md 1.2. */
const FORMAT_NAMES: Readonly<Record<BodyKind, string>> = {
  flv: 'flv',
  mpegts: 'mpegts',
  multipart: 'mjpeg',
  jpeg: 'mjpeg',
  mp4: 'mp4',
  h264: 'h264',
  h265: 'hevc',
  aac: 'adts',
  mp3: 'mp3',
  wav: 'wav',
  pcmu: 'pcmu',
};

export interface FeedOptions {
  readonly sink: SourceSink;
  readonly about: Omit<About, 'formatName'>;
  readonly problems: Problems;
  /** Monotonic. */
  readonly nowMs: () => number;
}

/** One body on its way into the stream: what it is, its tracks, its units. */
export class Feed {
  readonly tracks: TrackSet;
  readonly #input: Input;
  readonly #sink: SourceSink;
  readonly #nowMs: () => number;

  constructor(kind: BodyKind, contentType: string, options: FeedOptions) {
    const { sink, about, nowMs } = options;
    this.#sink = sink;
    this.#nowMs = nowMs;
    this.tracks = new TrackSet(sink, { ...about, formatName: FORMAT_NAMES[kind] });
    this.#input = makeInput(kind, contentType, this.tracks, options);
  }

  /** One read. */
  push(chunk: Buffer): void {
    this.#sink.alive(chunk.length);
    this.#input.push(chunk);
    this.tracks.settle(this.#nowMs());
    this.#sink.flush();
  }

  end(): void {
    this.#input.end();
    this.#sink.flush();
  }
}

function makeInput(kind: BodyKind, contentType: string, tracks: TrackSet, options: FeedOptions): Input {
  const { problems, nowMs } = options;
  switch (kind) {
    case 'flv':
      return new FlvInput(tracks, problems);
    case 'mpegts':
      return new TsInput(tracks, problems);
    case 'multipart':
      return new MultipartInput(tracks, problems, boundaryOf(contentType), nowMs);
    case 'jpeg':
      return new JpegInput(tracks, nowMs);
    case 'mp4':
      return new Mp4Input(tracks, problems);
    case 'h264':
    case 'h265':
      return new NalStreamInput(tracks, problems, kind, nowMs);
    case 'aac':
    case 'mp3':
      return new AudioFramesInput(tracks, kind);
    case 'wav':
      return new WavInput(tracks);
    case 'pcmu':
      // RFC 2046 §4.3: audio/basic is µ-law of one channel at 8 kHz.
      return new PcmInput(tracks, 'pcmu', 8_000, 1);
  }
}

/** Looks at the first bytes of a body that does not say what it is. */
export class Sniffer {
  readonly #unknown: (head: Buffer) => HearthcamError;
  #head: Buffer = Buffer.alloc(0);

  /** `unknown` makes the error for bytes that are nothing we know. */
  constructor(unknown: (head: Buffer) => HearthcamError) {
    this.#unknown = unknown;
  }

  get head(): Buffer {
    return this.#head;
  }

  /** @returns the kind, undefined while more bytes are needed. @throws HearthcamError when it is none that we know. */
  push(chunk: Buffer, whole = false): Kind | undefined {
    this.#head = this.#head.length === 0 ? chunk : Buffer.concat([this.#head, chunk]);
    const kind = kindByBytes(this.#head, whole);
    if (kind === null) throw this.#unknown(this.#head);
    return kind;
  }
}

/** How bytes begin, for an error text: as text where they are some, else in hex. */
export function describeStart(head: Buffer): string {
  const start = head.subarray(0, 16);
  const text = start.toString('latin1');
  return /^[\x20-\x7e\r\n\t]*$/.test(text) ? JSON.stringify(text) : start.toString('hex');
}
