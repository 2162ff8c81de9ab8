import { NoiseGate } from './noise-gate.ts';
import { EAR_RATE_HZ, Resampler } from './resampler.ts';
import { SPECTRUM_STEP, SpectrumMeter } from './spectrum.ts';

/** What the model hears at once: 0.975 s. */
export const WINDOW_SAMPLES = 15_600;
/** From one window to the next. */
export const HOP_SAMPLES = 7_800;
export const HOP_MS = (HOP_SAMPLES / EAR_RATE_HZ) * 1_000;

export interface Pcm {
  /** Channels interleaved. 16-bit, or floating point with full scale at ±1. */
  readonly samples: Int16Array | Float32Array;
  readonly sampleRateHz: number;
  readonly channels: number;
  /** When the first sample was heard, in UTC ms. */
  readonly atMs: number;
}

export interface SoundWindow {
  readonly startMs: number;
  readonly endMs: number;
  /** 15,600 samples at 16 kHz, the receiver's own; null when nothing stands out of the room's own noise. */
  readonly samples: Float32Array<ArrayBuffer> | null;
  /** RMS of the window, 0 dBFS being a square wave at full scale. */
  readonly levelDb: number;
  /** The room by itself; null until it is known. */
  readonly noiseDb: number | null;
}

/** How loud one second was. */
export interface Loudness {
  readonly atMs: number;
  /** RMS, 0 dBFS being a square wave at full scale (a sine there has −3). */
  readonly dbfs: number;
  /** A-weighted (IEC 61672-1), same reference. */
  readonly dbfsA: number;
  readonly noiseDb: number | null;
  /** Share of the samples at full scale. */
  readonly clipped: number;
  /** Samples that were no numbers. */
  readonly damaged: number;
}

export interface SoundFeedOptions {
  readonly onWindow: (window: SoundWindow) => void;
  readonly onLoudness?: (loudness: Loudness) => void;
  /** Sound was missing, or its time jumped: windows begin anew. `gapMs` is negative when time went back. */
  readonly onGap?: (atMs: number, gapMs: number) => void;
}

/** Up to this a gap is filled with silence, so that a lost packet does not cost a window. */
const FILL_MS = 300;
/** What times may differ from the count of samples: jitter of arrival, drift of the camera's clock. */
const JITTER_MS = 150;
/** Share of the difference by which each piece moves the time line: drift is followed within some seconds. */
const FOLLOW = 0.02;
/** One pole, −3 dB at 12 Hz: takes the microphone's DC offset away, and nothing that is heard. */
const DC_POLE = 0.9953;
/** The times that a Date can have. */
const MAX_TIME_MS = 8.64e15;
const CLIPPED = 0.999;
const EMPTY_DB = -100;

function decibels(power: number): number {
  return power <= 1e-10 ? EMPTY_DB : 10 * Math.log10(power);
}

/**
 * From whatever a camera sends to windows for the model: one channel, 16 kHz, without DC, NaN and values beyond full
 * scale, with times that follow the camera's clock.
 */
export class SoundFeed {
  readonly #options: SoundFeedOptions;
  readonly #meter = new SpectrumMeter();
  readonly #gate = new NoiseGate();
  #resampler: Resampler | undefined;
  #mono = new Float32Array(0);
  #heard = new Float32Array(0);
  /** The last samples; the window is its end. */
  readonly #ring = new Float32Array(WINDOW_SAMPLES + 2 * HOP_SAMPLES);
  #ringLength = 0;
  /** Samples in the ring that the spectrum has not seen yet begin here. */
  #measured = 0;
  /** When the next input sample should come, by the count of samples. */
  #nextMs = Number.NaN;
  #dcIn = Number.NaN;
  #dcOut = 0;
  /** Steps of the spectrum since something stood out. */
  #quietSamples = 0;
  readonly #second = { samples: 0, power: 0, weighted: 0, steps: 0, clipped: 0, damaged: 0 };

  constructor(options: SoundFeedOptions) {
    this.#options = options;
  }

  /** Something is going on: windows are passed on even when quiet, and the noise is not learnt meanwhile. */
  set attentive(value: boolean) {
    this.#gate.hold = value;
  }

  get noiseDb(): number | null {
    return this.#gate.noiseDb;
  }

  /**
   * Takes the next piece of sound; calls back for each window that it completes.
   * @throws RangeError for a rate or number of channels that no sound has
   */
  push(pcm: Pcm): void {
    const { channels, sampleRateHz, samples } = pcm;
    if (!Number.isInteger(channels) || channels < 1 || channels > 64) {
      throw new RangeError(`sound must have 1 to 64 channels, not ${channels}`);
    }
    if (!(Math.abs(pcm.atMs) <= MAX_TIME_MS)) throw new RangeError(`sound must have a time, not ${pcm.atMs}`);
    const frames = Math.floor(samples.length / channels);
    if (this.#resampler?.rateHz !== sampleRateHz) {
      const resampler = new Resampler(sampleRateHz);
      // What the old one still held (a millisecond) is lost, the time line goes on.
      this.#resampler = resampler;
    }
    if (frames === 0) return;
    this.#follow(pcm.atMs, sampleRateHz);
    this.#nextMs += (frames / sampleRateHz) * 1_000;
    this.#take(this.#mix(samples, channels, frames));
  }

