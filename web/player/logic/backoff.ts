const FIRST_MS = 250;
const GROWTH = 1.6;
/** For the first minute: a server that restarts is back within seconds, and its viewers shall not wait much longer. */
const SOON_CAP_MS = 1_250;
const SOON_MS = 60_000;
const CAP_MS = 5_000;

/** Waiting times between rounds of attempts: 250 ms growing to 1.25 s for a minute, then to 5 s. */
export class Backoff {
  #delayMs = 0;
  #sinceMs = Number.NaN;

  /** @returns how long to wait now */
  next(nowMs: number): number {
    if (Number.isNaN(this.#sinceMs)) this.#sinceMs = nowMs;
    const capMs = nowMs - this.#sinceMs < SOON_MS ? SOON_CAP_MS : CAP_MS;
    this.#delayMs = this.#delayMs === 0 ? FIRST_MS : Math.min(this.#delayMs * GROWTH, capMs);
    return Math.round(this.#delayMs);
  }

  reset(): void {
    this.#delayMs = 0;
    this.#sinceMs = Number.NaN;
  }
}
