import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Backoff } from './backoff.ts';
import { formatPenalties, type KeyValueStore, ModeMemory, parsePenalties } from './memory.ts';
import { MODES, type Mode, orderModes, parseModes, penaltyMs } from './modes.ts';

const rows: { text: string | null; want: readonly Mode[] }[] = [
  { text: null, want: MODES },
  { text: '', want: MODES },
  { text: 'mse', want: ['mse'] },
  { text: ' HLS , webrtc', want: ['hls', 'webrtc'] },
  { text: 'webrtc,webrtc/tcp', want: ['webrtc'] },
  { text: 'mse,mp4', want: ['mse', 'mjpeg'] },
  { text: 'flash', want: MODES },
];
for (const { text, want } of rows) test(`mode="${text}" means ${want}`, () => assert.deepEqual(parseModes(text), want));

const NOW = 1_795_475_210_966;
const MINUTE = 60_000;

test('what failed lately goes to the end, the latest failure last', () => {
  const penalties = new Map([
    ['webrtc', { count: 1, failedAtUnixMs: NOW - 90_000 }],
    ['mse', { count: 1, failedAtUnixMs: NOW - 1_000 }],
  ] as const);
  assert.deepEqual(orderModes(MODES, penalties, NOW), ['hls', 'mjpeg', 'webrtc', 'mse']);
  assert.deepEqual(orderModes(MODES, penalties, NOW + MINUTE), ['webrtc', 'hls', 'mjpeg', 'mse']);
  assert.deepEqual(orderModes(MODES, penalties, NOW + 2 * MINUTE), MODES);
});

test('failing again and again counts for longer', () => {
  assert.deepEqual(
    [1, 2, 3, 4, 50].map((count) => penaltyMs(count) / MINUTE),
    [2, 15, 120, 1440, 1440],
  );
});

test('a clock that was set back does not lock a mode out', () => {
  const penalties = new Map([['webrtc', { count: 4, failedAtUnixMs: NOW + 5 * MINUTE }]] as const);
  assert.deepEqual(orderModes(MODES, penalties, NOW), MODES);
});

function fakeStore(): KeyValueStore & { readonly values: Map<string, string> } {
  const values = new Map<string, string>();
  return {
    values,
    getItem: (key) => values.get(key) ?? null,
    setItem: (key, value) => void values.set(key, value),
    removeItem: (key) => void values.delete(key),
  };
}

test('the memory outlives the page, is one per stream, and is cleared when the mode works', () => {
  const store = fakeStore();
  new ModeMemory('porch', store, () => NOW).failed('webrtc');
  assert.deepEqual(new ModeMemory('porch', store, () => NOW).order(MODES), ['mse', 'hls', 'mjpeg', 'webrtc']);
  assert.deepEqual(new ModeMemory('garden', store, () => NOW).order(MODES), MODES);
  new ModeMemory('porch', store, () => NOW).worked('webrtc');
  assert.equal(store.values.size, 0);
});

test('a browser without storage remembers for as long as the page lives', () => {
  const broken: KeyValueStore = {
    getItem: () => {
      throw new Error('blocked');
    },
    setItem: () => {
      throw new Error('blocked');
    },
    removeItem: () => {
      throw new Error('blocked');
    },
  };
  for (const store of [broken, null]) {
    const memory = new ModeMemory('porch', store, () => NOW);
    memory.failed('webrtc');
    assert.equal(memory.order(MODES).at(-1), 'webrtc');
    memory.worked('webrtc');
    assert.deepEqual(memory.order(MODES), MODES);
  }
});

const damaged = [
  'x',
  'null',
  '7',
  '[]',
  '{"webrtc":3}',
  '{"webrtc":["a",1]}',
  '{"webrtc":[0,1]}',
  '{"webrtc":[1,1e99]}',
  `{"webrtc":[1,${NOW - 8 * 24 * 60 * MINUTE}]}`,
];
for (const text of damaged) {
  test(`a damaged or old memory (${text.slice(0, 24)}) is left out`, () =>
    assert.equal(parsePenalties(text, NOW).size, 0));
}

test('what is written is read again', () => {
  const penalties = new Map([['hls', { count: 3, failedAtUnixMs: NOW }]] as const);
  assert.deepEqual(parsePenalties(formatPenalties(penalties), NOW), penalties);
});

test('waits grow from 250 ms, stay near a second for a minute, then reach 5 s; success starts anew', () => {
  const backoff = new Backoff();
  const waits: number[] = [];
  let nowMs = 0;
  while (nowMs < 120_000) {
    const waitMs = backoff.next(nowMs);
    waits.push(waitMs);
    nowMs += waitMs;
  }
  assert.deepEqual(waits.slice(0, 5), [250, 400, 640, 1024, 1250]);
  assert.equal(waits.at(-1), 5_000);
  backoff.reset();
  assert.equal(backoff.next(nowMs), 250);
});
