import type { HearthcamError } from '../core/errors.ts';
import { Fanout } from '../core/fanout.ts';
import type { AccessUnit, TrackFormat } from '../core/media.ts';
import type { Target } from '../core/targets.ts';
import type { Pipe } from './pipe.ts';

export interface MadeTrackUser {
  units(units: readonly AccessUnit[]): void;
  failed(error: HearthcamError): void;
  /** It is held for a moment after its last viewer, in case that one comes back. */
  idle(): boolean;
}

const MAX_GOP_BYTES = 16 * 1024 * 1024;

/**
 * A track that is made of another one, once for all that want it: it begins with the first, ends with the last, and who
 * joins later is given the pictures since its last key frame.
 */
export class MadeTrack implements Disposable {
  /** Null until the first unit, for codecs whose parameters the encoder makes. */
  format: TrackFormat | null = null;
  readonly #pipe: Pipe;
  readonly #out: number;
  readonly #fanout: Fanout;
  readonly #onDispose: (comingBack: boolean) => void;
  readonly #users = new Set<MadeTrackUser>();
  #failure: HearthcamError | undefined;
  /** Who let go of it last is about to take it again. */
  comingBack = false;

  /** @param onDispose gives back what was taken for it, or keeps it for the one who comes back */
  constructor(pipe: Pipe, target: Target, onError: (error: unknown) => void, onDispose: (comingBack: boolean) => void) {
    this.#pipe = pipe;
    this.#onDispose = onDispose;
    this.#fanout = new Fanout({ maxGopBytes: MAX_GOP_BYTES, onListenerError: onError });
    this.#out = pipe.addOutput(target, {
      format: (format) => {
        this.format = format;
      },
      unit: ({ pts, dts, key, data, wallMs }) => {
        const { format } = this;
        if (format === null) return;
        this.#fanout.push({ trackId: 0, format, pts, dts, key, data, wallMs, arrivedMs: performance.now() });
        this.#fanout.flush();
      },
      failed: (error) => this.fail(error),
    });
  }

  /** Whether nobody watches what is made. */
  get idle(): boolean {
    return this.#users.size > 0 && [...this.#users].every((user) => user.idle());
  }

  /** Ends it for all who use it. */
  fail(error: HearthcamError): void {
    this.#failure = error;
    for (const user of [...this.#users]) user.failed(error);
  }

  /** Gives what is kept at once, and then all that is made, until the returned function is called. */
  use(user: MadeTrackUser): () => void {
    this.#users.add(user);
    this.comingBack = false;
    const failure = this.#failure;
    if (failure !== undefined) queueMicrotask(() => user.failed(failure));
    const { units, complete } = this.#fanout.gop();
    if (units.length > 0 && complete) user.units(units);
    const unsubscribe = this.#fanout.subscribe((made) => user.units(made), { immediate: true });
    return () => {
      this.#users.delete(user);
      unsubscribe();
    };
  }

  [Symbol.dispose](): void {
    this.#users.clear();
    this.#fanout.reset();
    this.#pipe.removeOutput(this.#out);
    this.#onDispose(this.comingBack);
  }
}
