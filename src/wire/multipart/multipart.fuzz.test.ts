import { test } from 'node:test';
import fc from 'fast-check';
import { WireError } from '../../core/errors.ts';
import { boundaryOf, JpegSplitter, MultipartReader } from './reader.ts';
import { MULTIPART_BEGIN, writeJpegParts } from './writer.ts';

const runs = Number(process.env['FUZZ_RUNS'] ?? 300);
const jpeg = Buffer.from('ffd8ffe0000affd8ffd9aabbccddffda000401023fff00ffd10ad9ffd9', 'hex');
const seed = Buffer.concat([MULTIPART_BEGIN, writeJpegParts([jpeg, jpeg])]);

function drive(bytes: Buffer, step: number): void {
  const readers = [new MultipartReader('frame'), new MultipartReader(undefined), new JpegSplitter()];
  for (const reader of readers) {
    try {
      for (let at = 0; at < bytes.length; at += step) reader.push(bytes.subarray(at, at + step), () => {});
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
    }
  }
}

test('multipart and JPEG: random bytes give a WireError at worst', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.oneof(
          fc.constantFrom('--frame', '\r\n', '\n', ': ', 'Content-Length: 5', '\xff\xd8', '\xff\xda', '\xff\xd9'),
          fc.string({ maxLength: 6 }),
        ),
      ),
      fc.integer({ min: 1, max: 40 }),
      (parts, step) => drive(Buffer.from(parts.join(''), 'latin1'), step),
    ),
    { numRuns: runs },
  );
});

test('multipart and JPEG: a real stream with changed bytes gives a WireError at worst', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(seed.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 }),
      fc.integer({ min: 1, max: 40 }),
      (changes, step) => {
        const bytes = Buffer.from(seed);
        for (const [at, value] of changes) bytes[at] = value;
        drive(bytes, step);
      },
    ),
    { numRuns: runs },
  );
});

test('Content-Type: any text has a boundary or has none', () => {
  fc.assert(
    fc.property(fc.string(), (text) => void boundaryOf(`multipart/x-mixed-replace; boundary=${text}`)),
    { numRuns: runs },
  );
});