  /** Compares the time of what comes with the count of samples. */
  #follow(atMs: number, rateHz: number): void {
    if (Number.isNaN(this.#nextMs)) {
      this.#nextMs = atMs;
      return;
    }
    const gapMs = atMs - this.#nextMs;
    if (Math.abs(gapMs) <= JITTER_MS) {
      this.#nextMs += gapMs * FOLLOW;
      return;
    }
    if (gapMs > 0 && gapMs <= FILL_MS) {
      const missing = Math.round((gapMs / 1_000) * rateHz);
      this.#nextMs = atMs;
      this.#take(new Float32Array(missing));
      return;
    }
    this.#ringLength = 0;
    this.#measured = 0;
    this.#meter.reset();
    this.#nextMs = atMs;
    this.#options.onGap?.(atMs, gapMs);
  }

  /** One channel of floating point within ±1. A channel that is silent does not halve the other much: it is the mean. */
  #mix(samples: Int16Array | Float32Array, channels: number, frames: number): Float32Array {
    if (this.#mono.length < frames) this.#mono = new Float32Array(frames);
    const mono = this.#mono.subarray(0, frames);
    const second = this.#second;
    const scale = (samples instanceof Int16Array ? 1 / 32_768 : 1) / channels;
    let clipped = 0;
    let damaged = 0;
    for (let frame = 0, at = 0; frame < frames; frame++) {
      let sum = 0;
      for (let channel = 0; channel < channels; channel++) sum += samples[at++] ?? 0;
      let value = sum * scale;
      if (Number.isNaN(value)) {
        value = 0;
        damaged += 1;
      } else if (value >= CLIPPED || value <= -CLIPPED) {
        value = Math.max(-1, Math.min(1, value));
        clipped += 1;
      }
      mono[frame] = value;
    }
    second.damaged += damaged;
    second.clipped += clipped;
    return mono;
  }

  #take(mono: Float32Array): void {
    const resampler = this.#resampler;
    if (resampler === undefined) return;
    // In pieces, so that a large push never needs a large buffer.
    const piece = resampler.rateHz;
    for (let at = 0; at < mono.length; at += piece) {
      const part = mono.subarray(at, at + piece);
      const room = resampler.rateHz === EAR_RATE_HZ ? part.length : resampler.roomFor(part.length);
      if (this.#heard.length < room) this.#heard = new Float32Array(room);
      let count = part.length;
      if (resampler.rateHz === EAR_RATE_HZ) this.#heard.set(part);
      else count = resampler.push(part, this.#heard);
      const leftMs = ((mono.length - at - part.length) / resampler.rateHz) * 1_000;
      this.#hear(this.#heard.subarray(0, count), this.#nextMs - leftMs);
    }
  }

  /** @param endMs time of the sample after the last */
  #hear(samples: Float32Array, endMs: number): void {
    this.#withoutDc(samples);
    let from = 0;
    while (from < samples.length) {
      const room = Math.min(samples.length - from, this.#ring.length - this.#ringLength);
      this.#ring.set(samples.subarray(from, from + room), this.#ringLength);
      this.#ringLength += room;
      from += room;
      const afterMs = ((samples.length - from) / EAR_RATE_HZ) * 1_000;
      this.#advance(endMs - afterMs);
    }
  }

  #withoutDc(samples: Float32Array): void {
    let input = Number.isNaN(this.#dcIn) ? (samples[0] ?? 0) : this.#dcIn;
    let output = this.#dcOut;
    let power = 0;
    for (let at = 0; at < samples.length; at++) {
      const value = samples[at] ?? 0;
      output = value - input + DC_POLE * output;
      input = value;
      samples[at] = output;
      power += output * output;
    }
    // Subnormal numbers make every later operation slow.
    this.#dcOut = Math.abs(output) < 1e-20 ? 0 : output;
    this.#dcIn = input;
    this.#second.power += power;
    this.#second.samples += samples.length;
  }

  #advance(endMs: number): void {
    const second = this.#second;
    while (this.#measured + SPECTRUM_STEP <= this.#ringLength) {
      this.#meter.step(this.#ring, this.#measured);
      this.#measured += SPECTRUM_STEP;
      second.weighted += this.#meter.weighted;
      second.steps += 1;
      this.#quietSamples = this.#gate.step(this.#meter.bands) ? 0 : this.#quietSamples + SPECTRUM_STEP;
    }
    while (this.#ringLength >= WINDOW_SAMPLES) {
      this.#window(endMs - ((this.#ringLength - WINDOW_SAMPLES) / EAR_RATE_HZ) * 1_000);
      this.#ring.copyWithin(0, HOP_SAMPLES, this.#ringLength);
      this.#ringLength -= HOP_SAMPLES;
      this.#measured = Math.max(0, this.#measured - HOP_SAMPLES);
    }
    if (second.samples >= EAR_RATE_HZ) this.#tell(endMs);
  }

  #window(endMs: number): void {
    const quiet = this.#quietSamples >= WINDOW_SAMPLES;
    let power = 0;
    for (let at = 0; at < WINDOW_SAMPLES; at++) power += (this.#ring[at] ?? 0) ** 2;
    this.#options.onWindow({
      startMs: endMs - (WINDOW_SAMPLES / EAR_RATE_HZ) * 1_000,
      endMs,
      samples: quiet ? null : this.#ring.slice(0, WINDOW_SAMPLES),
      levelDb: decibels(power / WINDOW_SAMPLES),
      noiseDb: this.#gate.noiseDb,
    });
  }

  #tell(atMs: number): void {
    const second = this.#second;
    this.#options.onLoudness?.({
      atMs,
      dbfs: decibels(second.power / second.samples),
      dbfsA: decibels(second.weighted / Math.max(1, second.steps)),
      noiseDb: this.#gate.noiseDb,
      clipped: Math.min(1, second.clipped / second.samples),
      damaged: second.damaged,
    });
    Object.assign(second, { samples: 0, power: 0, weighted: 0, steps: 0, clipped: 0, damaged: 0 });
  }
}
