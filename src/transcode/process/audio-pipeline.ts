import { FFmpegError, Frame } from 'node-av/lib';
import type { AudioFormat, TrackFormat } from '../../core/media.ts';
import type { Target } from '../../core/targets.ts';
import { sameFormat } from '../../wire/codecs/formats.ts';
import { planAudio } from '../audio-format.ts';
import type { MakePipeline, Pipeline, PipelineEvents, PipelineUnit } from '../pipeline.ts';
import { JobError } from '../protocol.ts';
import { AudioDecoder } from './audio-decoder.ts';
import { AudioOutput } from './audio-output.ts';

/** @throws JobError `request` when the track is no audio or can't be decoded here */
export const makeAudioPipeline: MakePipeline = (format, events) => new AudioPipeline(audioOf(format), events);

class AudioPipeline implements Pipeline {
  readonly #events: PipelineEvents;
  readonly #outputs = new Map<number, AudioOutput>();
  readonly #decoder: AudioDecoder;
  readonly #frame = new Frame();
  #format: AudioFormat;
  #feeding: AudioOutput | null = null;
  #pushing = false;
  #disposed = false;
  damaged = 0;

  constructor(format: AudioFormat, events: PipelineEvents) {
    this.#format = format;
    this.#events = events;
    this.#decoder = new AudioDecoder(format);
    this.#frame.alloc();
  }

  addOutput(out: number, target: Target, afterPts: number): void {
    if (target.kind !== 'audio') throw new JobError('request', `${target.codec} can't be made of sound`);
    if (this.#outputs.has(out)) throw new JobError('request', `output ${out} is there already`);
    const plan = planAudio(target, this.#format);
    const output = new AudioOutput(plan, afterPts / this.#format.clockRateHz, (pts, data) => {
      // The listener may have removed the output at an earlier unit of the same frame.
      if (this.#outputs.get(out) === output) this.#events.unit(out, { pts, dts: pts, key: true, data });
    });
    this.#outputs.set(out, output);
    this.#events.format(out, plan.format);
  }

  removeOutput(out: number): void {
    const output = this.#outputs.get(out);
    this.#outputs.delete(out);
    // A listener may remove the output that is just giving it a unit; it is freed once it is done.
    if (output !== this.#feeding) output?.[Symbol.dispose]();
  }

  push(unit: PipelineUnit): void {
    if (this.#disposed) return;
    this.#pushing = true;
    try {
      this.#push(unit);
    } finally {
      this.#pushing = false;
      if (this.#disposed) this.#free();
    }
  }

  /** Every unit of sound stands for itself. */
  forceKey(_out: number): void {}

  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const out of [...this.#outputs.keys()]) this.removeOutput(out);
    // A listener may end it all with what it is just given.
    if (!this.#pushing) this.#free();
  }

  #free(): void {
    this.#decoder[Symbol.dispose]();
    this.#frame.free();
  }

  #push(unit: PipelineUnit): void {
    if (unit.format !== this.#format) this.#change(audioOf(unit.format));
    if (this.#outputs.size === 0) return;
    if (!this.#decoder.send(unit.data, unit.pts)) {
      this.damaged++;
      return;
    }
    let seconds = unit.pts / this.#format.clockRateHz;
    for (let got = this.#decoder.receive(this.#frame); got !== 'none'; got = this.#decoder.receive(this.#frame)) {
      if (got === 'damaged') {
        this.damaged++;
        break;
      }
      for (const [out, output] of this.#outputs) this.#feed(out, output, seconds);
      seconds += this.#frame.nbSamples / this.#frame.sampleRate;
    }
    this.#frame.unref();
  }

  #feed(out: number, output: AudioOutput, seconds: number): void {
    this.#feeding = output;
    try {
      output.feed(this.#frame, seconds);
    } catch (error) {
      if (!(error instanceof FFmpegError)) throw error;
      this.#outputs.delete(out);
      this.#events.failed(out, 'input', `${output.plan.codec} can't be coded any more: ${error.message}`);
    } finally {
      this.#feeding = null;
      if (this.#outputs.get(out) !== output) output[Symbol.dispose]();
    }
  }

  #change(format: AudioFormat): void {
    const same = sameFormat(format, this.#format);
    this.#format = format;
    if (!same) this.#decoder.change(format);
    for (const output of this.#outputs.values()) output.realign();
  }
}

function audioOf(format: TrackFormat): AudioFormat {
  if (format.kind === 'audio') return format;
  throw new JobError('request', `sound can't be made of ${format.codec}`);
}
