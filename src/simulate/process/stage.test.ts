import assert from 'node:assert/strict';
import { test } from 'node:test';
import { glyphRows } from '../../core/bitmap-font.ts';
import { SCENE_NAMES } from '../protocol.ts';
import { FLASH_MS, Stage } from './stage.ts';

const SECOND_MS = Date.UTC(2026, 0, 2, 3, 4, 5);

for (const scene of SCENE_NAMES) {
  test(`${scene}: what is drawn at a time does not depend on what was drawn before`, () => {
    const options = { width: 640, height: 360, scene, title: 'test', noise: 0 };
    const used = new Stage(options);
    for (let index = 0; index < 120; index++) used.draw(index, SECOND_MS + index * 331);
    const fresh = new Stage(options);
    used.draw(7, SECOND_MS + 60_000);
    fresh.draw(7, SECOND_MS + 60_000);
    assert.ok(used.picture.equals(fresh.picture));
  });

  test(`${scene}: something besides the clock moves`, () => {
    const stage = new Stage({ width: 640, height: 360, scene, title: 'test', noise: 0 });
    const middle = (): Buffer => Buffer.from(stage.picture.subarray(640 * 60, 640 * 330));
    stage.draw(0, SECOND_MS);
    const before = middle();
    stage.draw(1, SECOND_MS + 1_000);
    assert.ok(!middle().equals(before));
  });
}

test('the lamp beside the clock is lit in the first moment of each second only', () => {
  const stage = new Stage({ width: 1280, height: 720, scene: 'nursery', title: 'test', noise: 0 });
  // The middle of the lamp: see osdLayout (glyphs of 5 pixels, 12 characters).
  const luma = (wallMs: number): number => {
    stage.draw(0, wallMs);
    return stage.picture[37 * 1280 + 405] ?? 0;
  };
  assert.ok(luma(SECOND_MS) > 180);
  assert.ok(luma(SECOND_MS + FLASH_MS - 1) > 180);
  assert.ok(luma(SECOND_MS + FLASH_MS) < 100);
  assert.ok(luma(SECOND_MS + 999) < 100);
});

test('the clock shows the local time of the picture', () => {
  const stage = new Stage({ width: 1280, height: 720, scene: 'nursery', title: 'test', noise: 0 });
  const wallMs = new Date(2026, 4, 6, 19, 28, 37, 450).getTime();
  stage.draw(0, wallMs);
  const read = [...'19:28:37.450'].map((_, index) => {
    const rows = Array.from({ length: 7 }, (_row, row) =>
      Array.from({ length: 5 }, (_column, column) => {
        // The middle of each dot of the glyph.
        const x = 26 + index * 30 + column * 5 + 2;
        return (stage.picture[(20 + row * 5 + 2) * 1280 + x] ?? 0) > 200 ? '#' : '.';
      }).join(''),
    );
    return [...'0123456789:.'].find((character) => rows.join() === dots(character)) ?? '?';
  });
  assert.equal(read.join(''), '19:28:37.450');
});

function dots(character: string): string {
  return glyphRows(character)
    .map((bits) => bits.toString(2).padStart(5, '0').replaceAll('1', '#').replaceAll('0', '.'))
    .join();
}
