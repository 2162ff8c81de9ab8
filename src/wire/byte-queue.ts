const EMPTY = Buffer.alloc(0);

/**
 * Bytes of a connection in arrival order, read from the front without gluing everything together: a view of one read
 * stays a view, only what straddles two reads is copied. Not bounded by itself: its owner looks at `length`.
 */
export class ByteQueue {
  #chunks: Buffer[] = [];
  /** Bytes of the first chunk that are gone already. */
  #head = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(chunk: Buffer): void {
    if (chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.#length += chunk.length;
  }

  /** The byte at `index`; -1 past the end. */
  byteAt(index: number): number {
    let at = index + this.#head;
    for (const chunk of this.#chunks) {
      if (at < chunk.length) return chunk[at] ?? -1;
      at -= chunk.length;
    }
    return -1;
  }

  /** The first bytes without taking them: `bytes` of them, or all when there are fewer. */
  peek(bytes: number): Buffer {
    return this.slice(0, bytes);
  }

  /** `bytes` from `start` on, without taking them; fewer at the end. */
  slice(start: number, bytes: number): Buffer {
    const wanted = Math.min(bytes, this.#length - start);
    if (wanted <= 0) return EMPTY;
    let at = start + this.#head;
    let index = 0;
    let first = this.#chunks[0];
    while (first !== undefined && at >= first.length) {
      at -= first.length;
      first = this.#chunks[++index];
    }
    if (first === undefined) return EMPTY;
    if (at + wanted <= first.length) return first.subarray(at, at + wanted);
    const out = Buffer.allocUnsafe(wanted);
    let filled = 0;
    for (; filled < wanted; index++) {
      const chunk = this.#chunks[index];
      if (chunk === undefined) break;
      filled += chunk.copy(out, filled, at, Math.min(chunk.length, at + wanted - filled));
      at = 0;
    }
    return out;
  }

  /** Takes the first bytes: `bytes` of them, or all when there are fewer. */
  take(bytes: number): Buffer {
    const out = this.peek(bytes);
    this.skip(out.length);
    return out;
  }

  /** Drops up to `bytes` from the front. */
  skip(bytes: number): void {
    let left = Math.min(bytes, this.#length);
    this.#length -= left;
    let gone = 0;
    for (const chunk of this.#chunks) {
      const here = chunk.length - this.#head;
      if (left < here) {
        this.#head += left;
        left = 0;
        break;
      }
      left -= here;
      this.#head = 0;
      gone++;
    }
    if (gone > 0) this.#chunks.splice(0, gone);
  }

  clear(): void {
    this.#chunks = [];
    this.#head = 0;
    this.#length = 0;
  }

  /** Where `needle` begins, looking from `from` on; -1 when it isn't there (yet). */
  indexOf(needle: Buffer, from = 0): number {
    let base = -this.#head;
    for (let index = 0; index < this.#chunks.length; index++) {
      const chunk = this.#chunks[index];
      if (chunk === undefined) break;
      const start = Math.max(0, from - base);
      if (start < chunk.length) {
        const found = chunk.indexOf(needle, start);
        if (found >= 0) return base + found;
        // The needle may begin in the last bytes of this chunk and go on in the next ones.
        const edge = Math.max(start, chunk.length - needle.length + 1);
        const seam = this.slice(base + edge, chunk.length - edge + needle.length - 1);
        const across = seam.indexOf(needle);
        if (across >= 0) return base + edge + across;
      }
      base += chunk.length;
    }
    return -1;
  }
}
