import { setTimeout as sleep } from 'node:timers/promises';

/** More behind than this (the machine slept, the disk was slow) is not caught up. */
const LATE_MS = 1_000;

/** Lets seconds of a time line pass as those of the clock do. */
export class Pace {
  /** Of the clock, for second 0. */
  #originMs = Number.NaN;

  async until(seconds: number): Promise<void> {
    const dueMs = seconds * 1000;
    const nowMs = performance.now();
    if (Number.isNaN(this.#originMs)) this.#originMs = nowMs - dueMs;
    const waitMs = this.#originMs + dueMs - nowMs;
    if (waitMs < -LATE_MS) this.#originMs = nowMs - dueMs;
    if (waitMs > 1) await sleep(waitMs);
  }
}
