import { randomBytes } from 'node:crypto';
import { HearthcamError } from './errors.ts';
import type { SourceModule, SourceSpec } from './source.ts';

/** Where what somebody publishes goes: a stream, or a source that waits for the program that it started. */
export interface PublishTarget {
  /** For log lines. */
  readonly name: string;
  /** Resolves when the publisher's media has begun to be taken. */
  publish(spec: SourceSpec, module: SourceModule): Promise<void>;
}

/** An address that one publisher may use, once, until it is disposed of. */
export interface Expectation extends Disposable {
  /** `rtsp://127.0.0.1:8554/<token>` */
  readonly url: string;
}

const TOKEN_BYTES = 24;
const TOKEN = /^[0-9a-f]{48}$/;

/** Whether a text may be a token at all. */
export function looksLikeToken(text: string): boolean {
  return TOKEN.test(text);
}

/**
 * Programs of ours that are to publish by RTSP (`exec:… {output}`). Each is given an address with a token that nobody
 * can guess: the token is its right to publish, and to nothing else. The RTSP server asks here first.
 */
export class ExpectedPublishers {
  #base: string | undefined;
  readonly #waiting = new Map<string, PublishTarget>();

  /**
   * Said by the RTSP server: how a program on this machine reaches it (`rtsp://127.0.0.1:8554`).
   * @returns to be called when it listens no more
   */
  listening(base: string): () => void {
    this.#base = base;
    return () => {
      if (this.#base === base) this.#base = undefined;
    };
  }

  /** @throws HearthcamError 503 when there is no RTSP server to publish to */
  expect(target: PublishTarget): Expectation {
    const base = this.#base;
    if (base === undefined) {
      throw new HearthcamError('publish.off', 'nothing can be published: the RTSP server is off', {
        status: 503,
        permanent: true,
        hint: 'set rtsp.listen, for example "127.0.0.1:8554", and start again',
      });
    }
    const token = randomBytes(TOKEN_BYTES).toString('hex');
    this.#waiting.set(token, target);
    return { url: `${base}/${token}`, [Symbol.dispose]: () => void this.#waiting.delete(token) };
  }

  has(token: string): boolean {
    return this.#waiting.has(token);
  }

  /** The target for a token, for the first who asks: the token is worth nothing from then on. */
  claim(token: string): PublishTarget | undefined {
    const target = this.#waiting.get(token);
    this.#waiting.delete(token);
    return target;
  }
}
