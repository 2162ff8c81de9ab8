/**
 * Makes 16-bit sequence numbers into ones that go on counting. Small steps back (packets out of order) give smaller
 * numbers; the first one is taken as it is.
 */
export class SequenceUnwrapper {
  #last = -1;

  unwrap(sequence: number): number {
    if (this.#last < 0) {
      // One round up, so that a packet older than the first one does not get below zero.
      this.#last = sequence + 0x10000;
      return this.#last;
    }
    const step = ((sequence - this.#last) << 16) >> 16;
    this.#last = Math.max(0, this.#last + step);
    return this.#last;
  }
}

/**
 * Makes 32-bit RTP time stamps into ones that go on counting (exact up to 2^53). A step of up to 2^31 back is a step
 * back (B-pictures, reordering), so that a wrap shows as a step forward and nothing else does.
 */
export class TimestampUnwrapper {
  #last = Number.NaN;

  unwrap(timestamp: number): number {
    this.#last = Number.isNaN(this.#last) ? timestamp : this.#last + ((timestamp - this.#last) | 0);
    return this.#last;
  }

  /** As `unwrap`, for a time stamp beside the stream (sender report): does not move the reference. */
  peek(timestamp: number): number {
    return Number.isNaN(this.#last) ? timestamp : this.#last + ((timestamp - this.#last) | 0);
  }
}
