import assert from 'node:assert/strict';
import { test } from 'node:test';
import { markBits, markLayout, type Pixels, readFrameMark } from './mark.ts';
import { Stage } from './process/stage.ts';

const NOW_MS = Date.UTC(2026, 0, 2, 3, 4, 5, 678);

function picture(counter: number, wallMs: number, width = 640, height = 360): Pixels {
  const stage = new Stage({ width, height, scene: 'garden', title: 'test', noise: 0 });
  stage.draw(counter, wallMs);
  return { data: stage.picture, width, height, format: 'gray' };
}

test('the mark of a picture tells its number and the time at which it was taken', () => {
  for (const counter of [0, 1, 12_345, 0xff_ffff]) {
    assert.deepEqual(readFrameMark(picture(counter, NOW_MS + counter), NOW_MS), {
      counter,
      capturedAtMs: NOW_MS + counter,
    });
  }
});

test('the mark can be read at any size', () => {
  for (const [width, height] of [
    [320, 240],
    [640, 480],
    [1280, 720],
    [1920, 1080],
    [2560, 1440],
    [354, 202],
  ] as const) {
    assert.equal(readFrameMark(picture(77, NOW_MS, width, height), NOW_MS)?.counter, 77, `${width}x${height}`);
  }
});

test('the mark can be read from RGB and RGBA', () => {
  const gray = picture(9, NOW_MS);
  for (const [format, channels] of [
    ['rgb', 3],
    ['rgba', 4],
  ] as const) {
    const data = new Uint8Array(640 * 360 * channels);
    for (let index = 0; index < data.length; index++) data[index] = gray.data[Math.floor(index / channels)] ?? 0;
    assert.equal(readFrameMark({ ...gray, data, format }, NOW_MS)?.counter, 9);
  }
});

test('a picture without a mark, or with a damaged one, gives none', () => {
  const black = { data: new Uint8Array(640 * 360), width: 640, height: 360, format: 'gray' } as const;
  assert.equal(readFrameMark(black), null);
  assert.equal(readFrameMark({ ...black, data: black.data.map(() => 255) }), null);
  const gray = picture(100, NOW_MS);
  const damaged = Buffer.from(gray.data);
  // A bar over one cell of the first row, which is white in 100 (bit 2 of 24: column 21).
  const { left, top, cellWidth, cellHeight } = markLayout(640, 360);
  const from = left + 21 * cellWidth;
  for (let row = top; row < top + cellHeight; row++) damaged.fill(0, row * 640 + from, row * 640 + from + cellWidth);
  assert.equal(readFrameMark({ ...gray, data: damaged }, NOW_MS), null);
});

test('times are right across the wrap of their 32 bits', () => {
  const wrapMs = Math.ceil(NOW_MS / 2 ** 32) * 2 ** 32;
  for (const atMs of [wrapMs - 1, wrapMs, wrapMs + 1]) {
    assert.equal(readFrameMark(picture(1, atMs), wrapMs - 5_000)?.capturedAtMs, atMs);
    assert.equal(readFrameMark(picture(1, atMs), wrapMs + 5_000)?.capturedAtMs, atMs);
  }
});

test('the bits are those that are documented', () => {
  const bits = markBits(0b101, 3).map((bit) => (bit ? 1 : 0));
  assert.equal(bits.length, 64);
  assert.equal(bits.slice(0, 24).join(''), '000000000000000000000101');
  assert.equal(bits.slice(32).join(''), '00000000000000000000000000000011');
});
