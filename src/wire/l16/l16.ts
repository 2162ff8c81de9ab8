/** L16 (RFC 3551 §4.5.11): big-endian samples, interleaved. A last odd byte is left out. */
export function decodeL16(data: Buffer): Int16Array {
  const out = new Int16Array(data.length >> 1);
  for (let at = 0; at < out.length; at++) out[at] = data.readInt16BE(at * 2);
  return out;
}
