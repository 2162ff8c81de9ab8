import type { Codec } from '../src/core/media.ts';
import { createDepacketizer, type DepacketizedUnit, type RtpMedia } from '../src/wire/codecs/depacketizer.ts';
import { makeRtpSender, PacketPlan, packetsSize, planUnit, writePackets } from '../src/wire/codecs/packetizer.ts';
import type { CodedUnit } from './bitstreams.ts';

/** A medium as the SDP would have it. */
export function parseRtpMedia(codec: Codec, fmtp: Record<string, string> = {}): RtpMedia {
  const clocks: Partial<Record<Codec, number>> = { aac: 48_000, opus: 48_000, pcma: 8000, pcmu: 8000, l16: 16_000 };
  return {
    codec,
    clockRateHz: clocks[codec] ?? 90_000,
    channels: codec === 'l16' || codec === 'aac' || codec === 'opus' ? 2 : 1,
    fmtp: new Map(Object.entries(fmtp)),
    payloadType: 96,
  };
}

/** The RTP payloads of units, `index * 1000` ticks apart. */
export function packets(units: readonly CodedUnit[], maxPayloadBytes: number): Buffer[] {
  const plan = new PacketPlan();
  const sender = makeRtpSender(1, 96, 0, 0);
  const out: Buffer[] = [];
  for (const [index, unit] of units.entries()) {
    planUnit(unit, maxPayloadBytes, plan);
    const bytes = Buffer.alloc(packetsSize(plan));
    const ends: number[] = [];
    writePackets(plan, unit.data, sender, index * 1000, bytes, 0, ends);
    let from = 0;
    for (const end of ends) {
      out.push(bytes.subarray(from, end));
      from = end;
    }
  }
  return out;
}

/** Cuts units into RTP, loses packets where `lose` says so, and puts together what comes out. */
export function sendThrough(
  units: readonly CodedUnit[],
  maxPayloadBytes: number,
  lose: () => boolean = () => false,
): DepacketizedUnit[] {
  const out: DepacketizedUnit[] = [];
  const codec = units[0]?.format.codec ?? 'h264';
  const depacketizer = createDepacketizer(
    parseRtpMedia(codec),
    (unit) => out.push(unit),
    () => {},
  );
  let lost = false;
  for (const packet of packets(units, maxPayloadBytes)) {
    if (lose()) {
      lost = true;
      continue;
    }
    const marker = ((packet[1] ?? 0) & 0x80) !== 0;
    const payload = Buffer.from(packet.subarray(12));
    depacketizer.push(payload, marker, packet.readUInt32BE(4), lost);
    payload.fill(0xee);
    lost = false;
  }
  return out;
}
