import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import fc from 'fast-check';
import { inputUnits } from '../../../testkit/audio-run.ts';
import { codeSound, tone } from '../../../testkit/sound.ts';
import type { AudioCodec } from '../../core/media.ts';
import { type AudioTarget, MADE_AUDIO_CODECS } from '../../core/targets.ts';
import { plannedFormat } from '../audio-format.ts';
import type { PipelineUnit } from '../pipeline.ts';
import { JobError } from '../protocol.ts';
import { makeAudioPipeline } from './audio-pipeline.ts';
import { quietLibraries } from './still.ts';

const runs = Number(process.env['FUZZ_RUNS'] ?? 300);

before(quietLibraries);

type Damage =
  | { readonly how: 'random'; readonly bytes: Uint8Array }
  | { readonly how: 'flip'; readonly at: number; readonly mask: number }
  | { readonly how: 'cut'; readonly part: number }
  | { readonly how: 'time'; readonly ticks: number }
  | { readonly how: 'config'; readonly bytes: Uint8Array };

const damage: fc.Arbitrary<Damage> = fc.oneof(
  fc.record({ how: fc.constant('random' as const), bytes: fc.uint8Array({ maxLength: 400 }) }),
  fc.record({ how: fc.constant('flip' as const), at: fc.nat(2_000), mask: fc.integer({ min: 1, max: 255 }) }),
  fc.record({ how: fc.constant('cut' as const), part: fc.double({ min: 0, max: 1, noNaN: true }) }),
  fc.record({ how: fc.constant('time' as const), ticks: fc.integer({ min: -10_000_000, max: 10_000_000 }) }),
  fc.record({ how: fc.constant('config' as const), bytes: fc.uint8Array({ maxLength: 40 }) }),
);

function harmed(unit: PipelineUnit, what: Damage): PipelineUnit {
  switch (what.how) {
    case 'random':
      return { ...unit, data: Buffer.from(what.bytes) };
    case 'flip': {
      const data = Buffer.from(unit.data);
      const at = what.at % Math.max(1, data.length);
      if (at < data.length) data.writeUInt8(data.readUInt8(at) ^ what.mask, at);
      return { ...unit, data };
    }
    case 'cut':
      return { ...unit, data: unit.data.subarray(0, Math.floor(unit.data.length * what.part)) };
    case 'time':
      return { ...unit, pts: unit.pts + what.ticks, dts: unit.pts + what.ticks };
    case 'config':
      return unit.format.kind === 'audio'
        ? { ...unit, format: { ...unit.format, config: Buffer.from(what.bytes) } }
        : unit;
    default:
      return what satisfies never;
  }
}

for (const [codec, rateHz, channels] of [
  ['aac', 48_000, 2],
  ['opus', 48_000, 2],
  ['mp3', 44_100, 2],
  ['flac', 32_000, 1],
  ['g726', 8_000, 1],
  ['l16', 16_000, 2],
] as const satisfies readonly (readonly [AudioCodec, number, number])[]) {
  test(`whatever becomes of units of ${codec}, outputs go on with increasing times and end with good ones`, async () => {
    const coded = await codeSound(codec, tone(rateHz, channels, 0.6, 700), codec === 'g726' ? ['-code_size', '4'] : []);
    const input = inputUnits(coded);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(input.length - 1), damage), { minLength: 1, maxLength: 8 }),
        fc.subarray([...MADE_AUDIO_CODECS], { minLength: 1, maxLength: 2 }),
        (harm, codecs) => {
          const units = [...input];
          for (const [index, what] of harm) {
            const unit = units[index];
            if (unit !== undefined) units[index] = harmed(unit, what);
          }
          const last = new Map<number, number>();
          let formats = 0;
          using pipeline = makeAudioPipeline(coded.format, {
            format: () => formats++,
            unit: (out, { pts, data }) => {
              assert.ok(Number.isSafeInteger(pts) && pts >= 0);
              assert.ok(pts > (last.get(out) ?? -1), `${pts} after ${last.get(out)}`);
              assert.ok(data.length > 0);
              last.set(out, pts);
            },
            failed: (_out, _fault, message) => assert.fail(message),
            note: () => {},
          });
          for (const [out, made] of codecs.entries()) pipeline.addOutput(out, { kind: 'audio', codec: made }, -1);
          for (const unit of units) pipeline.push(unit);
          // Behind all that a damaged time stamp may have said.
          const far = 10_000 * coded.format.clockRateHz;
          const reached = new Map(last);
          for (const unit of input) pipeline.push({ ...unit, pts: unit.pts + far, dts: unit.pts + far });
          assert.equal(formats, codecs.length);
          assert.ok(pipeline.damaged <= units.length);
          for (const out of codecs.keys()) assert.ok((last.get(out) ?? -1) > (reached.get(out) ?? -1));
        },
      ),
      { numRuns: Math.ceil(runs / 6) },
    );
  });
}

test('any target for any format is made, or refused with the reason; the plan says the same', () => {
  const number = fc.oneof(
    fc.integer({ min: -2, max: 200_000 }),
    fc.double(),
    fc.constantFrom(1, 2, 8_000, 16_000, 48_000),
  );
  fc.assert(
    fc.property(
      fc.constantFrom(...MADE_AUDIO_CODECS),
      fc.record({ sampleRateHz: number, channels: number, bitrateKbps: number }, { requiredKeys: [] }),
      fc.record({ sampleRateHz: number, channels: number, config: fc.uint8Array({ maxLength: 20 }) }),
      fc.constantFrom<AudioCodec>('aac', 'pcma', 'opus', 'flac', 'l16', 'g722'),
      (made, over, from, codec) => {
        const target: AudioTarget = { kind: 'audio', codec: made, ...over };
        const format = {
          kind: 'audio' as const,
          codec,
          clockRateHz: 48_000,
          codecString: codec,
          sampleRateHz: from.sampleRateHz,
          channels: from.channels,
          config: Buffer.from(from.config),
        };
        const planned = plannedFormat(target, format);
        let given: unknown = null;
        using pipeline = makeAudioPipeline(format, {
          format: (_out, one) => {
            given = one;
          },
          unit: () => {},
          failed: () => {},
          note: () => {},
        });
        try {
          pipeline.addOutput(1, target, 0);
        } catch (error) {
          assert.ok(error instanceof JobError && error.fault === 'request');
          assert.ok(error.message.includes(made));
        }
        assert.deepEqual(given, planned);
        pipeline.push({ format, pts: 0, dts: 0, key: true, data: Buffer.alloc(100, 0x55) });
      },
    ),
    { numRuns: runs },
  );
});
