import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PacketLog } from './packet-log.ts';
import { Sender } from './sender.ts';

const FIRST_TIMESTAMP = 1_000;
const FRAME = 3_600;

interface Sent {
  readonly sequence: number;
  /** Relative to the first time stamp. */
  readonly time: number;
  readonly content: number;
}

function setUp(options: { firstSequence?: number } = {}) {
  const log = new PacketLog();
  const sent: Sent[] = [];
  const sender = new Sender({
    log,
    sink: {
      sendMessageBinary: (packet) => {
        assert.equal(packet.readUInt32BE(8), 0xabcdef01);
        assert.equal((packet[1] ?? 0) & 0x7f, 102);
        const time = packet.readUInt32BE(4) - FIRST_TIMESTAMP;
        sent.push({ sequence: packet.readUInt16BE(2), time, content: packet.readUInt32BE(12) });
        return true;
      },
    },
    ssrc: 0xabcdef01,
    payloadType: 102,
    clockRateHz: 90_000,
    kind: 'video',
    firstSequence: options.firstSequence ?? 65_530,
    firstTimestamp: FIRST_TIMESTAMP,
  });
  let content = 0;
  const picture = (frame: number, key: boolean, nowMs: number, packets = 2): void => {
    for (let at = 0; at < packets; at++) {
      const packet = Buffer.alloc(16);
      packet.writeUInt32BE(content++, 12);
      log.add(packet, frame * FRAME, key && at === 0);
    }
    log.endUnit(frame * FRAME, key, nowMs);
  };
  return { log, sender, sent, picture };
}

/** What every receiver relies on: no gap in the numbers, no time that goes back. */
function assertContinuous(sent: readonly Sent[]): void {
  for (let at = 1; at < sent.length; at++) {
    const [before, now] = [sent[at - 1], sent[at]];
    assert.ok(before !== undefined && now !== undefined);
    assert.equal(now.sequence, (before.sequence + 1) & 0xffff, `packet ${at}`);
    assert.ok(now.time >= before.time, `time goes back at packet ${at}: ${before.time} to ${now.time}`);
    if (now.content % 2 === 0) assert.ok(now.time > before.time, `two pictures have the same time at packet ${at}`);
  }
}

test('a newcomer gets the key frame at once and the rest of the GOP within 150 ms, then live', () => {
  const { sender, sent, picture } = setUp();
  for (let frame = 0; frame <= 100; frame++) picture(frame, frame === 0, frame * 40);
  sender.start(4_000);
  assert.deepEqual(
    sent.map((one) => one.content),
    [0, 1],
  );
  for (let nowMs = 4_000; nowMs <= 4_200; nowMs += 5) {
    if (nowMs % 40 === 0 && nowMs > 4_000) {
      picture(nowMs / 40, false, nowMs);
    }
    sender.pump(nowMs);
  }
  assert.equal(sender.catchingUp, false);
  assert.equal(sent.length, 106 * 2);
  assertContinuous(sent);
  const first = sent[0]?.time ?? 0;
  const last = sent.at(-1)?.time ?? 0;
  // The times span what it took to send them, and then each picture has its own.
  assert.equal(first, 100 * FRAME);
  assert.equal(last, 105 * FRAME);
});

test('numbers and times go on without a gap across key frames while live', () => {
  const { sender, sent, picture } = setUp();
  picture(0, true, 0);
  sender.start(0);
  for (let frame = 1; frame < 200; frame++) {
    picture(frame, frame % 25 === 0, frame * 40);
    sender.pump(frame * 40);
  }
  assert.equal(sent.length, 400);
  assertContinuous(sent);
  assert.equal(sent.at(-1)?.time, 199 * FRAME);
});

test('a viewer that lost its picture gets the last key frame again, with new numbers and later times', () => {
  const { sender, sent, picture } = setUp();
  picture(0, true, 0);
  sender.start(0);
  for (let frame = 1; frame <= 50; frame++) {
    picture(frame, false, frame * 40);
    sender.pump(frame * 40);
  }
  assert.equal(sender.replay(2_010), true);
  for (let nowMs = 2_010; nowMs <= 2_200; nowMs += 5) sender.pump(nowMs);
  assert.equal(sent.length, 102 + 102);
  assert.equal(sent[102]?.content, 0);
  assertContinuous(sent);
});

test('asked for a picture while the camera is away, it gives the old one as late as it is now: no later one looks early', () => {
  const { sender, sent, picture } = setUp();
  picture(0, true, 0);
  sender.start(0);
  for (let frame = 1; frame <= 50; frame++) {
    picture(frame, false, frame * 40);
    sender.pump(frame * 40);
  }
  // Nothing for 3 s, then the viewer asks; the camera is back another second later.
  sender.replay(5_000);
  for (let nowMs = 5_000; nowMs <= 5_200; nowMs += 5) sender.pump(nowMs);
  for (let frame = 150; frame < 160; frame++) {
    picture(frame, frame === 150, frame * 40);
    sender.pump(frame * 40);
  }
  assertContinuous(sent);
  const again = sent[102];
  assert.equal(again?.content, 0);
  assert.equal(again?.time, 5_000 * 90);
  const oldEnds = sent[203]?.time ?? 0;
  assert.ok(oldEnds <= 5_200 * 90, `the old pictures end at ${oldEnds / 90} ms`);
  // From the request on the times advance just as the clock does.
  assert.equal(sent[204]?.time, 150 * FRAME);
  assert.equal(sent.at(-1)?.time, 159 * FRAME);
});

