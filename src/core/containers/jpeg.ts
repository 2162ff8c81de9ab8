import { makeVideoFormat } from '../../wire/codecs/formats.ts';
import { JpegSplitter, MultipartReader } from '../../wire/multipart/reader.ts';
import type { VideoFormat } from '../media.ts';
import type { Input, Problems } from './input.ts';
import type { Slot, TrackSet } from './track-set.ts';

/** A track of JPEG files, timed by their arrival: what cameras write beside them is rarely a time. */
class JpegTrack {
  readonly #tracks: TrackSet;
  readonly #slot: Slot;
  readonly #nowMs: () => number;
  #format: VideoFormat | null = null;

  constructor(tracks: TrackSet, nowMs: () => number) {
    this.#tracks = tracks;
    this.#nowMs = nowMs;
    this.#slot = tracks.add('video', 'jpeg');
  }

  /** Whether it was a picture. */
  push(jpeg: Buffer): boolean {
    const size = jpegSize(jpeg);
    if (size === null) return false;
    if (this.#format?.width !== size.width || this.#format.height !== size.height) {
      this.#format = makeVideoFormat('jpeg', size.width, size.height);
    }
    const ticks = Math.round(this.#nowMs() * 90);
    this.#tracks.unit(this.#slot, { format: this.#format, ticks, decodeTicks: ticks, key: true, data: jpeg });
    return true;
  }
}

/** `multipart/x-mixed-replace`. */
export class MultipartInput implements Input {
  readonly #reader: MultipartReader;
  readonly #track: JpegTrack;
  readonly #problems: Problems;
  readonly #tracks: TrackSet;

  constructor(tracks: TrackSet, problems: Problems, boundary: string | undefined, nowMs: () => number) {
    this.#reader = new MultipartReader(boundary);
    this.#track = new JpegTrack(tracks, nowMs);
    this.#problems = problems;
    this.#tracks = tracks;
  }

  push(chunk: Buffer): void {
    this.#reader.push(chunk, (part) => {
      if (this.#track.push(part.body)) return;
      const type = part.headers.get('content-type') ?? 'no type';
      this.#problems.report({ code: 'multipart.part', message: `a part of ${type} is no JPEG and is left out` });
    });
  }

  end(): void {
    this.#tracks.finish();
  }
}

/** JPEG files one after another. */
export class JpegInput implements Input {
  readonly #splitter = new JpegSplitter();
  readonly #track: JpegTrack;
  readonly #tracks: TrackSet;

  constructor(tracks: TrackSet, nowMs: () => number) {
    this.#track = new JpegTrack(tracks, nowMs);
    this.#tracks = tracks;
  }

  push(chunk: Buffer): void {
    this.#splitter.push(chunk, (jpeg) => this.#track.push(jpeg));
  }

  end(): void {
    this.#tracks.finish();
  }
}

/** Pixels from the frame header (ISO/IEC 10918-1 §B.2.2); null when it is no JPEG. */
function jpegSize(jpeg: Buffer): { width: number; height: number } | null {
  if (jpeg.length < 4 || jpeg.readUInt16BE(0) !== 0xffd8) return null;
  let at = 2;
  while (at + 9 <= jpeg.length) {
    if (jpeg[at] !== 0xff) return null;
    const code = jpeg[at + 1] ?? 0;
    if (code === 0xff) {
      at++;
      continue;
    }
    // SOF0…SOF15 but DHT, JPG and DAC.
    if (code >= 0xc0 && code <= 0xcf && code !== 0xc4 && code !== 0xc8 && code !== 0xcc) {
      return { height: jpeg.readUInt16BE(at + 5), width: jpeg.readUInt16BE(at + 7) };
    }
    if (code === 0xda || code === 0xd9) return null;
    at += 2 + jpeg.readUInt16BE(at + 2);
  }
  return null;
}
