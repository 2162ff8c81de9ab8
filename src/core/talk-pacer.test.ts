import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { waitFor } from '../../testkit/wait.ts';
import type { TalkCodec } from './source.ts';
import { TalkPacer } from './talk-pacer.ts';

const PCMA: TalkCodec = { codec: 'pcma', clockRateHz: 8_000, sampleRateHz: 8_000, channels: 1 };
const OPUS: TalkCodec = { codec: 'opus', clockRateHz: 48_000, sampleRateHz: 48_000, channels: 2 };
/** A 20 ms Opus packet (RFC 6716 §3.1: SILK wideband 20 ms, one frame). */
const OPUS_20_MS = Buffer.from([9 << 3, 1, 2, 3]);

interface Sent {
  readonly data: Buffer;
  readonly ticks: number;
  readonly first: boolean;
  readonly atMs: number;
}

function start(codec: TalkCodec, frameBytes?: number, live = true): { pacer: TalkPacer; sent: Sent[] } & Disposable {
  const sent: Sent[] = [];
  const pacer = new TalkPacer({
    codec,
    live,
    ...(frameBytes === undefined ? {} : { frameBytes }),
    send: (frame) => sent.push({ ...frame, atMs: performance.now() }),
  });
  return { pacer, sent, [Symbol.dispose]: () => pacer.close() };
}

const speech = (bytes: number): Buffer => Buffer.alloc(bytes, 0x11);
const isSpeech = ({ data }: Sent): boolean => data.includes(0x11);

describe('what is spoken to a camera', () => {
  test('a burst goes out evenly, and silence follows it with times that go on', async () => {
    using run = start(PCMA);
    const beganMs = performance.now();
    run.pacer.push({ data: speech(160 * 6) });
    await waitFor(() => run.sent.length >= 12, { what: 'frames' });
    const spoken = run.sent.filter(isSpeech);
    assert.equal(spoken.length, 6);
    assert.ok(run.sent.slice(0, 6).every(isSpeech), 'in one piece');
    assert.deepEqual(
      run.sent.map(({ first }) => first),
      run.sent.map((_, index) => index === 0),
    );
    for (const [index, frame] of run.sent.entries()) {
      assert.equal(frame.data.length, 160);
      assert.equal(frame.ticks, (run.sent[0]?.ticks ?? 0) + index * 160);
    }
    const last = spoken.at(-1)?.atMs ?? 0;
    assert.ok(last - beganMs >= 100, `the sixth left ${last - beganMs} ms behind the push of all`);
  });

  test('what comes far too fast is dropped at the front, so that the camera plays what is said now', async () => {
    using run = start(PCMA);
    for (let i = 0; i < 50; i++) run.pacer.push({ data: Buffer.alloc(160, i) });
    assert.ok(run.pacer.waitingMs <= 200, `${run.pacer.waitingMs} ms wait`);
    assert.ok(run.pacer.dropped > 30);
    await waitFor(() => run.sent.some(({ data }) => data[0] === 49), { what: 'the newest' });
  });

  test('nothing of a recording is left out, however early it comes', async () => {
    using run = start(PCMA, undefined, false);
    for (let i = 0; i < 25; i++) run.pacer.push({ data: Buffer.alloc(160, 0x20 + i) });
    await run.pacer.finish();
    assert.deepEqual(
      run.sent.slice(0, 25).map(({ data }) => data[0]),
      Array.from({ length: 25 }, (_, index) => 0x20 + index),
    );
  });

  test('packets longer than those that come are filled across them', async () => {
    using run = start(PCMA, 1024);
    // A little more than real time: the timers of a busy machine are late.
    const timer = setInterval(() => run.pacer.push({ data: speech(200) }), 20);
    await waitFor(() => run.sent.filter(isSpeech).length >= 2, { what: 'two long packets' });
    clearInterval(timer);
    assert.ok(run.sent.every(({ data }) => data.length === 1024));
    assert.ok(
      run.sent.slice(0, 2).every(({ data }) => !data.includes(0xd5)),
      'without silence in between',
    );
  });

  test('the end of a word that fills no packet is sent all the same when somebody lets go', async () => {
    using run = start(PCMA, 1024);
    run.pacer.push({ data: speech(300) });
    await run.pacer.finish();
    assert.equal(run.sent.length, 1);
    assert.deepEqual(run.sent[0]?.data.subarray(0, 300), speech(300));
    assert.ok(run.sent[0]?.data.subarray(300).every((byte) => byte === 0xd5));
  });

  test('a codec with packets of its own is not cut, and its time goes on through a pause', async () => {
    using run = start(OPUS);
    run.pacer.push({ data: OPUS_20_MS });
    run.pacer.push({ data: OPUS_20_MS });
    await waitFor(() => run.sent.length === 2, { what: 'both' });
    await new Promise((resolve) => setTimeout(resolve, 100));
    run.pacer.push({ data: OPUS_20_MS });
    await run.pacer.finish();
    const [one, two, three] = run.sent;
    assert.ok(one && two && three);
    assert.equal(two.ticks - one.ticks, 960);
    assert.ok(three.ticks - two.ticks >= 4 * 960, 'the pause counts');
    assert.deepEqual([one.first, two.first, three.first], [true, false, true]);
  });

  test('a packet that can’t be is left out', () => {
    using run = start(OPUS);
    run.pacer.push({ data: Buffer.from([3]) });
    run.pacer.push({ data: Buffer.from([]) });
    assert.equal(run.pacer.waitingMs, 0);
  });
});
