import { describeError, HearthcamError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import { HelperProcess } from '../core/process/helper.ts';
import type { IpcMessage } from '../core/process/ipc.ts';
import { encodeToMaker, type FromMaker, parseFromMaker, type StreamPlan, type ToMaker } from './protocol.ts';

/** Receives what is made for one stream. */
export interface PictureListener {
  onMessage(message: FromMaker): void;
  /** The process is gone; nothing more comes. */
  onGone(reason: HearthcamError): void;
}

export interface PictureSession {
  resize(width: number, height: number): void;
  close(): void;
}

/** The process ends when it had nothing to make for so long. */
const IDLE_MS = 10_000;

/** The server's side of the process that draws and encodes; it runs only while a simulated stream is watched. */
export class PictureMaker implements AsyncDisposable {
  readonly #log: Log;
  readonly #listeners = new Map<number, PictureListener>();
  #helper: HelperProcess | undefined;
  #idleTimer: NodeJS.Timeout | undefined;
  #lastId = 0;
  #closed = false;

  constructor(log: Log) {
    this.#log = log;
  }

  /** Of the process that runs now, if any. */
  get pid(): number | undefined {
    return this.#helper?.pid;
  }

  start(plan: StreamPlan, listener: PictureListener): PictureSession {
    if (this.#closed) throw new HearthcamError('simulate.closed', 'the simulator was stopped', { status: 503 });
    clearTimeout(this.#idleTimer);
    const id = ++this.#lastId;
    this.#helper ??= this.#launch();
    this.#listeners.set(id, listener);
    this.#send({ type: 'start', id, plan });
    return {
      resize: (width, height) => this.#send({ type: 'resize', id, width, height }),
      close: () => {
        if (!this.#listeners.delete(id)) return;
        this.#send({ type: 'stop', id });
        if (this.#listeners.size === 0) this.#idleTimer = setTimeout(() => this.#retire(), IDLE_MS).unref();
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#idleTimer);
    const helper = this.#helper;
    this.#helper = undefined;
    this.#tellGone(new HearthcamError('simulate.closed', 'the simulator was stopped', { status: 503 }));
    await helper?.[Symbol.asyncDispose]();
  }

  #send(order: ToMaker): void {
    this.#helper?.send(encodeToMaker(order));
  }

  #launch(): HelperProcess {
    const helper: HelperProcess = new HelperProcess({
      name: 'picture maker',
      folder: 'simulate',
      log: this.#log,
      onMessage: (message) => this.#receive(message),
      onExit: (reason) => {
        if (this.#helper !== helper) return;
        this.#helper = undefined;
        this.#log.warn(describeError(reason));
        this.#tellGone(reason);
      },
    });
    return helper;
  }

  #receive(message: IpcMessage): void {
    const parsed = parseFromMaker(message);
    this.#listeners.get(parsed.id)?.onMessage(parsed);
  }

  #tellGone(reason: HearthcamError): void {
    const listeners = [...this.#listeners.values()];
    this.#listeners.clear();
    for (const listener of listeners) listener.onGone(reason);
  }

  #retire(): void {
    const helper = this.#helper;
    this.#helper = undefined;
    helper?.[Symbol.asyncDispose]().catch((error: unknown) => this.#log.warn(describeError(error)));
  }
}
