import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SoundFeed } from './feed.ts';

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 300);

const piece = fc.record({
  samples: fc.oneof(
    fc.float32Array({ maxLength: 2_000 }),
    fc.int16Array({ maxLength: 2_000 }),
    fc.constant(new Float32Array(30_000).fill(Number.NaN)),
  ),
  sampleRateHz: fc.oneof(fc.constantFrom(8_000, 16_000, 44_100, 48_000), fc.integer({ min: -10, max: 500_000 })),
  channels: fc.oneof(fc.constantFrom(1, 2), fc.integer({ min: -2, max: 100 })),
  atMs: fc.oneof(fc.double({ min: 0, max: 5_000, noNaN: true }), fc.double()),
});

test('whatever comes in, windows are finite numbers within bounds and nothing but RangeErrors is thrown', () => {
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (all) => {
      const feed = new SoundFeed({
        onWindow: ({ samples, levelDb, startMs, endMs }) => {
          assert.ok(samples === null || (samples.length === 15_600 && samples.every(Number.isFinite)));
          assert.ok(Number.isFinite(levelDb) && startMs < endMs);
        },
        onLoudness: ({ dbfs, dbfsA, clipped }) => {
          assert.ok(Number.isFinite(dbfs) && Number.isFinite(dbfsA) && clipped >= 0 && clipped <= 1);
        },
      });
      for (const one of all) {
        try {
          feed.push(one);
        } catch (error) {
          assert.ok(error instanceof RangeError);
        }
      }
    }),
    { numRuns: RUNS },
  );
});
