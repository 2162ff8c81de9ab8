import { WireError } from '../../core/errors.ts';

/** RFC 3550 §6.4.1 */
export interface ReportBlock {
  readonly ssrc: number;
  /** 0…255 of 256 since the last report. */
  readonly fractionLost: number;
  /** Signed 24 bits. */
  readonly packetsLost: number;
  readonly highestSequence: number;
  /** In ticks of the media clock. */
  readonly jitter: number;
  /** Middle 32 bits of the NTP time of the last sender report. */
  readonly lastSr: number;
  /** In 1/65536 s. */
  readonly delaySinceLastSr: number;
}

export interface SenderInfo {
  readonly ssrc: number;
  readonly ntpSeconds: number;
  readonly ntpFraction: number;
  /** 32 bits, not unwrapped. */
  readonly rtpTimestamp: number;
  readonly packetCount: number;
  readonly octetCount: number;
}

export type RtcpPacket =
  | (SenderInfo & { readonly kind: 'sr'; readonly reports: readonly ReportBlock[] })
  | { readonly kind: 'rr'; readonly ssrc: number; readonly reports: readonly ReportBlock[] }
  | { readonly kind: 'sdes'; readonly chunks: readonly { readonly ssrc: number; readonly cname: string }[] }
  | { readonly kind: 'bye'; readonly ssrcs: readonly number[] }
  /** Generic NACK, RFC 4585 §6.2.1: sequence numbers that the receiver lacks. */
  | {
      readonly kind: 'nack';
      readonly senderSsrc: number;
      readonly mediaSsrc: number;
      readonly sequences: readonly number[];
    }
  /** Picture Loss Indication, RFC 4585 §6.3.1. */
  | { readonly kind: 'pli'; readonly senderSsrc: number; readonly mediaSsrc: number }
  /** Full Intra Request, RFC 5104 §4.3.1. */
  | { readonly kind: 'fir'; readonly senderSsrc: number; readonly mediaSsrcs: readonly number[] }
  | { readonly kind: 'other'; readonly type: number; readonly count: number };

const SR = 200;
const RR = 201;
const SDES = 202;
const BYE = 203;
const RTPFB = 205;
const PSFB = 206;
/** A datagram can't hold more that make sense. */
const MAX_PACKETS = 64;

/** Seconds from 1900 (NTP) to 1970 (Unix). */
const NTP_TO_UNIX_S = 2_208_988_800;

/** NTP time (RFC 3550 §4) as milliseconds of Unix time, with fractions. */
export function ntpToUnixMs(seconds: number, fraction: number): number {
  // The NTP era that began in 2036 has small numbers (RFC 2030 §3).
  const era = seconds < 0x80000000 ? 0x1_0000_0000 : 0;
  return (seconds + era - NTP_TO_UNIX_S) * 1000 + (fraction * 1000) / 0x1_0000_0000;
}

export function unixMsToNtp(unixMs: number): { readonly seconds: number; readonly fraction: number } {
  const seconds = Math.floor(unixMs / 1000);
  const fraction = Math.floor(((unixMs - seconds * 1000) / 1000) * 0x1_0000_0000);
  return { seconds: (seconds + NTP_TO_UNIX_S) >>> 0, fraction: fraction >>> 0 };
}

/** The 32 bits that a receiver sends back as `lastSr`. */
export function ntpMiddle(seconds: number, fraction: number): number {
  return (((seconds & 0xffff) << 16) | (fraction >>> 16)) >>> 0;
}

/**
 * The packets of a compound RTCP packet `data[start..end)`. Once one was read, a broken one behind it only ends the
 * list: cameras send reports with wrong lengths behind good ones.
 * @throws WireError `rtcp.short`, `rtcp.version` where the first is broken already
 */
export function parseRtcp(data: Buffer, start = 0, end = data.length): readonly RtcpPacket[] {
  const packets: RtcpPacket[] = [];
  let at = start;
  while (at < end && packets.length < MAX_PACKETS) {
    try {
      const size = packetSize(data, at, end);
      packets.push(parseOne(data, at, at + size));
      at += size;
    } catch (error) {
      if (packets.length > 0 && error instanceof WireError) return packets;
      throw error;
    }
  }
  return packets;
}

function packetSize(data: Buffer, at: number, end: number): number {
  if (end - at < 4) throw new WireError('rtcp.short', `RTCP packet has ${end - at} bytes, needs at least 4`, at);
  const version = data.readUInt8(at) >> 6;
  if (version !== 2) throw new WireError('rtcp.version', `RTCP version is ${version}, expected 2`, at);
  const size = (data.readUInt16BE(at + 2) + 1) * 4;
  if (at + size > end)
    throw new WireError('rtcp.short', `RTCP packet announces ${size} bytes, ${end - at} are there`, at);
  return size;
}

