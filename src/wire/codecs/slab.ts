import { WireError } from '../../core/errors.ts';

/** One access unit must stay below this; more is an attack or a camera gone mad. */
export const MAX_UNIT_BYTES = 8 * 1024 * 1024;

/**
 * Builds access units of unknown size back to back in larger chunks, so that each byte is copied once and a unit costs
 * no allocation of its own. A chunk lives as long as one unit in it is held: with the units of one track side by side
 * and chunks no larger than `chunkBytes` (unless one unit needs more), a viewer's held picture pins at most one chunk.
 */
export class Slab {
  readonly #chunkBytes: number;
  #chunk: Buffer;
  #start = 0;
  #end = 0;

  constructor(chunkBytes: number) {
    this.#chunkBytes = chunkBytes;
    this.#chunk = Buffer.alloc(0);
  }

  /** Bytes of the unit under construction. */
  get length(): number {
    return this.#end - this.#start;
  }

  /** @throws WireError when the unit outgrows MAX_UNIT_BYTES. */
  append(source: Uint8Array, start = 0, end = source.length): void {
    const size = end - start;
    if (this.#end + size > this.#chunk.length) this.#grow(size);
    if (size > 64 && Buffer.isBuffer(source)) {
      source.copy(this.#chunk, this.#end, start, end);
    } else {
      const chunk = this.#chunk;
      let to = this.#end;
      for (let at = start; at < end; at++) chunk[to++] = source[at] ?? 0;
    }
    this.#end += size;
  }

  appendByte(value: number): void {
    if (this.#end + 1 > this.#chunk.length) this.#grow(1);
    this.#chunk[this.#end++] = value;
  }

  /** Leaves room for a 32-bit number; `patchU32` at the returned place fills it. */
  reserveU32(): number {
    if (this.#end + 4 > this.#chunk.length) this.#grow(4);
    const at = this.length;
    this.#end += 4;
    return at;
  }
  patchU32(at: number, value: number): void {
    this.#chunk.writeUInt32BE(value >>> 0, this.#start + at);
  }

  byte(at: number): number {
    return this.#chunk[this.#start + at] ?? 0;
  }
  /** A view of the unit so far; valid until the next append. */
  view(from: number, to: number = this.length): Buffer {
    return this.#chunk.subarray(this.#start + from, this.#start + to);
  }
  /** Shortens the unit under construction. */
  truncate(length: number): void {
    this.#end = Math.min(this.#end, this.#start + length);
  }

  /** Ends the unit and gives it away. */
  take(): Buffer {
    const unit = this.#chunk.subarray(this.#start, this.#end);
    this.#start = this.#end;
    return unit;
  }

  #grow(size: number): void {
    const length = this.length;
    if (length + size > MAX_UNIT_BYTES) {
      throw new WireError('unit.large', `an access unit of more than ${MAX_UNIT_BYTES} bytes`, length);
    }
    const wanted = length + size > this.#chunkBytes / 2 ? (length + size) * 2 : this.#chunkBytes;
    const chunk = Buffer.allocUnsafeSlow(wanted);
    this.#chunk.copy(chunk, 0, this.#start, this.#end);
    this.#chunk = chunk;
    this.#start = 0;
    this.#end = length;
  }
}
