import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { WireError } from '../core/errors.ts';
import {
  encodeFromMaker,
  encodeToMaker,
  type FromMaker,
  parseFromMaker,
  parseToMaker,
  type StreamPlan,
  type ToMaker,
} from './protocol.ts';

const runs = Number(process.env['FUZZ_RUNS'] ?? 300);
const bytes = fc.uint8Array({ maxLength: 60 }).map((data) => Buffer.from(data));
const side = fc.integer({ min: 64, max: 4096 });

const plan: fc.Arbitrary<StreamPlan> = fc.record({
  scene: fc.constantFrom('nursery', 'garden'),
  title: fc.string(),
  codec: fc.constantFrom('h264', 'h265'),
  width: side,
  height: side,
  fps: fc.integer({ min: 1, max: 60 }),
  gop: fc.integer({ min: 1, max: 3600 }),
  bitRateKbps: fc.integer({ min: 0, max: 50_000 }),
  bFrames: fc.integer({ min: 0, max: 4 }),
  audio: fc.constantFrom('aac', 'opus', 'pcma', 'pcmu', 'none'),
});
const order: fc.Arbitrary<ToMaker> = fc.oneof(
  fc.record({ type: fc.constant('start' as const), id: fc.nat(), plan }),
  fc.record({ type: fc.constant('resize' as const), id: fc.nat(), width: side, height: side }),
  fc.record({ type: fc.constant('stop' as const), id: fc.nat() }),
);
const news: fc.Arbitrary<FromMaker> = fc.oneof(
  fc.record({ type: fc.constant('started' as const), id: fc.nat(), startMs: fc.nat(), config: bytes }),
  fc.record({
    type: fc.constant('video' as const),
    id: fc.nat(),
    ticks: fc.integer(),
    decodeTicks: fc.integer(),
    data: bytes,
  }),
  fc.record({ type: fc.constant('audio' as const), id: fc.nat(), ticks: fc.integer(), data: bytes }),
  fc.record({ type: fc.constant('failed' as const), id: fc.nat(), message: fc.string() }),
);

test('orders and news arrive as they were sent', () => {
  fc.assert(
    fc.property(order, news, (sent, told) => {
      const header = JSON.parse(JSON.stringify(encodeToMaker(sent)));
      assert.deepEqual(parseToMaker({ header, payload: Buffer.alloc(0) }), JSON.parse(JSON.stringify(sent)));
      const { header: toldHeader, payload = Buffer.alloc(0) } = encodeFromMaker(told);
      assert.deepEqual(parseFromMaker({ header: JSON.parse(JSON.stringify(toldHeader)), payload }), { ...told });
    }),
    { numRuns: runs },
  );
});

for (const [name, parse] of [
  ['an order', parseToMaker],
  ['a piece of news', parseFromMaker],
] as const) {
  test(`${name} of any shape gives a WireError at most`, () => {
    const mutated = fc
      .tuple(order, fc.constantFrom('type', 'id', 'scene', 'fps', 'width', 'ticks'), fc.jsonValue())
      .map(([sent, key, value]) => ({ ...encodeToMaker(sent), [key]: value }));
    fc.assert(
      fc.property(fc.oneof(fc.jsonValue(), mutated), bytes, (header, payload) => {
        try {
          parse({ header, payload });
        } catch (error) {
          assert.ok(error instanceof WireError, String(error));
        }
      }),
      { numRuns: runs },
    );
  });
}
