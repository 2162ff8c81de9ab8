import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SegmentClock } from './segment-clock.ts';

/** A clock whose source began a segment every two seconds, from 100 s on. */
function running(): SegmentClock {
  const clock = new SegmentClock();
  for (let index = 0; index < 5; index++) {
    clock.began({
      wallMs: 100_000 + index * 2_000,
      sequence: 7 + index,
      fileTicks: 9_000 + index * 180_000,
      discontinuities: 1,
    });
  }
  return clock;
}

for (const row of [
  { name: 'at the last boundary', wallMs: 108_003, want: { sequence: 11, fileTicks: 9_000 + 4 * 180_000 + 270 } },
  { name: 'at an earlier one', wallMs: 104_000, want: { sequence: 9, fileTicks: 9_000 + 2 * 180_000 } },
  { name: 'in the middle of a segment', wallMs: 105_000, want: { sequence: 9, fileTicks: 9_000 + 450_000 } },
  { name: 'just behind the last boundary', wallMs: 108_500, want: { sequence: 11, fileTicks: 9_000 + 765_000 } },
  { name: 'where the next one begins', wallMs: 110_000, want: { sequence: 12, fileTicks: 9_000 + 5 * 180_000 } },
  { name: 'before all', wallMs: 98_000, want: { sequence: 6, fileTicks: 9_000 - 180_000 } },
]) {
  test(`a variant that joins ${row.name} has the number and time of the others`, () => {
    assert.deepEqual(running().join(row.wallMs, 1_000), { ...row.want, discontinuities: 1 });
  });
}

test('nobody joins what is long gone, or what never began', () => {
  assert.equal(running().join(200_000, 1_000), null);
  assert.equal(running().join(10_000, 1_000), null);
  assert.equal(new SegmentClock().join(100_000, 1_000), null);
});

test('a rendition ends its segments where its source did, and nowhere else while that plays', () => {
  const clock = running();
  const stop = clock.lead();
  assert.equal(clock.mayCut(106_004, 105_000, 1_004, 1_000, false), true);
  assert.equal(clock.mayCut(106_004, 105_700, 304, 1_000, false), true, 'also a short one');
  assert.equal(clock.mayCut(107_000, 105_000, 2_000, 1_000, false), false, 'a key frame of its own');
  assert.equal(clock.mayCut(108_000, 107_990, 10, 1_000, false), false, 'it has begun here');
  assert.equal(clock.mayCut(112_000, 108_000, 4_100, 1_000, false), true, 'longer than the source’s ever were');
  stop();
  stop();
  assert.equal(clock.mayCut(109_500, 108_000, 1_500, 1_000, false), true, 'alone it goes on by itself');
  assert.equal(clock.mayCut(108_500, 108_000, 500, 1_000, false), false);
});

test('the source ends a segment at each key frame that is far enough, and where renditions did before it came', () => {
  const clock = running();
  assert.equal(clock.mayCut(109_000, 108_000, 1_000, 1_000, true), true);
  assert.equal(clock.mayCut(108_500, 108_000, 500, 1_000, true), false);
  assert.equal(clock.mayCut(106_000, 105_500, 500, 1_000, true), true);
});

test('a clock that is set back does not hold segments up', () => {
  const clock = running();
  clock.began({ wallMs: 50_000, sequence: 12, fileTicks: 909_000, discontinuities: 1 });
  assert.deepEqual(clock.join(52_000, 1_000), { sequence: 13, fileTicks: 909_000 + 180_000, discontinuities: 1 });
  assert.equal(clock.mayCut(52_000, 50_000, 2_000, 1_000, false), true);
});
