import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { makeStream, type TestUnit } from '../../../testkit/pictures.ts';
import { PipelineRun, remake, video } from '../../../testkit/pipeline-run.ts';
import { quietLibraries } from './still.ts';

const FRAME = 3600;
/** A moving picture of 12 s, with a key frame at the beginning alone. */
let long: TestUnit[] = [];
/** The same, with one each 2 s. */
let regular: TestUnit[] = [];
let jpegs: TestUnit[] = [];

before(async () => {
  quietLibraries();
  const picture = 'testsrc2=s=160x120:r=25';
  [long, regular, jpegs] = await Promise.all([
    makeStream('h264', { picture, pictures: 300, gop: 1000 }),
    makeStream('h264', { picture, pictures: 300, gop: 50 }),
    makeStream('jpeg', { picture, pictures: 100 }),
  ]);
});

function run(units: readonly TestUnit[]): PipelineRun {
  const [unit] = units;
  assert.ok(unit !== undefined);
  return new PipelineRun(unit.format);
}
const keysOf = (units: readonly { pts: number; key: boolean }[]): number[] =>
  units.filter(({ key }) => key).map(({ pts }) => pts / FRAME);

test('key frames stand where the input has them, in each codec', () => {
  for (const codec of ['h264', 'h265'] as const) {
    assert.deepEqual(keysOf(remake(regular.slice(0, 120), video(codec))), [0, 50, 100]);
  }
});

test('a scene that changes makes no key frame', async () => {
  const cuts = await makeStream('h264', {
    picture: 'color=red:s=160x120:r=25:d=1[a];testsrc2=s=160x120:r=25:d=1[b];[a][b]concat',
    pictures: 50,
    gop: 1000,
  });
  for (const codec of ['h264', 'h265'] as const) assert.deepEqual(keysOf(remake(cuts, video(codec))), [0]);
});

for (const [name, units, expected] of [
  ['with a key frame each 2 s', () => regular, [100, 150, 200, 250]],
  ['with no further key frame', () => long, [100, 200]],
] as const) {
  test(`outputs that began at different times have their key frames at the same pictures: an input ${name}`, () => {
    const all = units();
    using pipeline = run(all);
    pipeline.add(1, video('h264')).push(all.slice(0, 33));
    pipeline.add(2, video('h264', { width: 80 }), 37 * FRAME).push(all.slice(33, 71));
    pipeline.add(3, video('h265', { fps: 10 })).push(all.slice(71));
    const from = (out: number): number[] => keysOf(pipeline.made(out)).filter((at) => at > 75);
    for (const out of [1, 2, 3]) assert.deepEqual(from(out), expected, `output ${out}`);
    assert.equal(keysOf(pipeline.made(2))[0], 38);
    assert.equal(keysOf(pipeline.made(3))[0], 71);
  });
}

test('a gop asked for is kept to', () => {
  for (const codec of ['h264', 'h265'] as const) {
    assert.deepEqual(keysOf(remake(long.slice(0, 70), video(codec, { gop: 15 }))), [0, 15, 30, 45, 60]);
  }
  assert.deepEqual(keysOf(remake(regular.slice(0, 70), video('h264', { gop: 30 }))), [0, 30, 50]);
  assert.deepEqual(keysOf(remake(long.slice(0, 5), video('h264', { gop: 1 }))), [0, 1, 2, 3, 4]);
});

test('a key frame that is asked for is the next picture, of this output alone', () => {
  for (const codec of ['h264', 'h265'] as const) {
    using pipeline = run(long);
    pipeline
      .add(1, video(codec))
      .add(2, video(codec, { width: 80 }))
      .push(long.slice(0, 20));
    pipeline.pipeline.forceKey(1);
    pipeline.pipeline.forceKey(99);
    pipeline.push(long.slice(20, 40));
    assert.deepEqual(keysOf(pipeline.made(1)), [0, 20]);
    assert.deepEqual(keysOf(pipeline.made(2)), [0]);
  }
});

test('a rate that is asked for is kept to, with the times of the pictures as they are', () => {
  for (const [units, codec] of [
    [long, 'h264'],
    [long, 'jpeg'],
    [jpegs, 'jpeg'],
    [jpegs, 'h265'],
  ] as const) {
    const made = remake(units.slice(0, 100), video(codec, { fps: 5 }));
    assert.deepEqual(
      made.map(({ pts }) => pts / FRAME),
      Array.from({ length: 20 }, (_, index) => index * 5),
    );
  }
});

test('an input of whole pictures has key frames every 2 s in the output', () => {
  assert.deepEqual(keysOf(remake(jpegs, video('h264'))), [0, 50]);
});

test('a bit rate that is asked for is not exceeded, and used', async () => {
  const noise = await makeStream('h264', {
    picture: 'testsrc2=s=320x240:r=25,noise=alls=40:allf=t',
    pictures: 100,
    args: ['-crf', '18'],
  });
  for (const codec of ['h264', 'h265'] as const) {
    const rates = [200, 800].map((bitrateKbps) => {
      const made = remake(noise, video(codec, { bitrateKbps }));
      const kbps = (made.reduce((sum, { data }) => sum + data.length, 0) * 8) / 4 / 1000;
      assert.ok(kbps < bitrateKbps * 1.3, `${kbps} kbit/s of ${codec} where ${bitrateKbps} were asked for`);
      return kbps;
    });
    assert.ok((rates[1] ?? 0) > 2 * (rates[0] ?? 0), `${rates.join(' and ')} kbit/s`);
  }
});
