/** A still that was made, or is being made. */
interface Entry {
  readonly still: Promise<Buffer>;
  /** `performance.now()` when it was asked for; its picture is at least that new, apart from the GOP. */
  readonly askedMs: number;
  bytes: number;
  /** Until then somebody may still want it. */
  keepUntilMs: number;
}

/**
 * Stills by what was asked for. Whoever asks while one is being made waits for that one; failures are not kept.
 * Bounded in bytes: the oldest go first.
 */
export class StillCache {
  readonly #maxBytes: number;
  readonly #entries = new Map<string, Entry>();
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Gives the still that is kept under `key` if it is not older than `maxAgeMs`, else what `make` makes. */
  get(key: string, maxAgeMs: number, nowMs: number, make: () => Promise<Buffer>): Promise<Buffer> {
    const kept = this.#entries.get(key);
    if (kept !== undefined && (kept.bytes === 0 || nowMs - kept.askedMs <= maxAgeMs)) {
      kept.keepUntilMs = Math.max(kept.keepUntilMs, kept.askedMs + maxAgeMs);
      return kept.still;
    }
    // Those who accept an older one come again: it is kept for them.
    const lastsMs = kept === undefined ? maxAgeMs : Math.max(maxAgeMs, kept.keepUntilMs - kept.askedMs);
    if (kept !== undefined) this.#drop(key, kept);
    const entry: Entry = { still: make(), askedMs: nowMs, bytes: 0, keepUntilMs: nowMs + lastsMs };
    this.#entries.set(key, entry);
    entry.still.then(
      (jpeg) => this.#keep(key, entry, jpeg.length),
      () => this.#drop(key, entry),
    );
    return entry.still;
  }

  /** Forgets what nobody can want any more. */
  sweep(nowMs: number): void {
    for (const [key, entry] of this.#entries) {
      if (entry.bytes > 0 && nowMs > entry.keepUntilMs) this.#drop(key, entry);
    }
  }

  #keep(key: string, entry: Entry, bytes: number): void {
    if (this.#entries.get(key) !== entry) return;
    entry.bytes = bytes;
    this.#bytes += bytes;
    for (const [oldKey, old] of this.#entries) {
      if (this.#bytes <= this.#maxBytes) return;
      if (old.bytes > 0) this.#drop(oldKey, old);
    }
  }

  #drop(key: string, entry: Entry): void {
    if (this.#entries.get(key) !== entry) return;
    this.#entries.delete(key);
    this.#bytes -= entry.bytes;
  }
}
