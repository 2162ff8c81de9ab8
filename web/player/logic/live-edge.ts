/** Seconds, as media elements count them. */
export interface Range {
  readonly startS: number;
  readonly endS: number;
}

export type LiveAdvice =
  | { readonly kind: 'rate'; readonly rate: number }
  /** The position is too far behind, in a hole, or before the buffer: go here. */
  | { readonly kind: 'seek'; readonly toS: number };

const MIN_TARGET_S = 0.12;
const MAX_TARGET_S = 1.5;
/** Further behind than this is not caught up by playing faster but jumped over. */
const MAX_LAG_S = 3;
const MAX_RATE = 1.3;
/** The lag may wander by so much around the target before the rate changes: each change costs a resampler restart. */
const SLACK_S = 0.08;
const UNDERRUN_STEP_S = 0.1;
/** Without underruns the target shrinks by this part each second. */
const DECAY_PER_S = 0.03;
/** A seek takes a moment to show; until then the position says nothing. One that takes longer hangs in a hole. */
const SEEK_QUIET_MS = 500;

/**
 * Keeps the position of a live picture just behind the end of what has arrived: as near as the jitter of the network
 * allows (each underrun moves the aim back, calm moves it forward again). Small lags are caught up by playing up to
 * 1.3 times as fast, large ones by a jump.
 */
export class LiveEdge {
  #targetS: number;
  readonly #floorS: number;
  #fast = false;
  #quietUntilMs = Number.NEGATIVE_INFINITY;
  #lastMs = Number.NaN;

  /** `startTargetS`: how far behind the end to begin. */
  constructor(startTargetS = 0.2) {
    this.#floorS = Math.max(MIN_TARGET_S, Math.min(startTargetS, MAX_TARGET_S) / 2);
    this.#targetS = Math.max(MIN_TARGET_S, Math.min(startTargetS, MAX_TARGET_S));
  }

  get targetS(): number {
    return this.#targetS;
  }

  /** The element ran out of data (`waiting`): aim further back. */
  underrun(): void {
    this.#targetS = Math.min(this.#targetS + UNDERRUN_STEP_S, MAX_TARGET_S);
  }

  /**
   * @param ranges what is buffered, ascending
   * @param seeking whether the element is still on its way to the last position
   */
  advise(ranges: readonly Range[], positionS: number, nowMs: number, seeking = false): LiveAdvice {
    if (!Number.isNaN(this.#lastMs)) {
      const passedS = Math.min(1, Math.max(0, nowMs - this.#lastMs) / 1000);
      this.#targetS = Math.max(this.#floorS, this.#targetS * (1 - DECAY_PER_S * passedS));
    }
    this.#lastMs = nowMs;
    const last = ranges.at(-1);
    if (last === undefined || nowMs < this.#quietUntilMs) return { kind: 'rate', rate: 1 };
    const lagS = last.endS - positionS;
    // Chromium waits for ever where a sound track has a hole that `buffered` doesn't show (a camera that was away).
    if (seeking || positionS < last.startS || lagS > MAX_LAG_S || lagS < -0.5) return this.jump(ranges, nowMs);
    const excessS = lagS - this.#targetS;
    this.#fast = this.#fast ? excessS > 0 : excessS > SLACK_S;
    if (!this.#fast) return { kind: 'rate', rate: 1 };
    return { kind: 'rate', rate: Math.min(MAX_RATE, Math.round((1.05 + excessS * 0.35) * 100) / 100) };
  }

  /** To the live end, for example when the page becomes visible again. */
  jump(ranges: readonly Range[], nowMs: number): LiveAdvice {
    const last = ranges.at(-1);
    if (last === undefined) return { kind: 'rate', rate: 1 };
    this.#fast = false;
    this.#quietUntilMs = nowMs + SEEK_QUIET_MS;
    return { kind: 'seek', toS: Math.max(last.startS, last.endS - this.#targetS) };
  }
}

/**
 * What to remove from a source buffer so that it never reaches the browser's quota: all but the last `keepS` before the
 * position, and all but the last `keepS` of the whole while nobody plays it. Null when it isn't worth it yet.
 */
export function trimRange(ranges: readonly Range[], positionS: number, keepS = 8, stepS = 8): Range | null {
  const first = ranges[0];
  const last = ranges.at(-1);
  if (first === undefined || last === undefined) return null;
  // A position far behind the end is about to be moved by the live-edge control, so it keeps nothing alive.
  const anchorS = last.endS - positionS > 4 * MAX_LAG_S || positionS > last.endS ? last.endS : positionS;
  const upToS = anchorS - keepS;
  return upToS - first.startS > stepS ? { startS: first.startS, endS: upToS } : null;
}
