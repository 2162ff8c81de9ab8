/** Fields of one packet in the plan's table. */
const FIELDS = 6;
const MARKER = 0;
const TICKS = 1;
const PREFIX_START = 2;
const PREFIX_END = 3;
const START = 4;
const END = 5;

/**
 * How an access unit is cut into RTP payloads: each is a few bytes made for it (the prefix: payload headers, parameter
 * sets) and a range of the unit's data. Nothing is copied and, once it has grown, nothing is allocated: one plan serves
 * for unit after unit.
 */
export class PacketPlan {
  #table = new Int32Array(64 * FIELDS);
  #prefix = Buffer.alloc(512);
  #prefixBytes = 0;
  /** Packets in the plan. */
  count = 0;
  /** Bytes of all payloads together. */
  payloadBytes = 0;

  clear(): void {
    this.count = 0;
    this.payloadBytes = 0;
    this.#prefixBytes = 0;
  }

  /** Adds a byte to the prefix of the packet that `packet` will add next. */
  prefixByte(value: number): void {
    if (this.#prefixBytes === this.#prefix.length) this.#growPrefix(1);
    this.#prefix[this.#prefixBytes++] = value;
  }
  prefixU16(value: number): void {
    this.prefixByte((value >> 8) & 0xff);
    this.prefixByte(value & 0xff);
  }
  prefixCopy(bytes: Buffer): void {
    if (this.#prefixBytes + bytes.length > this.#prefix.length) this.#growPrefix(bytes.length);
    this.#prefixBytes += bytes.copy(this.#prefix, this.#prefixBytes);
  }

  /** Adds a packet: the prefix gathered since the last one, then bytes `start`…`end` of the unit. */
  packet(marker: boolean, start: number, end: number, tickOffset = 0): void {
    const at = this.count * FIELDS;
    if (at === this.#table.length) {
      const table = new Int32Array(this.#table.length * 2);
      table.set(this.#table);
      this.#table = table;
    }
    const table = this.#table;
    const prefixStart = this.count === 0 ? 0 : (table[at - FIELDS + PREFIX_END] ?? 0);
    table[at + MARKER] = marker ? 1 : 0;
    table[at + TICKS] = tickOffset;
    table[at + PREFIX_START] = prefixStart;
    table[at + PREFIX_END] = this.#prefixBytes;
    table[at + START] = start;
    table[at + END] = end;
    this.payloadBytes += this.#prefixBytes - prefixStart + end - start;
    this.count++;
  }

  /** Sets the marker of the packet added last. */
  markLast(): void {
    if (this.count > 0) this.#table[(this.count - 1) * FIELDS + MARKER] = 1;
  }

  marker(packet: number): boolean {
    return this.#table[packet * FIELDS + MARKER] === 1;
  }
  /** Ticks behind the unit's own time. */
  tickOffset(packet: number): number {
    return this.#table[packet * FIELDS + TICKS] ?? 0;
  }
  size(packet: number): number {
    return this.prefixSize(packet) + this.rangeEnd(packet) - this.rangeStart(packet);
  }
  prefixSize(packet: number): number {
    const at = packet * FIELDS;
    return (this.#table[at + PREFIX_END] ?? 0) - (this.#table[at + PREFIX_START] ?? 0);
  }
  rangeStart(packet: number): number {
    return this.#table[packet * FIELDS + START] ?? 0;
  }
  rangeEnd(packet: number): number {
    return this.#table[packet * FIELDS + END] ?? 0;
  }

  /** Writes the packet's prefix; returns the place behind it. */
  writePrefix(packet: number, out: Buffer, at: number): number {
    const from = this.#table[packet * FIELDS + PREFIX_START] ?? 0;
    const to = this.#table[packet * FIELDS + PREFIX_END] ?? 0;
    const prefix = this.#prefix;
    let place = at;
    if (to - from > 32) return at + prefix.copy(out, at, from, to);
    for (let index = from; index < to; index++) out[place++] = prefix[index] ?? 0;
    return place;
  }

  /** Writes the packet's payload; returns the place behind it. */
  writePayload(packet: number, data: Buffer, out: Buffer, at: number): number {
    const place = this.writePrefix(packet, out, at);
    const start = this.rangeStart(packet);
    const end = this.rangeEnd(packet);
    if (end > start) data.copy(out, place, start, end);
    return place + end - start;
  }

  #growPrefix(size: number): void {
    const grown = Buffer.alloc((this.#prefix.length + size) * 2);
    this.#prefix.copy(grown, 0, 0, this.#prefixBytes);
    this.#prefix = grown;
  }
}
