import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { WireError } from '../../core/errors.ts';
import { makeRtpView, readRtp } from './header.ts';
import { ReceiverStats } from './receiver.ts';
import { ReorderBuffer } from './reorder.ts';
import { parseRtcp, writeNack, writeSdes, writeSenderReport } from './rtcp.ts';

const numRuns = Number(process.env['FUZZ_RUNS'] ?? 300);

const info = { ssrc: 1, ntpSeconds: 2, ntpFraction: 3, rtpTimestamp: 4, packetCount: 5, octetCount: 6 };
const seeds = [
  Buffer.concat([writeSenderReport(info), writeSdes(1, 'camera')]),
  writeNack(1, 2, [3, 4, 500]),
  Buffer.from('b1e0000100000002000000031111111100beef0001020304aabb0002', 'hex'),
];
const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 80 }).map((one) => Buffer.from(one)),
  fc
    .tuple(fc.constantFrom(...seeds), fc.array(fc.tuple(fc.nat(80), fc.nat(255)), { maxLength: 5 }), fc.nat(80))
    .map(([seed, edits, cut]) => {
      const copy = Buffer.from(seed);
      for (const [at, value] of edits) copy[at % copy.length] = value;
      return copy.subarray(0, Math.max(0, copy.length - (cut % 12)));
    }),
);

test('any bytes give RTP and RTCP packets within their bounds, or a WireError', () => {
  const view = makeRtpView();
  fc.assert(
    fc.property(bytes, (data) => {
      quietly(() => {
        readRtp(data, 0, data.length, view);
        assert.ok(12 <= view.payloadStart && view.payloadStart <= view.payloadEnd && view.payloadEnd <= data.length);
        assert.ok(view.extensionStart <= view.extensionEnd && view.extensionEnd <= view.payloadStart);
      });
      quietly(() => assert.ok(parseRtcp(data).length <= 64));
    }),
    { numRuns },
  );
});

function quietly(work: () => void): void {
  try {
    work();
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
  }
}

test('packets in any order come out in order, each at most once, and none is forgotten', () => {
  const near = fc.array(fc.tuple(fc.nat(60), fc.nat(40)), { maxLength: 150 });
  fc.assert(
    fc.property(near, fc.nat(65_535), (given, start) => {
      const out: number[] = [];
      let lostReported = 0;
      const buffer = new ReorderBuffer<number>(
        (packet, sequence, lost) => {
          assert.equal(packet, sequence);
          lostReported += lost;
          out.push((sequence - start) & 0xffff);
        },
        { maxPackets: 16 },
      );
      let nowMs = 0;
      for (const [offset, waitMs] of given) {
        nowMs += waitMs;
        const sequence = (start + offset) & 0xffff;
        buffer.push(sequence, sequence, nowMs);
        if ((buffer.deadlineMs ?? nowMs) < nowMs) assert.fail('something waits for longer than it may');
      }
      buffer.flush();
      for (let i = 1; i < out.length; i++) {
        const step = ((out[i] ?? 0) - (out[i - 1] ?? 0)) & 0xffff;
        assert.ok(step > 0 && step < 0x8000, `${out}`);
      }
      assert.equal(out.length + buffer.late, given.length);
      assert.ok(lostReported <= buffer.lost);
    }),
    { numRuns },
  );
});

test('receiver reports stay within their fields whatever comes', () => {
  const packet = fc.tuple(fc.nat(65_535), fc.nat(0xffff_ffff), fc.constantFrom(1, 2), fc.nat(1_000_000));
  fc.assert(
    fc.property(fc.array(packet, { maxLength: 50 }), (packets) => {
      const stats = new ReceiverStats(90_000);
      let nowMs = 0;
      for (const [sequence, timestamp, ssrc, stepMs] of packets) {
        nowMs += stepMs;
        stats.add(sequence, timestamp, ssrc, nowMs);
        const report = stats.report(nowMs);
        if (report === null) continue;
        assert.ok(report.fractionLost >= 0 && report.fractionLost <= 255);
        assert.ok(report.packetsLost >= -0x800000 && report.packetsLost <= 0x7fffff);
        assert.ok(report.jitter >= 0 && report.jitter <= 0xffff_ffff);
      }
    }),
    { numRuns },
  );
});
