import { WireError } from '../../core/errors.ts';

/** OBU types (AV1 bitstream specification §6.2.2). */
export const OBU = {
  sequenceHeader: 1,
  temporalDelimiter: 2,
  frameHeader: 3,
  frame: 6,
  tileList: 8,
  padding: 15,
} as const;

/** Called with each OBU: header at `start`, payload `from`…`end`. */
export type ObuVisitor = (type: number, start: number, from: number, end: number) => void;

/** Walks OBUs of the low-overhead format (§5.2). @throws WireError when a size points past the end. */
export function forEachObu(data: Buffer, visit: ObuVisitor): void {
  let at = 0;
  while (at < data.length) {
    const head = data[at] ?? 0;
    let from = at + ((head & 4) !== 0 ? 2 : 1);
    let end = data.length;
    if ((head & 2) !== 0) {
      const size = readLeb128(data, from);
      from = size.next;
      end = from + size.value;
    }
    if (from > data.length || end > data.length) {
      throw new WireError('av1.obu', `OBU of ${end - from} bytes, ${data.length - from} left`, at);
    }
    visit((head >> 3) & 15, at, from, end);
    at = end;
  }
}

/** leb128 (§4.10.5), at most 32 bits of value. @throws WireError */
export function readLeb128(data: Buffer, at: number): { value: number; next: number } {
  let value = 0;
  for (let index = 0; index < 8; index++) {
    const byte = data[at + index];
    if (byte === undefined) break;
    value += (byte & 0x7f) * 2 ** (7 * index);
    if ((byte & 0x80) !== 0) continue;
    if (value > 0xffff_ffff) break;
    return { value, next: at + index + 1 };
  }
  throw new WireError('av1.leb128', 'a leb128 number is too long or cut off', at);
}

/** A number as leb128 (AV1 §4.10.5), as short as it can be. */
export function leb128(value: number): Buffer {
  const bytes: number[] = [];
  let left = value;
  do {
    const low = left % 128;
    left = Math.floor(left / 128);
    bytes.push(left > 0 ? low | 0x80 : low);
  } while (left > 0);
  return Buffer.from(bytes);
}
