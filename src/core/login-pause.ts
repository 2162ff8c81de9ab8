import type { HearthcamError } from './errors.ts';

interface Login {
  readonly user: string;
  readonly password: string;
}

const FIRST_PAUSE_MS = 5_000;
const MAX_PAUSE_MS = 30_000;

/**
 * Keeps a wrong password from being tried again with every redial: cameras lock the account, or the address, after a
 * few. A changed password is tried at once.
 */
export class LoginPause {
  #login: string | undefined;
  #error: HearthcamError | undefined;
  #untilMs = 0;
  #pauseMs = FIRST_PAUSE_MS;

  /** @throws HearthcamError, the refusal of before, while the same login must not be tried again */
  check(credentials: Login | null, nowMs: number): void {
    if (this.#error !== undefined && nowMs < this.#untilMs && loginOf(credentials) === this.#login) throw this.#error;
  }

  refused(credentials: Login | null, error: HearthcamError, nowMs: number): void {
    const login = loginOf(credentials);
    this.#pauseMs = login === this.#login ? Math.min(MAX_PAUSE_MS, this.#pauseMs * 2) : FIRST_PAUSE_MS;
    this.#login = login;
    this.#error = error;
    this.#untilMs = nowMs + this.#pauseMs;
  }

  accepted(): void {
    this.#error = undefined;
    this.#login = undefined;
  }
}

function loginOf(credentials: Login | null): string {
  return credentials === null ? '' : `${credentials.user}:${credentials.password}`;
}
