import { HearthcamError } from '../core/errors.ts';
import { type Log, type LogFields, LogLimiter } from '../core/log.ts';
import type { AccessUnit, Track, TrackFormat } from '../core/media.ts';
import type { Stream } from '../core/stream.ts';
import { type Target, targetKey } from '../core/targets.ts';
import type { PipeHardware } from './pipe-hardware.ts';
import type { PipelineReport } from './pipeline-protocol.ts';
import type { Worker, WorkerClient } from './worker.ts';

/** What an output of a pipe gives. */
export interface OutputListener {
  format(format: TrackFormat): void;
  unit(unit: MadeUnit): void;
  /** It is over. */
  failed(error: HearthcamError): void;
}

export interface MadeUnit {
  /** Ticks of the output's clock on the stream's time line. */
  readonly pts: number;
  readonly dts: number;
  readonly key: boolean;
  readonly data: Buffer;
  readonly wallMs: number;
}

interface Output {
  readonly target: Target;
  readonly listener: OutputListener;
  /** Of the last unit that came; in ticks of the output's clock. */
  lastPts: number;
  clockRateHz: number;
}

export interface PipeOptions {
  readonly stream: Stream;
  readonly track: Track;
  readonly worker: Worker;
  /** Unique among the pipes of the worker. */
  readonly id: number;
  readonly log: Log;
  /** A process of its own, for the case that this pipe ends the one that it shares; absent: it has one. */
  readonly ownWorker?: () => Worker;
  /** What it may have done by hardware; absent: nothing. */
  readonly hardware?: PipeHardware;
  readonly onDispose?: () => void;
}

/** The process may be behind by so many pictures beyond those that it starts with; then it goes on at a key frame. */
const MAX_BEHIND = 60;
const MAX_WAITING_BYTES = 16 * 1024 * 1024;
/** After a gap it goes on when no more than this share is left to do, so that the next gap is not upon it at once. */
const RESUME_SHARE = 0.25;
/** What goes on for hours is said once in a while. */
const LOG_PERIOD_MS = 60_000;
/** A GOP at which the process died so often in a row is not given to it again. */
const MAX_REPLAYS = 2;
const LONG_AGO = -Number.MAX_SAFE_INTEGER;

/**
 * One track on its way through a codec process: decoded once there, and coded for each output. When the process is
 * replaced it begins again with the pictures since the last key frame, so that viewers miss little.
 */
export class Pipe implements WorkerClient, Disposable {
  readonly #stream: Stream;
  readonly #track: Track;
  #worker: Worker;
  #ownWorker: (() => Worker) | undefined;
  readonly #id: number;
  readonly #log: Log;
  readonly #limiter = new LogLimiter(LOG_PERIOD_MS);
  readonly #outputs = new Map<number, Output>();
  readonly #unsubscribe: () => void;
  readonly #onDispose: () => void;
  readonly #hardware: PipeHardware | undefined;
  #added = false;
  #disposed = false;
  #lastOut = 0;
  /** The process runs and has been told about the input. */
  #begun = false;
  #format: TrackFormat | undefined;
  #pushed = 0;
  #done = 0;
  #allowance = MAX_BEHIND;
  #awaitsKey = false;
  /** What came before is not made: viewers are to see what is live. */
  #liveFromPts = LONG_AGO;
  #lastIn: { pts: number; wallMs: number; clockRateHz: number } | undefined;

  constructor(options: PipeOptions) {
    this.#stream = options.stream;
    this.#track = options.track;
    this.#worker = options.worker;
    this.#id = options.id;
    this.#log = options.log;
    this.#ownWorker = options.ownWorker;
    this.#hardware = options.hardware;
    this.#onDispose = options.onDispose ?? (() => {});
    this.#unsubscribe = this.#stream.subscribe((units) => this.#onUnits(units), { immediate: true });
  }

  get waitingUnits(): number {
    return this.#pushed - this.#done;
  }

