import { HearthcamError } from '../../core/errors.ts';
import type { SourceSink } from '../../core/source.ts';
import { boundaryOf } from '../../wire/multipart/reader.ts';
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

/** Looks at the first bytes of a body whose type does not say what it is. */
export class Sniffer {
  readonly #contentType: string;
  #head: Buffer = Buffer.alloc(0);

  constructor(contentType: string) {
    this.#contentType = contentType;
  }

  get head(): Buffer {
    return this.#head;
  }

  /** @returns the kind, undefined while more bytes are needed. @throws HearthcamError when it is none that we know. */
  push(chunk: Buffer, whole = false): Kind | undefined {
    this.#head = this.#head.length === 0 ? chunk : Buffer.concat([this.#head, chunk]);
    const kind = kindByBytes(this.#head, whole);
    if (kind === null) throw unknownKind(this.#contentType, this.#head);
    return kind;
  }
}

/** What was answered is no format that we read. */
export function unknownKind(contentType: string, head: Buffer): HearthcamError {
  const type = contentType === '' ? 'no content type' : `content type "${contentType}"`;
  const start = head.subarray(0, 16);
  const shown = /^[\x20-\x7e\r\n\t]*$/.test(start.toString('latin1'))
    ? JSON.stringify(start.toString('latin1'))
    : start.toString('hex');
  const begins = head.length === 0 ? 'and is empty' : `and begins with ${shown}`;
  return new HearthcamError('http.format', `the answer has ${type} ${begins}, which is no video that we know`, {
    status: 502,
    hint: 'known: FLV, MPEG-TS, fragmented MP4, HLS, MJPEG, JPEG, H.264, H.265, AAC, MP3, WAV',
  });
}

/** A web page was answered: a login page most of the time. */
export function webPage(where: string): HearthcamError {
  return new HearthcamError('http.web', `${where} answered with a web page instead of video`, {
    status: 502,
    hint: 'open the address in a browser: it may be the login page, or the path of the video is another one',
  });
}
