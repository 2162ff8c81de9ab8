import type { AVSampleFormat } from 'node-av/constants';
import { FFmpegError, Frame, SoftwareResampleContext } from 'node-av/lib';
import type { AudioPlan } from '../audio-format.ts';
import { AudioClock } from './audio-clock.ts';
import { AudioEncoder } from './audio-encoder.ts';
import { frameLayout, layoutOf } from './audio-layout.ts';
import { fade, planesOf, type Samples, stretch } from './samples.ts';

type OnUnit = (pts: number, data: Buffer) => void;

/** At hard cuts. */
const FADE_SECONDS = 0.0025;
/** Shorter ones can't be stretched without being heard. */
const MIN_STRETCHED = 16;
const NO_PLANES: readonly Samples[] = [];

/** From `index` on (counted in samples given to the encoder) the sound stands at `at` (in samples of the time line). */
interface Segment {
  readonly index: number;
  readonly at: number;
}

/** Makes one coded track of the decoded frames: converts, keeps to the clock, cuts into the encoder's frames, codes. */
export class AudioOutput implements Disposable {
  readonly plan: AudioPlan;
  readonly #afterSeconds: number;
  readonly #encoder: AudioEncoder;
  readonly #clock: AudioClock;
  /** Samples that lie one behind the other in a plane: the channels, where they are interleaved. */
  readonly #stride: number;
  readonly #fadeSamples: number;
  readonly #onCoded: (position: number, data: Buffer) => void;

  #resampler: SoftwareResampleContext | null = null;
  #resamples = false;
  #inRateHz = 0;
  #inChannels = 0;
  #inFormat = -1;
  readonly #converted = new Frame();
  #convertedPlanes = NO_PLANES;
  #capacity = 0;
  #stretched = NO_PLANES;

  /** In the encoder's frame that is being filled. */
  #filled = 0;
  #written = 0;
  #segments: Segment[] = [];
  #fadeIn = false;

  /**
   * @param afterSeconds what begins then or before is not coded
   * @throws JobError `request`
   */
  constructor(plan: AudioPlan, afterSeconds: number, onUnit: OnUnit) {
    this.plan = plan;
    this.#afterSeconds = afterSeconds;
    this.#encoder = new AudioEncoder(plan);
    this.#clock = new AudioClock(plan.encoderRateHz);
    this.#stride = this.#encoder.planes.length === 1 ? plan.channels : 1;
    this.#fadeSamples = Math.round(FADE_SECONDS * plan.encoderRateHz);
    this.#converted.alloc();
    const ticksPerSample = plan.format.clockRateHz / plan.encoderRateHz;
    this.#onCoded = (position, data) => {
      const pts = Math.round(this.#timeOf(position) * ticksPerSample);
      // Only the priming of an encoder at the very beginning of the time line lies before it.
      if (pts >= 0) onUnit(pts, data);
    };
  }