test('a packet that is asked for again has the bytes, number and time that it had', () => {
  const { sender, sent, picture } = setUp();
  for (let frame = 0; frame <= 20; frame++) picture(frame, frame === 0, frame * 40);
  sender.start(800);
  for (let nowMs = 800; nowMs <= 1_000; nowMs += 5) sender.pump(nowMs);
  const originals = [...sent];
  for (const original of originals) sender.resend(original.sequence, 1_000);
  for (let nowMs = 1_000; nowMs <= 1_010; nowMs += 2) sender.pump(nowMs);
  assert.deepEqual(sent.slice(originals.length), originals);
  assert.equal(sender.resent, originals.length);
});

test('what was never sent, or is too old for SRTP, is not sent again', () => {
  const { sender, sent, picture } = setUp({ firstSequence: 100 });
  picture(0, true, 0);
  sender.start(0);
  for (let frame = 1; frame <= 600; frame++) {
    picture(frame, false, frame * 40);
    sender.pump(frame * 40);
  }
  const before = sent.length;
  sender.resend(100, 24_000);
  sender.resend(100 + before, 24_000);
  sender.resend(99, 24_000);
  sender.pump(24_000);
  assert.equal(sent.length, before);
});

test('requests for packets are limited, so that they can’t be used to flood somebody', () => {
  const { sender, sent, picture } = setUp();
  picture(0, true, 0);
  sender.start(0);
  picture(1, false, 40, 900);
  let nowMs = 40;
  for (; sender.busy; nowMs += 2) sender.pump(nowMs);
  const before = sent.length;
  assert.equal(before, 902);
  for (let round = 0; round < 10; round++) {
    for (let at = 0; at < 900; at++) sender.resend((65_530 + 2 + at) & 0xffff, nowMs);
  }
  for (; sender.busy; nowMs += 2) sender.pump(nowMs);
  assert.equal(sent.length - before, 600);
});

test('what is sent again takes half of what a viewer’s connection carries at most', () => {
  const { sender, sent, picture } = setUp();
  picture(0, true, 0);
  sender.start(0);
  picture(1, false, 40, 900);
  let nowMs = 40;
  for (; sender.busy; nowMs += 2) sender.pump(nowMs);
  sender.limitResends(1_920_000);
  const before = sent.length;
  for (let at = 0; at < 900; at++) sender.resend((65_530 + 2 + at) & 0xffff, nowMs);
  for (; sender.busy; nowMs += 2) sender.pump(nowMs);
  assert.equal(sent.length - before, 100);
});

test('large pictures are spread, so that a browser’s small socket buffer does not overflow', () => {
  const { sender, sent, picture } = setUp();
  picture(0, true, 0, 2);
  sender.start(0);
  picture(1, false, 1_000, 500);
  sender.pump(1_000);
  assert.equal(sent.length, 2 + 40);
  sender.pump(1_002);
  assert.equal(sent.length, 2 + 60);
  let nowMs = 1_002;
  for (; sender.busy; nowMs += 2) sender.pump(nowMs);
  assert.ok(nowMs < 1_050, `it took ${nowMs - 1_000} ms`);
  assert.deepEqual(new Set(sent.slice(2).map((one) => one.time)), new Set([FRAME]));
});

test('a long GOP of a large picture takes longer than 150 ms, and its times say so', () => {
  const { sender, sent, picture } = setUp();
  for (let frame = 0; frame <= 100; frame++) picture(frame, frame === 0, frame * 40, 60);
  sender.start(4_000);
  let nowMs = 4_000;
  for (; sender.busy; nowMs += 2) sender.pump(nowMs);
  assert.ok(nowMs > 4_590 && nowMs < 4_650, `it took ${nowMs - 4_000} ms`);
  const span = (sent.at(-1)?.time ?? 0) - (sent[0]?.time ?? 0);
  // The last picture of the 4 s is sent at 4/4.6 of the 600 ms: live goes on meanwhile.
  assert.ok(Math.abs(span / 90 - 522) < 10, `the times span ${span / 90} ms`);
});

test('a viewer that comes before the first key frame waits for it', () => {
  const { sender, sent, picture } = setUp();
  sender.start(0);
  picture(0, false, 0);
  sender.pump(0);
  assert.equal(sent.length, 0);
  picture(1, true, 40);
  sender.pump(40);
  picture(2, false, 80);
  sender.pump(80);
  assert.deepEqual(
    sent.map((one) => one.content),
    [2, 3, 4, 5],
  );
  assertContinuous(sent);
});

test('the log keeps a bounded number of packets, whatever the camera sends', () => {
  const { log, picture } = setUp();
  for (let frame = 0; frame < 3_000; frame++) picture(frame, frame % 10 === 0, frame * 40, 10);
  assert.ok(log.head - log.base < 2_000, `${log.head - log.base} packets are kept`);
  // No key frame for minutes.
  for (let frame = 3_001; frame < 9_000; frame++) picture(frame, false, frame * 40, 10);
  assert.ok(log.head - log.base < 21_000, `${log.head - log.base} packets are kept`);
  assert.equal(log.keyIndex, -1);
});
