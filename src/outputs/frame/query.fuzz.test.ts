import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { HearthcamError } from '../../core/errors.ts';
import { parseFrameQuery } from './query.ts';

const runs = Number(process.env['FUZZ_RUNS'] ?? 300);
const keys = ['src', 'name', 'width', 'w', 'height', 'h', 'rotate', 'quality', 'cache', 'hw'] as const;
const value = fc.oneof(
  fc.string(),
  fc.integer().map(String),
  fc.constantFrom('', '-1', '90', '5s', '1e3', '٣', '0x10'),
);

test('any query gives sizes that can be made, or a 400 that names the parameter', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.constantFrom(...keys), value), { maxLength: 6 }), (pairs) => {
      try {
        const query = parseFrameQuery(new URLSearchParams(pairs));
        for (const side of [query.width, query.height]) {
          assert.ok(side === undefined || (Number.isInteger(side) && side >= 1 && side <= 8192), `${side}`);
        }
        assert.ok(query.maxAgeMs >= 1_000 && query.maxAgeMs <= 60_000);
      } catch (error) {
        assert.ok(error instanceof HearthcamError && error.status === 400, String(error));
        assert.match(error.message, /^frame\.jpeg: \w+=/);
      }
    }),
    { numRuns: runs },
  );
});
