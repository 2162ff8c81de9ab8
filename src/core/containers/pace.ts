import type { SourceDescription, SourceSink, SourceUnit } from '../source.ts';

/** So much is taken in ahead of what is being shown. */
const AHEAD_MS = 1_500;
const MAX_QUEUE_BYTES = 32 * 1024 * 1024;
/** Later than this, the clock starts anew: catching up would only empty the reserve. */
const LATE_MS = 500;
/** A step of this much in media time is another origin of times (a discontinuity), not a pause. */
const JUMP_MS = 3_000;
const MIN_TIMER_MS = 5;

interface Queued {
  readonly unit: SourceUnit;
  readonly dueMs: number;
}

/**
 * Lets units through at the speed at which they were recorded. For what comes faster than it plays: the segments of
 * HLS, files on a web server. Without it viewers would be given seconds of pictures at once, then nothing.
 */
export class PacedSink implements SourceSink, Disposable {
  readonly #sink: SourceSink;
  readonly #nowMs: () => number;
  #queue: Queued[] = [];
  #queuedBytes = 0;
  #timer: NodeJS.Timeout | undefined;
  #clocks: number[] = [];
  /** Media time + offset = time at which it is due. */
  #offsetMs = Number.NaN;
  #lastMediaMs = Number.NaN;
  #waiters: (() => void)[] = [];

  constructor(sink: SourceSink, nowMs: () => number) {
    this.#sink = sink;
    this.#nowMs = nowMs;
  }

  describe(description: SourceDescription): readonly boolean[] {
    this.#release(Number.POSITIVE_INFINITY);
    this.#clocks = description.tracks.map((track) => track.clockRateHz);
    return this.#sink.describe(description);
  }

  unit(unit: SourceUnit): void {
    const nowMs = this.#nowMs();
    const mediaMs = ((unit.decodeTicks ?? unit.ticks) * 1000) / (this.#clocks[unit.track] ?? 90_000);
    const lastDueMs = this.#queue.at(-1)?.dueMs ?? nowMs;
    if (Number.isNaN(this.#offsetMs)) this.#offsetMs = nowMs - mediaMs;
    else if (Math.abs(mediaMs - this.#lastMediaMs) > JUMP_MS) this.#offsetMs = lastDueMs - mediaMs;
    this.#lastMediaMs = mediaMs;
    if (nowMs - (mediaMs + this.#offsetMs) > LATE_MS) this.#offsetMs = nowMs - mediaMs;
    this.#queue.push({ unit, dueMs: mediaMs + this.#offsetMs });
    this.#queuedBytes += unit.data.length;
  }

  flush(): void {
    this.#release(this.#nowMs());
  }

  alive(bytes: number): void {
    this.#sink.alive(bytes);
  }

  sync(track: number, ticks: number, ntpMs: number): void {
    this.#sink.sync(track, ticks, ntpMs);
  }

  /** Undefined while there is room for more; else a promise for when there is. */
  room(): Promise<void> | undefined {
    return this.#isFull() ? new Promise((resolve) => this.#waiters.push(resolve)) : undefined;
  }

  /** Resolves when all has been let through. */
  async drained(): Promise<void> {
    while (this.#queue.length > 0) await new Promise<void>((resolve) => this.#waiters.push(resolve));
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#queue = [];
    this.#wake(true);
  }

  #isFull(): boolean {
    const last = this.#queue.at(-1);
    if (last === undefined) return false;
    return last.dueMs - this.#nowMs() > AHEAD_MS || this.#queuedBytes > MAX_QUEUE_BYTES;
  }

  #release(untilMs: number): void {
    let count = 0;
    for (const { unit, dueMs } of this.#queue) {
      if (dueMs > untilMs) break;
      this.#queuedBytes -= unit.data.length;
      this.#sink.unit(unit);
      count++;
    }
    if (count > 0) {
      this.#queue.splice(0, count);
      this.#sink.flush();
      // What waits here has arrived: the source isn't stalled while it is let through.
      this.#sink.alive(0);
    }
    this.#wake(false);
    clearTimeout(this.#timer);
    const next = this.#queue[0];
    if (next === undefined) return;
    const delayMs = Math.max(MIN_TIMER_MS, next.dueMs - this.#nowMs());
    this.#timer = setTimeout(() => this.#release(this.#nowMs()), delayMs);
  }

  #wake(all: boolean): void {
    if (this.#waiters.length === 0 || (!all && this.#isFull())) return;
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const wake of waiters) wake();
  }
}
