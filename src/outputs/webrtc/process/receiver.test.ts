import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRtcp } from '../../../wire/rtp/index.ts';
import { Receiver } from './receiver.ts';

function setUp(video = true, ssrc = 7) {
  const delivered: number[] = [];
  const asked: number[][] = [];
  let keyframes = 0;
  let reports = 0;
  const receiver = new Receiver({
    ssrc,
    ownSsrc: 1,
    video,
    clockRateHz: 90_000,
    send: (rtcp) => {
      for (const packet of parseRtcp(rtcp)) {
        if (packet.kind === 'nack') asked.push([...packet.sequences]);
        if (packet.kind === 'pli') keyframes++;
        if (packet.kind === 'rr') reports++;
      }
    },
    deliver: (packet) => delivered.push(packet.readUInt16BE(2)),
  });
  const push = (sequence: number, nowMs: number): void => {
    const packet = Buffer.alloc(20);
    packet[0] = 0x80;
    packet.writeUInt16BE(sequence, 2);
    packet.writeUInt32BE(7, 8);
    receiver.push(packet, nowMs);
  };
  return { receiver, push, delivered, asked, keyframes: () => keyframes, reports: () => reports };
}

test('packets out of order are handed on in order, across the wrap of the numbers', () => {
  const { push, delivered } = setUp();
  for (const sequence of [65_534, 0, 65_535, 1, 3, 2]) push(sequence, 0);
  assert.deepEqual(delivered, [65_534, 65_535, 0, 1, 2, 3]);
});

test('a lost packet is asked for, again after a while, and handed on when it comes', () => {
  const { receiver, push, delivered, asked } = setUp();
  push(10, 0);
  push(13, 5);
  receiver.poll(10);
  receiver.poll(40);
  assert.deepEqual(asked, [
    [11, 12],
    [11, 12],
  ]);
  push(11, 50);
  push(12, 51);
  assert.deepEqual(delivered, [10, 11, 12, 13]);
  receiver.poll(200);
  assert.equal(asked.length, 2);
});

test('what does not come is given up, and a key frame is asked for', () => {
  const { receiver, push, delivered, keyframes } = setUp();
  push(10, 1_000);
  push(12, 1_005);
  receiver.poll(1_200);
  assert.deepEqual(delivered, [10, 12]);
  assert.equal(keyframes(), 1);
  push(11, 1_210);
  assert.deepEqual(delivered, [10, 12]);
});

test('repeated packets are handed on once', () => {
  const { push, delivered } = setUp();
  for (const sequence of [1, 1, 2, 4, 4, 3, 3]) push(sequence, 0);
  assert.deepEqual(delivered, [1, 2, 3, 4]);
});

test('a publisher gets reports once it sends, and key frames are asked for at most twice a second', () => {
  const { receiver, push, reports, keyframes } = setUp();
  receiver.report(0);
  assert.equal(reports(), 0);
  push(1, 10);
  receiver.report(1_000);
  assert.equal(reports(), 1);
  for (let nowMs = 1_000; nowMs < 2_000; nowMs += 10) receiver.wantKeyframe(nowMs);
  assert.equal(keyframes(), 2);
});

test('a publisher whose SSRC is learnt from its first packet is asked for a key frame as soon as it is known', () => {
  const { receiver, push, keyframes } = setUp(true, 0);
  receiver.wantKeyframe(0);
  receiver.poll(10);
  assert.deepEqual([receiver.ssrc, keyframes()], [0, 0]);
  push(1, 20);
  receiver.poll(30);
  assert.deepEqual([receiver.ssrc, keyframes()], [7, 1]);
});

test('numbers that jump about cost no more than the limit', () => {
  const { push, delivered, asked } = setUp(false);
  push(0, 0);
  for (let at = 1; at < 20_000; at++) push((at * 7_919) & 0xffff, at / 10);
  assert.ok(delivered.length < 20_000);
  assert.ok(asked.every((sequences) => sequences.length <= 200));
});
