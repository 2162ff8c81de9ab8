import { HearthcamError } from './errors.ts';

/**
 * The lifetime of a thing and of all that it owns. Closing is idempotent, happens once, in reverse order of
 * `defer`, and closes child scopes first. Timers made by a scope end with it and never keep the process alive.
 */
export class Scope implements AsyncDisposable {
  readonly name: string;
  readonly #controller = new AbortController();
  readonly #cleanups: (() => void | Promise<void>)[] = [];
  #closing: Promise<void> | undefined;

  constructor(name: string, parent?: Scope) {
    this.name = name;
    if (parent === undefined) return;
    parent.#throwIfClosed();
    const close = (): Promise<void> => this.close();
    parent.#cleanups.push(close);
    this.defer(() => {
      const index = parent.#cleanups.indexOf(close);
      if (index >= 0 && parent.#closing === undefined) parent.#cleanups.splice(index, 1);
    });
  }

  /** Aborted at the beginning of the close. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get closed(): boolean {
    return this.#closing !== undefined;
  }

  child(name: string): Scope {
    return new Scope(`${this.name}/${name}`, this);
  }

  /** Runs `cleanup` at the close; at once when the scope is closed already. */
  defer(cleanup: () => void | Promise<void>): void {
    if (this.#closing !== undefined) {
      void Promise.resolve().then(cleanup);
      return;
    }
    this.#cleanups.push(cleanup);
  }

  /** Calls `work` every `periodMs` until the scope closes. */
  every(periodMs: number, work: () => void): void {
    this.#throwIfClosed();
    const timer = setInterval(work, periodMs);
    timer.unref();
    this.defer(() => clearInterval(timer));
  }

  /** Calls `work` once after `delayMs` unless the scope closes first; returns a cancel function. */
  after(delayMs: number, work: () => void): () => void {
    this.#throwIfClosed();
    const cancel = (): void => {
      clearTimeout(timer);
      this.signal.removeEventListener('abort', cancel);
    };
    const timer = setTimeout(() => {
      this.signal.removeEventListener('abort', cancel);
      work();
    }, delayMs);
    this.signal.addEventListener('abort', cancel, { once: true });
    return cancel;
  }

  /** Resolves after `delayMs` or at the close, whichever is first. */
  sleep(delayMs: number): Promise<void> {
    if (this.closed) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(done, delayMs);
      const signal = this.signal;
      function done(): void {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        resolve();
      }
      signal.addEventListener('abort', done, { once: true });
    });
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    this.#controller.abort(new HearthcamError('scope.closed', `${this.name} is closed`));
    const failures: unknown[] = [];
    for (let cleanup = this.#cleanups.pop(); cleanup !== undefined; cleanup = this.#cleanups.pop()) {
      try {
        await cleanup();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) {
      throw new HearthcamError('scope.close', `closing ${this.name} failed`, { cause: failures[0] });
    }
  }

  #throwIfClosed(): void {
    if (this.#closing !== undefined) throw new HearthcamError('scope.closed', `${this.name} is closed`);
  }
}
