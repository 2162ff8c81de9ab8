import { AV_SAMPLE_FMT_FLT, AV_SAMPLE_FMT_FLTP } from 'node-av/constants';
import type { Frame } from 'node-av/lib';

/** Samples of one plane: of one channel, or of all, interleaved. Float from -1 to 1, or 16 bits. */
export type Samples = Float32Array | Int16Array;

/**
 * The samples of a frame where they are, for as long as the frame keeps its buffer. Signed 16 bits or float; every frame
 * here is allocated by this process with one of the two.
 */
export function planesOf(frame: Frame): readonly Samples[] {
  const { format } = frame;
  const isFloat = format === AV_SAMPLE_FMT_FLT || format === AV_SAMPLE_FMT_FLTP;
  return (frame.data ?? []).map(({ buffer, byteOffset, byteLength }) =>
    isFloat
      ? new Float32Array(buffer, byteOffset, byteLength / Float32Array.BYTES_PER_ELEMENT)
      : new Int16Array(buffer, byteOffset, byteLength / Int16Array.BYTES_PER_ELEMENT),
  );
}

/**
 * Makes `toCount` samples of `count`, by cubic interpolation. First and last stay what they are, so that the sound goes
 * on across the borders. For changes of some percent: nothing is filtered.
 * @param stride samples from one of a channel to the next: the channels that are interleaved
 */
export function stretch(from: Samples, count: number, to: Samples, toCount: number, stride: number): void {
  const round = to instanceof Int16Array;
  const step = toCount > 1 ? (count - 1) / (toCount - 1) : 0;
  for (let channel = 0; channel < stride; channel++) {
    for (let index = 0; index < toCount; index++) {
      const at = index * step;
      const whole = Math.min(Math.floor(at), count - 1);
      const part = at - whole;
      const before = from[Math.max(0, whole - 1) * stride + channel] ?? 0;
      const left = from[whole * stride + channel] ?? 0;
      const right = from[Math.min(count - 1, whole + 1) * stride + channel] ?? 0;
      const after = from[Math.min(count - 1, whole + 2) * stride + channel] ?? 0;
      const curve =
        left +
        0.5 *
          part *
          (right -
            before +
            part * (2 * before - 5 * left + 4 * right - after + part * (3 * (left - right) + after - before)));
      to[index * stride + channel] = round ? Math.max(-32_768, Math.min(32_767, Math.round(curve))) : curve;
    }
  }
}

/**
 * Fades in from silence, or out to it: a hard cut is heard as a click.
 * @param from first sample of the fade in each channel
 * @param count how many; the gain goes from 0 to 1, or from 1 to 0
 */
export function fade(samples: Samples, from: number, count: number, stride: number, direction: 'in' | 'out'): void {
  for (let index = 0; index < count; index++) {
    const gain = direction === 'in' ? (index + 1) / (count + 1) : 1 - (index + 1) / (count + 1);
    for (let channel = 0; channel < stride; channel++) {
      const at = (from + index) * stride + channel;
      samples[at] = (samples[at] ?? 0) * gain;
    }
  }
}

/** Far outside of full scale, where no decoder gets with real sound. */
const MAX_LEVEL = 8;

/**
 * Puts silence in place of what is no sound: NaN, infinity and giant values, which come of damaged units. An encoder that
 * meets them gives up, and keeps them in its memory for the frames after.
 */
export function mute(samples: Samples): void {
  if (samples instanceof Int16Array) return;
  for (let at = 0; at < samples.length; at++) {
    const value = samples[at] ?? 0;
    if (!(value < MAX_LEVEL && value > -MAX_LEVEL)) samples[at] = 0;
  }
}
