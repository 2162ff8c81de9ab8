import { WireError } from '../../core/errors.ts';

/** Opus in MPEG-TS: every packet stands behind a control header (ETSI TS 103 491 clause B.3, `opus_control_header`). */

const PREFIX = 0x7fe0;
const PREFIX_MASK = 0xffe0;

/** @returns the Opus packets of one PES payload, as views. @throws WireError when a header is wrong. */
export function splitOpusPes(data: Buffer): Buffer[] {
  const packets: Buffer[] = [];
  let at = 0;
  while (at < data.length) {
    const begin = at;
    if (at + 3 > data.length || (data.readUInt16BE(at) & PREFIX_MASK) !== PREFIX) {
      throw new WireError('mpegts.opus', 'Opus packet without its control header', begin);
    }
    const flags = data[at + 1] ?? 0;
    at += 2;
    let bytes = 0;
    let part: number;
    do {
      part = data[at++] ?? 0;
      bytes += part;
    } while (part === 255 && at < data.length);
    if ((flags & 0x10) !== 0) at += 2; // start_trim
    if ((flags & 0x08) !== 0) at += 2; // end_trim
    if ((flags & 0x04) !== 0) at += 1 + (data[at] ?? 0); // control extension
    if (bytes === 0 || at + bytes > data.length) {
      throw new WireError('mpegts.opus', `Opus packet of ${bytes} bytes in a PES payload of ${data.length}`, begin);
    }
    packets.push(data.subarray(at, at + bytes));
    at += bytes;
  }
  return packets;
}

/** The control header for a packet of `bytes`. */
export function opusControlHeader(bytes: number): Buffer {
  const full = Math.floor(bytes / 255);
  const out = Buffer.alloc(2 + full + 1, 0xff);
  out.writeUInt16BE(PREFIX, 0);
  out[2 + full] = bytes % 255;
  return out;
}
