import { EAR_RATE_HZ } from './resampler.ts';

const FRAME = 512;
const HOP = 256;
const BIN_HZ = EAR_RATE_HZ / FRAME;
/** Samples that one step takes: two frames, half overlapping, which one complex transform does together. */
export const SPECTRUM_STEP = 2 * HOP;
/** Edges of the bands that the gate looks at. Below lies hum, above little that a camera's microphone passes. */
const BAND_EDGES_HZ = [250, 500, 1_000, 2_000, 3_500, 7_000];
export const BANDS = BAND_EDGES_HZ.length - 1;

const WINDOW = Float32Array.from({ length: FRAME }, (_, n) => 0.5 - 0.5 * Math.cos((2 * Math.PI * n) / FRAME));
/** Brings Σ|X|² of a Hann frame to the mean square of its samples. */
const SCALE = 1 / (FRAME * WINDOW.reduce((sum, w) => sum + w * w, 0));
const BAND_OF_BIN = Int8Array.from({ length: FRAME / 2 + 1 }, (_, bin) => bandOf(bin * BIN_HZ));
const A_WEIGHTS = Float32Array.from({ length: FRAME / 2 + 1 }, (_, bin) => aWeight(bin * BIN_HZ));

function bandOf(hz: number): number {
  return BAND_EDGES_HZ.slice(1).findIndex((edge, band) => hz >= (BAND_EDGES_HZ[band] ?? 0) && hz < edge);
}

/** A-weighting of power, 1 at 1 kHz (IEC 61672-1, annex E). */
function aWeight(hz: number): number {
  const f2 = hz * hz;
  const response =
    (12_194 ** 2 * f2 * f2) /
    ((f2 + 20.6 ** 2) * Math.sqrt((f2 + 107.7 ** 2) * (f2 + 737.9 ** 2)) * (f2 + 12_194 ** 2));
  return (response * 1.2589) ** 2;
}

const BITS = Math.log2(FRAME);
const REVERSED = Uint16Array.from({ length: FRAME }, (_, index) => {
  let out = 0;
  for (let bit = 0; bit < BITS; bit++) out |= ((index >> bit) & 1) << (BITS - 1 - bit);
  return out;
});
const COS = Float32Array.from({ length: FRAME / 2 }, (_, k) => Math.cos((2 * Math.PI * k) / FRAME));
const SIN = Float32Array.from({ length: FRAME / 2 }, (_, k) => -Math.sin((2 * Math.PI * k) / FRAME));

/** Power in bands and A-weighted, of 32 ms at a time: what the gate and the loudness need, in one cheap transform. */
export class SpectrumMeter {
  /** Mean square in each band, after `step`. */
  readonly bands = new Float32Array(BANDS);
  /** A-weighted mean square, after `step`. */
  weighted = 0;
  readonly #recent = new Float32Array(FRAME + HOP);
  readonly #real = new Float32Array(FRAME);
  readonly #imaginary = new Float32Array(FRAME);

  /** Takes the next `SPECTRUM_STEP` samples of `samples` from `at` on. */
  step(samples: Float32Array, at: number): void {
    const recent = this.#recent;
    recent.copyWithin(0, SPECTRUM_STEP);
    for (let index = 0; index < SPECTRUM_STEP; index++) recent[HOP + index] = samples[at + index] ?? 0;
    const real = this.#real;
    const imaginary = this.#imaginary;
    // Two real frames as the two parts of one complex frame.
    for (let index = 0; index < FRAME; index++) {
      const to = REVERSED[index] ?? 0;
      const weight = WINDOW[index] ?? 0;
      real[to] = (recent[index] ?? 0) * weight;
      imaginary[to] = (recent[index + HOP] ?? 0) * weight;
    }
    transform(real, imaginary);
    this.bands.fill(0);
    let weighted = 0;
    // |A|² + |B|² of both frames at bin k is (|Z(k)|² + |Z(N−k)|²) / 2; doubled for negative frequencies, halved for the mean.
    for (let bin = 1; bin < FRAME / 2; bin++) {
      const mirror = FRAME - bin;
      const power =
        ((real[bin] ?? 0) ** 2 +
          (imaginary[bin] ?? 0) ** 2 +
          (real[mirror] ?? 0) ** 2 +
          (imaginary[mirror] ?? 0) ** 2) *
        (SCALE / 2);
      const band = BAND_OF_BIN[bin] ?? -1;
      if (band >= 0) this.bands[band] = (this.bands[band] ?? 0) + power;
      weighted += power * (A_WEIGHTS[bin] ?? 0);
    }
    this.weighted = weighted;
  }

  reset(): void {
    this.#recent.fill(0);
  }
}

/** Radix 2 in place, of input in bit-reversed order. */
function transform(real: Float32Array, imaginary: Float32Array): void {
  for (let half = 1; half < FRAME; half *= 2) {
    const stride = FRAME / (2 * half);
    for (let start = 0; start < FRAME; start += 2 * half) {
      for (let k = 0; k < half; k++) {
        const c = COS[k * stride] ?? 0;
        const s = SIN[k * stride] ?? 0;
        const a = start + k;
        const b = a + half;
        const rb = real[b] ?? 0;
        const ib = imaginary[b] ?? 0;
        const tr = rb * c - ib * s;
        const ti = rb * s + ib * c;
        const ra = real[a] ?? 0;
        const ia = imaginary[a] ?? 0;
        real[b] = ra - tr;
        imaginary[b] = ia - ti;
        real[a] = ra + tr;
        imaginary[a] = ia + ti;
      }
    }
  }
}
