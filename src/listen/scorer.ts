import { readFile } from 'node:fs/promises';
import { Worker } from 'node:worker_threads';
import { describeError, HearthcamError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import { childEntry } from '../core/process/child.ts';
import { readLabels } from './model/labels.ts';

export interface ScorerOptions {
  /** Path of the checked model. */
  readonly modelPath: string;
  readonly log: Log;
  /** A window that takes longer ends the worker. Default 10 s. */
  readonly windowMs?: number;
}

/** What the model says of a window. */
export interface Impression {
  /** For each of the scorer's labels. */
  readonly scores: Float32Array;
  /** The 1,024 numbers from which the scores were told. */
  readonly embedding: Float32Array;
}

/** One camera's access to the model. */
export interface ScorerSeat extends Disposable {
  /**
   * Scores a window, which must not be used any more: it moves to the worker.
   * @returns null when it was dropped, because the camera gave more than can be scored, or because the worker failed
   */
  score(samples: Float32Array<ArrayBuffer>): Promise<Impression | null>;
}

export interface ScorerStatistics {
  readonly windows: number;
  readonly dropped: number;
  /** Starts after failures. */
  readonly restarts: number;
}

interface Job {
  readonly samples: Float32Array<ArrayBuffer>;
  readonly done: (impression: Impression | null) => void;
}

/** Two seconds of sound: who is further behind is told too late anyway. */
const MAX_WAITING = 4;
const WINDOW_MS = 10_000;
/** Loading takes a tenth of a second on a quiet machine. */
const START_MS = 60_000;
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 30_000;
/** The runtime's own memory is WebAssembly's, not V8's. */
const LIMITS = { maxOldGenerationSizeMb: 48, maxYoungGenerationSizeMb: 4, stackSizeMb: 4 };

/**
 * Runs the model for all cameras in one worker thread, one window at a time, a camera after the other. A worker that
 * dies or hangs is replaced; what was waiting is scored by the next one.
 */
export class Scorer implements AsyncDisposable {
  /** Names of the classes, in the order of the scores. */
  readonly labels: readonly string[];
  readonly #options: ScorerOptions;
  /** In the order in which they are served; each is moved to the end when it was. */
  readonly #seats: Seat[] = [];
  #worker: Worker | undefined;
  #ready = false;
  #running: Job | undefined;
  #watch: NodeJS.Timeout | undefined;
  #pauseMs = FIRST_PAUSE_MS;
  #again: NodeJS.Timeout | undefined;
  #closed = false;
  #windows = 0;
  #dropped = 0;
  #restarts = 0;

  private constructor(options: ScorerOptions, labels: readonly string[]) {
    this.#options = options;
    this.labels = labels;
  }

  /**
   * The worker starts with the first window.
   * @throws HearthcamError `listen.model` if the file has no names of classes
   */
  static async open(options: ScorerOptions): Promise<Scorer> {
    return new Scorer(options, readLabels(await readFile(options.modelPath)));
  }

  get statistics(): ScorerStatistics {
    return { windows: this.#windows, dropped: this.#dropped, restarts: this.#restarts };
  }

  /** Id of the worker thread, while there is one. */
  get threadId(): number | undefined {
    return this.#worker?.threadId;
  }

  /** A place in the round for one camera. @param maxWaiting windows that may wait before the oldest is dropped */
  seat(maxWaiting = MAX_WAITING): ScorerSeat {
    const seat = new Seat(
      maxWaiting,
      () => this.#next(),
      (dropped) => {
        this.#dropped += dropped;
      },
      () => {
        const at = this.#seats.indexOf(seat);
        if (at >= 0) this.#seats.splice(at, 1);
      },
    );
    this.#seats.push(seat);
    return seat;
  }

  /** Ends the worker as a crash would; for the test of what happens then. */
  async crash(): Promise<void> {
    await this.#worker?.terminate();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#again);
    clearTimeout(this.#watch);
    for (const seat of [...this.#seats]) seat[Symbol.dispose]();
    this.#finish(null);
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.terminate();
  }

  #next(): void {
    if (this.#running !== undefined || this.#closed) return;
    if (!this.#seats.some((seat) => seat.waiting > 0)) return;
    if (this.#worker === undefined) {
      if (this.#again === undefined) this.#start();
      return;
    }
    if (!this.#ready) return;
    const at = this.#seats.findIndex((seat) => seat.waiting > 0);
    const [seat] = this.#seats.splice(at, 1);
    if (seat === undefined) return;
    this.#seats.push(seat);
    const job = seat.take();
    if (job === undefined) return;
    this.#running = job;
    this.#watchFor(this.#options.windowMs ?? WINDOW_MS, 'the model gave no scores');
    this.#worker.postMessage(job.samples, [job.samples.buffer]);
  }

  #start(): void {
    const { log, modelPath } = this.#options;
    // Its stdout and stderr hold what LiteRT says about accelerators that are not here: of no interest unless it fails.
    const worker = new Worker(childEntry('listen'), {
      workerData: modelPath,
      resourceLimits: LIMITS,
      stdout: true,
      stderr: true,
      name: 'listen',
    });
    this.#worker = worker;
    this.#ready = false;
    this.#watchFor(START_MS, 'the model was not loaded');
    for (const output of [worker.stdout, worker.stderr]) {
      output.setEncoding('utf8');
      output.on('data', (text: string) => log.trace(`model: ${text.trim().slice(0, 500)}`));
    }
    // Nothing waits for it when the program ends.
    worker.unref();
    worker.on('message', (message: unknown) => this.#hear(worker, message));
    worker.once('error', (error) => this.#lost(worker, describeError(error)));
    worker.once('exit', (code) => this.#lost(worker, `it ended (exit code ${code})`));
  }

  #hear(worker: Worker, message: unknown): void {
    if (worker !== this.#worker || typeof message !== 'object' || message === null || !('type' in message)) return;
    if (message.type === 'ready') {
      const lengths = 'outputs' in message && Array.isArray(message.outputs) ? message.outputs.map(Number) : [];
      if (lengths.length !== 2 || lengths[0] !== this.labels.length) {
        this.#lost(worker, `the model gives ${lengths.join(' and ')} numbers, and has ${this.labels.length} names`);
        return;
      }
      this.#ready = true;
      clearTimeout(this.#watch);
      this.#next();
    } else if (message.type === 'outputs' && 'outputs' in message && message.outputs instanceof Float32Array) {
      const { outputs } = message;
      const count = this.labels.length;
      this.#windows += 1;
      this.#pauseMs = FIRST_PAUSE_MS;
      clearTimeout(this.#watch);
      this.#finish({ scores: outputs.subarray(0, count), embedding: outputs.subarray(count) });
      this.#next();
    }
  }

  /** The window it was at is given up, lest it end the next one as well. */
  #lost(worker: Worker, why: string): void {
    if (worker !== this.#worker || this.#closed) return;
    this.#worker = undefined;
    clearTimeout(this.#watch);
    this.#restarts += 1;
    const error = new HearthcamError('listen.worker', `the thread that listens failed: ${why}`, {
      hint: 'it is started again; if this goes on, look at the log at level trace',
    });
    this.#options.log.warn(describeError(error), { againInMs: this.#pauseMs });
    void worker.terminate();
    if (this.#running !== undefined) this.#dropped += 1;
    this.#finish(null);
    this.#again = setTimeout(() => {
      this.#again = undefined;
      this.#next();
    }, this.#pauseMs);
    this.#again.unref();
    this.#pauseMs = Math.min(this.#pauseMs * 2, LONGEST_PAUSE_MS);
  }

  #finish(impression: Impression | null): void {
    const job = this.#running;
    this.#running = undefined;
    job?.done(impression);
  }

  #watchFor(ms: number, what: string): void {
    const worker = this.#worker;
    clearTimeout(this.#watch);
    this.#watch = setTimeout(() => {
      if (worker !== undefined) this.#lost(worker, `${what} for ${ms / 1_000} s`);
    }, ms);
    this.#watch.unref();
  }
}

class Seat implements ScorerSeat {
  readonly #maxWaiting: number;
  readonly #wake: () => void;
  readonly #onDrop: (count: number) => void;
  readonly #onClose: () => void;
  readonly #jobs: Job[] = [];
  #closed = false;

  constructor(maxWaiting: number, wake: () => void, onDrop: (count: number) => void, onClose: () => void) {
    this.#maxWaiting = maxWaiting;
    this.#wake = wake;
    this.#onDrop = onDrop;
    this.#onClose = onClose;
  }

  get waiting(): number {
    return this.#jobs.length;
  }

  score(samples: Float32Array<ArrayBuffer>): Promise<Impression | null> {
    if (this.#closed) return Promise.resolve(null);
    const { promise, resolve } = Promise.withResolvers<Impression | null>();
    this.#jobs.push({ samples, done: resolve });
    if (this.#jobs.length > this.#maxWaiting) {
      this.#jobs.shift()?.done(null);
      this.#onDrop(1);
    }
    this.#wake();
    return promise;
  }

  take(): Job | undefined {
    return this.#jobs.shift();
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    for (const job of this.#jobs.splice(0)) job.done(null);
    this.#onClose();
  }
}
