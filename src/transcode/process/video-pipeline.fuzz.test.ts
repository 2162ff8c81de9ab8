import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import fc from 'fast-check';
import { makeStream, type TestUnit } from '../../../testkit/pictures.ts';
import { PipelineRun, video } from '../../../testkit/pipeline-run.ts';
import type { VideoCodec } from '../../core/media.ts';
import { MADE_VIDEO_CODECS } from '../../core/targets.ts';
import { quietLibraries } from './still.ts';

const CODECS: readonly VideoCodec[] = ['h264', 'h265', 'av1', 'vp8', 'vp9', 'jpeg'];
const RUNS = Number(process.env['FUZZ_RUNS'] ?? 150);
const streams = new Map<VideoCodec, TestUnit[]>();

before(async () => {
  quietLibraries();
  const picture = 'testsrc2=s=128x96:r=25';
  await Promise.all(
    CODECS.map(async (codec) => {
      const bFrames = codec === 'h264' || codec === 'h265' ? 1 : 0;
      streams.set(codec, await makeStream(codec, { picture, pictures: 12, gop: 4, bFrames }));
    }),
  );
});

interface Damage {
  /** Which unit; -1: its configuration record. */
  readonly unit: number;
  readonly bytes: readonly (readonly [at: number, value: number])[];
  readonly share: number;
  readonly repeat: boolean;
}

function harm(data: Buffer, { bytes, share }: Damage): Buffer {
  const copy = Buffer.from(data.subarray(0, Math.ceil(data.length * share)));
  for (const [at, value] of bytes) if (copy.length > 0) copy[at % copy.length] = value;
  return copy;
}

const damages: fc.Arbitrary<Damage[]> = fc.array(
  fc.record({
    unit: fc.integer({ min: -1, max: 11 }),
    bytes: fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 12 }),
    share: fc.oneof(fc.constant(1), fc.double({ min: 0, max: 1, noNaN: true })),
    repeat: fc.boolean(),
  }),
  { minLength: 1, maxLength: 4 },
);

test('whatever is wrong with a stream, nothing is thrown, times grow, and a good stream behind it is shown', () => {
  fc.assert(
    fc.property(fc.constantFrom(...CODECS), fc.constantFrom(...MADE_VIDEO_CODECS), damages, (codec, made, all) => {
      const units = streams.get(codec) ?? [];
      let format = units[0]?.format;
      assert.ok(format !== undefined);
      for (const damage of all) if (damage.unit < 0) format = { ...format, config: harm(format.config, damage) };
      const bad = units.flatMap((unit, index) => {
        const here = all.filter((damage) => damage.unit === index);
        const data = here.reduce(harm, unit.data);
        const one = { ...unit, format: format ?? unit.format, data };
        return here.some((damage) => damage.repeat) ? [one, one] : [one];
      });
      const good = units.map((unit) => ({ ...unit, pts: unit.pts + 90_000, dts: unit.dts + 90_000 }));
      using run = new PipelineRun(format).add(1, video(made)).add(2, video('jpeg', { width: 64, fps: 10 }));
      run.push(bad).push(good);
      assert.deepEqual(run.faults, []);
      for (const out of [1, 2]) {
        const pictures = run.made(out);
        for (const [index, { pts }] of pictures.entries())
          assert.ok(index === 0 || pts > (pictures[index - 1]?.pts ?? 0));
      }
      assert.ok(run.made(1).filter(({ pts }) => pts >= 90_000).length >= 7);
    }),
    { numRuns: Math.min(2000, RUNS) },
  );
});
