import type { StillDecoder } from '../core/contracts.ts';
import { describeError, HearthcamError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import { HelperProcess } from '../core/process/helper.ts';
import type { IpcMessage } from '../core/process/ipc.ts';
import type { Scope } from '../core/scope.ts';
import { animationJob, encodeJob, type Job, parseAnswer, stillJob } from './protocol.ts';

export interface CodecProcessOptions {
  readonly log: Log;
  /** The process ends with it. */
  readonly scope: Scope;
  /** Without work for so long, the process is ended: it holds some 60 MB. */
  readonly idleMs?: number;
  /** From the request to the answer, waiting and a second try included. */
  readonly requestTimeoutMs?: number;
  /** A job that takes longer hangs: the process is replaced. */
  readonly jobTimeoutMs?: number;
  /** Requests that may wait while one is worked on. */
  readonly maxWaiting?: number;
}

export interface CodecProcess extends Required<StillDecoder>, AsyncDisposable {
  /** Of the process that runs now, if any. */
  readonly pid: number | undefined;
}

/** One request on its way. */
interface Errand {
  readonly id: number;
  readonly job: Job;
  readonly resolve: (result: Buffer) => void;
  readonly reject: (reason: HearthcamError) => void;
  readonly timer: NodeJS.Timeout;
  tries: number;
}

/** A picture that ends the process is tried once more: it may have been something else that did. */
const MAX_TRIES = 2;

/**
 * The server's side of the codec process: starts it with the first request, gives it one job at a time, replaces it
 * when it dies or hangs, ends it when it is not needed.
 */
export function createCodecProcess(options: CodecProcessOptions): CodecProcess {
  const stills = new Supervisor(options);
  // Nobody who wants a still waits for the seconds that an animation takes.
  const animations = new Supervisor({ ...options, ...ANIMATION_LIMITS });
  const close = async (): Promise<void> => {
    await Promise.all([stills[Symbol.asyncDispose](), animations[Symbol.asyncDispose]()]);
  };
  options.scope.defer(close);
  return {
    get pid() {
      return stills.pid;
    },
    still: (request) => stills.run(stillJob(request)),
    animation: (request) => animations.run(animationJob(request)),
    [Symbol.asyncDispose]: close,
  };
}

/** The largest takes some seconds on a small machine. */
const ANIMATION_LIMITS = { idleMs: 10_000, jobTimeoutMs: 20_000, requestTimeoutMs: 40_000, maxWaiting: 4 } as const;

class Supervisor implements AsyncDisposable {
  readonly #log: Log;
  readonly #idleMs: number;
  readonly #requestTimeoutMs: number;
  readonly #jobTimeoutMs: number;
  readonly #maxWaiting: number;
  readonly #waiting: Errand[] = [];
  #current: Errand | undefined;
  #helper: HelperProcess | undefined;
  #ready = false;
  #jobTimer: NodeJS.Timeout | undefined;
  #idleTimer: NodeJS.Timeout | undefined;
  #lastId = 0;
  #closed = false;

  constructor(options: CodecProcessOptions) {
    this.#log = options.log;
    this.#idleMs = options.idleMs ?? 60_000;
    this.#requestTimeoutMs = options.requestTimeoutMs ?? 5_000;
    this.#jobTimeoutMs = options.jobTimeoutMs ?? 2_500;
    this.#maxWaiting = options.maxWaiting ?? 8;
  }

  get pid(): number | undefined {
    return this.#helper?.pid;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#idleTimer);
    this.#failAll(new HearthcamError('codec.closed', 'the server is shutting down', { status: 503 }));
    const helper = this.#helper;
    this.#helper = undefined;
    await helper?.[Symbol.asyncDispose]();
  }

  run(job: Job): Promise<Buffer> {
    if (this.#closed) {
      return Promise.reject(new HearthcamError('codec.closed', 'the server is shutting down', { status: 503 }));
    }
    if (this.#waiting.length >= this.#maxWaiting) {
      return Promise.reject(
        new HearthcamError('codec.busy', `${this.#waiting.length} pictures already wait to be decoded`, {
          status: 503,
          hint: 'ask again in a moment',
        }),
      );
    }
    return new Promise<Buffer>((resolve, reject) => {
      const errand: Errand = {
        id: ++this.#lastId,
        job,
        resolve,
        reject,
        timer: setTimeout(() => this.#expire(errand), this.#requestTimeoutMs),
        tries: 0,
      };
      this.#waiting.push(errand);
      this.#pump();
    });
  }

  #pump(): void {
    if (this.#current !== undefined || this.#closed) return;
    const errand = this.#waiting.shift();
    clearTimeout(this.#idleTimer);
    if (errand === undefined) {
      if (this.#helper !== undefined) this.#idleTimer = setTimeout(() => this.#retire(), this.#idleMs).unref();
      return;
    }
    this.#current = errand;
    errand.tries++;
    try {
      this.#helper ??= this.#start();
    } catch (error) {
      const failure = new HearthcamError('codec.start', "the codec process can't be started", { cause: error });
      this.#finish(errand, () => errand.reject(failure));
      return;
    }
    const { header, payload } = encodeJob(errand.id, errand.job);
    this.#helper.send(header, payload);
    if (this.#ready) this.#watchJob();
  }

  #start(): HelperProcess {
    this.#ready = false;
    const helper: HelperProcess = new HelperProcess({
      name: 'codec process',
      folder: 'transcode',
      log: this.#log,
      onMessage: (message) => {
        if (this.#helper === helper) this.#onMessage(message);
      },
      onExit: (reason) => {
        if (this.#helper === helper) this.#onExit(reason);
      },
    });
    this.#log.debug('codec process started', { pid: helper.pid });
    return helper;
  }

  #retire(): void {
    const helper = this.#helper;
    if (helper === undefined) return;
    this.#helper = undefined;
    this.#log.debug('codec process ended: nothing to do', { pid: helper.pid });
    helper[Symbol.asyncDispose]().catch((error: unknown) => this.#log.warn(describeError(error)));
  }

  #onMessage(message: IpcMessage): void {
    const answer = parseAnswer(message);
    if (answer.type === 'ready') {
      this.#ready = true;
      if (this.#current !== undefined) this.#watchJob();
      return;
    }
    if (answer.type === 'unavailable') {
      this.#log.error(`FFmpeg's libraries can't be loaded: ${answer.message}`);
      this.#failAll(
        new HearthcamError('codec.unavailable', 'pictures can not be decoded on this machine', {
          status: 501,
          hint: 'the package node-av is missing or not made for this machine: install again, see the log',
        }),
      );
      this.#retire();
      return;
    }
    const errand = this.#current;
    // An answer to a request that was given up meanwhile.
    if (errand?.id !== answer.id) return;
    if (answer.type === 'done') this.#finish(errand, () => errand.resolve(answer.result));
    else {
      const asked = answer.fault === 'request';
      const code = asked ? 'codec.request' : 'codec.input';
      const error = new HearthcamError(code, answer.message, { status: asked ? 400 : 502 });
      this.#finish(errand, () => errand.reject(error));
    }
  }

  #watchJob(): void {
    clearTimeout(this.#jobTimer);
    this.#jobTimer = setTimeout(() => {
      this.#helper?.kill(
        new HearthcamError('codec.hangs', `decoding took longer than ${this.#jobTimeoutMs} ms`, { status: 504 }),
      );
    }, this.#jobTimeoutMs);
  }

  #onExit(reason: HearthcamError): void {
    this.#helper = undefined;
    clearTimeout(this.#idleTimer);
    clearTimeout(this.#jobTimer);
    const errand = this.#current;
    if (errand === undefined) {
      this.#log.warn(`${describeError(reason)}; it is started again when it is needed`);
      return;
    }
    if (errand.tries >= MAX_TRIES) {
      this.#log.error(`${describeError(reason)}, twice with the same picture, which is given up`);
      const { status } = reason;
      const text = `the picture could not be decoded: the decoder failed on it ${errand.tries} times`;
      this.#finish(errand, () => errand.reject(new HearthcamError('codec.died', text, { cause: reason, status })));
      return;
    }
    this.#log.warn(`${describeError(reason)}; starting it again`);
    this.#current = undefined;
    this.#waiting.unshift(errand);
    this.#pump();
  }

  #finish(errand: Errand, settle: () => void): void {
    clearTimeout(errand.timer);
    clearTimeout(this.#jobTimer);
    this.#current = undefined;
    settle();
    this.#pump();
  }

  #expire(errand: Errand): void {
    const error = new HearthcamError('codec.timeout', `no picture was decoded within ${this.#requestTimeoutMs} ms`, {
      status: 504,
      hint: 'the machine may be overloaded',
    });
    const at = this.#waiting.indexOf(errand);
    if (at >= 0) {
      this.#waiting.splice(at, 1);
      errand.reject(error);
      return;
    }
    if (this.#current !== errand) return;
    // Not only this request is late: whatever the process does now, it does not get on with it.
    const helper = this.#helper;
    this.#helper = undefined;
    helper?.kill(error);
    this.#log.warn(`codec process: ${error.message}; it is replaced`);
    this.#finish(errand, () => errand.reject(error));
  }

  #failAll(error: HearthcamError): void {
    clearTimeout(this.#jobTimer);
    const errands = this.#current === undefined ? this.#waiting : [this.#current, ...this.#waiting];
    this.#current = undefined;
    for (const errand of [...errands]) {
      clearTimeout(errand.timer);
      errand.reject(error);
    }
    this.#waiting.length = 0;
  }
}
