import { Worker } from 'node:worker_threads';
import { HearthcamError } from '../core/errors.ts';
import { childEntry } from '../core/process/child.ts';

export interface SqlAnswer {
  readonly rows: readonly unknown[];
  readonly changes: number;
}

/** SQLite's busy time-out is 5 s; a disk that takes longer is as good as gone. */
const ANSWER_MS = 20_000;

interface Waiting {
  resolve(answer: SqlAnswer): void;
  reject(error: Error): void;
  readonly timer: NodeJS.Timeout;
}

/** A SQLite file in a thread of its own (`process/main.ts`). Once it failed as a whole it stays so: make a new one. */
export class SqliteThread {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  readonly #ended: Promise<void>;
  #lastId = -1;
  #failure: Error | undefined;

  /** @param maxPages size that the file may have, in pages of 4 KiB: beyond, writing fails as on a full disk */
  constructor(path: string, maxPages: number) {
    this.#worker = new Worker(childEntry('events'), {
      workerData: { path, maxPages },
      resourceLimits: { maxOldGenerationSizeMb: 32, maxYoungGenerationSizeMb: 4, stackSizeMb: 2 },
      name: 'events',
    });
    this.#worker.on('message', (message: unknown) => this.#onMessage(message));
    this.#worker.on('error', (error) => this.#fail(error instanceof Error ? error : new Error(String(error))));
    this.#ended = new Promise((resolve) => {
      this.#worker.once('exit', () => {
        this.#fail(new HearthcamError('events.closed', 'the store of events is closed'));
        resolve();
      });
    });
    // Nothing waits for it when the program ends.
    this.#worker.unref();
  }

  /** Whether it can't answer any more. */
  get failed(): boolean {
    return this.#failure !== undefined;
  }

  /** Resolves when the file is open. */
  async opened(): Promise<void> {
    await this.#ask(undefined);
  }

  run(sql: string, parameters: readonly unknown[]): Promise<SqlAnswer> {
    return this.#ask({ sql, parameters });
  }

  async close(): Promise<void> {
    if (this.#failure === undefined) this.#worker.postMessage('close');
    const timer = setTimeout(() => void this.#worker.terminate(), ANSWER_MS / 4);
    await this.#ended;
    clearTimeout(timer);
  }

  #ask(job: { readonly sql: string; readonly parameters: readonly unknown[] } | undefined): Promise<SqlAnswer> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      const id = ++this.#lastId;
      const timer = setTimeout(() => {
        this.#fail(new HearthcamError('events.slow', `the store of events gave no answer in ${ANSWER_MS / 1000} s`));
        void this.#worker.terminate();
      }, ANSWER_MS);
      timer.unref();
      this.#waiting.set(id, { resolve, reject, timer });
      if (job !== undefined) this.#worker.postMessage({ id, ...job });
    });
  }

  #onMessage(message: unknown): void {
    // Checked border: written by `process/main.ts` alone.
    const answer = message as { id: number; rows?: readonly unknown[]; changes?: number; error?: string };
    const waiting = this.#waiting.get(answer.id);
    if (waiting === undefined) return;
    this.#waiting.delete(answer.id);
    clearTimeout(waiting.timer);
    if (answer.error !== undefined) waiting.reject(new Error(answer.error));
    else waiting.resolve({ rows: answer.rows ?? [], changes: answer.changes ?? 0 });
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const { reject, timer } of this.#waiting.values()) {
      clearTimeout(timer);
      reject(this.#failure);
    }
    this.#waiting.clear();
  }
}
