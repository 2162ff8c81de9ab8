import type { SourceDescription, SourceSink, SourceUnit } from '../../core/source.ts';

/** What a live program may have gathered before it wrote anything (ffmpeg looks at its input for 5 s). */
const AHEAD_MS = 10_000;
/** Another origin of times, not a burst. */
const JUMP_MS = 30_000;

/**
 * Lets everything through at once and measures how far the times of the media run ahead of the clock: a program that
 * reads a file as fast as it can is not read any further than that, and waits.
 */
export class Leash implements SourceSink {
  readonly #sink: SourceSink;
  readonly #nowMs: () => number;
  #clocks: number[] = [];
  #originMs = Number.NaN;
  #lastMs = Number.NaN;
  #described = false;

  constructor(sink: SourceSink, nowMs: () => number) {
    this.#sink = sink;
    this.#nowMs = nowMs;
  }

  get described(): boolean {
    return this.#described;
  }

  /** How long nothing more should be read, in milliseconds; 0: go on. */
  get excessMs(): number {
    return Math.max(0, this.#originMs + this.#lastMs - this.#nowMs() - AHEAD_MS) || 0;
  }

  describe(description: SourceDescription): readonly boolean[] {
    this.#described = true;
    this.#clocks = description.tracks.map((track) => track.clockRateHz);
    return this.#sink.describe(description);
  }

  unit(unit: SourceUnit): void {
    const mediaMs = ((unit.decodeTicks ?? unit.ticks) * 1000) / (this.#clocks[unit.track] ?? 90_000);
    const nowMs = this.#nowMs();
    const jumped = !(Math.abs(mediaMs - this.#lastMs) < JUMP_MS);
    // The clock that counts is that of the unit which came latest by its own time.
    if (jumped || mediaMs + this.#originMs < nowMs) this.#originMs = nowMs - mediaMs;
    this.#lastMs = mediaMs;
    this.#sink.unit(unit);
  }

  flush(): void {
    this.#sink.flush();
  }

  alive(bytes: number): void {
    this.#sink.alive(bytes);
  }

  sync(track: number, ticks: number, ntpMs: number): void {
    this.#sink.sync(track, ticks, ntpMs);
  }
}
