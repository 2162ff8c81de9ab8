import { readFile } from 'node:fs/promises';
import { describeError, HearthcamError } from '../core/errors.ts';
import { type Log, LogLimiter } from '../core/log.ts';
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
  /** The process died several times in a row while it had units of this pipe: it had better work elsewhere. */
  onSuspect(): void;
}

interface Entry {
  readonly client: WorkerClient;
  /** Deaths in a row at which units of it were waiting. */
  suspicions: number;
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
/**
 * Waits between tries to start a process that dies again and again: at first so that viewers miss little, then so that
 * a camera whose pictures are poison costs little.
 */
const RETRY_MS = [0, 250, 500, 1_000, 1_500, 1_500, 1_500, 1_500, 5_000, 15_000, 30_000] as const;
/** Deaths in a row that are told one by one; of those that follow only the first is. */
const TOLD_DEATHS = 3;
/** A process that lived for so long was in order. */
const LIVED_MS = 10_000;
/** A pipe at whose units the process died so often in a row is suspected of being the reason. */
const MAX_SUSPICIONS = 3;
const LOG_PERIOD_MS = 60_000;

/**
 * A codec process that works for pipes: started with the first, ended with the last, watched and replaced. The pipes
 * begin again from what they have kept when it is replaced.
 */
export class Worker {
  readonly #options: WorkerOptions;
  readonly #clients = new Map<number, Entry>();
  readonly #limiter = new LogLimiter(LOG_PERIOD_MS);
  #helper: HelperProcess | undefined;
  #ready = false;
  #startedMs = 0;
  #lastSignMs = 0;
  #deaths = 0;
  #watch: NodeJS.Timeout | undefined;
  #retry: NodeJS.Timeout | undefined;
  #unavailable: HearthcamError | undefined;
  #closed = false;

  constructor(options: WorkerOptions) {
    this.#options = options;
  }

  get pid(): number | undefined {
    return this.#helper?.pid;
  }
  get idle(): boolean {
    return this.#clients.size === 0;
  }
  /** Units that pipes have given and that are not worked on yet. */
  get waitingUnits(): number {
    return [...this.#clients.values()].reduce((sum, { client }) => sum + client.waitingUnits, 0);
  }
  /** How often in a row it died before the process that runs now. */
  get deaths(): number {
    return this.#deaths;
  }
  /** Bytes that the process has not taken yet. */
  get waitingBytes(): number {
    return this.#helper?.waitingBytes ?? 0;
  }

  /** Adds a pipe; `onStart` is called at once when the process runs, else when it is there. */
  add(pipe: number, client: WorkerClient): void {
    this.#clients.set(pipe, { client, suspicions: 0 });
    if (this.#closed) return;
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
    // Who comes next finds a clean slate.
    this.#deaths = 0;
    this.#unavailable = undefined;
    this.#end().catch((error: unknown) => this.#options.log.warn(describeError(error)));
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

  /** Ends the process, and resolves when it is gone, and those before it. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#clients.clear();
    await this.#end();
    await Promise.all(this.#ending);
  }
  /** Processes that are on their way out. */
  readonly #ending = new Set<Promise<void>>();

  async #end(): Promise<void> {
    clearTimeout(this.#retry);
    this.#retry = undefined;
    clearInterval(this.#watch);
    const helper = this.#helper;
    this.#helper = undefined;
    if (helper === undefined) return;
    const gone = helper[Symbol.asyncDispose]();
    this.#ending.add(gone);
    await gone.finally(() => this.#ending.delete(gone));
  }

  #start(): void {
    try {
      this.#launch();
    } catch (error) {
      // Without free memory or processes even the attempt fails; a missing file will not come back, but costs little.
      this.#onExit(new HearthcamError('codec.start', `${this.#options.name} can't be started`, { cause: error }));
    }
  }

  #launch(): void {
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
    clearInterval(this.#watch);
    this.#watch = setInterval(() => this.#look(helper), WATCH_MS).unref();
    for (const { client } of [...this.#clients.values()]) client.onStart();
  }

  #onMessage(message: IpcMessage): void {
    this.#lastSignMs = performance.now();
    const fields = new IpcFields(message.header);
    if (!fields.has('pipe')) {
      this.#onState(fields);
      return;
    }
    const report = parseReport(message);
    this.#clients.get(report.pipe)?.client.onReport(report);
  }

  #onState(fields: IpcFields): void {
    if (fields.oneOf('type', ['ready', 'unavailable']) === 'ready') {
      this.#ready = true;
      return;
    }
    const { log, name } = this.#options;
    if (this.#limiter.admit('unavailable') !== null) {
      log.error(`${name}: FFmpeg's libraries can't be loaded: ${fields.text('message')}`);
    }
    const error = new HearthcamError('codec.unavailable', 'nothing can be transcoded on this machine', {
      status: 501,
      permanent: true,
      hint: 'the package node-av is missing or not made for this machine: install again, see the log',
    });
    this.#unavailable = error;
    const clients = [...this.#clients.values()];
    this.#end().catch((reason: unknown) => log.warn(describeError(reason)));
    for (const { client } of clients) client.onUnavailable(error);
  }

  #onExit(reason: HearthcamError): void {
    const nowMs = performance.now();
    clearInterval(this.#watch);
    this.#helper = undefined;
    this.#deaths = nowMs - this.#startedMs > LIVED_MS ? 1 : this.#deaths + 1;
    const waitMs = RETRY_MS[Math.min(this.#deaths, RETRY_MS.length) - 1] ?? 0;
    this.#tellDeath(reason);
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      if (!this.idle) this.#start();
    }, waitMs);
    this.#suspect();
  }

  #tellDeath(reason: HearthcamError): void {
    const text = describeError(reason);
    const { log } = this.#options;
    if (this.#deaths <= TOLD_DEATHS) {
      const left = this.#limiter.admit(`death ${this.#deaths}`);
      if (left !== null) log.warn(`${text}; starting it again`, left > 0 ? { repeated: left } : {});
    } else if (this.#deaths === TOLD_DEATHS + 1) {
      log.error(`${text}, ${this.#deaths} times in a row; it is started again, but ever more slowly`);
    } else log.debug(`${text}; starting it again`);
  }

  /** Whose units wait at each death is likely to be the one that brings it about. */
  #suspect(): void {
    const suspects: WorkerClient[] = [];
    for (const entry of this.#clients.values()) {
      entry.suspicions = entry.client.waitingUnits > 0 ? entry.suspicions + 1 : 0;
      if (entry.suspicions >= MAX_SUSPICIONS) suspects.push(entry.client);
    }
    for (const client of suspects) client.onSuspect();
  }

  #look(helper: HelperProcess): void {
    const silentMs = performance.now() - this.#lastSignMs;
    const waiting = this.waitingUnits > 0;
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
