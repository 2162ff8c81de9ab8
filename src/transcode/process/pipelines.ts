import type { HardwareReport } from '../../core/hardware.ts';
import type { IpcMessage } from '../../core/process/ipc.ts';
import type { MakePipeline, Pipeline, PipelineEvents, PipelineUnit } from '../pipeline.ts';
import { encodeReport, type PipelineOrder, type PipelineReport, parseOrder } from '../pipeline-protocol.ts';
import { JobError } from '../protocol.ts';
import { makeAudioPipeline } from './audio-pipeline.ts';
import { hardwareCodecs } from './hardware-codecs.ts';
import { Mosaic } from './mosaic.ts';
import { makeVideoPipeline, makeVideoPipelineWith } from './video-pipeline.ts';

/** Whoever works through a long queue says so from time to time, or would be taken to hang. */
const PROGRESS_MS = 500;

interface Running {
  readonly pipeline: Pipeline;
  format: PipelineUnit['format'];
  units: number;
  reported: number;
}

const MAKERS: Readonly<Record<'video' | 'audio', MakePipeline>> = {
  video: makeVideoPipeline,
  audio: makeAudioPipeline,
};

function makerFor(kind: 'video' | 'audio', hardware: readonly HardwareReport[] = []): MakePipeline {
  return kind === 'video' && hardware.length > 0 ? makeVideoPipelineWith(hardwareCodecs(hardware)) : MAKERS[kind];
}

/** The pipes of this process: does what the server orders, and reports. */
export class Pipelines {
  readonly #send: (header: object, payload?: Buffer) => void;
  readonly #running = new Map<number, Running>();
  readonly #mosaics = new Map<number, Mosaic>();
  #reporting = false;
  #reportedMs = 0;

  constructor(send: (header: object, payload?: Buffer) => void) {
    this.#send = send;
  }

  /** @throws WireError for an order that makes no sense */
  take(message: IpcMessage): void {
    const order = parseOrder(message);
    if (order.type === 'input') {
      this.#setInput(order);
      return;
    }
    if (order.type === 'mosaic') {
      this.#mosaics.set(order.pipe, new Mosaic(order, this.#events(order.pipe)));
      return;
    }
    if (order.type === 'close') this.#closeMosaic(order.pipe);
    const running = this.#running.get(order.pipe);
    if (running === undefined) return;
    switch (order.type) {
      case 'output':
        this.#addOutput(running.pipeline, order);
        return;
      case 'drop':
        running.pipeline.removeOutput(order.out);
        return;
      case 'key':
        running.pipeline.forceKey(order.out);
        return;
      case 'unit': {
        const { pts, dts, key, data } = order;
        running.pipeline.push({ format: running.format, pts, dts, key, data });
        running.units++;
        this.#reportSoon();
        return;
      }
      case 'close':
        this.#running.delete(order.pipe);
        running.pipeline[Symbol.dispose]();
        return;
      default:
        order satisfies never;
    }
  }

  #closeMosaic(pipe: number): void {
    this.#mosaics.get(pipe)?.[Symbol.dispose]();
    this.#mosaics.delete(pipe);
  }

  #setInput({ pipe, format, cell, hardware }: Extract<PipelineOrder, { type: 'input' }>): void {
    const known = this.#running.get(pipe);
    if (known !== undefined) {
      known.format = format;
      return;
    }
    const pipeline =
      cell === undefined
        ? makerFor(format.kind, hardware)(format, this.#events(pipe))
        : this.#mosaics.get(cell.mosaic)?.input(cell.slot);
    // A cell that its mosaic hasn't got, or whose mosaic has ended.
    if (pipeline === undefined) return;
    this.#running.set(pipe, { pipeline, format, units: 0, reported: 0 });
  }

  #addOutput(pipeline: Pipeline, order: Extract<PipelineOrder, { type: 'output' }>): void {
    try {
      pipeline.addOutput(order.out, order.target, order.afterPts);
    } catch (error) {
      if (!(error instanceof JobError)) throw error;
      const { fault, message } = error;
      this.#report({ type: 'broken', pipe: order.pipe, out: order.out, fault, message });
    }
  }

  #events(pipe: number): PipelineEvents {
    return {
      format: (out, format) => this.#report({ type: 'format', pipe, out, format }),
      unit: (out, unit) => this.#report({ type: 'made', pipe, out, ...unit }),
      failed: (out, fault, message) => this.#report({ type: 'broken', pipe, out, fault, message }),
      note: (out, message) => this.#report({ type: 'note', pipe, out, message }),
    };
  }

  #report(report: PipelineReport): void {
    const { header, payload } = encodeReport(report);
    this.#send(header, payload);
  }

  /** One report of progress for all units that one read of the socket brought, if that takes no longer. */
  #reportSoon(): void {
    if (performance.now() - this.#reportedMs > PROGRESS_MS) this.#reportProgress();
    if (this.#reporting) return;
    this.#reporting = true;
    setImmediate(() => {
      this.#reporting = false;
      this.#reportProgress();
    });
  }

  #reportProgress(): void {
    this.#reportedMs = performance.now();
    for (const [pipe, running] of this.#running) {
      if (running.units === running.reported) continue;
      running.reported = running.units;
      this.#report({ type: 'progress', pipe, units: running.units, damaged: running.pipeline.damaged });
    }
  }
}
