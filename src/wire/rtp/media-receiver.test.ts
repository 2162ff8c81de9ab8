import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DepacketizedUnit } from '../codecs/depacketizer.ts';
import { makeRtpView, readRtp, writeRtpHeader } from './header.ts';
import { MediaReceiver } from './media-receiver.ts';
import type { SenderInfo } from './rtcp.ts';

function receiver(ssrc?: number): {
  receive: MediaReceiver;
  units: DepacketizedUnit[];
  syncs: [number, number][];
  send: (sequence: number, timestamp: number, ssrc?: number, nowMs?: number) => void;
} {
  const units: DepacketizedUnit[] = [];
  const syncs: [number, number][] = [];
  const receive = new MediaReceiver({
    media: { codec: 'pcma', clockRateHz: 8000, channels: 1, fmtp: new Map(), payloadType: 8 },
    onUnit: (unit) => units.push(unit),
    onProblem: (problem) => assert.fail(problem.message),
    onSync: (ticks, ntpUnixMs) => syncs.push([ticks, Math.round(ntpUnixMs)]),
    ...(ssrc === undefined ? {} : { ssrc }),
  });
  const view = makeRtpView();
  const send = (sequence: number, timestamp: number, from = 1, nowMs = 0): void => {
    const packet = Buffer.alloc(14, 0xd5);
    writeRtpHeader(packet, 0, 8, false, sequence, timestamp, from);
    readRtp(packet, 0, packet.length, view);
    receive.packet(packet, view, nowMs);
  };
  return { receive, units, syncs, send };
}

const report: SenderInfo = {
  ssrc: 1,
  ntpSeconds: 2_208_988_801,
  ntpFraction: 0,
  rtpTimestamp: 0xffff_ff00,
  packetCount: 0,
  octetCount: 0,
};

test('units carry ticks that go on over the wrap, and a report from before the wrap fits them', () => {
  const { receive, units, syncs, send } = receiver();
  receive.senderReport(report, 0);
  assert.deepEqual(syncs, [], 'nothing to compare it with yet');
  send(65_535, 0xffff_ffa0);
  send(0, 0x40);
  assert.deepEqual(
    units.map((unit) => unit.ticks),
    [0xffff_ffa0, 0x1_0000_0040],
  );
  assert.deepEqual(syncs, [[0xffff_ff00, 1000]]);
  receive.senderReport({ ...report, rtpTimestamp: 0x80 }, 10);
  assert.deepEqual(syncs[1], [0x1_0000_0080, 1000]);
  assert.equal(receive.takeLoss(), 0);
});

test('a report without a time (RFC 3550 §6.4.1: zero) says nothing of when', () => {
  const { receive, syncs, send } = receiver();
  send(1, 1);
  receive.senderReport({ ...report, ntpSeconds: 0, ntpFraction: 0 }, 0);
  assert.deepEqual(syncs, []);
});

test('loss is told once, and a packet sent twice is taken once', () => {
  const { receive, units, send } = receiver();
  for (const sequence of [1, 2, 2, 5]) send(sequence, sequence * 160);
  assert.equal(units.length, 3);
  assert.equal(receive.takeLoss(), 2);
  assert.equal(receive.takeLoss(), 0);
});

test('packets of another SSRC are left out while the announced one is heard, and taken when it is not', () => {
  const { receive, units, send } = receiver(1);
  send(1, 0, 9, 0);
  assert.equal(units.length, 1, 'the announcement was wrong so far');
  send(2, 160, 1, 10);
  send(3, 160, 9, 20);
  assert.equal(units.length, 2);
  assert.equal(receive.foreign, 1);
  send(4, 320, 9, 1500);
  assert.equal(units.length, 3);
});
