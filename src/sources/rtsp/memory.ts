import type { HearthcamError } from '../../core/errors.ts';
import type { Credentials } from '../../wire/rtsp/auth.ts';
import type { RtspTarget } from './target.ts';

/** What was learnt about a camera and is of use for the next connection to it. */
export interface CameraQuirks {
  /** Methods at which it hung up or that it refused: not used to keep the session alive. */
  readonly avoid: Set<string>;
  /** Control URLs of media whose SETUP it refused: not offered to viewers any more. */
  readonly refusedMedia: Set<string>;
  readonly login: LoginPause;
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
  check(credentials: Credentials | null, nowMs: number): void {
    if (this.#error !== undefined && nowMs < this.#untilMs && loginOf(credentials) === this.#login) throw this.#error;
  }

  refused(credentials: Credentials | null, error: HearthcamError, nowMs: number): void {
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

function loginOf(credentials: Credentials | null): string {
  return credentials === null ? '' : `${credentials.user}:${credentials.password}`;
}

const MAX_CAMERAS = 256;

/** Keeps quirks per host and port for as long as the process lives. Bounded. */
export class CameraMemory {
  readonly #cameras = new Map<string, CameraQuirks>();

  of(target: RtspTarget): CameraQuirks {
    const key = `${target.host}:${target.port}`;
    let quirks = this.#cameras.get(key);
    if (quirks === undefined) {
      const [oldest] = this.#cameras.keys();
      if (this.#cameras.size >= MAX_CAMERAS && oldest !== undefined) this.#cameras.delete(oldest);
      quirks = { avoid: new Set(), refusedMedia: new Set(), login: new LoginPause() };
      this.#cameras.set(key, quirks);
    }
    return quirks;
  }
}

/**
 * How to keep a session alive: as the server offers in `Public` (RFC 2326 §10.8 suggests GET_PARAMETER), else by
 * OPTIONS, which everybody must know. Null when the camera hung up at all of them: packets and reports must do then.
 */
export function keepAliveMethod(publicMethods: ReadonlySet<string>, avoid: ReadonlySet<string>): string | null {
  const order = [
    ...(publicMethods.has('GET_PARAMETER') ? ['GET_PARAMETER'] : []),
    'OPTIONS',
    ...(publicMethods.has('SET_PARAMETER') ? ['SET_PARAMETER'] : []),
    // Not offered, but known by most.
    'GET_PARAMETER',
  ];
  return order.find((method) => !avoid.has(method)) ?? null;
}
