import { WireError } from '../../core/errors.ts';

/** Reads big-endian bit fields; every read past the end is a WireError. */
export class BitReader {
  readonly #bytes: Uint8Array;
  readonly #what: string;
  readonly #endBit: number;
  #bit = 0;

  /** `what` names the structure in errors, e.g. `H.264 SPS`. */
  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = bytes;
    this.#what = what;
    this.#endBit = bytes.length * 8;
  }

  get bitsLeft(): number {
    return this.#endBit - this.#bit;
  }
  get bitPosition(): number {
    return this.#bit;
  }

  /** A second reader at the same place, to look ahead. */
  fork(): BitReader {
    const other = new BitReader(this.#bytes, this.#what);
    other.#bit = this.#bit;
    return other;
  }

  /** Unsigned value of `count` (0…32) bits. */
  u(count: number): number {
    if (count > this.#endBit - this.#bit) this.#fail();
    let value = 0;
    let left = count;
    while (left > 0) {
      const free = 8 - (this.#bit & 7);
      const take = Math.min(free, left);
      const byte = this.#bytes[this.#bit >> 3] ?? 0;
      value = value * 2 ** take + ((byte >> (free - take)) & ((1 << take) - 1));
      this.#bit += take;
      left -= take;
    }
    return value;
  }

  flag(): boolean {
    return this.u(1) === 1;
  }

  skip(count: number): void {
    if (count > this.#endBit - this.#bit) this.#fail();
    this.#bit += count;
  }

  byteAlign(): void {
    this.#bit = Math.min((this.#bit + 7) & ~7, this.#endBit);
  }

  /** Exp-Golomb, unsigned (ISO/IEC 14496-10 §9.1). */
  ue(): number {
    let zeros = 0;
    while (this.u(1) === 0) {
      if (++zeros > 32) this.#fail('has an Exp-Golomb code that is too long');
    }
    return 2 ** zeros - 1 + this.u(zeros);
  }

  /** Exp-Golomb, signed. */
  se(): number {
    const value = this.ue();
    return value % 2 === 1 ? (value + 1) / 2 : -value / 2;
  }

  /** `count` whole bytes from the present bit position. */
  bytes(count: number): Buffer {
    if (count * 8 > this.#endBit - this.#bit) this.#fail();
    const out = Buffer.alloc(count);
    for (let at = 0; at < count; at++) out[at] = this.u(8);
    return out;
  }

  #fail(why = 'ends too early'): never {
    throw new WireError('bits.short', `${this.#what} ${why}`, this.#bit >> 3);
  }
}

/** Writes big-endian bit fields. */
export class BitWriter {
  readonly #bytes: number[] = [];
  #free = 0;

  /** `count` 0…32. */
  u(value: number, count: number): this {
    for (let at = count - 1; at >= 0; at--) {
      if (this.#free === 0) {
        this.#bytes.push(0);
        this.#free = 8;
      }
      this.#free--;
      const bit = Math.floor(value / 2 ** at) % 2;
      const last = this.#bytes.length - 1;
      this.#bytes[last] = (this.#bytes[last] ?? 0) | (bit << this.#free);
    }
    return this;
  }

  /** The bytes so far, filled up with zero bits. */
  finish(): Buffer {
    return Buffer.from(this.#bytes);
  }
}
