import { WireError } from '../../core/errors.ts';

/** Called with each NAL unit: bytes `start`…`end` (without start code or length) of `data`. */
export type NalVisitor = (data: Buffer, start: number, end: number) => void;

/**
 * Removes the emulation prevention bytes (ISO/IEC 14496-10 §7.4.1: `00 00 03` → `00 00`).
 * Returns `nal` itself when there are none.
 */
export function unescapeRbsp(nal: Buffer): Buffer {
  let at = nal.indexOf(ESCAPE);
  if (at < 0) return nal;
  const out = Buffer.allocUnsafe(nal.length);
  let from = 0;
  let length = 0;
  while (at >= 0) {
    length += nal.copy(out, length, from, at + 2);
    from = at + 3;
    at = nal.indexOf(ESCAPE, from);
  }
  length += nal.copy(out, length, from);
  return out.subarray(0, length);
}
const ESCAPE = Buffer.from([0, 0, 3]);
const START_CODE = Buffer.from([0, 0, 1]);

/** Finds the next `00 00 01` from `from` on, before `end`; -1 when there is none. */
export function findStartCode(data: Buffer, from: number, end: number): number {
  const at = data.indexOf(START_CODE, from);
  return at < 0 || at + 3 > end ? -1 : at;
}

/**
 * Walks the NAL units of a byte stream (ISO/IEC 14496-10 annex B). Bytes before the first start code are left out, and
 * so are zero bytes in front of a start code; zero bytes at the very end belong to the last unit.
 */
export function forEachAnnexBNal(data: Buffer, visit: NalVisitor): void {
  let code = findStartCode(data, 0, data.length);
  while (code >= 0) {
    const start = code + 3;
    code = findStartCode(data, start, data.length);
    let end = data.length;
    if (code >= 0) {
      end = code;
      // A NAL unit never ends in a zero byte (§7.4.1), so zeros here belong to a longer start code or are padding.
      while (end > start && data[end - 1] === 0) end--;
    }
    if (end > start) visit(data, start, end);
  }
}

/**
 * Walks NAL units that each stand behind a big-endian length of `lengthBytes` (ISO/IEC 14496-15 §5.3.3).
 * @throws WireError when a length points past the end; the units before it have been visited.
 */
export function forEachNal(data: Buffer, visit: NalVisitor, lengthBytes: 1 | 2 | 3 | 4 = 4): void {
  let at = 0;
  while (at + lengthBytes <= data.length) {
    const length = data.readUIntBE(at, lengthBytes);
    const start = at + lengthBytes;
    if (length > data.length - start) {
      throw new WireError('nal.length', `NAL unit of ${length} bytes, but ${data.length - start} are left`, at);
    }
    if (length > 0) visit(data, start, start + length);
    at = start + length;
  }
  if (at !== data.length) throw new WireError('nal.tail', `${data.length - at} bytes behind the last NAL unit`, at);
}
