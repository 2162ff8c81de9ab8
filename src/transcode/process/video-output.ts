import type { Frame } from 'node-av/lib';
import { describeError } from '../../core/errors.ts';
import { VIDEO_CLOCK_HZ, type VideoFormat } from '../../core/media.ts';
import type { VideoTarget } from '../../core/targets.ts';
import { sameFormat } from '../../wire/codecs/formats.ts';
import type { PipelineEvents } from '../pipeline.ts';
import { JobError } from '../protocol.ts';
import type { PictureShape } from './picture-filter.ts';
import { FpsLimit } from './picture-times.ts';
import type { EncoderMaker, MadeVideoUnit, PictureKind, VideoCodecs, VideoEncoder } from './video-codecs.ts';
import { type PictureSize, scaledSize } from './video-target.ts';

/** Assumed while the rate of the pictures is unknown: for a rate that is too high nothing is ever too small. */
const UNKNOWN_FPS = 30;

/** One output of a video pipeline: which pictures it takes, and its encoder. */
export class VideoOutput implements Disposable {
  readonly out: number;
  readonly target: VideoTarget;
  readonly #events: PipelineEvents;
  readonly #makers: readonly EncoderMaker[];
  readonly #limit: FpsLimit;
  #maker = 0;
  #encoder: VideoEncoder | undefined;
  #kind: PictureKind | undefined;
  #openedFps = UNKNOWN_FPS;
  /** What the encoder said last, and what the owner was told. */
  #made: VideoFormat | undefined;
  #told: VideoFormat | undefined;
  #lastPts: number;
  #keyDue = true;
  #sinceKey = 0;
  #closed = false;

  /** @param afterPts pictures up to it are not taken */
  constructor(out: number, target: VideoTarget, afterPts: number, codecs: VideoCodecs, events: PipelineEvents) {
    this.out = out;
    this.target = target;
    this.#events = events;
    this.#makers = codecs.encoders(target);
    this.#limit = new FpsLimit(target.fps);
    this.#lastPts = afterPts;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** @throws JobError when pictures of this size can't be made into what is asked for */
  shape(source: PictureSize): PictureShape {
    const { target } = this;
    const size = scaledSize(target, source);
    return { size, rotate: target.rotate ?? 0, flip: target.flip, fullRange: target.codec === 'jpeg' };
  }

  /** Whether it takes this picture; `mark` is a key frame of all outputs. */
  wants(pts: number, intervalTicks: number, mark: boolean): boolean {
    if (this.#closed || pts <= this.#lastPts) return false;
    if (this.#limit.wants(pts, intervalTicks, mark && this.target.codec !== 'jpeg')) return true;
    // The key frame that is left out becomes the next one that is taken.
    if (mark) this.#keyDue = true;
    return false;
  }

  /** Codes a picture that it wants. @throws Error when none of the encoders can */
  take(picture: Frame, kind: PictureKind, pts: number, intervalTicks: number, mark: boolean): void {
    this.#limit.took(pts, intervalTicks);
    this.#lastPts = pts;
    const { gop } = this.target;
    const key = mark || this.#keyDue || (gop !== undefined && this.#sinceKey >= gop);
    const unit = this.#encode(picture, kind, pts, key, intervalTicks);
    this.#keyDue = false;
    this.#sinceKey = key ? 1 : this.#sinceKey + 1;
    if (unit === null) return;
    const { format, data } = unit;
    if (format !== this.#made) {
      this.#made = format;
      // An encoder that was opened anew may say the same as the last one.
      if (this.#told === undefined || !sameFormat(format, this.#told)) {
        this.#told = format;
        this.#events.format(this.out, format);
      }
    }
    this.#events.unit(this.out, { pts: unit.pts, dts: unit.pts, key: unit.key, data });
  }

  forceKey(): void {
    this.#keyDue = true;
  }

  /** The input's time line begins anew. */
  restart(): void {
    this.#lastPts = Number.NEGATIVE_INFINITY;
    this.#limit.reset();
    this.#closeEncoder();
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    this.#closeEncoder();
  }

  #closeEncoder(): void {
    this.#encoder?.[Symbol.dispose]();
    this.#encoder = undefined;
    this.#keyDue = true;
  }

  #encode(picture: Frame, kind: PictureKind, pts: number, key: boolean, intervalTicks: number): MadeVideoUnit | null {
    for (;;) {
      const maker = this.#makers[this.#maker];
      if (maker === undefined) throw new JobError('request', `no encoder for ${this.target.codec} is left`);
      try {
        const fps = this.#fps(intervalTicks);
        // With a rate that was thought lower the limit of the bit rate would be too high.
        const tooFast = key && fps > 1.25 * this.#openedFps;
        const isNew = this.#encoder === undefined || kind !== this.#kind || tooFast;
        if (isNew) this.#open(maker, kind, fps);
        return this.#encoder?.encode(picture, pts, key || isNew) ?? null;
      } catch (error) {
        this.#closeEncoder();
        const next = this.#makers[this.#maker + 1];
        if (next === undefined) throw error;
        this.#maker++;
        const words = `coding ${this.target.codec} by ${maker.name} failed, ${next.name} goes on: ${describeError(error)}`;
        this.#events.note(this.out, words);
      }
    }
  }

  #fps(intervalTicks: number): number {
    const inputFps = intervalTicks > 0 ? VIDEO_CLOCK_HZ / intervalTicks : UNKNOWN_FPS;
    return Math.min(inputFps, this.target.fps ?? inputFps);
  }

  #open(maker: EncoderMaker, kind: PictureKind, fps: number): void {
    this.#closeEncoder();
    this.#encoder = maker.open(this.target, kind, fps);
    this.#kind = kind;
    this.#openedFps = fps;
  }
}
