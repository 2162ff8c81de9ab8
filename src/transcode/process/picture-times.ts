import { WireError } from '../../core/errors.ts';
import { VIDEO_CLOCK_HZ, type VideoFormat } from '../../core/media.ts';
import { parseH264Sps } from '../../wire/h264/sps.ts';

/** No two key frames of the input that are closer than this are both copied: about a second, with room for jitter. */
const MIN_KEY_TICKS = 0.9 * VIDEO_CLOCK_HZ;
/** An input with longer distances gets some in between, so that a viewer who joins hasn't to wait for long. */
const MAX_KEY_TICKS = 4 * VIDEO_CLOCK_HZ;
/** Where every picture is a key frame they say nothing: then key frames stand on a grid of absolute time. */
const GRID_TICKS = 2 * VIDEO_CLOCK_HZ;

/**
 * Says which pictures are key frames in all outputs of an input. It is asked about every picture, also while nobody
 * wants any, so outputs that begin at different times have their key frames at the same pictures.
 */
export class KeyMarks {
  readonly #intraOnly: boolean;
  #lastTicks = Number.NEGATIVE_INFINITY;

  constructor(intraOnly: boolean) {
    this.#intraOnly = intraOnly;
  }

  /** @param inputKey whether it is a key frame in the input */
  mark(pts: number, inputKey: boolean): boolean {
    const since = pts - this.#lastTicks;
    const due = this.#intraOnly
      ? since < 0 || Math.floor(pts / GRID_TICKS) !== Math.floor(this.#lastTicks / GRID_TICKS)
      : since < 0 || since >= MAX_KEY_TICKS || (inputKey && since >= MIN_KEY_TICKS);
    if (due) this.#lastTicks = pts;
    return due;
  }
}

/** Learns the distance of pictures, in ticks; 0 until two were seen, unless the stream says it. */
export class PictureInterval {
  #lastTicks = Number.NaN;
  ticks: number;

  constructor(format: VideoFormat) {
    this.ticks = announcedTicks(format);
  }

  add(dts: number): void {
    const delta = dts - this.#lastTicks;
    this.#lastTicks = dts;
    // Pauses and jumps of the clock are no distance.
    if (!(delta > 0) || delta > 20 * VIDEO_CLOCK_HZ) return;
    this.ticks = this.ticks === 0 ? delta : this.ticks + (delta - this.ticks) / 8;
  }
}

/** From the timing in the SPS (ISO/IEC 14496-10 §E.1.1), where a camera gives it and it makes sense. */
function announcedTicks({ codec, parameterSets }: VideoFormat): number {
  const sps = codec === 'h264' ? parameterSets.sps.at(-1) : undefined;
  if (sps === undefined) return 0;
  try {
    const fps = parseH264Sps(sps).framesPerSecond ?? 0;
    return fps >= 1 && fps <= 120 ? VIDEO_CLOCK_HZ / fps : 0;
  } catch (error) {
    // The decoder will say what is wrong with it.
    if (error instanceof WireError) return 0;
    throw error;
  }
}

/** A limit of this or more pictures a second gives way to common key frames: one picture more for each of them. */
const ALIGNED_STEP_TICKS = VIDEO_CLOCK_HZ / 2;

/**
 * Lets at most so many pictures a second pass, evenly spread: those nearest to the points of a grid of absolute time, so
 * that outputs with the same limit have the same pictures, whenever they began.
 */
export class FpsLimit {
  readonly #stepTicks: number;
  #lastSlot = Number.NEGATIVE_INFINITY;

  /** @param fps undefined: all pass */
  constructor(fps: number | undefined) {
    this.#stepTicks = fps === undefined ? 0 : VIDEO_CLOCK_HZ / fps;
  }

  /**
   * @param intervalTicks distance of the input's pictures, 0 while unknown
   * @param mark whether it is a common key frame
   */
  wants(pts: number, intervalTicks: number, mark: boolean): boolean {
    // An input that is no faster than the limit is let alone: jitter would push two pictures into one slot.
    if (this.#stepTicks === 0 || intervalTicks > 0.95 * this.#stepTicks) return true;
    if (mark && this.#stepTicks <= ALIGNED_STEP_TICKS) return true;
    return this.#slot(pts, intervalTicks) > this.#lastSlot;
  }

  took(pts: number, intervalTicks: number): void {
    if (this.#stepTicks > 0) this.#lastSlot = this.#slot(pts, intervalTicks);
  }

  reset(): void {
    this.#lastSlot = Number.NEGATIVE_INFINITY;
  }

  #slot(pts: number, intervalTicks: number): number {
    return Math.floor((pts + Math.min(intervalTicks, this.#stepTicks) / 2) / this.#stepTicks);
  }
}
