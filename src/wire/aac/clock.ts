/** Frames watched before a verdict. */
const WATCHED = 4;

/**
 * Finds out which clock an AAC track's time stamps really count when the SDP's rate and the config's rate differ
 * (cameras that say `mpeg4-generic/8000` and send 16 kHz): a frame has 1024 samples, so the step tells.
 */
export class AacClock {
  readonly #declaredHz: number;
  readonly #frameTicks: number;
  readonly #sampleRateHz: number;
  #lastTicks = Number.NaN;
  #lastFrames = 0;
  #votes = 0;
  #watched: number;
  #factor = 1;

  constructor(declaredHz: number, sampleRateHz: number, frameSamples: number) {
    this.#declaredHz = declaredHz;
    this.#sampleRateHz = sampleRateHz;
    this.#frameTicks = frameSamples;
    this.#watched = declaredHz === sampleRateHz ? WATCHED : 0;
  }

  /** Ticks of the declared clock for a time stamp of a packet with so many frames. */
  ticks(raw: number, frames: number): number {
    if (this.#watched < WATCHED) this.#watch(raw, frames);
    return this.#factor === 1 ? raw : raw * this.#factor;
  }

  /** Length of a frame in ticks of the declared clock. */
  get frameTicks(): number {
    return (this.#frameTicks * this.#declaredHz) / this.#sampleRateHz;
  }

  #watch(raw: number, frames: number): void {
    const step = (raw - this.#lastTicks) / this.#lastFrames;
    this.#lastTicks = raw;
    this.#lastFrames = frames;
    if (Number.isNaN(step)) return;
    this.#watched++;
    if (Math.abs(step - this.#frameTicks) <= 2) this.#votes++;
    if (this.#watched === WATCHED && this.#votes > WATCHED / 2) this.#factor = this.#declaredHz / this.#sampleRateHz;
  }
}
