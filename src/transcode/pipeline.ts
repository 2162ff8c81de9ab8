import type { TrackFormat } from '../core/media.ts';
import type { Target } from '../core/targets.ts';
import type { JobFault } from './protocol.ts';

/**
 * What a pipeline of the codec process is, seen from the process's main loop (`process/main.ts`): one input track, decoded
 * once, and any number of outputs that come and go. All calls are synchronous; what comes out is given to the events
 * during the call.
 */
export interface Pipeline extends Disposable {
  /**
   * Begins an output. Frames up to `afterPts` (ticks of the input's clock) are decoded but not coded again: the viewers
   * have them already, or they are older than what is live.
   * @throws JobError `request` when it can't be made
   */
  addOutput(out: number, target: Target, afterPts: number): void;
  removeOutput(out: number): void;
  /** The next unit. A new `format` object means that its parameters changed. Damaged ones are counted, never thrown. */
  push(unit: PipelineUnit): void;
  /** The next picture of the output is to be a key frame. */
  forceKey(out: number): void;
  /** Units that could not be decoded so far. */
  readonly damaged: number;
}

export interface PipelineUnit {
  readonly format: TrackFormat;
  /** Ticks of `format.clockRateHz`. */
  readonly pts: number;
  readonly dts: number;
  readonly key: boolean;
  /** As `AccessUnit.data`. */
  readonly data: Buffer;
}

export interface PipelineEvents {
  /** What the output's units are, before the first one and when it changes. */
  format(out: number, format: TrackFormat): void;
  /** `pts` and `dts` in ticks of the output's `format.clockRateHz`, on the same time line as the input's. */
  unit(out: number, unit: { pts: number; dts: number; key: boolean; data: Buffer }): void;
  /** The output can't go on; it is removed. */
  failed(out: number, fault: JobFault, message: string): void;
  /** Something that the owner should know once, e.g. that hardware failed and software goes on. */
  note(out: number, message: string): void;
}

export type MakePipeline = (format: TrackFormat, events: PipelineEvents) => Pipeline;