function parseOne(data: Buffer, at: number, end: number): RtcpPacket {
  const count = data.readUInt8(at) & 0x1f;
  const type = data.readUInt8(at + 1);
  switch (type) {
    case SR:
      need(at, end, 28, 'sender report');
      return {
        kind: 'sr',
        ssrc: data.readUInt32BE(at + 4),
        ntpSeconds: data.readUInt32BE(at + 8),
        ntpFraction: data.readUInt32BE(at + 12),
        rtpTimestamp: data.readUInt32BE(at + 16),
        packetCount: data.readUInt32BE(at + 20),
        octetCount: data.readUInt32BE(at + 24),
        reports: parseReports(data, at + 28, end, count),
      };
    case RR:
      need(at, end, 8, 'receiver report');
      return { kind: 'rr', ssrc: data.readUInt32BE(at + 4), reports: parseReports(data, at + 8, end, count) };
    case SDES:
      return { kind: 'sdes', chunks: parseSdes(data, at + 4, end, count) };
    case BYE: {
      const ssrcs: number[] = [];
      for (let i = 0; i < count && at + 8 + i * 4 <= end; i++) ssrcs.push(data.readUInt32BE(at + 4 + i * 4));
      return { kind: 'bye', ssrcs };
    }
    case RTPFB:
      return count === 1 ? parseNack(data, at, end) : { kind: 'other', type, count };
    case PSFB:
      return parsePayloadFeedback(data, at, end, count);
    default:
      return { kind: 'other', type, count };
  }
}

/** As many report blocks as are announced and there. */
function parseReports(data: Buffer, from: number, end: number, count: number): ReportBlock[] {
  const reports: ReportBlock[] = [];
  for (let at = from; reports.length < count && at + 24 <= end; at += 24) {
    reports.push({
      ssrc: data.readUInt32BE(at),
      fractionLost: data.readUInt8(at + 4),
      packetsLost: data.readIntBE(at + 5, 3),
      highestSequence: data.readUInt32BE(at + 8),
      jitter: data.readUInt32BE(at + 12),
      lastSr: data.readUInt32BE(at + 16),
      delaySinceLastSr: data.readUInt32BE(at + 20),
    });
  }
  return reports;
}

function parseSdes(data: Buffer, from: number, end: number, count: number): { ssrc: number; cname: string }[] {
  const chunks: { ssrc: number; cname: string }[] = [];
  let at = from;
  while (chunks.length < count && at + 4 <= end) {
    const ssrc = data.readUInt32BE(at);
    at += 4;
    let cname = '';
    while (at < end) {
      const item = data.readUInt8(at);
      if (item === 0 || at + 2 > end) break;
      const size = data.readUInt8(at + 1);
      if (item === 1) cname = data.toString('utf8', at + 2, Math.min(at + 2 + size, end));
      at += 2 + size;
    }
    // The list ends with at least one zero byte and is filled up to 32 bits (§6.5).
    at = from + Math.floor((at - from) / 4 + 1) * 4;
    chunks.push({ ssrc, cname });
  }
  return chunks;
}

function parseNack(data: Buffer, at: number, end: number): RtcpPacket {
  need(at, end, 12, 'NACK');
  const sequences: number[] = [];
  for (let i = at + 12; i + 4 <= end; i += 4) {
    const first = data.readUInt16BE(i);
    const bits = data.readUInt16BE(i + 2);
    sequences.push(first);
    for (let bit = 0; bit < 16; bit++) {
      if ((bits & (1 << bit)) !== 0) sequences.push((first + bit + 1) & 0xffff);
    }
  }
  return { kind: 'nack', senderSsrc: data.readUInt32BE(at + 4), mediaSsrc: data.readUInt32BE(at + 8), sequences };
}

function parsePayloadFeedback(data: Buffer, at: number, end: number, format: number): RtcpPacket {
  if (format !== 1 && format !== 4) return { kind: 'other', type: PSFB, count: format };
  need(at, end, 12, 'payload feedback');
  const senderSsrc = data.readUInt32BE(at + 4);
  if (format === 1) return { kind: 'pli', senderSsrc, mediaSsrc: data.readUInt32BE(at + 8) };
  const mediaSsrcs: number[] = [];
  for (let i = at + 12; i + 8 <= end; i += 8) mediaSsrcs.push(data.readUInt32BE(i));
  return { kind: 'fir', senderSsrc, mediaSsrcs };
}

function need(at: number, end: number, bytes: number, what: string): void {
  if (end - at < bytes) throw new WireError('rtcp.short', `RTCP ${what} has ${end - at} bytes, needs ${bytes}`, at);
}

function header(count: number, type: number, bytes: number): Buffer {
  const packet = Buffer.alloc(bytes);
  packet[0] = 0x80 | count;
  packet[1] = type;
  packet.writeUInt16BE(bytes / 4 - 1, 2);
  return packet;
}

