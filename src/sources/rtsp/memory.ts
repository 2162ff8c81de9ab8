import { LoginPause } from '../../core/login-pause.ts';
import type { RtspTarget } from './target.ts';

/** What was learnt about a camera and is of use for the next connection to it. */
export interface CameraQuirks {
  /** Methods at which it hung up or that it refused: not used to keep the session alive. */
  readonly avoid: Set<string>;
  /** Control URLs of media whose SETUP it refused: not offered to viewers any more. */
  readonly refusedMedia: Set<string>;
  readonly login: LoginPause;
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
