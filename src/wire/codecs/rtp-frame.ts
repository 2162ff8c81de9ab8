import type { PacketPlan } from './packet-plan.ts';

/** One outgoing RTP stream. `sequence` is that of the next packet and is moved on by the functions here. */
export interface RtpSender {
  readonly ssrc: number;
  readonly payloadType: number;
  sequence: number;
  /** Added to the unit's ticks to give the RTP time stamp. */
  readonly tickBase: number;
  /** For sender reports (RFC 3550 §6.4.1). */
  packets: number;
  octets: number;
}

const RTP_BYTES = 12;
/** `$`, channel, 16-bit length (RFC 2326 §10.12). */
const INTERLEAVED_BYTES = 4;

/** A sender that begins with this sequence number; tick 0 is sent as the RTP time `tickBase`. */
export function makeRtpSender(ssrc: number, payloadType: number, sequence: number, tickBase: number): RtpSender {
  return { ssrc: ssrc >>> 0, payloadType, sequence: sequence & 0xffff, tickBase, packets: 0, octets: 0 };
}

/** RTP time stamp of a time in ticks. */
export function rtpTimestamp(sender: RtpSender, ticks: number): number {
  return (((sender.tickBase + Math.round(ticks)) % 2 ** 32) + 2 ** 32) % 2 ** 32;
}

/** Bytes that `writeInterleaved` will write. */
export function interleavedSize(plan: PacketPlan): number {
  return plan.payloadBytes + plan.count * (INTERLEAVED_BYTES + RTP_BYTES);
}

/** Bytes that `writePackets` will write. */
export function packetsSize(plan: PacketPlan): number {
  return plan.payloadBytes + plan.count * RTP_BYTES;
}

/** Writes a whole unit as interleaved RTSP frames; returns the place behind it. */
export function writeInterleaved(
  plan: PacketPlan,
  data: Buffer,
  sender: RtpSender,
  channel: number,
  ticks: number,
  out: Buffer,
  at: number,
): number {
  let place = at;
  for (let packet = 0; packet < plan.count; packet++) {
    writeInterleavedHead(channel, RTP_BYTES + plan.size(packet), out, place);
    writeRtpHead(plan, packet, sender, ticks, out, place + INTERLEAVED_BYTES);
    place = plan.writePayload(packet, data, out, place + INTERLEAVED_BYTES + RTP_BYTES);
  }
  return place;
}

/**
 * Writes a whole unit as RTP packets back to back (for UDP and WebRTC); `ends` gets the place behind each packet.
 * Returns the place behind the last one.
 */
export function writePackets(
  plan: PacketPlan,
  data: Buffer,
  sender: RtpSender,
  ticks: number,
  out: Buffer,
  at: number,
  ends: number[],
): number {
  let place = at;
  for (let packet = 0; packet < plan.count; packet++) {
    writeRtpHead(plan, packet, sender, ticks, out, place);
    place = plan.writePayload(packet, data, out, place + RTP_BYTES);
    ends.push(place);
  }
  return place;
}

/**
 * The same bytes as `writeInterleaved`, as pieces for one gathered write: all headers in one small new buffer, the
 * payloads as views of `data`. So a picture is given to a new viewer without copying it.
 */
export function interleavedPieces(
  plan: PacketPlan,
  data: Buffer,
  sender: RtpSender,
  channel: number,
  ticks: number,
  pieces: Buffer[],
): void {
  let headBytes = plan.count * (INTERLEAVED_BYTES + RTP_BYTES);
  for (let packet = 0; packet < plan.count; packet++) headBytes += plan.prefixSize(packet);
  const heads = Buffer.allocUnsafe(headBytes);
  let from = 0;
  let place = 0;
  for (let packet = 0; packet < plan.count; packet++) {
    writeInterleavedHead(channel, RTP_BYTES + plan.size(packet), heads, place);
    writeRtpHead(plan, packet, sender, ticks, heads, place + INTERLEAVED_BYTES);
    place = plan.writePrefix(packet, heads, place + INTERLEAVED_BYTES + RTP_BYTES);
    const start = plan.rangeStart(packet);
    const end = plan.rangeEnd(packet);
    if (end === start) continue;
    pieces.push(heads.subarray(from, place), data.subarray(start, end));
    from = place;
  }
  if (place > from) pieces.push(heads.subarray(from, place));
}

function writeInterleavedHead(channel: number, size: number, out: Buffer, at: number): void {
  out[at] = 0x24;
  out[at + 1] = channel;
  out[at + 2] = size >> 8;
  out[at + 3] = size & 0xff;
}

function writeRtpHead(
  plan: PacketPlan,
  packet: number,
  sender: RtpSender,
  ticks: number,
  out: Buffer,
  at: number,
): void {
  const { sequence, ssrc } = sender;
  const timestamp = rtpTimestamp(sender, ticks + plan.tickOffset(packet));
  out[at] = 0x80;
  out[at + 1] = (plan.marker(packet) ? 0x80 : 0) | sender.payloadType;
  out[at + 2] = sequence >> 8;
  out[at + 3] = sequence & 0xff;
  out[at + 4] = timestamp >>> 24;
  out[at + 5] = (timestamp >>> 16) & 0xff;
  out[at + 6] = (timestamp >>> 8) & 0xff;
  out[at + 7] = timestamp & 0xff;
  out[at + 8] = ssrc >>> 24;
  out[at + 9] = (ssrc >>> 16) & 0xff;
  out[at + 10] = (ssrc >>> 8) & 0xff;
  out[at + 11] = ssrc & 0xff;
  sender.sequence = (sequence + 1) & 0xffff;
  sender.packets++;
  sender.octets += plan.size(packet);
}
