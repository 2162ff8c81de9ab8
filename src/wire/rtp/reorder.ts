export interface ReorderOptions {
  /** How long a missing packet is waited for. Default 100 ms: more than any home network reorders. */
  readonly maxDelayMs?: number;
  /** How many packets may wait behind a missing one; a power of two. Default 512. */
  readonly maxPackets?: number;
}

/** RFC 3550 §A.1: a packet this much behind, or too far ahead, is of a stream that was begun anew. */
const MAX_MISORDER = 100;
const MAX_DROPOUT = 3000;

/**
 * Puts the packets of one SSRC that came over UDP back into their order. Pure: time comes in as `nowMs` (any monotonic
 * clock); the owner calls `poll` no later than `deadlineMs`.
 */
export class ReorderBuffer<T> {
  readonly #onPacket: (packet: T, sequence: number, lostBefore: number) => void;
  readonly #maxDelayMs: number;
  readonly #mask: number;
  readonly #slots: (T | undefined)[];
  readonly #arrivedMs: Float64Array;
  #next = -1;
  #held = 0;
  #gapSinceMs = 0;
  /** What a stream begun anew would go on with (RFC 3550 §A.1 `bad_seq`). */
  #restartAt = -1;
  received = 0;
  lost = 0;
  /** Came after they had been given up, or twice. */
  late = 0;
  restarts = 0;

  /** @param onPacket gets each packet once, in order, with the number of packets given up right before it */
  constructor(onPacket: (packet: T, sequence: number, lostBefore: number) => void, options: ReorderOptions = {}) {
    this.#onPacket = onPacket;
    this.#maxDelayMs = options.maxDelayMs ?? 100;
    const size = 2 ** Math.ceil(Math.log2(Math.max(2, Math.min(options.maxPackets ?? 512, 16_384))));
    this.#mask = size - 1;
    this.#slots = new Array<T | undefined>(size).fill(undefined);
    this.#arrivedMs = new Float64Array(size);
  }

  /** When `poll` must be called at the latest; undefined while nothing waits. */
  get deadlineMs(): number | undefined {
    return this.#held === 0 ? undefined : this.#gapSinceMs + this.#maxDelayMs;
  }

  /** `packet` is kept until its turn: it must not be overwritten. */
  push(sequence: number, packet: T, nowMs: number): void {
    this.received++;
    this.#place(sequence, packet, nowMs);
    this.poll(nowMs);
  }

  #place(sequence: number, packet: T, nowMs: number): void {
    if (this.#next < 0) this.#next = sequence;
    const ahead = (sequence - this.#next) & 0xffff;
    const behind = 0x10000 - ahead;
    const foreign = ahead < 0x8000 ? ahead >= MAX_DROPOUT : behind > MAX_MISORDER;
    if (foreign) {
      if (sequence !== this.#restartAt) {
        this.#restartAt = (sequence + 1) & 0xffff;
        this.late++;
        return;
      }
      // The second in a row: the camera has begun anew.
      this.flush();
      this.restarts++;
      this.#next = sequence;
    } else if (ahead >= 0x8000) {
      this.late++;
      return;
    }
    this.#restartAt = -1;
    if (this.#held === 0 && sequence === this.#next) {
      this.#next = (sequence + 1) & 0xffff;
      this.#onPacket(packet, sequence, 0);
      return;
    }
    this.#makeRoom(sequence);
    const slot = sequence & this.#mask;
    if (this.#slots[slot] !== undefined) {
      this.late++;
      return;
    }
    this.#slots[slot] = packet;
    this.#arrivedMs[slot] = nowMs;
    if (this.#held++ === 0) this.#gapSinceMs = nowMs;
    if (sequence === this.#next) this.#drain(0);
  }

  /** Gives up what has been waited for long enough. */
  poll(nowMs: number): void {
    while (this.#held > 0 && nowMs - this.#gapSinceMs >= this.#maxDelayMs) this.#skipGap();
  }

  /** Hands on all that waits, in order, without waiting for what is missing. */
  flush(): void {
    while (this.#held > 0) this.#skipGap();
  }

  #skipGap(): void {
    let missing = 0;
    while (this.#slots[this.#next & this.#mask] === undefined) {
      this.#next = (this.#next + 1) & 0xffff;
      missing++;
    }
    this.#drain(missing);
  }

  #drain(missing: number): void {
    let lostBefore = missing;
    this.lost += missing;
    for (;;) {
      const slot = this.#next & this.#mask;
      const packet = this.#slots[slot];
      if (packet === undefined) break;
      this.#slots[slot] = undefined;
      this.#held--;
      const sequence = this.#next;
      this.#next = (sequence + 1) & 0xffff;
      this.#onPacket(packet, sequence, lostBefore);
      lostBefore = 0;
    }
    if (this.#held === 0) return;
    // The next gap is as old as the packet behind it.
    let at = this.#next;
    while (this.#slots[at & this.#mask] === undefined) at = (at + 1) & 0xffff;
    this.#gapSinceMs = this.#arrivedMs[at & this.#mask] ?? this.#gapSinceMs;
  }

  /** Gives up missing packets until `sequence` fits among those that may wait. */
  #makeRoom(sequence: number): void {
    let skipped = 0;
    while (((sequence - this.#next) & 0xffff) > this.#mask) {
      if (this.#held > 0) {
        this.#skipGap();
        continue;
      }
      skipped++;
      this.#next = (this.#next + 1) & 0xffff;
    }
    this.lost += skipped;
  }
}
