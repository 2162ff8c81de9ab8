import { readFile } from 'node:fs/promises';
import { setPriority } from 'node:os';
import { describeError, HearthcamError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import { HelperProcess } from '../core/process/helper.ts';
import { IpcFields, type IpcMessage } from '../core/process/ipc.ts';
import { encodeOrder, type PipelineOrder, type PipelineReport, parseReport } from './pipeline-protocol.ts';

/** What a pipe is to the process that works for it. */
export interface WorkerClient {
  /** A process stands ready: begin from the start. */
  onStart(): void;
  onReport(report: PipelineReport): void;
  /** Units that were given and are not worked on yet. */
  readonly waitingUnits: number;
  /** There will be no process: FFmpeg's libraries are missing. */
  onUnavailable(error: HearthcamError): void;
}

export interface WorkerOptions {
  /** For the log, e.g. `codec process (sound)`. */
  readonly name: string;
  readonly log: Log;
  /** More resident memory than this is a leak: the process is replaced. */
  readonly maxRssBytes: number;
  /** No sign of life for so long while units wait: it hangs. */
  readonly hangMs?: number;
}

const HANG_MS = 5_000;
/** Loading the libraries on a slow machine. */
const START_MS = 15_000;
const WATCH_MS = 1_000;
/** Waits between tries to start a process that dies again and again. */
const RETRY_MS = [0, 250, 500, 1_000, 1_500] as const;
/** A process that lived for so long was in order. */
const LIVED_MS = 10_000;
/** Coding pictures must not take the time of those who pass pictures on (nice value, -20…19). */
const NICENESS = 10;

/**
 * A codec process that works for pipes: started with the first, ended with the last, watched and replaced. The pipes
 * begin again from what they have kept when it is replaced.
 */
export class Worker {
  readonly #options: WorkerOptions;
  readonly #clients = new Map<number, WorkerClient>();
  #helper: HelperProcess | undefined;
  #ready = false;
  #startedMs = 0;
  #lastSignMs = 0;
  #deaths = 0;
  #watch: NodeJS.Timeout | undefined;
  #retry: NodeJS.Timeout | undefined;
  #unavailable: HearthcamError | undefined;

  constructor(options: WorkerOptions) {
    this.#options = options;
  }

  get pid(): number | undefined {
    return this.#helper?.pid;
  }
  get idle(): boolean {
    return this.#clients.size === 0;
  }
  /** How often it died since it was in order. */
  get deaths(): number {
    return this.#deaths;
  }
  /** Bytes that the process has not taken yet. */
  get waitingBytes(): number {
    return this.#helper?.waitingBytes ?? 0;
  }

  /** Adds a pipe; `onStart` is called at once when the process runs, else when it is there. */
  add(pipe: number, client: WorkerClient): void {
    this.#clients.set(pipe, client);
    if (this.#unavailable !== undefined) {
      const error = this.#unavailable;
      queueMicrotask(() => client.onUnavailable(error));
      return;
    }
    if (this.#helper !== undefined) client.onStart();
    else if (this.#retry === undefined) this.#start();
  }

  remove(pipe: number): void {
    if (!this.#clients.delete(pipe)) return;
    if (!this.idle) {
      this.send({ type: 'close', pipe });
      return;
    }
    clearTimeout(this.#retry);
    this.#retry = undefined;
    clearInterval(this.#watch);
    const helper = this.#helper;
    this.#helper = undefined;
    helper?.[Symbol.asyncDispose]().catch((error: unknown) => this.#options.log.warn(describeError(error)));
  }

  send(order: PipelineOrder): void {
    const { header, payload } = encodeOrder(order);
    this.#helper?.send(header, payload);
  }

  /** Several `send` within `work` become one write. */
  burst(work: () => void): void {
    if (this.#helper === undefined) work();
    else this.#helper.burst(work);
  }

  async close(): Promise<void> {
    this.#clients.clear();
    clearTimeout(this.#retry);
    clearInterval(this.#watch);
    const helper = this.#helper;
    this.#helper = undefined;
    await helper?.[Symbol.asyncDispose]();
  }

  #start(): void {
    this.#ready = false;
    this.#startedMs = performance.now();
    this.#lastSignMs = this.#startedMs;
    const { name, log } = this.#options;
    const helper: HelperProcess = new HelperProcess({
      name,
      folder: 'transcode',
      log,
      keepsMemory: true,
      onMessage: (message) => {
        if (this.#helper === helper) this.#onMessage(message);
      },
      onExit: (reason) => {
        if (this.#helper === helper) this.#onExit(reason);
      },
    });
    this.#helper = helper;
    log.debug(`${name} started`, { pid: helper.pid });
    lowerPriority(helper.pid, log);
    clearInterval(this.#watch);
    this.#watch = setInterval(() => this.#look(helper), WATCH_MS).unref();
    for (const client of this.#clients.values()) client.onStart();
  }

  #onMessage(message: IpcMessage): void {
    this.#lastSignMs = performance.now();
    const fields = new IpcFields(message.header);
    if (!fields.has('pipe')) {
      this.#onState(fields);
      return;
    }
    const report = parseReport(message);
    this.#clients.get(report.pipe)?.onReport(report);
  }

  #onState(fields: IpcFields): void {
    if (fields.oneOf('type', ['ready', 'unavailable']) === 'ready') {
      this.#ready = true;
      return;
    }
    const { log, name } = this.#options;
    log.error(`${name}: FFmpeg's libraries can't be loaded: ${fields.text('message')}`);
    const error = new HearthcamError('codec.unavailable', 'nothing can be transcoded on this machine', {
      status: 501,
      permanent: true,
      hint: 'the package node-av is missing or not made for this machine: install again, see the log',
    });
    this.#unavailable = error;
    const clients = [...this.#clients.values()];
    void this.close();
    for (const client of clients) client.onUnavailable(error);
  }

  #onExit(reason: HearthcamError): void {
    const nowMs = performance.now();
    clearInterval(this.#watch);
    this.#helper = undefined;
    this.#deaths = nowMs - this.#startedMs > LIVED_MS ? 1 : this.#deaths + 1;
    const waitMs = RETRY_MS[Math.min(this.#deaths, RETRY_MS.length) - 1] ?? 0;
    this.#options.log.warn(`${describeError(reason)}; starting it again`);
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      if (!this.idle) this.#start();
    }, waitMs);
  }

  #look(helper: HelperProcess): void {
    const silentMs = performance.now() - this.#lastSignMs;
    const waiting = [...this.#clients.values()].some((client) => client.waitingUnits > 0);
    const hangMs = this.#ready ? (this.#options.hangMs ?? HANG_MS) : START_MS;
    if (waiting && silentMs > hangMs) {
      const text = `${this.#options.name} gave nothing for ${Math.round(silentMs / 1000)} s`;
      helper.kill(new HearthcamError('codec.hangs', text, { status: 504 }));
      return;
    }
    if (!waiting) this.#lastSignMs = performance.now();
    this.#checkMemory(helper).catch((error: unknown) => this.#options.log.debug(describeError(error)));
  }

  async #checkMemory(helper: HelperProcess): Promise<void> {
    if (helper.pid === undefined || process.platform !== 'linux') return;
    const status = await readFile(`/proc/${helper.pid}/status`, 'utf8');
    const rssBytes = Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? 0) * 1024;
    const { maxRssBytes, name } = this.#options;
    if (rssBytes <= maxRssBytes) return;
    const text = `${name} holds ${Math.round(rssBytes / 1e6)} MB, more than ${Math.round(maxRssBytes / 1e6)} MB`;
    helper.kill(new HearthcamError('codec.memory', text, { status: 503 }));
  }
}

function lowerPriority(pid: number | undefined, log: Log): void {
  if (pid === undefined) return;
  try {
    setPriority(pid, NICENESS);
  } catch (error) {
    // It has ended already, or the system does not let us: it works all the same.
    log.debug(`priority of the codec process: ${describeError(error)}`);
  }
}
