import { describeError } from '../core/errors.ts';
import { type Log, LogLimiter } from '../core/log.ts';
import type { Scope } from '../core/scope.ts';
import type { AppControl } from '../core/services.ts';

const STOP_LIMIT_MS = 3_000;

/** Ends the process in order on a signal or a command, and keeps it alive when a single connection fails. */
export class Lifecycle implements AppControl {
  readonly #scope: Scope;
  readonly #limiter = new LogLimiter(5_000);
  #log: Log | undefined;
  #stopping = false;

  constructor(scope: Scope) {
    this.#scope = scope;
    for (const [signal, code] of [
      ['SIGTERM', 0],
      ['SIGINT', 130],
      ['SIGHUP', 0],
    ] as const) {
      process.on(signal, () => {
        // Pressing Ctrl-C twice means it.
        if (this.#stopping) process.exit(code);
        this.#log?.info(`${signal}: stopping`);
        this.#stop(() => process.exit(code));
      });
    }
  }

  /**
   * From now on an exception that nobody caught is written down and the process goes on: it belongs to one connection,
   * and the other cameras and viewers must not pay for it. Before that it ends the start.
   */
  attach(log: Log): void {
    this.#log = log;
    const survive = (what: string, error: unknown): void => {
      const text = `${what}: ${describeError(error)}`;
      const repeated = this.#limiter.admit(text);
      if (repeated === null) return;
      const stack =
        error instanceof Error ? error.stack?.split('\n').slice(1, 6).join(' <- ').replaceAll(/\s+/g, ' ') : undefined;
      log.error(text, { ...(stack === undefined ? {} : { stack }), ...(repeated > 0 ? { repeated } : {}) });
    };
    process.on('uncaughtException', (error) => survive('an exception was not handled', error));
    process.on('unhandledRejection', (reason) => survive('a rejection was not handled', reason));
    // The reader of our output may be gone: that is no reason to stop.
    process.stdout.on('error', () => {});
    process.stderr.on('error', () => {});
  }

  exit(code: number): void {
    this.#log?.info('stopping by request', { code });
    this.#stop(() => process.exit(code));
  }

  restart(): void {
    this.#log?.info('restarting by request');
    this.#stop(() => {
      // Same process id, so that systemd, Docker and Home Assistant keep watching the right one.
      if (typeof process.execve === 'function') {
        process.execve(
          process.execPath,
          [process.execPath, ...process.execArgv, ...process.argv.slice(1)],
          process.env,
        );
      }
      process.exit(75);
    });
  }

  /** Closes everything, at most for so long that `docker stop` and systemd need no force. */
  #stop(then: () => void): void {
    if (this.#stopping) return;
    this.#stopping = true;
    const limit = setTimeout(() => {
      this.#log?.warn(`not closed within ${STOP_LIMIT_MS} ms: ending anyway`);
      then();
    }, STOP_LIMIT_MS - 200);
    this.#scope
      .close()
      .catch((error: unknown) => this.#log?.warn(`while stopping: ${describeError(error)}`))
      .finally(() => {
        clearTimeout(limit);
        then();
      });
  }
}
