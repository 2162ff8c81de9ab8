import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import fc from 'fast-check';
import { makeBitstream } from '../../../testkit/bitstreams.ts';
import { packets, parseRtpMedia } from '../../../testkit/rtp-packets.ts';
import type { Codec } from '../../core/media.ts';
import { createDepacketizer } from './depacketizer.ts';
import { PacketPlan, planUnit } from './packetizer.ts';
import { MAX_UNIT_BYTES } from './slab.ts';

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 300);
const CODECS: readonly Codec[] = ['h264', 'h265', 'av1', 'vp8', 'vp9', 'jpeg', 'aac', 'opus', 'pcma', 'l16', 'mp3'];
const FMTPS: readonly Partial<Record<Codec, Record<string, string>>>[] = [
  {},
  { aac: { cpresent: '1' } },
  { aac: { cpresent: '0', config: '400024103fc0' } },
  { aac: { mode: 'generic', sizelength: '6', indexlength: '2', indexdeltalength: '2', auxiliarydatasizelength: '9' } },
  { aac: { mode: 'generic', constantsize: '40' } },
  { h265: { 'sprop-max-don-diff': '1' } },
];
const real = new Map<Codec, Buffer[]>();

before(async () => {
  for (const codec of CODECS) {
    if (codec !== 'mp3') real.set(codec, packets((await makeBitstream(codec, 1)).slice(0, 6), 300).slice(0, 60));
  }
});

for (const codec of CODECS) {
  test(`${codec}: no bytes make a depacketizer throw or hand out more than it was given`, () => {
    const seeds = real.get(codec) ?? [Buffer.from('00000000fffb9064', 'hex')];
    const mutated = fc
      .record({
        index: fc.nat(),
        at: fc.nat(),
        bytes: fc.uint8Array({ minLength: 1, maxLength: 12 }),
        cut: fc.nat({ max: 20 }),
      })
      .map(({ index, at, bytes, cut }) => {
        const seed = Buffer.from(seeds[index % seeds.length] ?? Buffer.alloc(12)).subarray(12);
        const out = Buffer.from(seed.subarray(0, Math.max(1, seed.length - (cut > 15 ? cut : 0))));
        Buffer.from(bytes).copy(out, at % Math.min(out.length, 40));
        return out;
      });
    const untouched = fc.nat().map((index) => (seeds[index % seeds.length] ?? Buffer.alloc(12)).subarray(12));
    const wild = fc.uint8Array({ maxLength: 80 }).map((bytes) => Buffer.from(bytes));
    const packet = fc.record({
      payload: fc.oneof(mutated, untouched, wild),
      marker: fc.boolean(),
      ticks: fc.nat({ max: 3 }),
      lost: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(packet, { maxLength: 40 }), fc.nat(), (list, choice) => {
        const fmtp = FMTPS[choice % FMTPS.length]?.[codec] ?? {};
        let given = 0;
        let taken = 0;
        const depacketizer = createDepacketizer(
          parseRtpMedia(codec, fmtp),
          (unit) => {
            taken += unit.data.length;
            // Whatever came out can be sent on.
            planUnit(unit, 1400, new PacketPlan());
          },
          (problem) => assert.ok(problem.code.length > 0 && problem.message.length < 500),
        );
        for (const { payload, marker, ticks, lost } of list) {
          given += payload.length + 800;
          depacketizer.push(Buffer.from(payload), marker, ticks * 3000, lost);
        }
        assert.ok(taken <= given && taken <= MAX_UNIT_BYTES * 2);
      }),
      { numRuns: RUNS },
    );
  });
}
