import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { makeStream, quarters, seenLuma, type TestUnit } from '../../../testkit/pictures.ts';
import { PipelineRun, video } from '../../../testkit/pipeline-run.ts';
import { EMPTY, type VideoCodec } from '../../core/media.ts';
import { quietLibraries } from './still.ts';
import type { DecoderMaker, EncoderMaker, VideoCodecs } from './video-codecs.ts';
import { softwareDecoder } from './video-decoder.ts';
import { softwareEncoder } from './video-encoder.ts';
import { makeVideoPipelineWith } from './video-pipeline.ts';

const FRAME = 3600;
const streams = new Map<VideoCodec, TestUnit[]>();

before(async () => {
  quietLibraries();
  const picture = 'mandelbrot=s=160x120:r=25:start_scale=1:end_scale=0.1:end_pts=100';
  const codecs = ['h264', 'h265', 'av1', 'vp8', 'vp9'] as const;
  await Promise.all(
    codecs.map(async (codec) => streams.set(codec, await makeStream(codec, { picture, pictures: 50, gop: 25 }))),
  );
  streams.set('jpeg', await makeStream('jpeg', { pictures: 50 }));
});

function start(codec: VideoCodec, codecs?: VideoCodecs): { run: PipelineRun; units: TestUnit[] } {
  const units = streams.get(codec) ?? [];
  const [unit] = units;
  assert.ok(unit !== undefined);
  const make = codecs === undefined ? undefined : makeVideoPipelineWith(codecs);
  return { run: new PipelineRun(unit.format, make).add(1, video('h264')), units };
}

/** How alike two grey pictures are: dB, above 30 is hardly to be told apart at a glance. */
function psnr(one: Buffer, other: Buffer): number {
  let squares = 0;
  for (let at = 0; at < one.length; at++) squares += ((one[at] ?? 0) - (other[at] ?? 0)) ** 2;
  return squares === 0 ? 99 : 10 * Math.log10((255 * 255 * one.length) / squares);
}

function look(run: PipelineRun): Map<number, Buffer> {
  const made = run.made();
  const [unit] = made;
  assert.ok(unit !== undefined);
  const luma = seenLuma(
    unit.format,
    made.map(({ data }) => data),
    160,
    120,
  );
  assert.equal(luma.length, made.length);
  return new Map(made.map(({ pts }, index) => [pts / FRAME, luma[index] ?? EMPTY]));
}

const cut = (unit: TestUnit): TestUnit[] => [{ ...unit, data: unit.data.subarray(0, unit.data.length / 2) }];
const noise = (unit: TestUnit): TestUnit[] => {
  const data = Buffer.from(unit.data);
  for (let at = 20; at < data.length; at++) data[at] = (at * 7919) % 251;
  return [{ ...unit, data }];
};
const lost = (): TestUnit[] => [];

/** Damage that the decoders notice. */
const NOTICED: Readonly<Partial<Record<VideoCodec, readonly string[]>>> = {
  h264: ['is cut off', 'is noise', 'is lost'],
  h265: ['is cut off', 'is noise', 'is lost'],
  av1: ['is cut off'],
};

for (const codec of ['h264', 'h265', 'av1', 'vp8', 'vp9', 'jpeg'] as const) {
  for (const [what, damage] of Object.entries({ 'is cut off': cut, 'is noise': noise, 'is lost': lost })) {
    const noticed = NOTICED[codec]?.includes(what) ?? false;
    const before = noticed ? ', and none is shown that is far from the truth before' : '';
    test(`a picture of ${codec} that ${what}: all is well from the next key frame on${before}`, () => {
      const whole = start(codec);
      using undamaged = whole.run.push(whole.units);
      const broken = start(codec);
      using damaged = broken.run.push(broken.units.flatMap((unit, index) => (index === 10 ? damage(unit) : [unit])));
      const [truth, seen] = [look(undamaged), look(damaged)];
      for (const [at, picture] of seen) {
        const likeness = psnr(picture, truth.get(at) ?? EMPTY);
        const least = at < 10 || at >= 25 ? 26 : noticed ? 17 : 0;
        assert.ok(likeness > least, `picture ${at}: ${likeness} dB`);
      }
      for (let at = 25; at < 50; at++) assert.ok(seen.has(at), `picture ${at} is shown`);
      if (noticed && what === 'is cut off') assert.ok(damaged.pipeline.damaged >= 1);
      assert.deepEqual(damaged.faults, []);
    });
  }
}

test('one picture whose damaged header announces another size changes nothing, a size that stays does', async () => {
  const { run, units } = start('jpeg');
  using pipeline = run;
  const other = await makeStream('jpeg', { picture: quarters('160x120'), pictures: 5 });
  const lone = units.map((unit, index) => (index === 5 ? { ...unit, data: other[0]?.data ?? EMPTY } : unit));
  pipeline.push(lone);
  assert.equal(pipeline.made().length, 49);
  assert.equal(new Set(pipeline.made().map(({ format }) => format)).size, 1);
  pipeline.push(other.map((unit) => ({ ...unit, pts: unit.pts + 180_000, dts: unit.dts + 180_000 })));
  assert.equal(pipeline.made().length, 53);
  assert.equal(pipeline.made().at(-1)?.format.width, 160);
});

test('empty units and units of another kind are damage, and no more', () => {
  const { run, units } = start('h264');
  using pipeline = run;
  const [unit] = units;
  assert.ok(unit !== undefined);
  pipeline.push([unit, { ...unit, data: EMPTY, pts: FRAME, dts: FRAME }, ...units.slice(2)]);
  assert.equal(pipeline.pipeline.damaged, 1);
  assert.ok(pipeline.made().length >= 48);
});

