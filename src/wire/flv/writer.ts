/** Makes FLV (Adobe FLV and F4V specification 10.1, annex E; H.265 as in Enhanced RTMP v2). */

const TAG_HEADER_BYTES = 11;
const PREVIOUS_SIZE_BYTES = 4;
const AUDIO = 8;
const VIDEO = 9;

/** One tag to write: what stands before the payload, and the payload. */
export interface FlvPart {
  readonly kind: 'audio' | 'video';
  /** Milliseconds of decoding; written modulo 2^32. */
  readonly timestampMs: number;
  readonly prefix: Buffer;
  readonly data: Buffer;
}

/** File header and the size 0 of the tag before the first (E.2, E.3). */
export function flvHeader(has: { video: boolean; audio: boolean }): Buffer {
  const out = Buffer.from('FLV\x01\x00\x00\x00\x00\x09\x00\x00\x00\x00', 'latin1');
  out[4] = (has.audio ? 4 : 0) | (has.video ? 1 : 0);
  return out;
}

/** All parts as tags in one new buffer. */
export function writeFlvTags(parts: readonly FlvPart[]): Buffer {
  let total = 0;
  for (const part of parts) total += TAG_HEADER_BYTES + part.prefix.length + part.data.length + PREVIOUS_SIZE_BYTES;
  const out = Buffer.allocUnsafe(total);
  let at = 0;
  for (const part of parts) {
    const bytes = part.prefix.length + part.data.length;
    out[at] = part.kind === 'video' ? VIDEO : AUDIO;
    out.writeUIntBE(bytes, at + 1, 3);
    const timestampMs = ((Math.round(part.timestampMs) % 2 ** 32) + 2 ** 32) % 2 ** 32;
    out.writeUIntBE(timestampMs % 2 ** 24, at + 4, 3);
    out[at + 7] = Math.floor(timestampMs / 2 ** 24);
    out.writeUIntBE(0, at + 8, 3);
    at += TAG_HEADER_BYTES;
    at += part.prefix.copy(out, at);
    at += part.data.copy(out, at);
    out.writeUInt32BE(TAG_HEADER_BYTES + bytes, at);
    at += PREVIOUS_SIZE_BYTES;
  }
  return out;
}

const HVC1 = Buffer.from('hvc1', 'latin1');

/** Before an avcC record or a picture of NAL units with 4-byte lengths (E.4.3). */
export function avcPrefix(what: 'config' | 'frame', key: boolean, compositionMs: number): Buffer {
  const out = Buffer.alloc(5);
  out[0] = ((key ? 1 : 2) << 4) | 7;
  out[1] = what === 'config' ? 0 : 1;
  out.writeIntBE(clampSi24(compositionMs), 2, 3);
  return out;
}

/** Before an hvcC record or a picture: the enhanced header, which ffmpeg ≥ 6, VLC and mpegts.js read. */
export function hevcPrefix(what: 'config' | 'frame', key: boolean, compositionMs: number): Buffer {
  const out = Buffer.alloc(what === 'config' ? 5 : 8);
  out[0] = 0x80 | ((key ? 1 : 2) << 4) | (what === 'config' ? 0 : 1);
  HVC1.copy(out, 1);
  if (what === 'frame') out.writeIntBE(clampSi24(compositionMs), 5, 3);
  return out;
}

/** Before an AudioSpecificConfig or a raw AAC frame. E.4.2.1: rate and channel bits are always 44 kHz stereo for AAC. */
export function aacPrefix(what: 'config' | 'frame'): Buffer {
  return Buffer.from([0xaf, what === 'config' ? 0 : 1]);
}

function clampSi24(value: number): number {
  return Math.max(-0x80_0000, Math.min(0x7f_ffff, Math.round(value)));
}
