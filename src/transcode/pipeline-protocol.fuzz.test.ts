import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { WireError } from '../core/errors.ts';
import { makeVideoFormat } from '../wire/codecs/formats.ts';
import { encodeOrder, type PipelineOrder, parseOrder, parseReport } from './pipeline-protocol.ts';

const runs = Number(process.env['FUZZ_RUNS'] ?? 300);
const pipe = fc.nat({ max: 1000 });

const mosaic: fc.Arbitrary<PipelineOrder> = fc
  .tuple(pipe, fc.array(fc.string(), { minLength: 1, maxLength: 64 }), fc.boolean(), fc.integer({ min: 1, max: 30 }))
  .map(([id, names, labels, fps]) => ({
    type: 'mosaic',
    pipe: id,
    shape: { width: 1280, height: 720, fps, labels, ...(labels ? { bitrateKbps: 500 } : {}) },
    names,
    startPts: 12_345,
  }));
const input: fc.Arbitrary<PipelineOrder> = fc.tuple(pipe, pipe, fc.nat({ max: 63 })).map(([id, into, slot]) => ({
  type: 'input',
  pipe: id,
  format: makeVideoFormat('vp8', 64, 48),
  cell: { mosaic: into, slot },
}));

test('orders for a mosaic arrive as they were sent', () => {
  fc.assert(
    fc.property(fc.oneof(mosaic, input), (order) => {
      const { header, payload } = encodeOrder(order);
      const got = parseOrder({ header: JSON.parse(JSON.stringify(header)), payload: payload ?? Buffer.alloc(0) });
      const plain = got.type === 'input' ? { ...got, format: makeVideoFormat('vp8', 64, 48) } : got;
      assert.deepEqual(plain, order);
    }),
    { numRuns: runs },
  );
});

const broken = fc
  .tuple(
    fc.oneof(mosaic, input),
    fc.constantFrom('type', 'pipe', 'shape', 'names', 'cell', 'format', 'startPts'),
    fc.jsonValue(),
  )
  .map(([order, key, value]) => ({ ...encodeOrder(order).header, [key]: value }));

for (const [name, parse] of [
  ['an order', parseOrder],
  ['a report', parseReport],
] as const) {
  test(`${name} of any shape gives a WireError at most`, () => {
    fc.assert(
      fc.property(fc.oneof(fc.jsonValue(), broken), fc.uint8Array({ maxLength: 40 }), (header, bytes) => {
        try {
          parse({ header, payload: Buffer.from(bytes) });
        } catch (error) {
          assert.ok(error instanceof WireError, String(error));
        }
      }),
      { numRuns: runs },
    );
  });
}
