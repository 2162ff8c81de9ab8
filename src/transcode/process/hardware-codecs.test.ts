import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { makeStream, type TestUnit } from '../../../testkit/pictures.ts';
import { PipelineRun, video } from '../../../testkit/pipeline-run.ts';
import type { HardwareReport } from '../../core/hardware.ts';
import { type HardwareMakers, hardwareCodecs } from './hardware-codecs.ts';
import { quietLibraries } from './still.ts';
import { softwareDecoder } from './video-decoder.ts';
import { softwareEncoder } from './video-encoder.ts';
import { makeVideoPipelineWith } from './video-pipeline.ts';

const BOTH = ['h264', 'h265'] as const;
const CUDA: HardwareReport = { kind: 'cuda', device: null, decode: BOTH, encode: BOTH };
const VAAPI: HardwareReport = { kind: 'vaapi', device: '/dev/dri/renderD999', decode: ['h264'], encode: ['h264'] };
/** The processor in the place of devices. */
const EMULATED: HardwareMakers = {
  decoder: ({ kind }) => ({ name: kind, open: (format) => softwareDecoder.open(format) }),
  encoder: ({ kind }) => ({ name: kind, open: (target, picture, fps) => softwareEncoder.open(target, picture, fps) }),
};
let units: TestUnit[] = [];

before(async () => {
  quietLibraries();
  units = await makeStream('h264', { picture: 'testsrc2=s=160x120:r=25', pictures: 50, gop: 25 });
});

const rows = [
  { codec: 'h264', hardware: 'auto', encoders: 'cuda vaapi software', decoders: 'cuda vaapi software' },
  { codec: 'h264', hardware: 'vaapi', encoders: 'vaapi software', decoders: 'vaapi software' },
  { codec: 'h265', hardware: 'vaapi', encoders: 'software', decoders: 'vaapi software' },
  { codec: 'jpeg', hardware: 'auto', encoders: 'software', decoders: 'cuda vaapi software' },
  { codec: 'h264', hardware: 'qsv', encoders: 'software', decoders: 'software' },
  { codec: 'h264', hardware: undefined, encoders: 'software', decoders: 'software' },
] as const;
for (const { codec, hardware, encoders, decoders } of rows) {
  test(`${codec} of H.264 with hardware ${hardware ?? 'not asked for'}: ${decoders}, then ${encoders}`, () => {
    const codecs = hardwareCodecs([CUDA, VAAPI], EMULATED);
    const target = video(codec, hardware === undefined ? {} : { hardware });
    const names = (makers: readonly { name: string }[]): string => makers.map(({ name }) => name).join(' ');
    assert.equal(names(codecs.encoders(target)), encoders);
    const [first] = units;
    assert.ok(first !== undefined);
    assert.equal(names(codecs.decoders(first.format)), decoders);
  });
}

test('hardware that is gone is replaced by software without the loss of a picture, told once for each part', () => {
  // The real devices: none of this name is there.
  const make = makeVideoPipelineWith(hardwareCodecs([VAAPI]));
  const [first] = units;
  assert.ok(first !== undefined);
  using run = new PipelineRun(first.format, make).add(1, video('h264', { hardware: 'auto' })).push(units);
  assert.deepEqual(run.faults, []);
  assert.deepEqual(
    run.made().map(({ pts }) => pts),
    units.map(({ pts }) => pts),
  );
  assert.equal(run.notes.length, 2, run.notes.join('\n'));
  assert.match(run.notes[0] ?? '', /decoding h264 by VAAPI failed, software goes on: VAAPI can't be opened/);
  assert.match(run.notes[1] ?? '', /coding h264 by VAAPI failed, software goes on: VAAPI can't be opened/);
});

test('hardware that fails in mid-stream is replaced with one note, and each picture is made', () => {
  let left = 30;
  const make = makeVideoPipelineWith(
    hardwareCodecs([CUDA], {
      ...EMULATED,
      encoder: () => ({
        name: 'a device',
        open: (target, kind, fps) => {
          const inner = softwareEncoder.open(target, kind, fps);
          return {
            encode: (picture, pts, key) => {
              if (left-- <= 0) throw new Error('the device is gone');
              return inner.encode(picture, pts, key);
            },
            [Symbol.dispose]: () => inner[Symbol.dispose](),
          };
        },
      }),
    }),
  );
  const [first] = units;
  assert.ok(first !== undefined);
  using run = new PipelineRun(first.format, make).add(1, video('h264', { hardware: 'cuda' })).push(units);
  assert.equal(run.made().length, units.length);
  assert.equal(run.made()[30]?.key, true, 'the next encoder begins with a key frame');
  assert.deepEqual(run.notes, ['1: coding h264 by a device failed, software goes on: the device is gone']);
});
