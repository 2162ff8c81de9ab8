/** `REMB` in ASCII: the unique identifier of the message. */
const REMB = 0x52454d42;

/**
 * The receiver's estimate of what its connection carries, in bit/s, out of a compound RTCP packet; null without one.
 * draft-alvestrand-rmcat-remb-03 §2.2: payload feedback (206) of format 15, `REMB`, a count, 6 bits exponent, 18 bits
 * mantissa.
 */
export function readRemb(data: Buffer): number | null {
  for (let at = 0; at + 4 <= data.length; at += 4 + data.readUInt16BE(at + 2) * 4) {
    const isFeedback = data[at + 1] === 206 && ((data[at] ?? 0) & 0x1f) === 15;
    if (!isFeedback || at + 20 > data.length || data.readUInt32BE(at + 12) !== REMB) continue;
    const packed = data.readUIntBE(at + 17, 3);
    return (packed & 0x3ffff) * 2 ** (packed >> 18);
  }
  return null;
}
