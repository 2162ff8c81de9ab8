import { isVideo, type TrackFormat } from '../src/core/media.ts';
import { createDepacketizer } from '../src/wire/codecs/depacketizer.ts';
import { forEachAnnexBNal } from '../src/wire/codecs/nal.ts';
import { NalAssembler } from '../src/wire/codecs/nal-assembler.ts';
import { TS_PACKET_BYTES } from '../src/wire/mpegts/packet.ts';
import { TsReader } from '../src/wire/mpegts/reader.ts';
import { TsWriter } from '../src/wire/mpegts/writer.ts';
import type { CodedUnit } from './bitstreams.ts';
import { packets, parseRtpMedia } from './rtp-packets.ts';

/** Numbers that look random and are the same in each run. */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** 0…1 (mulberry32). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let value = this.#state;
    value = Math.imul(value ^ (value >>> 15), value | 1);
    value ^= value + Math.imul(value ^ (value >>> 7), value | 61);
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32;
  }
  below(end: number): number {
    return Math.floor(this.next() * end);
  }
  pick<T>(list: readonly T[]): T {
    const one = list[this.below(list.length)];
    if (one === undefined) throw new Error('nothing to pick from');
    return one;
  }
}

type Harm = (data: Buffer, dice: Dice) => Buffer;

const flipBits: Harm = (data, dice) => {
  const copy = Buffer.from(data);
  if (copy.length === 0) return copy;
  for (let count = 1 + dice.below(24); count > 0; count--) {
    const at = dice.below(copy.length);
    copy[at] = (copy[at] ?? 0) ^ (1 << dice.below(8));
  }
  return copy;
};
/** Headers stand in the first bytes: damage there does most. */
const flipHeader: Harm = (data, dice) =>
  Buffer.concat([flipBits(data.subarray(0, 24), dice), data.subarray(Math.min(24, data.length))]);
const cutEnd: Harm = (data, dice) => data.subarray(0, dice.below(data.length + 1));
const cutStart: Harm = (data, dice) => data.subarray(dice.below(data.length + 1));
const noise: Harm = (data, dice) => {
  const copy = Buffer.from(data);
  for (let at = dice.below(copy.length + 1); at < copy.length; at++) copy[at] = dice.below(256);
  return copy;
};
const zeros: Harm = (data, dice) => {
  const copy = Buffer.from(data);
  const from = dice.below(copy.length + 1);
  return copy.fill(0, from, Math.min(copy.length, from + dice.below(200)));
};
const swell: Harm = (data, dice) => Buffer.concat([data, data, Buffer.alloc(dice.below(2000), dice.below(256))]);

const HARMS: readonly Harm[] = [flipBits, flipBits, flipHeader, cutEnd, cutStart, noise, zeros, swell];

/** Packets (units, RTP payloads) that are lost, come twice, or out of order, or are damaged. */
function disturb<T>(all: readonly T[], dice: Dice, harm: (one: T) => T): T[] {
  const out = all.flatMap((one) => {
    switch (dice.below(8)) {
      case 0:
        return [];
      case 1:
        return [one, one];
      case 2:
      case 3:
      case 4:
        return [harm(one)];
      default:
        return [one];
    }
  });
  for (let count = dice.below(3); count > 0 && out.length > 1; count--) {
    const from = dice.below(out.length);
    out.splice(dice.below(out.length), 0, ...out.splice(from, 1));
  }
  return out;
}

function breakFormat(format: TrackFormat, dice: Dice): TrackFormat {
  const config = dice.pick(HARMS)(format.config, dice);
  if (!isVideo(format)) return { ...format, config };
  return { ...format, config, width: dice.below(4) === 0 ? dice.below(65_536) : format.width };
}

/** Damage where a camera's packets get it: before they are put together. FLAC has no RTP form. */
function breakPackets(units: readonly CodedUnit[], dice: Dice): CodedUnit[] {
  const out: CodedUnit[] = [];
  const codec = units[0]?.format.codec ?? 'h264';
  const sink = createDepacketizer(
    parseRtpMedia(codec),
    (unit) => out.push({ format: unit.format, key: unit.key, data: unit.data }),
    () => {},
  );
  const sent = disturb(packets(units, 300), dice, (packet) =>
    Buffer.concat([packet.subarray(0, 12), dice.pick(HARMS)(packet.subarray(12), dice)]),
  );
  for (const packet of sent) {
    const marker = ((packet[1] ?? 0) & 0x80) !== 0;
    sink.push(Buffer.from(packet.subarray(12)), marker, packet.readUInt32BE(4), dice.below(8) === 0);
  }
  return out;
}

/** The same for what comes as an MPEG transport stream. */
function breakTransport(units: readonly CodedUnit[], dice: Dice): CodedUnit[] {
  const [first] = units;
  if (first === undefined || (first.format.codec !== 'h264' && first.format.codec !== 'h265')) return [];
  const writer = new TsWriter([{ id: 0, codec: first.format.codec, channels: 0 }]);
  const times = { wallMs: 0, arrivedMs: 0 };
  const written = units.map((unit, index) =>
    writer.write([{ ...unit, trackId: 0, pts: index * 3600, dts: index * 3600, ...times }]),
  );
  const bytes = Buffer.concat(written.flatMap((burst) => burst ?? []));
  const packets: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += TS_PACKET_BYTES) packets.push(bytes.subarray(at, at + TS_PACKET_BYTES));
  // One in four, for there are many.
  const sent = disturb(packets, dice, (packet) => (dice.below(4) === 0 ? flipBits(packet, dice) : packet));
  const out: CodedUnit[] = [];
  const assembler = new NalAssembler(first.format.codec, () => {});
  const reader = new TsReader({
    programme: () => {},
    unit: ({ data }) => {
      forEachAnnexBNal(Buffer.from(data), (nal, start, end) => assembler.add(nal, start, end));
      const made = assembler.take();
      if (made !== null) out.push(made);
    },
  });
  reader.push(Buffer.concat(sent));
  reader.end();
  return out;
}

/** One broken stretch of a stream. The same dice give the same. */
export function breakUnits(units: readonly CodedUnit[], dice: Dice): CodedUnit[] {
  const [first] = units;
  if (first !== undefined && first.format.codec !== 'flac' && dice.below(3) === 0) return breakPackets(units, dice);
  if (dice.below(6) === 0) {
    const broken = breakTransport(units, dice);
    if (broken.length > 0) return broken;
  }
  const format = first !== undefined && dice.below(6) === 0 ? breakFormat(first.format, dice) : undefined;
  const given = format === undefined ? units : units.map((unit) => ({ ...unit, format }));
  return disturb(given, dice, (unit) => ({ ...unit, data: dice.pick(HARMS)(unit.data, dice) }));
}
