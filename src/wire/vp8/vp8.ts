/** Size of a VP8 key frame (RFC 6386 §9.1); null for other frames and broken ones. */
export function vp8KeySize(frame: Buffer): { width: number; height: number } | null {
  if (frame.length < 10 || ((frame[0] ?? 1) & 1) !== 0) return null;
  if (frame[3] !== 0x9d || frame[4] !== 0x01 || frame[5] !== 0x2a) return null;
  return { width: frame.readUInt16LE(6) & 0x3fff, height: frame.readUInt16LE(8) & 0x3fff };
}
