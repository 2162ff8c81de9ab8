import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { PacketLog } from './packet-log.ts';
import { Sender } from './sender.ts';

const FIRST_TIMESTAMP = 1_000;
const FRAME = 3_600;
const FRAME_MS = 40;

interface Sent {
  readonly sequence: number;
  /** Relative to the first time stamp. */
  readonly time: number;
  readonly source: number;
  readonly key: boolean;
}

/** A stream whose pictures are numbered from 0 at `startMs`, with times that begin at `startPts`. */
class Camera {
  readonly log = new PacketLog();
  readonly #source: number;
  readonly #gop: number;
  readonly #startPts: number;

  constructor(source: number, gop: number, startPts: number) {
    this.#source = source;
    this.#gop = gop;
    this.#startPts = startPts;
  }

  picture(frame: number, nowMs: number, packets = 2): void {
    const key = frame % this.#gop === 0;
    for (let at = 0; at < packets; at++) {
      const packet = Buffer.alloc(16);
      packet.writeUInt16BE(this.#source, 12);
      packet[14] = key ? 1 : 0;
      this.log.add(packet, this.#startPts + frame * FRAME, key && at === 0);
    }
    this.log.endUnit(this.#startPts + frame * FRAME, key, nowMs);
  }
}

function setUp(main: Camera) {
  const sent: Sent[] = [];
  const sender = new Sender({
    log: main.log,
    sink: {
      sendMessageBinary: (packet) => {
        assert.equal(packet.readUInt32BE(8), 7);
        sent.push({
          sequence: packet.readUInt16BE(2),
          time: packet.readUInt32BE(4) - FIRST_TIMESTAMP,
          source: packet.readUInt16BE(12),
          key: packet[14] === 1,
        });
        return true;
      },
    },
    ssrc: 7,
    payloadType: 102,
    clockRateHz: 90_000,
    kind: 'video',
    firstSequence: 65_500,
    firstTimestamp: FIRST_TIMESTAMP,
  });
  return { sender, sent };
}

function assertContinuous(sent: readonly Sent[]): void {
  for (let at = 1; at < sent.length; at++) {
    const [before, now] = [sent[at - 1], sent[at]];
    assert.ok(before !== undefined && now !== undefined);
    assert.equal(now.sequence, (before.sequence + 1) & 0xffff, `packet ${at}`);
    if (at % 2 === 0) assert.ok(now.time > before.time, `packet ${at}: ${before.time} then ${now.time}`);
  }
}

/** Two cameras for `seconds`, a picture each 40 ms; the change is asked for after 2.2 s. */
function run(options: { live: boolean; shift: number; startPts: number; lateMs?: number; seconds?: number }) {
  const main = new Camera(1, 25, 0);
  const sub = new Camera(2, 50, options.startPts);
  const { sender, sent } = setUp(main);
  const { lateMs = 0, seconds = 8 } = options;
  let shownAtMs = Number.NaN;
  for (let nowMs = 0; nowMs < seconds * 1_000; nowMs += 5) {
    if (nowMs % FRAME_MS === 0) main.picture(nowMs / FRAME_MS, nowMs);
    const subMs = nowMs - lateMs;
    if (subMs >= 0 && subMs % FRAME_MS === 0) sub.picture(subMs / FRAME_MS, nowMs);
    if (nowMs === 0) sender.start(nowMs);
    if (nowMs === 2_200) {
      sender.show({ log: sub.log, shift: options.shift }, options.live, nowMs, () => {});
    }
    sender.pump(nowMs);
    if (Number.isNaN(shownAtMs) && sent.at(-1)?.source === 2) shownAtMs = nowMs;
  }
  return { sent, main, sub, sender, shownAtMs };
}

describe('a viewer who changes to another stream', () => {
  for (const live of [false, true]) {
    test(`has no gap in numbers or times, ${live ? 'from the next key frame on' : 'from the last key frame on, at once'}`, () => {
      const { sent, shownAtMs } = run({ live, shift: -900_000, startPts: 900_000 });
      assertContinuous(sent);
      const first = sent.findIndex((one) => one.source === 2);
      assert.ok(sent[first]?.key, 'the first of it is a key frame');
      assert.ok(sent.slice(first).every((one) => one.source === 2));
      // Key frames of the other stream come each 2 s.
      assert.equal(shownAtMs, live ? 4_000 : 2_200);
      // What is taken at the same moment has the same time as before the change.
      assert.equal(sent.at(-1)?.time, 199 * FRAME);
    });
  }

  test('keeps the old one until the new one has a key frame', () => {
    const main = new Camera(1, 25, 0);
    const sub = new Camera(2, 50, 0);
    const { sender, sent } = setUp(main);
    main.picture(0, 0);
    sender.start(0);
    let shown = 0;
    sender.show({ log: sub.log, shift: 0 }, false, 0, () => shown++);
    for (let frame = 1; frame < 40; frame++) {
      main.picture(frame, frame * FRAME_MS);
      sub.picture(frame, frame * FRAME_MS);
      sender.pump(frame * FRAME_MS);
    }
    assert.equal(shown, 0);
    assert.equal(sent.length, 80);
    sub.picture(50, 2_000);
    sender.pump(2_000);
    assert.equal(shown, 1);
    assert.equal(sent.at(-1)?.source, 2);
  });

  test('whose new stream comes later has no times that go back, and is in step again soon', () => {
    const { sent } = run({ live: true, shift: 0, startPts: 0, lateMs: 400 });
    assertContinuous(sent);
    // 400 ms late on the time line, too: its picture 189 was taken at the time of the other's.
    assert.equal(sent.at(-1)?.time, 189 * FRAME);
  });

  test('gets lost packets of the old stream again after the change', () => {
    const { sent, sender } = run({ live: false, shift: 0, startPts: 0, seconds: 3 });
    const last = sent.findLast((one) => one.source === 1);
    assert.ok(last !== undefined);
    const before = sent.length;
    sender.resend(last.sequence, 3_000);
    sender.pump(3_000);
    assert.deepEqual(sent.slice(before), [last]);
  });

  test('stays where it was when it takes the change back', () => {
    const main = new Camera(1, 25, 0);
    const sub = new Camera(2, 50, 0);
    const { sender, sent } = setUp(main);
    main.picture(0, 0);
    sender.start(0);
    sender.show({ log: sub.log, shift: 0 }, false, 0, () => assert.fail('not shown'));
    let back = 0;
    sender.show({ log: main.log, shift: 0 }, false, 0, () => back++);
    sub.picture(0, 10);
    main.picture(1, 40);
    sender.pump(40);
    assert.equal(back, 1);
    assert.deepEqual(
      sent.map((one) => one.source),
      [1, 1, 1, 1],
    );
  });

  test('who begins without a picture is shown the first one that comes', () => {
    const sub = new Camera(2, 50, 0);
    const { sender, sent } = setUp(new Camera(1, 25, 0));
    sub.picture(0, 0);
    sender.show({ log: sub.log, shift: 500 }, false, 0, () => {});
    assert.equal(sent.length, 0);
    sender.start(10);
    assert.equal(sent.length, 2);
    assert.ok(sent[0]?.key);
  });
});
