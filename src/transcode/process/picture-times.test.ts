import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeVideoFormat } from '../../wire/codecs/formats.ts';
import { FpsLimit, KeyMarks, PictureInterval } from './picture-times.ts';

const FRAME = 3600;
const times = (count: number, step = FRAME, from = 0): number[] =>
  Array.from({ length: count }, (_, n) => from + n * step);

function limited(all: readonly number[], fps: number, interval = FRAME, marks: readonly number[] = []): number[] {
  const limit = new FpsLimit(fps);
  return all.filter((pts) => {
    const wanted = limit.wants(pts, interval, marks.includes(pts));
    if (wanted) limit.took(pts, interval);
    return wanted;
  });
}
const gaps = (all: readonly number[]): number[] => all.slice(1).map((pts, index) => pts - (all[index] ?? 0));

const rates: readonly [fps: number, pictures: number, gaps: readonly number[]][] = [
  [12.5, 50, [2]],
  [10, 40, [2, 3]],
  [5, 20, [5]],
  [20, 80, [1, 2]],
  [1, 4, [25]],
  [0.5, 2, [50]],
  [25, 100, [1]],
  [60, 100, [1]],
];
for (const [fps, pictures, distances] of rates) {
  test(`of 100 pictures in 4 s at most ${fps} a second are ${pictures}, evenly spread`, () => {
    const taken = limited(times(100), fps);
    assert.equal(taken.length, pictures);
    for (const gap of gaps(taken)) assert.ok(distances.includes(gap / FRAME), `a gap of ${gap / FRAME} pictures`);
  });
}

test('a camera that is no faster than the limit loses no picture by its jitter', () => {
  const jittery = times(200).map((pts, index) => pts + ((index * 7919) % 1500) - 700);
  assert.equal(limited(jittery, 25).length, 200);
});

test('outputs with one limit have the same pictures, whenever they began', () => {
  const all = times(200, 3003, 1234);
  const later = limited(all.slice(37), 10, 3003);
  assert.deepEqual(limited(all, 10, 3003).slice(-later.length + 1), later.slice(1));
});

test('a common key frame is taken even where the limit would leave it out, but not by a slow view', () => {
  const mark = 3 * FRAME;
  assert.ok(limited(times(10), 5, FRAME, [mark]).includes(mark));
  assert.ok(!limited(times(10), 1, FRAME, [mark]).includes(mark));
});

function marked(all: readonly number[], isKey: (pts: number) => boolean, intraOnly = false): number[] {
  const marks = new KeyMarks(intraOnly);
  return all.filter((pts) => marks.mark(pts, isKey(pts)));
}

test('key frames stand where the input has them', () => {
  assert.deepEqual(
    marked(times(200), (pts) => pts % 180_000 === 0),
    times(4, 180_000),
  );
});

test('an input with a key frame every 10 s gets some in between', () => {
  const keys = marked(times(600), (pts) => pts % 900_000 === 0);
  assert.deepEqual(
    keys,
    [0, 360_000, 720_000, 900_000, 1_260_000, 1_620_000, 1_800_000, 2_160_000].filter((pts) => pts < 600 * FRAME),
  );
});

test('of key frames that follow each other quickly one a second is copied', () => {
  const keys = marked(times(200), (pts) => pts % (5 * FRAME) === 0);
  assert.deepEqual(new Set(gaps(keys)), new Set([90_000]));
  assert.equal(marked(times(100), () => true).length, 4 + 1);
});

test('an input of key frames alone has them every 2 s, on a grid of absolute time', () => {
  assert.deepEqual(
    marked(times(200, FRAME, 90_000), () => true, true),
    [90_000, 180_000, 360_000, 540_000, 720_000],
  );
});

test('a time line that begins anew begins with a key frame', () => {
  const marks = new KeyMarks(false);
  assert.equal(marks.mark(900_000, true), true);
  assert.equal(marks.mark(0, false), true);
  assert.equal(marks.mark(FRAME, false), false);
});

test('the distance of pictures is learnt, and pauses are none', () => {
  const interval = new PictureInterval(makeVideoFormat('vp8', 0, 0));
  assert.equal(interval.ticks, 0);
  for (const dts of [0, 3600, 7200, 10_800, 9_000_000, 9_003_600]) interval.add(dts);
  assert.equal(interval.ticks, 3600);
});
