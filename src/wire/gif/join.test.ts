import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { WireError } from '../../core/errors.ts';
import { joinGif } from './join.ts';

const HEADER = Buffer.from('474946383961020002008000000000ffffff00', 'hex');
const IMAGE = Buffer.from('21f904000000000000ff', 'hex');

test('each picture is shown for its time, and the sum of times is right', () => {
  const pictures = Array.from({ length: 30 }, (_, index) => ({
    data: index === 0 ? Buffer.concat([HEADER, IMAGE]) : IMAGE,
    durationMs: 1000 / 15,
  }));
  const file = joinGif(pictures);
  assert.ok(file.subarray(0, HEADER.length).equals(HEADER));
  assert.equal(file.toString('latin1', HEADER.length + 3, HEADER.length + 14), 'NETSCAPE2.0');
  assert.equal(file.at(-1), 0x3b);
  const delays: number[] = [];
  for (let at = HEADER.length + 19; at < file.length - 1; at += IMAGE.length) delays.push(file.readUInt16LE(at + 4));
  assert.equal(delays.length, 30);
  assert.equal(
    delays.reduce((sum, one) => sum + one, 0),
    200,
  );
  assert.ok(delays.every((delay) => delay === 6 || delay === 7));
});

test('what is no picture of a GIF encoder gives a WireError', () => {
  const image = fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.constant(Uint8Array.from(IMAGE)));
  fc.assert(
    fc.property(fc.array(image, { maxLength: 4 }), (images) => {
      try {
        joinGif(images.map((bytes) => ({ data: Buffer.from(bytes), durationMs: 100 })));
      } catch (error) {
        assert.ok(error instanceof WireError, String(error));
      }
    }),
    { numRuns: Number(process.env['FUZZ_RUNS'] ?? 300) },
  );
});
