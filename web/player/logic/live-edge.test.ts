import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LiveEdge, type Range, trimRange } from './live-edge.ts';

const upTo = (endS: number, startS = 0): Range[] => [{ startS, endS }];

test('a viewer at the live edge plays at normal speed', () => {
  assert.deepEqual(new LiveEdge(0.2).advise(upTo(10), 9.8, 0), { kind: 'rate', rate: 1 });
});

const rates = [
  { lagS: 0.5, min: 1.05, max: 1.2 },
  { lagS: 1, min: 1.1, max: 1.3 },
  { lagS: 2.5, min: 1.3, max: 1.3 },
];
for (const { lagS, min, max } of rates) {
  test(`a lag of ${lagS} s is caught up by playing faster`, () => {
    const advice = new LiveEdge(0.2).advise(upTo(10), 10 - lagS, 0);
    assert.ok(advice.kind === 'rate' && advice.rate >= min && advice.rate <= max, JSON.stringify(advice));
  });
}

const jumps = [
  { name: 'a lag of several seconds is jumped over', ranges: upTo(10), at: 5 },
  { name: 'a position before the buffer (trimmed away, or a fresh start) jumps into it', ranges: upTo(100, 98), at: 0 },
  { name: 'a hole in the stream is jumped over', ranges: [...upTo(10), { startS: 12, endS: 13 }], at: 10 },
  { name: 'a position behind the end (the stream began anew) jumps back', ranges: upTo(3), at: 50 },
];
for (const { name, ranges, at } of jumps) {
  test(name, () => {
    const endS = ranges.at(-1)?.endS ?? 0;
    assert.deepEqual(new LiveEdge(0.2).advise(ranges, at, 0), { kind: 'seek', toS: endS - 0.2 });
  });
}

test('a jump never lands before the buffer', () => {
  assert.deepEqual(new LiveEdge(0.2).jump(upTo(5.05, 5), 0), { kind: 'seek', toS: 5 });
});

test('after a jump the position is left alone for a moment', () => {
  const edge = new LiveEdge(0.2);
  edge.jump(upTo(10), 0);
  assert.deepEqual(edge.advise(upTo(10), 2, 300, true), { kind: 'rate', rate: 1 });
  assert.equal(edge.advise(upTo(10), 2, 1_000).kind, 'seek');
});

test('a jump that hangs because the stream has a hole there is followed by another', () => {
  const edge = new LiveEdge(0.2);
  edge.jump(upTo(10), 0);
  const advice = edge.advise(upTo(10.8), 9.8, 800, true);
  assert.ok(advice.kind === 'seek' && advice.toS > 10.5, JSON.stringify(advice));
});

test('catching up goes on until the aim is reached, not only until the lag looks small', () => {
  const edge = new LiveEdge(0.2);
  assert.notDeepEqual(edge.advise(upTo(10), 9.4, 0), { kind: 'rate', rate: 1 });
  assert.notDeepEqual(edge.advise(upTo(10), 9.75, 200), { kind: 'rate', rate: 1 });
  assert.deepEqual(edge.advise(upTo(10), 9.85, 400), { kind: 'rate', rate: 1 });
});

test('each underrun moves the aim back, to 1.5 s at most; calm moves it forward again', () => {
  const edge = new LiveEdge(0.2);
  for (let count = 0; count < 50; count++) edge.underrun();
  assert.equal(edge.targetS, 1.5);
  for (let second = 0; second < 300; second++) edge.advise(upTo(second + 1), second, second * 1000);
  assert.ok(edge.targetS < 0.2, `${edge.targetS}`);
});

test('an empty buffer is no reason to do anything', () => {
  assert.deepEqual(new LiveEdge().advise([], 0, 0), { kind: 'rate', rate: 1 });
});

test('a buffer that plays is trimmed to some seconds behind the position, in large steps', () => {
  assert.equal(trimRange(upTo(10), 9.8), null);
  assert.equal(trimRange(upTo(15), 14.8), null);
  assert.deepEqual(trimRange(upTo(30), 29), { startS: 0, endS: 21 });
});

test('a buffer that nobody plays is trimmed from the end, so that a tab in the background never fills it', () => {
  assert.deepEqual(trimRange(upTo(60), 0), { startS: 0, endS: 52 });
  assert.equal(trimRange([], 0), null);
});
