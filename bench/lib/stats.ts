/** Percentile of unsorted numbers; NaN of none. */
export function percentile(values: readonly number[], percent: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  if (sorted.length === 0) return Number.NaN;
  return sorted[Math.min(sorted.length - 1, Math.floor((percent / 100) * sorted.length))] ?? Number.NaN;
}

export const median = (values: readonly number[]): number => percentile(values, 50);

/** What a load generator measured in its window. */
export interface LoadResult {
  /** From the connect (or the POST) to the last byte of the first key frame, per viewer. */
  readonly firstPictureMs: readonly number[];
  readonly latencyP50Ms: number;
  readonly latencyP99Ms: number;
  /** Pictures that a viewer should have got in the window and did not. */
  readonly missing: number;
  readonly pictures: number;
  readonly bytes: number;
  /** Monotonic ms (`clockNs`) at which a viewer saw its first picture after a second or more without. */
  readonly resumedMs: readonly number[];
}

/** Collects stamps of all viewers. */
export class Collector {
  readonly firstPictureMs: number[] = [];
  readonly resumedMs: number[] = [];
  readonly #latencies: number[] = [];
  #missing = 0;
  #pictures = 0;
  #bytes = 0;
  #open = false;

  /** Counting begins here: the joins before it are another matter. */
  begin(): void {
    this.#open = true;
  }

  count(bytes: number): void {
    if (this.#open) this.#bytes += bytes;
  }

  /** @param gap pictures missing before this one at its viewer */
  picture(latencyMs: number, gap: number): void {
    if (!this.#open) return;
    this.#pictures++;
    this.#missing += gap;
    this.#latencies.push(latencyMs);
  }

  result(): LoadResult {
    return {
      firstPictureMs: this.firstPictureMs,
      latencyP50Ms: percentile(this.#latencies, 50),
      latencyP99Ms: percentile(this.#latencies, 99),
      missing: this.#missing,
      pictures: this.#pictures,
      bytes: this.#bytes,
      resumedMs: this.resumedMs,
    };
  }
}
