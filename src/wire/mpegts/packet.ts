/** The 188-byte transport packet (ISO/IEC 13818-1 §2.4.3.2) and the sections' CRC. */

export const TS_PACKET_BYTES = 188;
export const SYNC_BYTE = 0x47;
export const PAT_PID = 0;
export const NULL_PID = 0x1fff;
/** 33-bit times of 90 kHz start again after this many ticks, 26.5 hours. */
export const TS_WRAP_TICKS = 2 ** 33;

/** How well the transport stream arrived; only ever grows. */
export interface TsCounters {
  packets: number;
  /** Packets that are missing before the one that arrived, counted as one per gap. */
  continuityErrors: number;
  /** Bytes that were skipped to find the packets' beginnings again. */
  lostSyncBytes: number;
  crcErrors: number;
  scrambled: number;
  /** Units that were thrown away because a part was missing or they grew too large. */
  damagedUnits: number;
}

const CRC_TABLE = new Uint32Array(256);
for (let index = 0; index < 256; index++) {
  let value = index << 24;
  for (let bit = 0; bit < 8; bit++) value = (value & 0x8000_0000) !== 0 ? (value << 1) ^ 0x04c1_1db7 : value << 1;
  CRC_TABLE[index] = value >>> 0;
}

/** CRC_32 of ISO/IEC 13818-1 annex A; over a whole section including its CRC it gives 0. */
export function crc32Mpeg(bytes: Uint8Array): number {
  let crc = 0xffff_ffff;
  for (const byte of bytes) crc = ((crc << 8) ^ (CRC_TABLE[((crc >>> 24) ^ byte) & 0xff] ?? 0)) >>> 0;
  return crc;
}

/** Reads a 33-bit time stamp (§2.4.3.7); null when its marker bits are wrong. */
export function readTimestamp(bytes: Buffer, at: number): number | null {
  const [b0 = 0, b1 = 0, b2 = 0, b3 = 0, b4 = 0] = bytes.subarray(at, at + 5);
  if ((b0 & 1) === 0 || (b2 & 1) === 0 || (b4 & 1) === 0) return null;
  return ((b0 >> 1) & 7) * 2 ** 30 + (b1 << 22) + ((b2 >> 1) << 15) + (b3 << 7) + (b4 >> 1);
}

/**
 * PTS or DTS in five bytes (ISO/IEC 13818-1 §2.4.3.7): `marker` is the four bits in front, `ticks` of 90 kHz wrap at
 * 33 bits.
 */
export function writeTimestamp(out: Buffer, at: number, marker: number, ticks: number): void {
  const high = Math.floor(ticks / 2 ** 30) & 7;
  const low = ticks % 2 ** 30;
  out[at] = (marker << 4) | (high << 1) | 1;
  out[at + 1] = (low >> 22) & 0xff;
  out[at + 2] = ((low >> 14) & 0xfe) | 1;
  out[at + 3] = (low >> 7) & 0xff;
  out[at + 4] = ((low << 1) & 0xfe) | 1;
}

/** Any number of ticks as the 33 bits of the wire. */
export function wrapTicks(ticks: number): number {
  return ((ticks % TS_WRAP_TICKS) + TS_WRAP_TICKS) % TS_WRAP_TICKS;
}
