import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type CodedUnit, makeBitstream } from '../../../testkit/bitstreams.ts';
import { parseRtpMedia, sendThrough } from '../../../testkit/rtp-packets.ts';
import type { Codec } from '../../core/media.ts';
import { forEachObu } from '../av1/obu.ts';
import { createDepacketizer, type DepacketizedUnit } from './depacketizer.ts';
import { sameFormat } from './formats.ts';
import {
  interleavedPieces,
  interleavedSize,
  makeRtpSender,
  PacketPlan,
  packetsSize,
  planUnit,
  writeInterleaved,
  writePackets,
} from './packetizer.ts';

/** Pictures (or frames) in two seconds. */
const WANT: readonly [Codec, number][] = [
  ['h264', 50],
  ['h265', 50],
  ['av1', 50],
  ['vp8', 50],
  ['vp9', 50],
  ['jpeg', 50],
  ['aac', 95],
  ['opus', 101],
  ['pcma', 50],
  ['l16', 100],
];

/** What must come out as it went in. AV1 sizes are written anew, and delimiters left out. */
function essence(codec: Codec, data: Buffer): string {
  if (codec !== 'av1') return data.toString('hex');
  const parts: string[] = [];
  forEachObu(data, (type, start, from, end) => {
    if (type !== 2) parts.push(`${type} ${(data[start] ?? 0) & ~2} ${data.subarray(from, end).toString('hex')}`);
  });
  return parts.join('\n');
}

for (const [codec, count] of WANT) {
  test(`${codec}: a real stream comes out of RTP as it went in, whatever the packet size`, async () => {
    const units = await makeBitstream(codec);
    assert.ok(Math.abs(units.length - count) <= 2, `${units.length} units, expected ${count}`);
    const isVideo = units[0]?.format.kind === 'video';
    if (isVideo && codec !== 'jpeg') assert.equal(units.filter((unit) => unit.key).length, 2, 'key frames');
    for (const maxPayloadBytes of [200, 1400, 60_000]) {
      const out = sendThrough(units, maxPayloadBytes);
      if (codec === 'pcma' || codec === 'l16') {
        // Samples are cut into packets with times of their own.
        assert.equal(joined(out), joined(units));
        continue;
      }
      assert.equal(out.length, units.length);
      for (const [index, unit] of out.entries()) {
        const sent = units[index];
        assert.ok(sent !== undefined);
        assert.equal(unit.key, sent.key, `key of ${index}`);
        assert.equal(unit.ticks, index * 1000);
        if (codec !== 'jpeg') assert.ok(sameFormat({ ...unit.format, ...reorder(sent) }, sent.format));
        // JPEG headers are written anew; the picture's own bytes must be there.
        if (codec === 'jpeg') assert.ok(unit.data.includes(sent.data.subarray(-200)));
        else assert.equal(essence(codec, unit.data), essence(codec, sent.data), `unit ${index}`);
      }
    }
  });
}

/** These streams are in decoding order with rising times, so nothing is learnt about reordering. */
function reorder(sent: CodedUnit): object {
  return sent.format.kind === 'video' ? { reorderDepth: sent.format.reorderDepth } : {};
}
function joined(units: readonly { data: Buffer }[]): string {
  return Buffer.concat(units.map((unit) => unit.data)).toString('hex');
}

test('the three ways of writing a unit give the same packets', async () => {
  const [unit] = await makeBitstream('h264', 1);
  assert.ok(unit !== undefined);
  const plan = new PacketPlan();
  planUnit(unit, 1400, plan);
  const interleaved = Buffer.alloc(interleavedSize(plan));
  const sender = makeRtpSender(0x12345678, 96, 65_530, 0xffff_fff0);
  assert.equal(writeInterleaved(plan, unit.data, sender, 4, 100, interleaved, 0), interleaved.length);
  assert.equal(sender.packets, plan.count);
  assert.equal(sender.octets, plan.payloadBytes);
  const pieces: Buffer[] = [];
  interleavedPieces(plan, unit.data, makeRtpSender(0x12345678, 96, 65_530, 0xffff_fff0), 4, 100, pieces);
  assert.ok(Buffer.concat(pieces).equals(interleaved));
  const plain = Buffer.alloc(packetsSize(plan));
  const ends: number[] = [];
  writePackets(plan, unit.data, makeRtpSender(0x12345678, 96, 65_530, 0xffff_fff0), 100, plain, 0, ends);
  let from = 0;
  let at = 0;
  for (const end of ends) {
    assert.equal(interleaved.readUInt16BE(at + 2), end - from);
    assert.ok(interleaved.subarray(at + 4, at + 4 + end - from).equals(plain.subarray(from, end)));
    assert.equal(plain.readUInt32BE(from + 4), 84, 'the time stamp wraps');
    at += 4 + end - from;
    from = end;
  }
  assert.equal(at, interleaved.length);
});

test('a picture joined to a viewer as pieces is not copied', async () => {
  const [unit] = await makeBitstream('h264', 1);
  assert.ok(unit !== undefined);
  const plan = new PacketPlan();
  planUnit(unit, 16_000, plan);
  const pieces: Buffer[] = [];
  interleavedPieces(plan, unit.data, makeRtpSender(1, 96, 0, 0), 0, 0, pieces);
  const own = pieces.filter((piece) => piece.buffer !== unit.data.buffer);
  assert.ok(own.reduce((sum, piece) => sum + piece.length, 0) < 1000);
});

for (const codec of ['h264', 'h265', 'vp8', 'vp9', 'av1', 'jpeg', 'aac'] satisfies Codec[]) {
  test(`${codec}: with one packet in twenty lost, whole pictures come and damaged ones do not`, async () => {
    const units = await makeBitstream(codec);
    const known = new Set(units.map((unit) => essence(codec, unit.data)));
    let seed = 7;
    let sent = 0;
    const lose = (): boolean => {
      // The first key frame gets through: without it nothing is known of some codecs.
      if (sent++ < 150) return false;
      seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
      return seed / 2 ** 31 < 0.05;
    };
    const out = sendThrough(units, 300, lose);
    assert.ok(out.length > 5 && out.length < units.length, `${out.length} of ${units.length}`);
    if (codec === 'jpeg') return;
    const damaged = out.filter((unit) => !known.has(essence(codec, unit.data))).length;
    // AV1 can't show that whole OBUs are missing at the beginning of a unit; all else is noticed.
    if (codec === 'av1') assert.ok(damaged <= 3, `${damaged} damaged`);
    else assert.equal(damaged, 0);
  });
}

test('a depacketizer copies: the packet may be overwritten after the push', async () => {
  const units = await makeBitstream('vp8', 1);
  const got: DepacketizedUnit[] = [];
  const depacketizer = createDepacketizer(
    parseRtpMedia('vp8'),
    (unit) => got.push(unit),
    (problem) => assert.fail(problem.message),
  );
  const packet = Buffer.concat([Buffer.from([0x10]), units[0]?.data ?? Buffer.alloc(0)]);
  depacketizer.push(packet, true, 0, false);
  packet.fill(0);
  assert.ok(got[0]?.data.equals(units[0]?.data ?? Buffer.alloc(0)));
});
