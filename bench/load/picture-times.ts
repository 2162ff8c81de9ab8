import { clockNs } from '../lib/stamp.ts';
import type { Collector } from '../lib/stats.ts';

/** Longer without a picture means that the camera was away. */
const AWAY_NS = 1_000_000_000n;

/** What the pictures of one viewer say: how long the first one took, how old each is, which are missing. */
export class PictureTimes {
  readonly #collector: Collector;
  readonly #onFirst: () => void;
  readonly #startMs = performance.now();
  #seen = false;
  #lastCount = -1;
  #lastNs = 0n;

  /** Counts from now on. */
  constructor(collector: Collector, onFirst: () => void) {
    this.#collector = collector;
    this.#onFirst = onFirst;
  }

  /** A picture that the camera stamped with its clock and its number. */
  picture({ ns, count }: { readonly ns: bigint; readonly count: number }): void {
    if (!this.#seen) {
      this.#seen = true;
      this.#collector.firstPictureMs.push(performance.now() - this.#startMs);
      this.#onFirst();
    }
    const nowNs = clockNs();
    if (this.#lastNs > 0n && nowNs - this.#lastNs > AWAY_NS) this.#collector.resumedMs.push(Number(nowNs) / 1e6);
    this.#lastNs = nowNs;
    const missing = this.#lastCount < 0 ? 0 : Math.max(0, count - this.#lastCount - 1);
    this.#collector.picture(Number(nowNs - ns) / 1e6, missing);
    this.#lastCount = count;
  }
}
