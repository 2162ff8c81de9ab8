import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AudioClock } from './audio-clock.ts';

const RATE_HZ = 8_000;
const UNIT = 160;

/** Places units that begin at these times, and adds up what was done. */
function place(
  clock: AudioClock,
  times: readonly number[],
): { silence: number; skip: number; stretch: number; jumps: number } {
  const sum = { silence: 0, skip: 0, stretch: 0, jumps: 0 };
  for (const at of times) {
    const { silence, skip, stretch, jump } = clock.place(at, UNIT);
    sum.silence += silence;
    sum.skip += skip;
    sum.stretch += stretch;
    if (jump) sum.jumps++;
  }
  return sum;
}

const regular = (count: number, from = 0): number[] => Array.from({ length: count }, (_, index) => from + index * UNIT);
const NOTHING = { silence: 0, skip: 0, stretch: 0, jumps: 0 };

test('units that follow one another are left alone', () => {
  const clock = new AudioClock(RATE_HZ);
  assert.deepEqual(place(clock, regular(500, 1000)), { ...NOTHING, jumps: 1 });
  assert.equal(clock.next, 1000 + 500 * UNIT);
});

test('among regular units, a lost one is filled and a doubled one left out, to the sample', () => {
  const clock = new AudioClock(RATE_HZ);
  place(clock, regular(20));
  assert.deepEqual(place(clock, regular(5, 21 * UNIT)), { ...NOTHING, silence: UNIT });
  assert.deepEqual(place(clock, regular(5, 25 * UNIT)), { ...NOTHING, skip: UNIT });
  assert.equal(clock.next, 30 * UNIT);
});

test('before it is known how regular they are, a step of one unit may be jitter', () => {
  const clock = new AudioClock(RATE_HZ);
  place(clock, regular(3));
  const { silence, skip } = place(clock, regular(3, 4 * UNIT));
  assert.equal(silence + skip, 0);
});

test('a step of 30 ms within a connection is made up for softly, at the start of a new one at once', () => {
  const within = new AudioClock(RATE_HZ);
  place(within, regular(20));
  const soft = place(within, regular(1_000, 20 * UNIT + 240));
  assert.equal(soft.silence, 0);
  assert.ok(Math.abs(soft.stretch - 240) < 10, `${soft.stretch}`);

  const anew = new AudioClock(RATE_HZ);
  place(anew, regular(20));
  anew.realign();
  assert.deepEqual(place(anew, regular(100, 20 * UNIT + 240)), { ...NOTHING, silence: 240 });
});

test('what is made up for softly changes the pitch by 2 % at most', () => {
  const clock = new AudioClock(RATE_HZ);
  place(clock, regular(20));
  for (const at of regular(500, 20 * UNIT + 600)) {
    const { stretch } = clock.place(at, UNIT);
    assert.ok(Math.abs(stretch) <= 4, `${stretch}`);
  }
});

test('a gap of a second and more is a jump, and a clock that went back waits until its time has come', () => {
  const clock = new AudioClock(RATE_HZ);
  place(clock, regular(20));
  assert.deepEqual(place(clock, regular(5, 100_000)), { ...NOTHING, jumps: 1 });
  assert.deepEqual(place(clock, regular(10, 0)), { ...NOTHING, skip: 10 * UNIT });
  assert.equal(clock.next, 100_000 + 5 * UNIT);
});