test('parameters that can not be read are said, and good ones later go on', () => {
  const { run, units } = start('h264');
  using pipeline = run;
  const broken = units.slice(0, 5).map((unit) => ({ ...unit, format: { ...unit.format, config: Buffer.alloc(3, 1) } }));
  pipeline.push(broken);
  assert.equal(pipeline.made().length, 0);
  assert.ok(pipeline.pipeline.damaged > 0);
  pipeline.push(units.map((unit) => ({ ...unit, pts: unit.pts + 90_000, dts: unit.dts + 90_000 })));
  assert.equal(pipeline.made().length, 50);
});

/** Works as software does, until so many units were given to all that were opened. */
function failingDecoder(after: number): DecoderMaker {
  let count = 0;
  return {
    name: 'HARDWARE',
    open: (format) => {
      const decoder = softwareDecoder.open(format);
      return {
        send: (unit) => {
          if (++count > after) throw new Error('the device is gone');
          return decoder.send(unit);
        },
        end: () => decoder.end(),
        receive: () => decoder.receive(),
        [Symbol.dispose]: () => decoder[Symbol.dispose](),
      };
    },
  };
}

function failingEncoder(after: number): EncoderMaker {
  let count = 0;
  return {
    name: 'HARDWARE',
    open: (target, kind, fps) => {
      if (after === 0) throw new Error('there is no device');
      const encoder = softwareEncoder.open(target, kind, fps);
      return {
        encode: (picture, pts, key) => {
          if (++count > after) throw new Error('the device is gone');
          return encoder.encode(picture, pts, key);
        },
        [Symbol.dispose]: () => encoder[Symbol.dispose](),
      };
    },
  };
}

for (const after of [0, 12]) {
  test(`an encoder that fails after ${after} pictures is replaced without the loss of one, and it is said once`, () => {
    const codecs = { decoders: () => [softwareDecoder], encoders: () => [failingEncoder(after), softwareEncoder] };
    const { run, units } = start('h264', codecs);
    using pipeline = run.push(units);
    assert.equal(pipeline.made().length, 50);
    assert.ok(pipeline.made()[after]?.key, 'the new one begins with a key frame');
    assert.equal(pipeline.notes.length, 1);
    assert.match(pipeline.notes.join(), /coding h264 by HARDWARE failed, software goes on: .*device/);
  });
}

test('a decoder that fails is replaced at the next key frame, and it is said once', () => {
  const codecs = { decoders: () => [failingDecoder(12), softwareDecoder], encoders: () => [softwareEncoder] };
  const { run, units } = start('h264', codecs);
  using pipeline = run.push(units);
  assert.deepEqual(
    pipeline.made().map(({ pts }) => pts / FRAME),
    Array.from({ length: 50 }, (_, at) => at).filter((at) => at < 12 || at >= 25),
  );
  assert.equal(pipeline.notes.length, 1);
  assert.match(pipeline.notes.join(), /decoding h264 by HARDWARE failed, software goes on: the device is gone/);
});

test('an output whose last encoder fails ends alone, with the reason', () => {
  const codecs: VideoCodecs = {
    decoders: () => [softwareDecoder],
    encoders: (target) => (target.codec === 'h264' ? [failingEncoder(12)] : [softwareEncoder]),
  };
  const { run, units } = start('h264', codecs);
  using pipeline = run.add(2, video('jpeg')).push(units);
  assert.deepEqual([pipeline.made(1).length, pipeline.made(2).length], [12, 50]);
  assert.match(pipeline.faults.join(), /^1 request: .*the device is gone/);
});

test('pictures of an input of JPEGs that nobody wants are not decoded', () => {
  const sent: number[] = [];
  const counting: DecoderMaker = {
    name: 'counting',
    open: (format) => {
      const decoder = softwareDecoder.open(format);
      const send = decoder.send.bind(decoder);
      return Object.assign(decoder, {
        send: (unit: TestUnit) => {
          sent.push(unit.pts);
          return send(unit);
        },
      });
    },
  };
  const units = streams.get('jpeg') ?? [];
  const [unit] = units;
  assert.ok(unit !== undefined);
  const make = makeVideoPipelineWith({ decoders: () => [counting], encoders: () => [softwareEncoder] });
  using run = new PipelineRun(unit.format, make).add(1, video('jpeg', { fps: 5 })).push(units);
  assert.equal(run.made().length, 10);
  assert.equal(sent.length, 10);
});

test('memory does not grow with pipelines that were opened and closed', async () => {
  const units = await makeStream('h264', { picture: quarters('640x480'), pictures: 3 });
  const round = (): void => {
    for (const codec of ['h264', 'h265', 'jpeg'] as const) {
      const [unit] = units;
      assert.ok(unit !== undefined);
      using run = new PipelineRun(unit.format).add(1, video(codec)).add(2, video(codec, { width: 320, rotate: 90 }));
      run.push(units);
      run.pipeline.removeOutput(2);
      assert.equal(run.made(2).length, 3);
    }
  };
  for (let count = 0; count < 8; count++) round();
  const before = process.memoryUsage.rss();
  for (let count = 0; count < 25; count++) round();
  const grownMb = (process.memoryUsage.rss() - before) / 1e6;
  // Each round holds about 20 MB while it runs: one that is not freed would show 25 times.
  assert.ok(grownMb < 40, `${grownMb} MB more after 25 rounds`);
});
