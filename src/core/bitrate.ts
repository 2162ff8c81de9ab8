import type { Quality } from './qualities.ts';
import type { Stream } from './stream.ts';

/** A rate is measured over so long at the least: pictures come in groups of very unequal size. */
const WINDOW_MS = 2_000;
/** For what was never seen: bits per pixel of H.264 as cameras send it, at 20 pictures a second. */
const BITS_PER_PIXEL_PER_S = 0.09 * 20;

interface Measured {
  bytes: number;
  atMs: number;
  bps: number;
}

/** Bit rates of streams' pictures, measured by those who ask from time to time. Kept while a stream is not running. */
export class VideoRates {
  readonly #measured = new WeakMap<Stream, Measured>();

  /** Of the stream's own pictures in bit/s; 0 while unknown. */
  of(stream: Stream, nowMs: number): number {
    const bytes = stream.tracks.reduce((sum, track) => sum + (track.kind === 'video' ? track.bytes : 0), 0);
    const before = this.#measured.get(stream);
    // Counted anew, or not running meanwhile.
    if (before === undefined || bytes <= before.bytes) {
      const bps = before?.bps ?? rateOfGop(stream);
      this.#measured.set(stream, { bytes, atMs: nowMs, bps });
      return bps;
    }
    const passedMs = nowMs - before.atMs;
    if (passedMs < WINDOW_MS) return before.bps;
    const bps = ((bytes - before.bytes) * 8_000) / passedMs;
    // Smoothed over some groups of pictures.
    before.bps = before.bps === 0 ? bps : before.bps * 0.6 + bps * 0.4;
    before.bytes = bytes;
    before.atMs = nowMs;
    return before.bps;
  }

  /** Of a quality: measured, or what it is made with, or a guess by its size; 0 when there is nothing to go by. */
  ofQuality({ stream, picture }: Quality, nowMs: number): number {
    const own = this.of(stream, nowMs);
    if (picture === undefined) return own > 0 ? own : guess(sizeOf(stream));
    if (picture.bitrateKbps !== undefined) return picture.bitrateKbps * 1000;
    return guess(madeSize(stream, picture));
  }
}

/** In pixels; 0 while unknown. */
export interface Size {
  readonly width: number;
  readonly height: number;
}

/** Of what the camera sends. */
export function sizeOf(stream: Stream): Size {
  const format = stream.tracks.find((track) => track.kind === 'video')?.format;
  return format?.kind === 'video' ? { width: format.width, height: format.height } : { width: 0, height: 0 };
}

/** Of what is made of it: one measure alone keeps the aspect ratio. */
export function madeSize(stream: Stream, target: { readonly width?: number; readonly height?: number }): Size {
  const own = sizeOf(stream);
  const even = (pixels: number): number => Math.max(2, Math.round(pixels / 2) * 2);
  const { width, height } = target;
  if (width !== undefined && height !== undefined) return { width, height };
  if (width === undefined && height === undefined) return own;
  if (own.width === 0 || own.height === 0) return { width: width ?? 0, height: height ?? 0 };
  if (height !== undefined) return { width: even((own.width * height) / own.height), height };
  return width === undefined ? own : { width, height: even((own.height * width) / own.width) };
}

function guess({ width, height }: Size): number {
  return width * height * BITS_PER_PIXEL_PER_S;
}

/** From what is kept since the last key frame, if that is enough to say something. */
function rateOfGop(stream: Stream): number {
  const units = stream.gop().units.filter((unit) => unit.format.kind === 'video');
  const [first] = units;
  const last = units.at(-1);
  if (first === undefined || last === undefined) return 0;
  const spanMs = ((last.dts - first.dts) * 1000) / first.format.clockRateHz;
  if (spanMs < WINDOW_MS / 4) return 0;
  return (units.reduce((sum, unit) => sum + unit.data.length, 0) * 8_000) / spanMs;
}