/** A sender report; at most 31 blocks are written. */
export function writeSenderReport(info: SenderInfo, reports: readonly ReportBlock[] = []): Buffer {
  const blocks = reports.slice(0, 31);
  const packet = header(blocks.length, SR, 28 + blocks.length * 24);
  packet.writeUInt32BE(info.ssrc >>> 0, 4);
  packet.writeUInt32BE(info.ntpSeconds >>> 0, 8);
  packet.writeUInt32BE(info.ntpFraction >>> 0, 12);
  packet.writeUInt32BE(info.rtpTimestamp >>> 0, 16);
  packet.writeUInt32BE(info.packetCount >>> 0, 20);
  packet.writeUInt32BE(info.octetCount >>> 0, 24);
  writeReports(packet, 28, blocks);
  return packet;
}

/** A receiver report; at most 31 blocks are written. */
export function writeReceiverReport(ssrc: number, reports: readonly ReportBlock[]): Buffer {
  const blocks = reports.slice(0, 31);
  const packet = header(blocks.length, RR, 8 + blocks.length * 24);
  packet.writeUInt32BE(ssrc >>> 0, 4);
  writeReports(packet, 8, blocks);
  return packet;
}

function writeReports(packet: Buffer, from: number, blocks: readonly ReportBlock[]): void {
  for (const [index, block] of blocks.entries()) {
    const at = from + index * 24;
    packet.writeUInt32BE(block.ssrc >>> 0, at);
    packet[at + 4] = block.fractionLost;
    packet.writeIntBE(block.packetsLost, at + 5, 3);
    packet.writeUInt32BE(block.highestSequence >>> 0, at + 8);
    packet.writeUInt32BE(block.jitter >>> 0, at + 12);
    packet.writeUInt32BE(block.lastSr >>> 0, at + 16);
    packet.writeUInt32BE(block.delaySinceLastSr >>> 0, at + 20);
  }
}

/** Source description with a CNAME (§6.5.1), cut at 255 bytes. Every compound packet needs one (§6.1). */
export function writeSdes(ssrc: number, cname: string): Buffer {
  const name = Buffer.from(cname).subarray(0, 255);
  const packet = header(1, SDES, 4 + Math.ceil((4 + 2 + name.length + 1) / 4) * 4);
  packet.writeUInt32BE(ssrc >>> 0, 4);
  packet[8] = 1;
  packet[9] = name.length;
  name.copy(packet, 10);
  return packet;
}

/** RFC 3550 §6.6; at most 31 sources. */
export function writeBye(ssrcs: readonly number[]): Buffer {
  const all = ssrcs.slice(0, 31);
  const packet = header(all.length, BYE, 4 + all.length * 4);
  for (const [index, ssrc] of all.entries()) packet.writeUInt32BE(ssrc >>> 0, 4 + index * 4);
  return packet;
}

/** Generic NACK for sequence numbers in ascending order (across the wrap). */
export function writeNack(senderSsrc: number, mediaSsrc: number, sequences: readonly number[]): Buffer {
  const entries: { first: number; bits: number }[] = [];
  for (const sequence of sequences) {
    const last = entries.at(-1);
    const ahead = last === undefined ? 0 : (sequence - last.first) & 0xffff;
    if (last !== undefined && ahead >= 1 && ahead <= 16) last.bits |= 1 << (ahead - 1);
    else entries.push({ first: sequence & 0xffff, bits: 0 });
  }
  const packet = header(1, RTPFB, 12 + entries.length * 4);
  packet.writeUInt32BE(senderSsrc >>> 0, 4);
  packet.writeUInt32BE(mediaSsrc >>> 0, 8);
  for (const [index, { first, bits }] of entries.entries()) {
    packet.writeUInt16BE(first, 12 + index * 4);
    packet.writeUInt16BE(bits, 14 + index * 4);
  }
  return packet;
}

/** Picture loss indication (RFC 4585 §6.3.1): asks for a key frame. */
export function writePli(senderSsrc: number, mediaSsrc: number): Buffer {
  const packet = header(1, PSFB, 12);
  packet.writeUInt32BE(senderSsrc >>> 0, 4);
  packet.writeUInt32BE(mediaSsrc >>> 0, 8);
  return packet;
}

/** @param command counts requests, so that a repeated one is not taken for a new one (RFC 5104 §4.3.1.1) */
export function writeFir(senderSsrc: number, mediaSsrc: number, command: number): Buffer {
  const packet = header(4, PSFB, 20);
  packet.writeUInt32BE(senderSsrc >>> 0, 4);
  packet.writeUInt32BE(mediaSsrc >>> 0, 12);
  packet[16] = command & 0xff;
  return packet;
}
