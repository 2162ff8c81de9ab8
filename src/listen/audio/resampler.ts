/** Rate that the model hears at. */
export const EAR_RATE_HZ = 16_000;

/** Zero crossings of the sinc on each side: with the window below, 60 dB from 0.45 of the lower rate's band edge on. */
const ZERO_CROSSINGS = 8;
/** Kaiser's β: side lobes 60 dB down. */
const KAISER_BETA = 6;
/** Pass band, of half of the lower rate. */
const PASS = 0.92;
/** More phases than these are not kept: the nearest is taken (images 60 dB down). */
const MAX_PHASES = 1_024;
const MIN_RATE_HZ = 4_000;
const MAX_RATE_HZ = 384_000;

/** Modified Bessel function of the first kind, order 0 (series; its terms fall fast for β below 20). */
function besselI0(x: number): number {
  let term = 1;
  let sum = 1;
  for (let k = 1; k < 40; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

/**
 * Changes the sample rate of one mono signal to 16 kHz, piece by piece: a windowed sinc, one set of weights for each
 * of the positions (phases) that an output sample can have between two input samples. The first output sample lies at
 * the first input sample.
 */
export class Resampler {
  readonly rateHz: number;
  /** Output samples per `#step` input samples, both without common divisor. */
  readonly #up: number;
  readonly #step: number;
  readonly #phases: number;
  readonly #taps: number;
  readonly #weights: Float32Array;
  /** Input not yet used up; its first sample is the first that the next output needs. */
  #held: Float32Array;
  #heldLength: number;
  /** Of the next output: input samples after `#held[0]`, in 1/up. */
  #position = 0;

  /** @throws RangeError for a rate that no sound has */
  constructor(rateHz: number) {
    if (!Number.isInteger(rateHz) || rateHz < MIN_RATE_HZ || rateHz > MAX_RATE_HZ) {
      throw new RangeError(`a sample rate must be ${MIN_RATE_HZ} to ${MAX_RATE_HZ} Hz, not ${rateHz}`);
    }
    this.rateHz = rateHz;
    const divisor = greatestCommonDivisor(EAR_RATE_HZ, rateHz);
    this.#up = EAR_RATE_HZ / divisor;
    this.#step = rateHz / divisor;
    this.#phases = Math.min(this.#up, MAX_PHASES);
    // Of the input rate: 0.5 is its Nyquist frequency.
    const cutoff = (PASS * Math.min(1, EAR_RATE_HZ / rateHz)) / 2;
    const reach = Math.ceil(ZERO_CROSSINGS / (2 * cutoff));
    this.#taps = 2 * reach;
    this.#weights = new Float32Array(this.#phases * this.#taps);
    for (let phase = 0; phase < this.#phases; phase++) this.#fill(phase, reach, cutoff);
    // Silence before the first sample, so that the first output lies at it.
    this.#held = new Float32Array(this.#taps + 4_096);
    this.#heldLength = reach - 1;
  }

  #fill(phase: number, reach: number, cutoff: number): void {
    const weights = this.#weights.subarray(phase * this.#taps, (phase + 1) * this.#taps);
    let sum = 0;
    for (let tap = 0; tap < this.#taps; tap++) {
      const distance = tap - (reach - 1) - phase / this.#phases;
      const x = 2 * cutoff * distance;
      const sinc = x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
      const edge = Math.abs(distance) / reach;
      const window = edge >= 1 ? 0 : besselI0(KAISER_BETA * Math.sqrt(1 - edge * edge)) / besselI0(KAISER_BETA);
      weights[tap] = sinc * window;
      sum += sinc * window;
    }
    for (let tap = 0; tap < this.#taps; tap++) weights[tap] = (weights[tap] ?? 0) / sum;
  }

  /** Output samples that `inputs` more samples will give, at most. */
  roomFor(inputs: number): number {
    return Math.ceil(((inputs + this.#heldLength) * this.#up) / this.#step) + 1;
  }

  /**
   * Takes samples in and writes what is ready to `output` from `at` on, which must have `roomFor(input.length)` left.
   * @returns the number of samples written
   */
  push(input: Float32Array, output: Float32Array, at = 0): number {
    this.#hold(input);
    const held = this.#held;
    const taps = this.#taps;
    const weights = this.#weights;
    const scale = this.#phases / this.#up;
    let written = at;
    let position = this.#position;
    const last = (this.#heldLength - taps) * this.#up;
    // Everything that is written is still within the arrays: `last` bounds the one, `roomFor` the other.
    if (this.#up === 1) {
      for (; position <= last; position += this.#step) {
        let sum = 0;
        for (let tap = 0; tap < taps; tap++) sum += (held[position + tap] ?? 0) * (weights[tap] ?? 0);
        output[written++] = sum;
      }
    } else {
      for (; position <= last; position += this.#step) {
        const from = Math.floor(position / this.#up);
        const row = Math.floor((position - from * this.#up) * scale) * taps;
        let sum = 0;
        for (let tap = 0; tap < taps; tap++) sum += (held[from + tap] ?? 0) * (weights[row + tap] ?? 0);
        output[written++] = sum;
      }
    }
    const used = Math.min(Math.floor(position / this.#up), this.#heldLength);
    held.copyWithin(0, used, this.#heldLength);
    this.#heldLength -= used;
    this.#position = position - used * this.#up;
    return written - at;
  }

  #hold(input: Float32Array): void {
    const length = this.#heldLength + input.length;
    if (length > this.#held.length) {
      const larger = new Float32Array(length + 4_096);
      larger.set(this.#held.subarray(0, this.#heldLength));
      this.#held = larger;
    }
    this.#held.set(input, this.#heldLength);
    this.#heldLength = length;
  }
}
