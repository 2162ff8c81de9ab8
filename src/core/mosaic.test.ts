import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { HearthcamError } from './errors.ts';
import { mosaicNames, mosaicPlaces } from './mosaic.ts';
import { parseSourceSpec } from './source.ts';

test('cells of any number lie within the picture, have one even size, and none covers another', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 64 }),
      fc.integer({ min: 160, max: 3840 }),
      fc.integer({ min: 90, max: 2160 }),
      (count, width, height) => {
        const places = mosaicPlaces(count, width, height);
        assert.equal(places.length, count);
        for (const [index, one] of places.entries()) {
          assert.ok(one.x >= 0 && one.y >= 0 && one.x + one.width <= width && one.y + one.height <= height);
          for (const value of [one.x, one.y, one.width, one.height]) assert.equal(value % 2, 0);
          assert.deepEqual([one.width, one.height], [places[0]?.width, places[0]?.height]);
          for (const other of places.slice(index + 1)) {
            const beside = other.x >= one.x + one.width || one.x >= other.x + other.width;
            assert.ok(beside || other.y >= one.y + one.height || one.y >= other.y + other.height);
          }
        }
      },
    ),
  );
});

const layouts: readonly [count: number, layout: string][] = [
  [1, '1280x720 at 0,0'],
  [2, '640x720 at 0,0 640,0'],
  [3, '640x360 at 0,0 640,0 320,360'],
  [4, '640x360 at 0,0 640,0 0,360 640,360'],
];
for (const [count, layout] of layouts) {
  test(`${count} cameras in 1280x720: ${layout}`, () => {
    const places = mosaicPlaces(count, 1280, 720);
    const [first] = places;
    const at = places.map(({ x, y }) => `${x},${y}`).join(' ');
    assert.equal(`${first?.width}x${first?.height} at ${at}`, layout);
  });
}

test('names of a mosaic', () => {
  const names = (text: string) => mosaicNames(parseSourceSpec(text));
  assert.deepEqual(names('mosaic:door, garden ,,shed#fps=5'), ['door', 'garden', 'shed']);
  assert.equal(names('mosaic:all'), 'all');
  assert.equal(names('mosaic:*#labels'), 'all');
  for (const text of ['mosaic:', 'mosaic:,,', `mosaic:${'a,'.repeat(65)}`]) {
    assert.throws(
      () => names(text),
      (error: unknown) => error instanceof HearthcamError && error.status === 400,
    );
  }
});
