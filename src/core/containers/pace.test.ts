import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { makeVideoFormat } from '../../wire/codecs/formats.ts';
import type { VideoFormat } from '../media.ts';
import type { SourceSink, SourceUnit } from '../source.ts';
import { PacedSink } from './pace.ts';

const format: VideoFormat = makeVideoFormat('jpeg', 16, 16);

function setup(t: { after: (fn: () => void) => void }) {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.after(() => mock.timers.reset());
  let nowMs = 1_000;
  const given: { atMs: number; ticks: number }[] = [];
  const sink: SourceSink = {
    describe: () => [true],
    unit: (unit) => given.push({ atMs: nowMs, ticks: unit.ticks }),
    flush: () => {},
    alive: () => {},
    sync: () => {},
  };
  const paced = new PacedSink(sink, () => nowMs);
  paced.describe({
    tracks: [{ kind: 'video', codec: 'jpeg', clockRateHz: 90_000, format }],
    formatName: '',
    protocol: '',
    remoteAddr: '',
    sharedClock: true,
  });
  const unit = (ms: number): SourceUnit => ({ track: 0, format, ticks: ms * 90, key: true, data: Buffer.alloc(10) });
  const tick = (ms: number): void => {
    for (let step = 0; step < ms; step += 5) {
      nowMs += 5;
      mock.timers.tick(5);
    }
  };
  return { paced, given, unit, tick };
}

test('a segment that comes at once is let through at its own speed', (t) => {
  const { paced, given, unit, tick } = setup(t);
  for (let ms = 0; ms < 1000; ms += 100) paced.unit(unit(ms));
  paced.flush();
  assert.equal(given.length, 1);
  tick(1000);
  assert.deepEqual(
    given.map(({ atMs }) => atMs - 1000),
    [0, 100, 200, 300, 400, 500, 600, 700, 800, 900],
  );
});

test('reading waits while enough is held, and goes on when it is shown', async (t) => {
  const { paced, unit, tick } = setup(t);
  assert.equal(paced.room(), undefined);
  for (let ms = 0; ms <= 2000; ms += 100) paced.unit(unit(ms));
  paced.flush();
  let resumed = false;
  const room = paced.room()?.then(() => {
    resumed = true;
  });
  tick(400);
  await Promise.resolve();
  assert.equal(resumed, false);
  tick(200);
  await room;
  assert.equal(resumed, true);
});

test('another origin of times goes on behind what was there before', (t) => {
  const { paced, given, unit, tick } = setup(t);
  for (const ms of [0, 100, 90_000, 90_100]) paced.unit(unit(ms));
  paced.flush();
  tick(400);
  assert.deepEqual(
    given.map(({ atMs }) => atMs - 1000),
    [0, 100, 100, 200],
  );
});

test('what comes late is shown at once, and the speed stays', (t) => {
  const { paced, given, unit, tick } = setup(t);
  paced.unit(unit(0));
  paced.flush();
  tick(3000);
  for (const ms of [100, 200, 300]) paced.unit(unit(ms));
  paced.flush();
  tick(400);
  assert.deepEqual(
    given.map(({ atMs }) => atMs - 1000),
    [0, 3000, 3100, 3200],
  );
});
