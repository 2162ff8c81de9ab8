/** How many packets behind the newest stay for retransmission, whatever the key frames do. */
const KEEP_PACKETS = 1_024;
/** A GOP with more packets than this (about 24 MB) is not kept whole: who joins waits for the next key frame. */
const MAX_PACKETS = 20_000;

/**
 * The RTP packets of one track since the last key frame, and some before it. All viewers send from here: a packet is
 * made once, and each viewer writes its own payload type, number, time and SSRC into it right before sending.
 * Packets are known by an index that only grows.
 */
export class PacketLog {
  /** Index of the oldest packet that is kept. */
  #base = 0;
  readonly #packets: Buffer[] = [];
  readonly #pts: number[] = [];
  /** Index of the first packet of the last key frame; -1 when there is none to start with. */
  keyIndex = -1;
  /** Presentation time of the newest unit in ticks of the track's clock; NaN before the first. */
  newestPts = Number.NaN;
  /** `performance.now()` at which the newest unit came in. */
  newestAtMs = 0;
  units = 0;

  /** Index that the next packet will get. */
  get head(): number {
    return this.#base + this.#packets.length;
  }

  /** Index of the oldest packet. */
  get base(): number {
    return this.#base;
  }

  /**
   * Adds a packet of an access unit; `endUnit` follows behind its last one.
   * @param key the first packet of a key frame
   */
  add(packet: Buffer, pts: number, key: boolean): void {
    if (key) this.keyIndex = this.head;
    this.#packets.push(packet);
    this.#pts.push(pts);
  }

  endUnit(pts: number, key: boolean, nowMs: number): void {
    this.newestPts = pts;
    this.newestAtMs = nowMs;
    this.units++;
    if (this.keyIndex >= 0 && this.head - this.keyIndex > MAX_PACKETS) this.keyIndex = -1;
    const keepFrom = this.head - KEEP_PACKETS;
    const drop = (this.keyIndex < 0 ? keepFrom : Math.min(this.keyIndex, keepFrom)) - this.#base;
    // In larger bites, so that moving the rest costs little per packet.
    if (drop > KEEP_PACKETS / 2 || (key && drop > 0)) {
      this.#packets.splice(0, drop);
      this.#pts.splice(0, drop);
      this.#base += drop;
    }
  }

  packet(index: number): Buffer | undefined {
    return this.#packets[index - this.#base];
  }

  /** Presentation time of the unit that a packet belongs to. */
  pts(index: number): number {
    return this.#pts[index - this.#base] ?? Number.NaN;
  }
}
