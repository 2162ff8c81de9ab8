import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { HearthcamError } from '../core/errors.ts';
import { isEventId } from './files.ts';
import { parseEventQuery } from './query.ts';
import { parseRange } from './reply.ts';

const runs = { numRuns: Number(process.env['FUZZ_RUNS'] ?? 300) };
const keys = fc.constantFrom('camera', 'detection', 'from', 'to', 'limit', 'before', 'x');
const values = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 300 }),
  fc.date({ noInvalidDate: true }).map((date) => date.toISOString()),
  fc.integer().map(String),
  fc.constantFrom('', ',', '0', '-0', '1e9', '2024-02-30', '9'.repeat(400), '%', '+'),
);

test('any query of events gives a bounded filter, or a 400', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(keys, values), { maxLength: 12 }), (pairs) => {
      try {
        const filter = parseEventQuery(new URLSearchParams(pairs));
        assert.ok(filter.limit >= 1 && filter.limit <= 1_000);
        assert.ok((filter.cameras?.length ?? 0) <= 100 && (filter.detections?.length ?? 0) <= 100);
        for (const ms of [filter.fromMs, filter.toMs]) assert.ok(ms === undefined || Number.isFinite(ms));
        assert.ok(filter.beforeId === undefined || isEventId(filter.beforeId));
      } catch (error) {
        assert.ok(error instanceof HearthcamError && error.status === 400, String(error));
      }
    }),
    runs,
  );
});

test('any Range header gives bytes that the file has', () => {
  const header = fc.oneof(
    fc.string(),
    fc.tuple(fc.nat(), fc.nat()).map(([from, to]) => `bytes=${from}-${to}`),
  );
  fc.assert(
    fc.property(header, fc.nat({ max: 10_000 }), (text, size) => {
      const range = parseRange(text, size);
      if (range === undefined || range === 'none') return;
      assert.ok(range.from >= 0 && range.from <= range.to && range.to < size);
    }),
    runs,
  );
});