  /**
   * Takes in a decoded frame that begins at `seconds` on the input's time line.
   * @throws FFmpegError when it can't be coded
   */
  feed(frame: Frame, seconds: number): void {
    if (seconds <= this.#afterSeconds) return;
    const { encoderRateHz } = this.plan;
    const { nbSamples, sampleRate } = frame;
    this.#prepare(frame, sampleRate);
    const lasts = (nbSamples * encoderRateHz) / sampleRate;
    const place = this.#clock.place(seconds * encoderRateHz, lasts);
    const from = this.#clock.next - lasts;
    if (place.jump) this.#jump(from);
    else if (place.silence > 0) this.#fillUpTo(from);
    if (place.skip >= lasts) return;

    let count = this.#convert(frame, nbSamples);
    let planes = this.#convertedPlanes;
    if (place.stretch !== 0 && count >= MIN_STRETCHED) {
      planes = this.#stretch(count, count + place.stretch);
      count += place.stretch;
    }
    const skip = Math.min(count, place.skip);
    if (skip > 0) {
      this.#fadeOut();
      this.#fadeIn = true;
    }
    if (this.#fadeIn && count > skip) {
      const fadeSamples = Math.min(this.#fadeSamples, count - skip);
      for (const plane of planes) fade(plane, skip, fadeSamples, this.#stride, 'in');
      this.#fadeIn = false;
    }
    this.#append(planes, skip, count);
  }

  /** What comes next is of a new connection. */
  realign(): void {
    this.#clock.realign();
  }

  [Symbol.dispose](): void {
    this.#resampler?.free();
    this.#resampler = null;
    this.#converted.free();
    this.#convertedPlanes = NO_PLANES;
    this.#encoder[Symbol.dispose]();
  }

  #timeOf(position: number): number {
    // A unit belongs to the segment that most of it lies in.
    const middle = position + this.#encoder.frameSamples / 2;
    while ((this.#segments[1]?.index ?? Number.POSITIVE_INFINITY) <= middle) this.#segments.shift();
    const { index, at } = this.#segments[0] ?? { index: 0, at: 0 };
    return at + position - index;
  }

  /** What there is goes out, filled up with silence, and the time goes on at `at`. */
  #jump(at: number): void {
    if (this.#segments.length > 0) {
      this.#drain();
      this.#fadeOut();
      this.#fadeIn = true;
      if (this.#filled > 0) this.#silence(this.#encoder.frameSamples - this.#filled);
    }
    this.#segments.push({ index: this.#written, at });
  }

  #fillUpTo(at: number): void {
    this.#drain();
    this.#fadeOut();
    this.#fadeIn = true;
    const last = this.#segments.at(-1);
    const here = last === undefined ? at : last.at + this.#written - last.index;
    this.#silence(Math.max(0, Math.round(at - here)));
  }

  #prepare(frame: Frame, sampleRate: number): void {
    const { channels, format } = frame;
    if (sampleRate === this.#inRateHz && channels === this.#inChannels && format === this.#inFormat) return;
    this.#drain();
    this.#resampler?.free();
    const { encoderRateHz } = this.plan;
    const resampler = new SoftwareResampleContext();
    this.#resampler = resampler;
    const { sampleFormat } = this.#encoder;
    const to = layoutOf(this.plan.channels);
    // Checked border: a decoder of sound gives frames of sound, whose format is one of samples.
    const inFormat = format as AVSampleFormat;
    const set = resampler.allocSetOpts2(to, sampleFormat, encoderRateHz, frameLayout(frame), inFormat, sampleRate);
    FFmpegError.throwIfError(set, 'set up a resampler');
    FFmpegError.throwIfError(resampler.init(), 'set up a resampler');
    this.#resamples = sampleRate !== encoderRateHz;
    this.#inRateHz = sampleRate;
    this.#inChannels = channels;
    this.#inFormat = format;
  }

  /** Into `#convertedPlanes`. @returns samples of each channel */
  #convert(frame: Frame | null, inSamples: number): number {
    const resampler = this.#resampler;
    if (resampler === null) return 0;
    const most = Math.max(1, resampler.getOutSamples(inSamples));
    if (most > this.#capacity) this.#reserve(most);
    this.#converted.nbSamples = this.#capacity;
    FFmpegError.throwIfError(resampler.convertFrame(this.#converted, frame), 'resample');
    return this.#converted.nbSamples;
  }

  #reserve(samples: number): void {
    const frame = this.#converted;
    this.#convertedPlanes = NO_PLANES;
    frame.unref();
    frame.format = this.#encoder.sampleFormat;
    frame.sampleRate = this.plan.encoderRateHz;
    frame.channelLayout = layoutOf(this.plan.channels);
    frame.nbSamples = samples;
    FFmpegError.throwIfError(frame.getBuffer(0), 'allocate a frame');
    this.#capacity = samples;
    this.#convertedPlanes = planesOf(frame);
  }

  /** What the resampler holds back for its filter goes on; it begins anew with what comes next. */
  #drain(): void {
    if (!this.#resamples || this.#resampler === null) return;
    const count = this.#convert(null, 0);
    this.#append(this.#convertedPlanes, 0, count);
    this.#resampler.close();
    FFmpegError.throwIfError(this.#resampler.init(), 'set up a resampler');
  }

  #stretch(count: number, toCount: number): readonly Samples[] {
    const need = toCount * this.#stride;
    if ((this.#stretched[0]?.length ?? 0) < need) {
      this.#stretched = this.#convertedPlanes.map((plane) =>
        plane instanceof Float32Array ? new Float32Array(need * 2) : new Int16Array(need * 2),
      );
    }
    for (const [index, plane] of this.#convertedPlanes.entries()) {
      const to = this.#stretched[index];
      if (to !== undefined) stretch(plane, count, to, toCount, this.#stride);
    }
    return this.#stretched;
  }

  #fadeOut(): void {
    const count = Math.min(this.#filled, this.#fadeSamples);
    for (const plane of this.#encoder.planes) fade(plane, this.#filled - count, count, this.#stride, 'out');
  }

  #append(planes: readonly Samples[], from: number, to: number): void {
    const { frameSamples } = this.#encoder;
    for (let at = from; at < to; ) {
      const take = Math.min(to - at, frameSamples - this.#filled);
      for (let index = 0; index < planes.length; index++) {
        const part = planes[index]?.subarray(at * this.#stride, (at + take) * this.#stride);
        if (part !== undefined) this.#encoder.planes[index]?.set(part, this.#filled * this.#stride);
      }
      at += take;
      this.#advance(take);
    }
  }

  #silence(count: number): void {
    const { frameSamples } = this.#encoder;
    for (let left = count; left > 0; ) {
      const take = Math.min(left, frameSamples - this.#filled);
      for (const plane of this.#encoder.planes) {
        plane.fill(0, this.#filled * this.#stride, (this.#filled + take) * this.#stride);
      }
      left -= take;
      this.#advance(take);
    }
  }

  #advance(count: number): void {
    this.#filled += count;
    this.#written += count;
    if (this.#filled < this.#encoder.frameSamples) return;
    this.#filled = 0;
    this.#encoder.encode(this.#onCoded);
  }
}
