import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { boundaryOf, MultipartReader } from './multipart.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (parts: readonly Uint8Array[]): string[] => parts.map((part) => new TextDecoder().decode(part));

const types = [
  { type: 'multipart/x-mixed-replace; boundary=frame', want: 'frame' },
  { type: 'multipart/x-mixed-replace;boundary="a b"', want: 'a b' },
  { type: 'multipart/x-mixed-replace; boundary=--frame; charset=x', want: 'frame' },
  { type: 'image/jpeg', want: null },
];
for (const { type, want } of types) test(`boundary of ${type}`, () => assert.equal(boundaryOf(type), want));

const streams = [
  { name: 'with lengths', text: '--f\r\nContent-Length: 3\r\n\r\nabc\r\n--f\r\nContent-Length: 2\r\n\r\nde\r\n' },
  { name: 'without lengths', text: '--f\r\nContent-Type: image/jpeg\r\n\r\nabc\r\n--f\r\nA: b\r\n\r\nde\r\n--f\r\n' },
  {
    name: 'with a line before the first part',
    text: '\r\n--f\r\ncontent-length:3\r\n\r\nabc--f\r\nContent-Length: 2\r\n\r\nde',
  },
];
for (const stream of streams) {
  test(`pictures come whole from a stream ${stream.name}, however it is cut`, () => {
    for (let size = 1; size < stream.text.length; size++) {
      const reader = new MultipartReader('f');
      const parts: Uint8Array[] = [];
      const all = bytes(stream.text);
      for (let at = 0; at < all.length; at += size) parts.push(...reader.push(all.subarray(at, at + size)));
      assert.deepEqual(text(parts), ['abc', 'de'], `cut every ${size}`);
    }
  });
}

test('a part that claims to be larger than any picture ends the stream', () => {
  assert.throws(() => new MultipartReader('f').push(bytes('--f\r\nContent-Length: 999999999\r\n\r\n')), RangeError);
  assert.throws(() => new MultipartReader('f').push(bytes(`--f\r\n${'x'.repeat(5000)}`)), RangeError);
});

test('random bytes give pictures or a RangeError, nothing else', () => {
  const piece = fc.oneof(
    fc.uint8Array({ maxLength: 64 }),
    fc.constantFrom('--f', '\r\n\r\n', '\r\n', 'Content-Length: 5', 'Content-Length: 0').map(bytes),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
      const reader = new MultipartReader('f');
      try {
        for (const one of pieces) reader.push(one);
      } catch (error) {
        assert.ok(error instanceof RangeError);
      }
    }),
    { numRuns: Number(process.env['FUZZ_RUNS'] ?? 300) },
  );
});
