import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { WireError } from '../core/errors.ts';
import { makeVideoFormat } from '../wire/codecs/formats.ts';
import { type AnimationJob, encodeJob, parseAnswer, parseJob, type StillJob } from './protocol.ts';

const runs = Number(process.env['FUZZ_RUNS'] ?? 300);

const job: fc.Arbitrary<StillJob> = fc.record({
  kind: fc.constant('still'),
  codec: fc.constantFrom('h264', 'h265', 'av1', 'vp8', 'vp9', 'jpeg'),
  config: fc.uint8Array({ maxLength: 50 }).map((bytes) => Buffer.from(bytes)),
  data: fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
  width: fc.integer({ min: 0, max: 8192 }),
  height: fc.integer({ min: 0, max: 8192 }),
  rotate: fc.constantFrom(0, 90, 180, 270),
  quality: fc.integer({ min: 1, max: 100 }),
});

test('a job arrives in the codec process as it was sent', () => {
  fc.assert(
    fc.property(job, fc.nat(), (sent, id) => {
      const { header, payload } = encodeJob(id, sent);
      const got = parseJob({ header: JSON.parse(JSON.stringify(header)), payload });
      assert.equal(got.id, id);
      assert.ok(got.job.kind === 'still');
      assert.deepEqual(
        { ...got.job, config: Buffer.from(got.job.config), data: Buffer.from(got.job.data) },
        { ...sent, config: Buffer.from(sent.config), data: Buffer.from(sent.data) },
      );
    }),
    { numRuns: runs },
  );
});

const animation: fc.Arbitrary<AnimationJob> = fc.record({
  kind: fc.constant('animation'),
  form: fc.constantFrom('webp', 'gif'),
  format: fc.constant(makeVideoFormat('vp8', 64, 48)),
  units: fc
    .array(
      fc.record({
        pts: fc.integer(),
        key: fc.boolean(),
        data: fc.uint8Array({ maxLength: 50 }).map((bytes) => Buffer.from(bytes)),
      }),
      { maxLength: 8 },
    )
    .map((units) => units.map((unit) => ({ ...unit }))),
  fromPts: fc.integer(),
  fps: fc.integer({ min: 1, max: 15 }),
  width: fc.integer({ min: 0, max: 960 }),
  height: fc.integer({ min: 0, max: 960 }),
  rotate: fc.constantFrom(0, 90, 180, 270),
  quality: fc.integer({ min: 1, max: 100 }),
});

test('an animation arrives in the codec process as it was sent', () => {
  fc.assert(
    fc.property(animation, (sent) => {
      const { header, payload } = encodeJob(7, sent);
      const { job: got } = parseJob({ header: JSON.parse(JSON.stringify(header)), payload });
      assert.ok(got.kind === 'animation');
      const units = got.units.map((unit) => ({ ...unit, data: Buffer.from(unit.data) }));
      const { config } = got.format;
      assert.deepEqual({ ...got, format: { ...got.format, config: Buffer.from(config) }, units }, { ...sent });
    }),
    { numRuns: runs },
  );
});

/** A proper header in which something is something else. */
const broken = fc
  .tuple(
    fc.oneof(job, animation),
    fc.constantFrom('id', 'kind', 'codec', 'rotate', 'width', 'quality', 'configBytes', 'type', 'format', 'unitBytes'),
    fc.jsonValue(),
  )
  .map(([proper, key, value]) => ({ ...encodeJob(1, proper).header, [key]: value }));

for (const [name, parse] of [
  ['a job', parseJob],
  ['an answer', parseAnswer],
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
