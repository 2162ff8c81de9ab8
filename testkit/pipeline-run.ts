import { isVideo, type VideoFormat } from '../src/core/media.ts';
import type { MadeVideoCodec, VideoTarget } from '../src/core/targets.ts';
import type { MakePipeline, Pipeline, PipelineEvents } from '../src/transcode/pipeline.ts';
import { makeVideoPipeline } from '../src/transcode/process/video-pipeline.ts';
import type { TestUnit } from './pictures.ts';

export interface MadePicture {
  readonly format: VideoFormat;
  readonly pts: number;
  readonly dts: number;
  readonly key: boolean;
  readonly data: Buffer;
}

/** A video pipeline with all that came out of it. */
export class PipelineRun implements Disposable {
  readonly pipeline: Pipeline;
  readonly faults: string[] = [];
  readonly notes: string[] = [];
  readonly #made = new Map<number, MadePicture[]>();
  readonly #formats = new Map<number, VideoFormat>();

  constructor(format: VideoFormat, make: MakePipeline = makeVideoPipeline) {
    const events: PipelineEvents = {
      format: (out, made) => {
        if (isVideo(made)) this.#formats.set(out, made);
      },
      unit: (out, unit) => {
        const made = this.#formats.get(out);
        if (made === undefined) throw new Error(`output ${out} gave a unit before its format`);
        this.made(out).push({ format: made, ...unit });
      },
      failed: (out, fault, message) => this.faults.push(`${out} ${fault}: ${message}`),
      note: (out, message) => this.notes.push(`${out}: ${message}`),
    };
    this.pipeline = make(format, events);
  }

  add(out: number, target: VideoTarget, afterPts = -1): this {
    this.pipeline.addOutput(out, target, afterPts);
    return this;
  }

  push(units: readonly TestUnit[]): this {
    for (const unit of units) this.pipeline.push(unit);
    return this;
  }

  made(out = 1): MadePicture[] {
    const known = this.#made.get(out) ?? [];
    this.#made.set(out, known);
    return known;
  }

  [Symbol.dispose](): void {
    this.pipeline[Symbol.dispose]();
  }
}

export function video(codec: MadeVideoCodec, rest: Omit<VideoTarget, 'kind' | 'codec'> = {}): VideoTarget {
  return { kind: 'video', codec, ...rest };
}

/** What one output makes of a stream. */
export function remake(units: readonly TestUnit[], target: VideoTarget): MadePicture[] {
  const format = units[0]?.format;
  if (format === undefined) throw new Error('no units');
  using run = new PipelineRun(format).add(1, target).push(units);
  if (run.faults.length > 0) throw new Error(run.faults.join());
  return run.made();
}
