/** The checksums of a FLAC frame (RFC 9639 §9.1.8, §9.3). */
const CRC8 = new Uint8Array(256);
const CRC16 = new Uint16Array(256);
for (let byte = 0; byte < 256; byte++) {
  let eight = byte;
  let sixteen = byte << 8;
  for (let bit = 0; bit < 8; bit++) {
    eight = (eight & 0x80) === 0 ? eight << 1 : (eight << 1) ^ 0x07;
    sixteen = (sixteen & 0x8000) === 0 ? sixteen << 1 : (sixteen << 1) ^ 0x8005;
  }
  CRC8[byte] = eight;
  CRC16[byte] = sixteen;
}

/** Over the frame header `data[0..end)` (RFC 9639 §9.1.8). */
export function crc8(data: Uint8Array, end: number): number {
  let crc = 0;
  for (let at = 0; at < end; at++) crc = CRC8[crc ^ (data[at] ?? 0)] ?? 0;
  return crc;
}

/** Over the whole frame (RFC 9639 §9.3). */
export function crc16(data: Uint8Array, end: number): number {
  let crc = 0;
  for (let at = 0; at < end; at++) crc = ((crc << 8) & 0xffff) ^ (CRC16[(crc >> 8) ^ (data[at] ?? 0)] ?? 0);
  return crc;
}