  addOutput(target: Target, listener: OutputListener): number {
    const out = ++this.#lastOut;
    this.#outputs.set(out, { target, listener, lastPts: LONG_AGO, clockRateHz: 90_000 });
    if (this.#begun) this.#sendOutput(out);
    // Not before there is an output: the first pictures would be decoded for nobody.
    if (!this.#added) {
      this.#added = true;
      const begin = (): void => {
        if (!this.#disposed) this.#worker.add(this.#id, this);
      };
      if (this.#hardware === undefined) begin();
      else this.#hardware.whenKnown(begin);
    }
    return out;
  }

  removeOutput(out: number): void {
    if (this.#outputs.delete(out) && this.#begun) this.#worker.send({ type: 'drop', pipe: this.#id, out });
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    this.#unsubscribe();
    this.#outputs.clear();
    this.#worker.remove(this.#id);
    this.#onDispose();
  }

  // What the worker says.

  onStart(): void {
    this.#hardware?.onStart(this.#worker.deaths > 0);
    this.#begun = false;
    this.#format = undefined;
    this.#pushed = 0;
    this.#done = 0;
    this.#allowance = MAX_BEHIND;
    this.#awaitsKey = this.#track.kind === 'video';
    this.#stream.settle();
    const { units, complete } = this.#stream.gop();
    if (this.#track.kind !== 'video' || !complete || this.#worker.deaths > MAX_REPLAYS) return;
    const kept = units.filter((unit) => unit.trackId === this.#track.id);
    const newest = kept.reduce((max, unit) => Math.max(max, unit.pts), LONG_AGO);
    this.#liveFromPts = newest - 1;
    this.#allowance += kept.length;
    this.#worker.burst(() => {
      for (const unit of kept) this.#push(unit);
    });
  }

  onReport(report: PipelineReport): void {
    if (report.type === 'progress') {
      this.#done = Math.min(report.units, this.#pushed);
      // What was given for a start is not for a process that is slow.
      this.#allowance = Math.max(MAX_BEHIND, Math.min(this.#allowance, this.waitingUnits + MAX_BEHIND));
      return;
    }
    const output = this.#outputs.get(report.out);
    if (output === undefined) return;
    switch (report.type) {
      case 'format':
        output.clockRateHz = report.format.clockRateHz;
        output.listener.format(report.format);
        return;
      case 'made': {
        // Behind a restart the first pictures may be those that were seen already.
        if (report.pts <= output.lastPts) return;
        output.lastPts = report.pts;
        const { pts, dts, key, data } = report;
        output.listener.unit({ pts, dts, key, data, wallMs: this.#wallMs(pts, output.clockRateHz) });
        return;
      }
      case 'broken': {
        this.#outputs.delete(report.out);
        const asked = report.fault === 'request';
        const text = `${targetKey(output.target)} can't be made of "${this.#stream.name}": ${report.message}`;
        const code = asked ? 'codec.request' : 'codec.input';
        output.listener.failed(new HearthcamError(code, text, { status: asked ? 400 : 502, permanent: asked }));
        return;
      }
      case 'note':
        // Hardware that fails does so for all outputs.
        this.#warn(`${targetKey(output.target)} of "${this.#stream.name}": ${report.message}`, {}, report.message);
        return;
      default:
        report satisfies never;
    }
  }

  onUnavailable(error: HearthcamError): void {
    const outputs = [...this.#outputs.values()];
    this.#outputs.clear();
    for (const { listener } of outputs) listener.failed(error);
  }

  onSuspect(): void {
    const own = this.#ownWorker?.();
    if (own === undefined) return;
    this.#ownWorker = undefined;
    this.#log.warn(
      `the ${this.#track.codec} of "${this.#stream.name}" may be what ends the process: it gets one of its own`,
    );
    this.#worker.remove(this.#id);
    this.#worker = own;
    own.add(this.#id, this);
  }

  #onUnits(units: readonly AccessUnit[]): void {
    // Nothing is kept for a process that is not there: it begins with what the stream keeps.
    if (!this.#added || this.#worker.pid === undefined) return;
    for (const unit of units) {
      if (unit.trackId !== this.#track.id) continue;
      this.#lastIn = { pts: unit.pts, wallMs: unit.wallMs, clockRateHz: unit.format.clockRateHz };
      if (!this.#hasRoom(unit)) continue;
      this.#push(unit);
    }
  }

  /** A process that is too slow gets a gap from time to time, not an ever longer queue. */
  #hasRoom(unit: AccessUnit): boolean {
    const video = this.#track.kind === 'video';
    const share = video && this.#awaitsKey ? RESUME_SHARE : 1;
    const full = this.waitingUnits >= this.#allowance * share || this.#worker.waitingBytes > MAX_WAITING_BYTES * share;
    if (full && !this.#awaitsKey) {
      this.#awaitsKey = video;
      const what = video ? 'picture' : 'sound';
      this.#warn(`the ${what} of "${this.#stream.name}" is transcoded too slowly: it has gaps`, {
        behind: this.waitingUnits,
      });
    }
    return !full && (unit.key || !this.#awaitsKey);
  }

  /** @param about what is said seldom, whatever the rest of the message */
  #warn(message: string, fields: LogFields = {}, about = message): void {
    const left = this.#limiter.admit(about);
    if (left !== null) this.#log.warn(message, left > 0 ? { ...fields, repeated: left } : fields);
  }

  #push(unit: AccessUnit): void {
    const { pts, dts, key, data, format } = unit;
    if (this.#awaitsKey && !key) return;
    this.#awaitsKey = false;
    if (format !== this.#format) {
      this.#format = format;
      const hardware = this.#hardware?.reports() ?? [];
      const order = { type: 'input', pipe: this.#id, format } as const;
      this.#worker.send(hardware.length === 0 ? order : { ...order, hardware });
      if (!this.#begun) {
        this.#begun = true;
        for (const out of this.#outputs.keys()) this.#sendOutput(out);
      }
    }
    this.#pushed++;
    this.#worker.send({ type: 'unit', pipe: this.#id, pts, dts, key, data });
  }

  #sendOutput(out: number): void {
    const output = this.#outputs.get(out);
    if (output === undefined) return;
    const target = this.#hardware?.order(output.target) ?? output.target;
    const afterPts = this.#track.kind === 'video' ? Math.max(output.lastPts, this.#liveFromPts) : LONG_AGO;
    this.#worker.send({ type: 'output', pipe: this.#id, out, target, afterPts });
  }

  #wallMs(pts: number, clockRateHz: number): number {
    const last = this.#lastIn;
    if (last === undefined) return Date.now();
    return last.wallMs + (pts * 1000) / clockRateHz - (last.pts * 1000) / last.clockRateHz;
  }
}
