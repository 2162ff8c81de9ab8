/** What is to be done with the sound of one unit so that it stands where its time says. All in samples of the output. */
export interface Placement {
  /** The time line begins anew at this unit: what was before is finished, and nothing stands between. */
  jump: boolean;
  /** Silence before it. */
  silence: number;
  /** To be left out at its beginning, because it was there already. */
  skip: number;
  /** Samples more (or less) than it has, for the clock of the camera does not count what the samples count. */
  stretch: number;
}

/** A longer gap is left open: to fill it would be a burst of silence that nobody waits for. */
const MAX_FILL_SECONDS = 1;
/** Less than this may be jitter, of cameras that stamp what they send when they get to it; more is not. */
const HARD_SECONDS = 0.08;
/** Between times so regular, a step of just some units is units that were lost (or came twice). */
const STEADY_SECONDS = 0.002;
const STEADY_UNITS = 8;
/** Below, lips and sound are in step for everybody: EBU R37 allows 40 ms. */
const START_CORRECTING_SECONDS = 0.005;
const STOP_CORRECTING_SECONDS = 0.0005;
/** Jitter averages out in this time. */
const SMOOTHING_SECONDS = 2;
/** Half a percent is 9 cents, which no ear finds in speech; twice that only while the sound is far off. */
const MIN_STRETCH = 0.0025;
const MAX_STRETCH = 0.02;
/** Share of the error that is corrected in a second. */
const CORRECTION_PER_SECOND = 0.2;

/**
 * Lets the sound run by its count of samples, and follows the time stamps slowly: what they say is true on average, but
 * cameras stamp with clocks that jitter, and a sound that jumps by some ms with each unit crackles.
 */
export class AudioClock {
  readonly #rateHz: number;
  readonly #placement: Placement = { jump: true, silence: 0, skip: 0, stretch: 0 };
  /** Where the next sample will stand. */
  #next = Number.NaN;
  #lastOff = 0;
  #steady = 0;
  #error = 0;
  #correcting = false;
  #realign = false;
  /** What could not be stretched yet, for samples are whole. */
  #owed = 0;

  constructor(rateHz: number) {
    this.#rateHz = rateHz;
  }

  /** Where the next sample will stand; NaN before the first. */
  get next(): number {
    return this.#next;
  }

  /** The next unit is the first of a new connection: a small step is no jitter but where its sound belongs. */
  realign(): void {
    this.#realign = true;
  }

  /**
   * Places the next unit. The answer is overwritten by the next call.
   * @param at where its time says it begins, in samples
   * @param samples how long it is
   */
  place(at: number, samples: number): Placement {
    const placement = this.#placement;
    placement.jump = false;
    placement.silence = 0;
    placement.skip = 0;
    placement.stretch = 0;
    const off = at - this.#next;
    if (Number.isNaN(off) || off > MAX_FILL_SECONDS * this.#rateHz) {
      placement.jump = true;
      this.#next = at + samples;
      this.#restart();
      return placement;
    }
    const whole = this.#wholeUnits(off - this.#lastOff, samples);
    const far = Math.abs(off) > (this.#realign ? START_CORRECTING_SECONDS : HARD_SECONDS) * this.#rateHz;
    this.#realign = false;
    if (far || whole !== 0) {
      const step = whole !== 0 ? whole * samples : Math.round(off);
      if (step > 0) placement.silence = step;
      else placement.skip = Math.min(samples, -step);
      this.#next += placement.silence + samples - placement.skip;
      if (whole === 0) this.#restart();
      return placement;
    }
    this.#steady = Math.abs(off - this.#lastOff) < STEADY_SECONDS * this.#rateHz ? this.#steady + 1 : 0;
    this.#lastOff = off;
    placement.stretch = this.#correct(off, samples);
    this.#lastOff -= placement.stretch;
    this.#next += samples + placement.stretch;
    return placement;
  }

  #restart(): void {
    this.#realign = false;
    this.#lastOff = 0;
    this.#steady = 0;
    this.#error = 0;
    this.#correcting = false;
    this.#owed = 0;
  }

  /** How many units were lost (negative: came again), 0 when it is something else that moved the time. */
  #wholeUnits(step: number, samples: number): number {
    if (this.#steady < STEADY_UNITS) return 0;
    const units = Math.round(step / samples);
    const tolerance = Math.min(STEADY_SECONDS * this.#rateHz, samples / 4);
    return Math.abs(step - units * samples) <= tolerance ? units : 0;
  }

  #correct(off: number, samples: number): number {
    const seconds = samples / this.#rateHz;
    this.#error += (off - this.#error) * Math.min(1, seconds / SMOOTHING_SECONDS);
    const size = Math.abs(this.#error);
    if (size > START_CORRECTING_SECONDS * this.#rateHz) this.#correcting = true;
    else if (size < STOP_CORRECTING_SECONDS * this.#rateHz) this.#correcting = false;
    if (!this.#correcting) return 0;
    const share = Math.min(MAX_STRETCH, Math.max(MIN_STRETCH, (size / this.#rateHz) * CORRECTION_PER_SECOND));
    this.#owed += Math.sign(this.#error) * share * samples;
    const stretch = Math.trunc(this.#owed);
    this.#owed -= stretch;
    this.#error -= stretch;
    return stretch;
  }
}
