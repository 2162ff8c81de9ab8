/** RFC 3551 §4.5.4: G726-32 is what is meant where nothing is said. */
const USUAL_BITS = 4;
const MIN_BITS = 2;
const MAX_BITS = 5;
/** A lost packet looks like fewer bits once; a real change looks so each time. */
const AGREEING = 2;

/**
 * Finds out how many bits a sample of G.726 has: 2, 3, 4 or 5 (16 to 40 kb/s). Neither the payload nor the track's format
 * tells, but the time from a unit to the next is that of its samples.
 */
export class G726Bits {
  bits = USUAL_BITS;
  #lastPts = Number.NaN;
  #lastBytes = 0;
  #candidate = 0;
  #votes = 0;

  /**
   * @param ticks when the unit begins
   * @returns whether `bits` was changed by it
   */
  learn(bytes: number, ticks: number, clockRateHz: number): boolean {
    const samples = ((ticks - this.#lastPts) * 8_000) / clockRateHz;
    const exact = (this.#lastBytes * 8) / samples;
    this.#lastPts = ticks;
    this.#lastBytes = bytes;
    const bits = Math.round(exact);
    if (!(bits >= MIN_BITS && bits <= MAX_BITS) || Math.abs(exact - bits) > 0.1) return false;
    this.#votes = bits === this.#candidate ? this.#votes + 1 : 1;
    this.#candidate = bits;
    if (bits === this.bits || this.#votes < AGREEING) return false;
    this.bits = bits;
    return true;
  }
}
