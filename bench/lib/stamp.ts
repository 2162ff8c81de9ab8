/**
 * The camera of the benchmark ends each picture with 32 bytes behind the slice's trailing bits, where neither relays
 * nor decoders look: a mark, its clock just before the write, and the number of the picture. They survive new RTP
 * headers, new timestamps and fMP4, so a client knows how old a picture is and whether one is missing.
 */
export const STAMP_BYTES = 32;
/** No start code or emulation prevention can arise: no two zero bytes in a row. */
export const STAMP_MARK = Buffer.from('HEARTHCAMSTAMP!!', 'latin1');

/** Monotonic nanoseconds, the same for all processes of a machine. */
export function clockNs(): bigint {
  return process.hrtime.bigint();
}

/** Writes the stamp at `offset`. The numbers are written in hexadecimal nibbles + 0x40, so that no byte is zero. */
export function writeStamp(target: Buffer, offset: number, ns: bigint, count: number): void {
  STAMP_MARK.copy(target, offset);
  // 11 bytes carry 64 bits in groups of 6, 5 bytes carry 30.
  let value = ns;
  for (let index = 0; index < 11; index++) {
    target[offset + 16 + index] = 0x40 | Number(value & 63n);
    value >>= 6n;
  }
  let rest = count;
  for (let index = 0; index < 5; index++) {
    target[offset + 27 + index] = 0x40 | (rest & 63);
    rest >>>= 6;
  }
}

export function readStamp(bytes: Buffer, offset: number): { ns: bigint; count: number } {
  let ns = 0n;
  for (let index = 10; index >= 0; index--) ns = (ns << 6n) | BigInt((bytes[offset + 16 + index] ?? 0) & 63);
  let count = 0;
  for (let index = 4; index >= 0; index--) count = count * 64 + ((bytes[offset + 27 + index] ?? 0) & 63);
  return { ns, count };
}
