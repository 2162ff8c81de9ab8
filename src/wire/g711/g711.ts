/** ITU-T G.711 to 16-bit linear samples. */
const FROM_ALAW = new Int16Array(256);
const FROM_ULAW = new Int16Array(256);
for (let code = 0; code < 256; code++) {
  FROM_ALAW[code] = alawSample(code);
  FROM_ULAW[code] = ulawSample(code);
}

/** G.711 §3, A-law: even bits are inverted on the line. */
function alawSample(code: number): number {
  const bits = code ^ 0x55;
  const exponent = (bits >> 4) & 7;
  const mantissa = (bits & 15) << 4;
  const size = exponent === 0 ? mantissa + 8 : (mantissa + 0x108) << (exponent - 1);
  return (bits & 0x80) !== 0 ? size : -size;
}

/** G.711 §3, µ-law: all bits are inverted on the line, bias 33 (132 at 16 bits). */
function ulawSample(code: number): number {
  const bits = ~code & 0xff;
  const size = ((((bits & 15) << 3) + 132) << ((bits >> 4) & 7)) - 132;
  return (bits & 0x80) !== 0 ? -size : size;
}

/** A-law (ITU-T G.711) to 16-bit samples, one a byte. */
export function decodeAlaw(data: Uint8Array): Int16Array {
  return decode(data, FROM_ALAW);
}
/** µ-law (ITU-T G.711) to 16-bit samples, one a byte. */
export function decodeUlaw(data: Uint8Array): Int16Array {
  return decode(data, FROM_ULAW);
}
function decode(data: Uint8Array, table: Int16Array): Int16Array {
  const out = new Int16Array(data.length);
  for (let at = 0; at < data.length; at++) out[at] = table[data[at] ?? 0] ?? 0;
  return out;
}
