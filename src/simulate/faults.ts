import { contentLength, type RtspMessage, serializeResponse } from '../wire/rtsp/message.ts';

/** What goes wrong between the simulated camera and who watches it. RTSP over TCP; over UDP only drops are seen. */
export interface FaultOptions {
  /** This share of the RTP packets is left out, 0…100. */
  readonly lossPercent?: number;
  /** Every so often nothing is sent for so long; what was due meanwhile is lost, connections stay. */
  readonly stallEveryS?: number;
  readonly stallForS?: number;
  /** Every so often all connections are closed, and new ones are refused for so long. */
  readonly dropEveryS?: number;
  readonly dropForS?: number;
  /** Every so often the RTP time stamps of all tracks jump by so many seconds (either way). */
  readonly jumpEveryS?: number;
  readonly jumpByS?: number;
  /** Where parameter sets of H.264 and H.265 are sent: in the SDP, before key frames, or both (default). */
  readonly paramSets?: 'sdp' | 'inband' | 'both';
}

/** Decides what is lost, the same way each time. */
export function lossDice(lossPercent: number, seed = 1): () => boolean {
  let state = seed;
  return () => {
    // Numerical Recipes' generator; its upper bits are good enough for this.
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state / 0x1_0000_0000) * 100 < lossPercent;
  };
}

/** What the SDP says about a payload type. */
interface PayloadType {
  readonly name: string;
  readonly clockRateHz: number;
}

/** Changes the packets of one connection. */
export class PacketTamper {
  readonly #keepSets: boolean;
  #types = new Map<number, PayloadType>();
  /** Clock of each RTP channel as seen in its packets, for the sender reports on the channel beside it. */
  readonly #clockHz = new Map<number, number>();
  /** How many packets were taken out of a channel: sequence numbers close up. */
  readonly #removed = new Map<number, number>();

  constructor(paramSets: FaultOptions['paramSets']) {
    this.#keepSets = paramSets !== 'sdp';
  }

  learnSdp(sdp: string): void {
    this.#types = new Map(
      [...sdp.matchAll(/^a=rtpmap:(\d+) ([^/\s]+)\/(\d+)/gm)].map(([, type, name = '', rate]) => [
        Number(type),
        { name: name.toUpperCase(), clockRateHz: Number(rate) },
      ]),
    );
  }

  /** Changes an RTP or RTCP packet in place. Returns false when it is to be left out. */
  change(channel: number, packet: Buffer, jumpS: number): boolean {
    if (packet.length < 12) return true;
    if (channel % 2 === 1) {
      this.#shiftReport(channel, packet, jumpS);
      return true;
    }
    const type = this.#types.get((packet[1] ?? 0) & 0x7f);
    if (type === undefined) return true;
    this.#clockHz.set(channel, type.clockRateHz);
    if (!this.#keepSets && isParameterSet(type.name, packet)) {
      this.#removed.set(channel, (this.#removed.get(channel) ?? 0) + 1);
      return false;
    }
    const removed = this.#removed.get(channel) ?? 0;
    if (removed > 0) packet.writeUInt16BE((packet.readUInt16BE(2) - removed) & 0xffff, 2);
    shift(packet, 4, jumpS * type.clockRateHz);
    return true;
  }

  /** RFC 3550 §6.4.1: the RTP time stamp of a sender report. */
  #shiftReport(channel: number, packet: Buffer, jumpS: number): void {
    const clockHz = this.#clockHz.get(channel - 1);
    if (packet[1] === 200 && packet.length >= 20 && clockHz !== undefined) shift(packet, 16, jumpS * clockHz);
  }
}

function shift(packet: Buffer, at: number, ticks: number): void {
  if (ticks !== 0) packet.writeUInt32BE((packet.readUInt32BE(at) + Math.round(ticks)) >>> 0, at);
}

/** A packet that holds nothing but parameter sets, alone or as an aggregate (RFC 6184 §5.7.1, RFC 7798 §4.4.2). */
function isParameterSet(codec: string, packet: Buffer): boolean {
  const start = 12 + ((packet[0] ?? 0) & 15) * 4;
  const first = packet[start] ?? 0;
  if (codec === 'H264') {
    const isSet = (byte: number): boolean => (byte & 31) === 7 || (byte & 31) === 8;
    return isSet(first) || ((first & 31) === 24 && aggregated(packet, start + 1).every(isSet));
  }
  if (codec === 'H265') {
    const isSet = (byte: number): boolean => ((byte >> 1) & 63) >= 32 && ((byte >> 1) & 63) <= 34;
    return isSet(first) || (((first >> 1) & 63) === 48 && aggregated(packet, start + 2).every(isSet));
  }
  return false;
}

/** First bytes of the units of an aggregation packet. */
function aggregated(packet: Buffer, from: number): number[] {
  const firsts: number[] = [];
  for (let at = from; at + 2 < packet.length; at += 2 + packet.readUInt16BE(at)) firsts.push(packet[at + 2] ?? 0);
  return firsts;
}

/** A message as it goes on to the viewer: without parameter sets in the SDP where they are to come in band only. */
export function changeMessage(message: RtspMessage, paramSets: FaultOptions['paramSets']): Buffer {
  if (message.kind === 'request') throw new Error(`the RTSP server sent a request: ${message.method}`);
  const headers: Record<string, string[]> = {};
  for (const [name, value] of message.headers.entries) {
    if (name.toLowerCase() === 'content-length') continue;
    const values = headers[name];
    if (values === undefined) headers[name] = [value];
    else values.push(value);
  }
  const withoutSets = paramSets === 'inband' && contentLength(message.headers) > 0;
  const body = withoutSets ? Buffer.from(stripSets(message.body.toString('utf8'))) : message.body;
  return serializeResponse(message, headers, body);
}

/** RFC 6184 §8.1 `sprop-parameter-sets`, RFC 7798 §7.1 `sprop-vps`, `-sps`, `-pps`. */
function stripSets(sdp: string): string {
  return sdp.replace(/;?\s*sprop-(parameter-sets|vps|sps|pps)=[^;\r\n]*/g, '').replace(/^(a=fmtp:\d+) ;\s*/gm, '$1 ');
}
