import { WireError } from '../../core/errors.ts';

/** A box within a Buffer: its content lies from `start` to `end`. */
export interface BoxAt {
  readonly type: string;
  readonly start: number;
  readonly end: number;
}

/** The header of the box at the beginning of `head` (ISO/IEC 14496-12 §4.2), or null when there are too few bytes. */
export function readBoxHeader(head: Buffer): { type: string; headerBytes: number; bytes: number } | null {
  if (head.length < 8) return null;
  const type = head.toString('latin1', 4, 8);
  const short = head.readUInt32BE(0);
  if (short !== 1) return { type, headerBytes: 8, bytes: short === 0 ? Number.POSITIVE_INFINITY : short };
  if (head.length < 16) return null;
  return { type, headerBytes: 16, bytes: head.readUInt32BE(8) * 2 ** 32 + head.readUInt32BE(12) };
}

/** The boxes between `start` and `end`. @throws WireError when one is shorter than its header or goes past `end`. */
export function* boxesIn(data: Buffer, start: number, end: number): Generator<BoxAt> {
  let at = start;
  while (at < end) {
    // Some writers end a container with four zero bytes (QuickTime's terminator).
    if (end - at < 8) return;
    const header = readBoxHeader(data.subarray(at, end));
    if (header === null) throw new WireError('mp4.box', 'a box header is cut off', at);
    const bytes = Number.isFinite(header.bytes) ? header.bytes : end - at;
    if (bytes < header.headerBytes || bytes > end - at) {
      throw new WireError('mp4.box', `box "${header.type}" of ${bytes} bytes, ${end - at} are there`, at);
    }
    yield { type: header.type, start: at + header.headerBytes, end: at + bytes };
    at += bytes;
  }
}

export function findBox(data: Buffer, inside: BoxAt, ...path: readonly string[]): BoxAt | undefined {
  let current: BoxAt | undefined = inside;
  for (const type of path) {
    if (current === undefined) return undefined;
    let found: BoxAt | undefined;
    for (const child of boxesIn(data, current.start, current.end)) {
      if (child.type !== type) continue;
      found = child;
      break;
    }
    current = found;
  }
  return current;
}

/** Reads numbers one after the other; never past its end. */
export class Cursor {
  readonly #data: Buffer;
  readonly #end: number;
  at: number;

  constructor(data: Buffer, box: BoxAt) {
    this.#data = data;
    this.at = box.start;
    this.#end = box.end;
  }

  get left(): number {
    return this.#end - this.at;
  }
  u8(): number {
    return this.#data.readUInt8(this.#take(1));
  }
  u16(): number {
    return this.#data.readUInt16BE(this.#take(2));
  }
  u24(): number {
    return this.#data.readUIntBE(this.#take(3), 3);
  }
  u32(): number {
    return this.#data.readUInt32BE(this.#take(4));
  }
  i32(): number {
    return this.#data.readInt32BE(this.#take(4));
  }
  /** @throws WireError above 2^53: no clock gets there. */
  u64(): number {
    const value = this.u32() * 2 ** 32 + this.u32();
    if (!Number.isSafeInteger(value)) throw new WireError('mp4.number', 'a 64-bit number is too large', this.at - 8);
    return value;
  }
  skip(bytes: number): void {
    this.#take(bytes);
  }
  /** A copy: what is parsed once is kept long. */
  bytes(count: number): Buffer {
    const at = this.#take(count);
    return Buffer.from(this.#data.subarray(at, at + count));
  }
  text(count: number): string {
    const at = this.#take(count);
    return this.#data.toString('latin1', at, at + count);
  }

  #take(bytes: number): number {
    if (bytes < 0 || bytes > this.left) throw new WireError('mp4.short', 'a box is shorter than its fields', this.at);
    const at = this.at;
    this.at += bytes;
    return at;
  }
}
