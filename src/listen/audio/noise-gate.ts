import { EAR_RATE_HZ } from './resampler.ts';
import { BANDS, SPECTRUM_STEP } from './spectrum.ts';

/** A step of the spectrum lasts 32 ms, the gate looks at 64 ms. */
const STEPS_PER_BLOCK = 2;
const BLOCKS_PER_SECOND = EAR_RATE_HZ / (SPECTRUM_STEP * STEPS_PER_BLOCK);
/** The floor is the lowest of half a minute: crying has pauses for breath, so it never becomes its own floor. */
const PARTS = 6;
const BLOCKS_PER_PART = Math.round(5 * BLOCKS_PER_SECOND);
/** Until so much was heard everything is scored. */
const LEARNING_BLOCKS = Math.round(2 * BLOCKS_PER_SECOND);
/** A smoothed block's minimum lies this far below its mean in steady noise; added back. */
const BIAS_DB = 2;
/** What stands out of the floor by so much is a sound. */
const OPEN_DB = 3.5;
/** Below this there is nothing to hear, whatever the floor: noise of the converter and of G.711. */
const SILENCE_DBFS = -72;
const FLOOR_LIMIT = 1e-10;
/** Smoothing of a block before it counts for the floor. */
const SMOOTHING = 0.35;

/**
 * Learns how loud the room is by itself in each band, and tells which blocks stand out of it. A fan or rain that goes
 * on for half a minute becomes the floor; a fan that stops is forgotten at once.
 */
export class NoiseGate {
  readonly #block = new Float32Array(BANDS);
  readonly #smooth = new Float32Array(BANDS);
  readonly #minima = Array.from({ length: PARTS }, () => new Float32Array(BANDS).fill(Number.POSITIVE_INFINITY));
  readonly #floor = new Float32Array(BANDS).fill(FLOOR_LIMIT);
  #steps = 0;
  #blocks = 0;
  #open = true;

  /** What is heard now is no part of the room: the floor stays as it is, and everything is passed on. */
  hold = false;

  /** Takes the powers of one spectrum step. @returns whether what is heard now stands out */
  step(bands: Float32Array): boolean {
    for (let band = 0; band < BANDS; band++) this.#block[band] = (this.#block[band] ?? 0) + (bands[band] ?? 0);
    this.#steps += 1;
    if (this.#steps < STEPS_PER_BLOCK) return this.#open || this.hold;
    this.#steps = 0;
    this.#take();
    this.#block.fill(0);
    return this.#open || this.hold;
  }

  /** Level of the room by itself, of the bands together, in dBFS; null until it is known. */
  get noiseDb(): number | null {
    if (this.#blocks < LEARNING_BLOCKS) return null;
    return 10 * Math.log10(this.#floor.reduce((sum, power) => sum + power, 0)) + BIAS_DB;
  }

  #take(): void {
    const first = this.#blocks === 0;
    this.#blocks += 1;
    const part = this.#minima[Math.floor(this.#blocks / BLOCKS_PER_PART) % PARTS] ?? this.#floor;
    const begins = this.#blocks % BLOCKS_PER_PART === 0;
    let open = this.#blocks < LEARNING_BLOCKS;
    for (let band = 0; band < BANDS; band++) {
      const power = (this.#block[band] ?? 0) / STEPS_PER_BLOCK;
      const before = first ? power : (this.#smooth[band] ?? power);
      const smooth = before + SMOOTHING * (power - before);
      this.#smooth[band] = smooth;
      if (!this.hold || smooth < (this.#floor[band] ?? 0)) {
        if (begins) part[band] = Number.POSITIVE_INFINITY;
        if (smooth < (part[band] ?? 0)) part[band] = Math.max(smooth, FLOOR_LIMIT);
      }
      let floor = Number.POSITIVE_INFINITY;
      for (const minima of this.#minima) floor = Math.min(floor, minima[band] ?? floor);
      if (Number.isFinite(floor)) this.#floor[band] = floor;
      const aboveDb = 10 * Math.log10((power + FLOOR_LIMIT) / (this.#floor[band] ?? FLOOR_LIMIT)) - BIAS_DB;
      if (aboveDb >= OPEN_DB && 10 * Math.log10(power + FLOOR_LIMIT) >= SILENCE_DBFS) open = true;
    }
    this.#open = open;
  }
}
