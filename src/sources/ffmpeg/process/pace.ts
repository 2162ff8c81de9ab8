import { setTimeout as sleep } from 'node:timers/promises';

/** More behind than this (the machine slept, the disk was slow) is not caught up. */
const LATE_MS = 1_000;

/** A wait is told so often. */
const TELL_MS = 1_000;

/** Lets seconds of a time line pass as those of the clock do. */
export class Pace {
  /** Of the clock, for second 0. */
  #originMs = Number.NaN;
  readonly #onWait: () => void;

  /** @param onWait called every second while it waits */
  constructor(onWait: () => void) {
    this.#onWait = onWait;
  }

  async until(seconds: number): Promise<void> {
    const dueMs = seconds * 1000;
    const nowMs = performance.now();
    if (Number.isNaN(this.#originMs)) this.#originMs = nowMs - dueMs;
    let waitMs = this.#originMs + dueMs - nowMs;
    if (waitMs < -LATE_MS) this.#originMs = nowMs - dueMs;
    for (; waitMs > 1; waitMs -= TELL_MS) {
      await sleep(Math.min(waitMs, TELL_MS));
      if (waitMs > TELL_MS) this.#onWait();
    }
  }
}
