import type { Env } from '../core/contracts.ts';
import { describeError, HearthcamError } from '../core/errors.ts';
import { withKeyFrame } from '../core/key-frame.ts';
import { LogLimiter } from '../core/log.ts';

const TIMEOUT_MS = 8_000;
/** What a telephone shows; a broker need not carry more. */
const MAX_WIDTH = 1280;

/** Takes pictures of cameras for the broker: one at a time of each. */
export class Snapshots {
  readonly #env: Pick<Env, 'hub' | 'stills' | 'log'>;
  readonly #onPicture: (camera: string, jpeg: Buffer) => void;
  readonly #running = new Map<string, Promise<void>>();
  readonly #limiter = new LogLimiter(60_000);

  constructor(env: Pick<Env, 'hub' | 'stills' | 'log'>, onPicture: (camera: string, jpeg: Buffer) => void) {
    this.#env = env;
    this.#onPicture = onPicture;
  }

  /** Never rejects: a camera without a picture is told in the log. */
  take(camera: string): Promise<void> {
    const running = this.#running.get(camera);
    if (running !== undefined) return running;
    const taken = this.#take(camera).finally(() => this.#running.delete(camera));
    this.#running.set(camera, taken);
    return taken;
  }

  async #take(camera: string): Promise<void> {
    const { hub, stills, log } = this.#env;
    try {
      const who = { formatName: 'keyframe', protocol: 'mqtt', remoteAddr: '' };
      const damaged = (error: unknown): boolean => error instanceof HearthcamError && error.code === 'codec.input';
      const jpeg = await withKeyFrame(
        hub.require(camera),
        who,
        { codecs: 'any', timeoutMs: TIMEOUT_MS },
        ({ format, data }) => {
          if (format.codec === 'jpeg' && format.width <= MAX_WIDTH) return data;
          const narrower = format.width > MAX_WIDTH ? { width: MAX_WIDTH } : {};
          return stills.still({ format, data, ...narrower });
        },
        damaged,
      );
      this.#onPicture(camera, jpeg);
    } catch (error) {
      if (this.#limiter.admit(camera) !== null) log.warn(`no snapshot of camera "${camera}": ${describeError(error)}`);
    }
  }
}
