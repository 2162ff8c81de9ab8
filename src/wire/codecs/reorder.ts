/** Pictures looked back on; no standard allows more reordering. */
const WINDOW = 16;
/** A step back by more than this (ticks of 90 kHz) is a jump of the clock, not reordering. */
const MAX_STEP_BACK_TICKS = 90_000;

/**
 * Learns from presentation times in decoding order how many pictures are shown late. Needed for H.264 without
 * bitstream_restriction, where the standard would have us assume the largest buffer although cameras hardly ever
 * reorder: we start from 0 and correct it at the first time stamp that goes back.
 */
export class ReorderLearner {
  readonly #recent: number[] = [];
  /** Largest number of pictures seen that were decoded before one they are shown after. */
  depth = 0;

  /** Returns true when `depth` has grown with this picture. */
  add(ticks: number): boolean {
    const recent = this.#recent;
    const newest = recent.length === 0 ? ticks : Math.max(...recent);
    if (newest - ticks > MAX_STEP_BACK_TICKS) recent.length = 0;
    let later = 0;
    for (const other of recent) if (other > ticks) later++;
    recent.push(ticks);
    if (recent.length > WINDOW) recent.shift();
    if (later <= this.depth) return false;
    this.depth = later;
    return true;
  }
}
