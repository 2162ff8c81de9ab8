import type { Frame } from 'node-av/lib';
import { describeError } from '../../core/errors.ts';
import { isVideo, type TrackFormat, VIDEO_CLOCK_HZ, type VideoFormat } from '../../core/media.ts';
import type { Target } from '../../core/targets.ts';
import type { MakePipeline, Pipeline, PipelineEvents, PipelineUnit } from '../pipeline.ts';
import { JobError } from '../protocol.ts';
import { DecodeStage } from './decode-stage.ts';
import { KeyMarks, PictureInterval } from './picture-times.ts';
import { ShapeStage } from './shape-stage.ts';
import { softwareCodecs } from './software-codecs.ts';
import type { VideoCodecs } from './video-codecs.ts';
import { VideoOutput } from './video-output.ts';
import { checkVideoTarget } from './video-target.ts';

/** A step back in time of more than this is no reordering: the input's time line begins anew. */
const RESTART_TICKS = 5 * VIDEO_CLOCK_HZ;

/**
 * Decodes a video track once, brings its pictures into each shape once, and codes them for each output. All of it in
 * software.
 * @throws JobError `request` when the track is none of video
 */
export const makeVideoPipeline: MakePipeline = (format, events) =>
  new VideoPipeline(videoOnly(format), events, softwareCodecs);

/** As `makeVideoPipeline`, with other means of decoding and coding. */
export function makeVideoPipelineWith(codecs: VideoCodecs): MakePipeline {
  return (format, events) => new VideoPipeline(videoOnly(format), events, codecs);
}

function videoOnly(format: TrackFormat): VideoFormat {
  if (isVideo(format)) return format;
  throw new JobError('request', `pictures can't be made from ${format.codec}`);
}

class VideoPipeline implements Pipeline {
  readonly #events: PipelineEvents;
  readonly #codecs: VideoCodecs;
  readonly #outputs = new Map<number, VideoOutput>();
  readonly #interval: PictureInterval;
  #marks: KeyMarks;
  readonly #decode: DecodeStage;
  readonly #shape: ShapeStage;
  /** Every unit is a whole picture: those that nobody wants need not be decoded. */
  #intraOnly: boolean;
  #intraMark = false;
  #format: VideoFormat;
  #lastDts = Number.NEGATIVE_INFINITY;
  #closed = false;

  constructor(format: VideoFormat, events: PipelineEvents, codecs: VideoCodecs) {
    this.#events = events;
    this.#codecs = codecs;
    this.#format = format;
    this.#interval = new PictureInterval(format);
    this.#intraOnly = format.codec === 'jpeg';
    this.#marks = new KeyMarks(this.#intraOnly);
    // What concerns all outputs is said once.
    const note = (message: string): void => {
      const [first] = this.#outputs.keys();
      if (first !== undefined) events.note(first, message);
    };
    this.#decode = new DecodeStage(codecs, {
      picture: (frame, pts, key) => this.#onPicture(frame, pts, key),
      note,
    });
    this.#shape = new ShapeStage((output, error) => this.#onFault(output, error), note);
  }

  get damaged(): number {
    return this.#decode.damaged;
  }

  addOutput(out: number, target: Target, afterPts: number): void {
    if (target.kind !== 'video') throw new JobError('request', `sound can't be made from ${this.#format.codec}`);
    if (this.#outputs.has(out)) throw new JobError('request', `there is an output ${out} already`);
    checkVideoTarget(target);
    const output = new VideoOutput(out, target, afterPts, this.#codecs, this.#events);
    // Where the size of the source is known yet it is said at once that the result would be too large.
    if (this.#shape.source === undefined && this.#format.width > 0) output.shape(this.#format);
    this.#shape.add(output);
    this.#outputs.set(out, output);
  }

  removeOutput(out: number): void {
    const output = this.#outputs.get(out);
    if (output === undefined) return;
    this.#outputs.delete(out);
    this.#shape.remove(output);
    output[Symbol.dispose]();
  }

  forceKey(out: number): void {
    this.#outputs.get(out)?.forceKey();
  }

  push(unit: PipelineUnit): void {
    if (this.#closed || !isVideo(unit.format)) return;
    if (unit.dts < this.#lastDts - RESTART_TICKS) this.#restart();
    this.#lastDts = unit.dts;
    if (unit.format.codec !== this.#format.codec) {
      this.#intraOnly = unit.format.codec === 'jpeg';
      this.#marks = new KeyMarks(this.#intraOnly);
      this.#shape.expectChange();
    }
    this.#format = unit.format;
    this.#interval.add(unit.dts);
    if (this.#intraOnly && !this.#wanted(unit.pts)) return;
    this.#decode.push(unit, unit.format);
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    this.#decode[Symbol.dispose]();
    this.#shape[Symbol.dispose]();
    for (const output of this.#outputs.values()) output[Symbol.dispose]();
    this.#outputs.clear();
  }

  #wanted(pts: number): boolean {
    this.#intraMark = this.#marks.mark(pts, true);
    let any = false;
    for (const output of this.#outputs.values()) {
      if (output.wants(pts, this.#interval.ticks, this.#intraMark)) any = true;
    }
    return any;
  }

  #onPicture(frame: Frame, pts: number, key: boolean): void {
    const mark = this.#intraOnly ? this.#intraMark : this.#marks.mark(pts, key);
    const { codec } = this.#format;
    this.#shape.picture(frame, pts, this.#interval.ticks, mark, codec === 'h264' || codec === 'h265');
  }

  #onFault(output: VideoOutput, error: unknown): void {
    const { out } = output;
    this.#outputs.delete(out);
    output[Symbol.dispose]();
    const fault = error instanceof JobError ? error.fault : 'request';
    this.#events.failed(out, fault, describeError(error));
  }

  #restart(): void {
    this.#decode.restart();
    for (const output of this.#outputs.values()) output.restart();
  }
}
