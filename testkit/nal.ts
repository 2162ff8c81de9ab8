import { forEachNal } from '../src/wire/codecs/nal.ts';

/** Length-prefixed (4 bytes) to start codes (4 bytes): same size. */
export function toAnnexB(data: Buffer): Buffer {
  const out = Buffer.from(data);
  forEachNal(data, (_data, start) => out.writeUInt32BE(1, start - 4));
  return out;
}

/** NAL units behind 4-byte lengths. */
export function lengthPrefixed(nals: readonly Buffer[]): Buffer {
  let size = 0;
  for (const nal of nals) size += 4 + nal.length;
  const out = Buffer.allocUnsafe(size);
  let at = 0;
  for (const nal of nals) {
    at = out.writeUInt32BE(nal.length, at);
    at += nal.copy(out, at);
  }
  return out;
}
