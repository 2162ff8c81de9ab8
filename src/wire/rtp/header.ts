import { WireError } from '../../core/errors.ts';

/** Fixed part of an RTP header. */
export const RTP_HEADER_BYTES = 12;

/** A parsed RTP header (RFC 3550 §5.1). Positions are offsets into the buffer that was read. Reused from packet to packet. */
export interface RtpView {
  payloadType: number;
  marker: boolean;
  sequence: number;
  timestamp: number;
  ssrc: number;
  /** The payload without padding is `data[payloadStart..payloadEnd)`. */
  payloadStart: number;
  payloadEnd: number;
  /** Header extension (§5.3.1): its 16-bit profile and data; -1 and an empty range without one. */
  extensionProfile: number;
  extensionStart: number;
  extensionEnd: number;
}

/** An empty view for `readRtp` to fill. */
export function makeRtpView(): RtpView {
  return {
    payloadType: 0,
    marker: false,
    sequence: 0,
    timestamp: 0,
    ssrc: 0,
    payloadStart: 0,
    payloadEnd: 0,
    extensionProfile: -1,
    extensionStart: 0,
    extensionEnd: 0,
  };
}

/**
 * Reads the header of the RTP packet `data[start..end)` into `view`, past CSRCs and extension.
 * @throws WireError `rtp.short`, `rtp.version`
 */
export function readRtp(data: Buffer, start: number, end: number, view: RtpView): void {
  const size = end - start;
  if (size < RTP_HEADER_BYTES) {
    throw new WireError('rtp.short', `RTP packet has ${size} bytes, needs at least ${RTP_HEADER_BYTES}`, 0);
  }
  const first = data.readUInt8(start);
  if (first >> 6 !== 2) throw new WireError('rtp.version', `RTP version is ${first >> 6}, expected 2`, 0);
  const second = data.readUInt8(start + 1);
  view.marker = second >= 0x80;
  view.payloadType = second & 0x7f;
  view.sequence = data.readUInt16BE(start + 2);
  view.timestamp = data.readUInt32BE(start + 4);
  view.ssrc = data.readUInt32BE(start + 8);
  let at = start + RTP_HEADER_BYTES + (first & 0x0f) * 4;
  view.extensionProfile = -1;
  view.extensionStart = at;
  view.extensionEnd = at;
  if ((first & 0x10) !== 0) {
    if (at + 4 > end) throw new WireError('rtp.short', 'RTP packet ends within its header extension', size);
    view.extensionProfile = data.readUInt16BE(at);
    view.extensionStart = at + 4;
    at += 4 + data.readUInt16BE(at + 2) * 4;
    view.extensionEnd = at;
  }
  if (at > end) throw new WireError('rtp.short', 'RTP packet ends within its CSRCs or header extension', size);
  let payloadEnd = end;
  if ((first & 0x20) !== 0 && at < end) {
    // Cameras set the bit without padding; a count that can't be is not one (as in FFmpeg).
    const padding = data.readUInt8(end - 1);
    if (padding > 0 && padding <= end - at) payloadEnd = end - padding;
  }
  view.payloadStart = at;
  view.payloadEnd = payloadEnd;
}

/** Writes the fixed header (12 bytes, no CSRC, no extension) at `offset`. */
export function writeRtpHeader(
  target: Buffer,
  offset: number,
  payloadType: number,
  marker: boolean,
  sequence: number,
  timestamp: number,
  ssrc: number,
): void {
  target[offset] = 0x80;
  target[offset + 1] = (marker ? 0x80 : 0) | (payloadType & 0x7f);
  target.writeUInt16BE(sequence & 0xffff, offset + 2);
  target.writeUInt32BE(timestamp >>> 0, offset + 4);
  target.writeUInt32BE(ssrc >>> 0, offset + 8);
}

/** Whether a packet is RTCP, where both share a port or a channel was mixed up (RFC 5761 §4). */
export function looksLikeRtcp(data: Buffer, start: number, end: number): boolean {
  if (end - start < 8) return false;
  const type = data[start + 1] ?? 0;
  return (data[start] ?? 0) >> 6 === 2 && type >= 192 && type <= 223;
}
