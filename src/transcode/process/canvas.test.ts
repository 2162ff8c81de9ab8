import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type CellPlace, mosaicPlaces } from '../../core/mosaic.ts';
import { Canvas } from './canvas.ts';

const WIDTH = 96;
const HEIGHT = 64;

function luma(canvas: Canvas): Buffer {
  const plane = canvas.frame.data?.[0] ?? assert.fail('no plane');
  const stride = canvas.frame.linesize[0] ?? 0;
  return Buffer.concat(Array.from({ length: HEIGHT }, (_, row) => plane.subarray(row * stride, row * stride + WIDTH)));
}

function outside(place: CellPlace, picture: Buffer): number[] {
  return [...picture].filter((_, at) => {
    const [x, y] = [at % WIDTH, Math.floor(at / WIDTH)];
    return x < place.x || x >= place.x + place.width || y < place.y || y >= place.y + place.height;
  });
}

test('a name is written within its cell, whatever it is and however small the cell', () => {
  const text = fc.oneof(
    fc.string({ unit: 'grapheme' }),
    fc.constantFrom('Haustür', 'CAFÉ', 'Straße', '门', 'cam_1', ''),
  );
  fc.assert(
    fc.property(text, fc.integer({ min: 1, max: 12 }), fc.nat(), fc.boolean(), (name, count, which, corner) => {
      using canvas = new Canvas(WIDTH, HEIGHT);
      const places = mosaicPlaces(count, WIDTH, HEIGHT);
      const place = places[which % count] ?? assert.fail();
      canvas.label(name, place, corner ? 'corner' : 'middle');
      assert.ok(outside(place, luma(canvas)).every((level) => level === 16));
    }),
    { numRuns: 200 },
  );
});

test('letters can be told from one another, and dots are kept', () => {
  const drawn = (name: string): string => {
    using canvas = new Canvas(WIDTH, HEIGHT);
    canvas.label(name, { x: 0, y: 0, width: WIDTH, height: HEIGHT }, 'middle');
    return luma(canvas).toString('base64');
  };
  assert.notEqual(drawn('tur'), drawn('tür'));
  assert.equal(drawn('café'), drawn('CAFE'));
  assert.equal(drawn('Straße'), drawn('strasse'));
  assert.notEqual(drawn('cam1'), drawn('cam2'));
  assert.equal(drawn('门'), drawn('?'));
});

test('a dimmed cell is darker, its neighbours stay as they are', () => {
  using canvas = new Canvas(WIDTH, HEIGHT);
  const [dark, light] = mosaicPlaces(2, WIDTH, HEIGHT);
  assert.ok(dark !== undefined && light !== undefined);
  canvas.fill(dark, 'grey');
  canvas.fill(light, 'grey');
  canvas.dim(dark);
  const picture = luma(canvas);
  assert.deepEqual([picture[0], picture.at(-1)], [31, 58]);
});
