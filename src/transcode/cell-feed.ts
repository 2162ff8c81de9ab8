import type { AccessUnit, Track, TrackFormat } from '../core/media.ts';
import type { Stream } from '../core/stream.ts';
import type { PipelineReport } from './pipeline-protocol.ts';
import type { Worker, WorkerClient } from './worker.ts';

/** Units that the process may be behind with, beyond those that it starts with. */
const MAX_BEHIND = 40;
const MAX_WAITING_BYTES = 8 * 1024 * 1024;

export interface CellFeedOptions {
  readonly worker: Worker;
  /** Unique among the pipes of the worker. */
  readonly id: number;
  /** The pipe of the mosaic, and the cell there. */
  readonly mosaic: number;
  readonly slot: number;
  readonly stream: Stream;
  readonly track: Track;
}

/**
 * A stream on its way into a cell of a mosaic: from its last key frame on. A process that is too slow is given nothing
 * until the next key frame, so one camera of many megapixels does not hold up the others.
 */
export class CellFeed implements WorkerClient, Disposable {
  readonly #options: CellFeedOptions;
  readonly #unsubscribe: () => void;
  #started = false;
  #format: TrackFormat | undefined;
  #pushed = 0;
  #done = 0;
  #allowance = MAX_BEHIND;
  #awaitsKey = true;

  constructor(options: CellFeedOptions) {
    this.#options = options;
    options.worker.add(options.id, this);
    this.#unsubscribe = options.stream.subscribe((units) => this.#onUnits(units), { immediate: true });
  }

  get waitingUnits(): number {
    return this.#pushed - this.#done;
  }

  onStart(): void {
    this.#started = true;
    this.#format = undefined;
    this.#pushed = 0;
    this.#done = 0;
    this.#awaitsKey = true;
    const { stream, worker } = this.#options;
    stream.settle();
    const { units, complete } = stream.gop();
    // What is kept of a camera that is away is not what can be seen there, and what ended the process is not repeated.
    if (!stream.running || !complete || worker.deaths > 1) return;
    this.#allowance = MAX_BEHIND + units.length;
    worker.burst(() => this.#onUnits(units));
  }

  onReport(report: PipelineReport): void {
    if (report.type !== 'progress') return;
    this.#done = Math.min(report.units, this.#pushed);
    if (this.waitingUnits === 0) this.#allowance = MAX_BEHIND;
  }

  /** The mosaic is told, too. */
  onUnavailable(): void {}
  onSuspect(): void {}

  [Symbol.dispose](): void {
    this.#unsubscribe();
    this.#options.worker.remove(this.#options.id);
  }

  #onUnits(units: readonly AccessUnit[]): void {
    if (!this.#started) return;
    for (const unit of units) if (unit.trackId === this.#options.track.id) this.#push(unit);
  }

  #push(unit: AccessUnit): void {
    const { worker, id, mosaic, slot } = this.#options;
    const full = this.waitingUnits >= this.#allowance || worker.waitingBytes > MAX_WAITING_BYTES;
    this.#awaitsKey ||= full;
    if (full || (this.#awaitsKey && !unit.key)) return;
    this.#awaitsKey = false;
    const { format, pts, dts, key, data } = unit;
    if (format !== this.#format) {
      this.#format = format;
      worker.send({ type: 'input', pipe: id, format, cell: { mosaic, slot } });
    }
    this.#pushed++;
    worker.send({ type: 'unit', pipe: id, pts, dts, key, data });
  }
}
