import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { makeStream, nalTypes, probe, quarters, seenColours, type TestUnit } from '../../../testkit/pictures.ts';
import { PipelineRun, remake, video } from '../../../testkit/pipeline-run.ts';
import type { VideoCodec, VideoFormat } from '../../core/media.ts';
import { MADE_VIDEO_CODECS, type VideoTarget } from '../../core/targets.ts';
import { makeAudioFormat } from '../../wire/codecs/formats.ts';
import { fitsRtpJpeg } from '../../wire/jpeg/packetizer.ts';
import { JobError } from '../protocol.ts';
import { quietLibraries } from './still.ts';
import { makeVideoPipeline } from './video-pipeline.ts';

const INPUTS: readonly VideoCodec[] = ['h264', 'h265', 'av1', 'vp8', 'vp9', 'jpeg'];
const streams = new Map<VideoCodec, TestUnit[]>();
/** A moving picture, 4 s long, with a key frame each second. */
let moving: TestUnit[] = [];

function stream(codec: VideoCodec): TestUnit[] {
  const units = streams.get(codec);
  assert.ok(units !== undefined && units.length > 0, `a stream of ${codec}`);
  return units;
}
function first<T>(list: readonly T[]): T {
  const [one] = list;
  assert.ok(one !== undefined);
  return one;
}
const ptsOf = (units: readonly { pts: number }[]): number[] => units.map(({ pts }) => pts);
const keysOf = (units: readonly { pts: number; key: boolean }[]): number[] => ptsOf(units.filter(({ key }) => key));
const dataOf = (units: readonly { data: Buffer }[]): Buffer[] => units.map(({ data }) => data);

before(async () => {
  quietLibraries();
  await Promise.all(INPUTS.map(async (codec) => streams.set(codec, await makeStream(codec))));
  moving = await makeStream('h264', { picture: 'testsrc2=s=160x120:r=25', pictures: 100, gop: 25 });
});

for (const input of INPUTS) {
  for (const codec of MADE_VIDEO_CODECS) {
    test(`${input} becomes ${codec}: each picture at once, with its time and its colours`, () => {
      const units = stream(input);
      using run = new PipelineRun(first(units).format).add(1, video(codec));
      for (const [index, unit] of units.entries()) {
        run.pipeline.push(unit);
        assert.equal(run.made().length, index + 1, `unit ${index} gives its picture at once`);
      }
      const made = run.made();
      const { format } = first(made);
      assert.deepEqual(ptsOf(made), ptsOf(units));
      assert.ok(made.every(({ pts, dts }) => pts === dts));
      assert.ok(made.every((unit) => unit.format === format));
      assert.equal(first(made).key, true);
      assert.deepEqual(
        [format.codec, format.width, format.height, format.clockRateHz, format.reorderDepth],
        [codec, 320, 240, 90_000, 0],
      );
      assert.deepEqual(seenColours(format, dataOf(made)), Array(units.length).fill('red white red blue'));
      assert.deepEqual(probe(format, dataOf(made).slice(0, 1), 'stream=width,height'), ['320,240']);
      if (codec === 'jpeg') {
        assert.ok(
          made.every(({ data }) => fitsRtpJpeg(data)),
          'RFC 2435 can carry it',
        );
      } else {
        assert.deepEqual(keysOf(made), [0]);
        // Slices alone: no parameter sets, no access unit delimiters, no SEI.
        const slices = codec === 'h264' ? [1, 5] : [1, 19, 20];
        for (const { data } of made) assert.ok(nalTypes(format, data).every((type) => slices.includes(type)));
        assert.ok(!Buffer.concat(dataOf(made)).includes('x26'), 'no words of the encoder');
      }
      assert.equal(run.pipeline.damaged, 0);
    });
  }
}

const shapes: readonly [name: string, ask: Omit<VideoTarget, 'kind' | 'codec'>, size: string, colours: string][] = [
  ['one side given keeps the aspect ratio', { width: 160 }, '160x120', 'red white red blue'],
  ['the other side given does so too', { height: 60 }, '80x60', 'red white red blue'],
  ['both sides given are taken as they are', { width: 100, height: 100 }, '100x100', 'red white red blue'],
  ['odd sizes become even', { width: 101 }, '100x76', 'red white red blue'],
  ['90 turns clockwise', { rotate: 90 }, '240x320', 'red red blue white'],
  ['180 turns upside down', { rotate: 180 }, '320x240', 'blue red white red'],
  ['270 turns counter-clockwise', { rotate: 270 }, '240x320', 'white blue red red'],
  ['scaling is done before the rotation', { width: 160, height: 80, rotate: 90 }, '80x160', 'red red blue white'],
  ['a horizontal flip changes left and right', { flip: 'horizontal' }, '320x240', 'white red blue red'],
  ['a vertical flip changes top and bottom', { flip: 'vertical' }, '320x240', 'red blue red white'],
  ['a flip is done after the rotation', { rotate: 90, flip: 'vertical' }, '240x320', 'blue white red red'],
  ['a larger picture is made where it is asked for', { width: 640 }, '640x480', 'red white red blue'],
];
for (const codec of MADE_VIDEO_CODECS) {
  for (const [name, ask, size, colours] of shapes) {
    test(`the shape of ${codec}: ${name}`, () => {
      const made = remake(stream('h264').slice(0, 2), video(codec, ask));
      const { format } = first(made);
      assert.equal(`${format.width}x${format.height}`, size);
      assert.deepEqual(probe(format, dataOf(made).slice(0, 1), 'stream=width,height'), [size.replace('x', ',')]);
      assert.deepEqual(seenColours(format, dataOf(made)), [colours, colours]);
    });
  }
}

const sources: readonly [name: string, codec: VideoCodec, picture: string, pixelFormat: string, size: string][] = [
  ['with 10 bits', 'h265', quarters(), 'yuv420p10le', '320x240'],
  ['with all its colours (4:4:4)', 'h264', quarters(), 'yuv444p', '320x240'],
  ['with full range levels', 'h264', quarters(), 'yuvj420p', '320x240'],
  ['of an odd size', 'vp9', quarters('321x241'), 'yuv420p', '320x240'],
];
for (const [name, codec, picture, pixelFormat, size] of sources) {
  test(`a picture ${name} is shown by every decoder`, async () => {
    const units = await makeStream(codec, { picture, pixelFormat, pictures: 2 });
    for (const made of MADE_VIDEO_CODECS) {
      const pictures = remake(units, video(made));
      const { format } = first(pictures);
      assert.equal(`${format.width}x${format.height}`, size);
      assert.deepEqual(new Set(seenColours(format, dataOf(pictures))), new Set(['red white red blue']));
      const [seen] = probe(format, dataOf(pictures), 'stream=pix_fmt');
      assert.equal(seen, made === 'jpeg' || pixelFormat === 'yuvj420p' ? 'yuvj420p' : 'yuv420p');
    }
  });
}

test('pixels that are not square stay so, also when turned', async () => {
  const units = await makeStream('h264', { pictures: 1, args: ['-aspect', '16:9'] });
  const aspect = (ask: Omit<VideoTarget, 'kind' | 'codec'>): string | undefined => {
    const made = remake(units, video('h264', ask));
    return probe(first(made).format, dataOf(made), 'stream=sample_aspect_ratio')[0];
  };
  assert.equal(aspect({}), '4:3');
  assert.equal(aspect({ width: 160 }), '4:3');
  assert.equal(aspect({ rotate: 90 }), '3:4');
});

test('B-frames of the input are gone in the output, and no picture is', async () => {
  for (const codec of ['h264', 'h265'] as const) {
    const picture = 'testsrc2=s=160x120:r=25';
    const units = await makeStream(codec, { picture, pictures: 50, bFrames: 2, gop: 25 });
    const { format } = first(units);
    const depth = Math.max(1, format.reorderDepth);
    assert.ok(
      units.some(({ pts }, index) => pts < Math.max(...ptsOf(units.slice(0, index)))),
      'the input has some',
    );
    using run = new PipelineRun(format).add(1, video('h264'));
    for (const [index, unit] of units.entries()) {
      run.pipeline.push(unit);
      const late = index + 1 - run.made().length;
      assert.ok(late <= depth + 1 && late <= 3, `${late} pictures late after unit ${index} of ${codec}`);
    }
    const made = run.made();
    const shown = ptsOf(units).toSorted((one, other) => one - other);
    assert.deepEqual(ptsOf(made), shown.slice(0, made.length));
    assert.ok(made.length >= units.length - 3);
    assert.ok(made.every(({ pts, dts }) => pts === dts));
    const types = probe(first(made).format, dataOf(made), 'frame=pict_type');
    assert.deepEqual(new Set(types), new Set(['I', 'P']));
  }
});

test('pictures too large for one core are made by two, and are at most one late', async () => {
  const units = await makeStream('h264', { picture: quarters('2560x1440'), pictures: 6 });
  using run = new PipelineRun(first(units).format);
  run
    .add(1, video('h264', { width: 320 }))
    .add(2, video('h264'))
    .add(3, video('h265'));
  for (const [index, unit] of units.entries()) {
    run.pipeline.push(unit);
    for (const out of [1, 2, 3])
      assert.ok(run.made(out).length >= index, `${run.made(out).length} after unit ${index}`);
  }
  for (const out of [1, 2, 3]) {
    const made = run.made(out);
    assert.deepEqual(ptsOf(made), ptsOf(units).slice(0, made.length));
    assert.deepEqual(new Set(seenColours(first(made).format, dataOf(made))), new Set(['red white red blue']));
  }
});

test('another size in mid-stream gives another format at a key frame, and the picture goes on', async () => {
  const small = await makeStream('h264', { picture: quarters('160x120'), pictures: 5 });
  const later = small.map((unit) => ({ ...unit, pts: unit.pts + 36_000, dts: unit.dts + 36_000 }));
  using run = new PipelineRun(first(stream('h264')).format);
  run
    .add(1, video('h264'))
    .add(2, video('jpeg', { width: 80 }))
    .add(3, video('h265', { width: 80 }));
  run.push(stream('h264')).push(later);
  const changed = run.made(1).slice(10);
  assert.deepEqual(keysOf(run.made(1)), [0, 36_000]);
  assert.deepEqual([first(changed).format.width, first(changed).format.height], [160, 120]);
  assert.deepEqual(seenColours(first(changed).format, dataOf(changed)), Array(5).fill('red white red blue'));
  for (const out of [1, 2, 3]) assert.equal(run.made(out).length, 15);
  assert.equal(new Set(run.made(3).map(({ format }) => format)).size, 1, 'the same size is the same format');
  assert.deepEqual(run.faults, []);
});

test('another codec in mid-stream goes on too', () => {
  for (const [before, after] of [
    ['h264', 'h265'],
    ['jpeg', 'h264'],
    ['vp8', 'jpeg'],
  ] as const) {
    const later = stream(after).map((unit) => ({ ...unit, pts: unit.pts + 36_000, dts: unit.dts + 36_000 }));
    const made = remake([...stream(before), ...later], video('h264'));
    assert.equal(made.length, 20);
    const last = made.at(-1)?.format;
    const behind = made.filter(({ format }) => format === last);
    assert.ok(last !== undefined);
    assert.deepEqual(new Set(seenColours(last, dataOf(behind))), new Set(['red white red blue']));
  }
});

test('the owner may remove outputs and close the pipeline while it is told of a unit', () => {
  const { format } = first(stream('h264'));
  const units: number[] = [];
  let told: (out: number) => void = () => undefined;
  const pipeline = makeVideoPipeline(format, {
    format: () => undefined,
    unit: (out) => {
      units.push(out);
      told(out);
    },
    failed: (out, _fault, message) => assert.fail(`${out}: ${message}`),
    note: (out, message) => assert.fail(`${out}: ${message}`),
  });
  for (const out of [1, 2, 3]) pipeline.addOutput(out, video('h264'), -1);
  const [one, two, three] = stream('h264');
  assert.ok(one !== undefined && two !== undefined && three !== undefined);
  told = (out) => {
    if (out === 1) for (const other of [1, 2]) pipeline.removeOutput(other);
  };
  pipeline.push(one);
  assert.deepEqual(units, [1, 3]);
  told = () => pipeline[Symbol.dispose]();
  pipeline.push(two);
  pipeline.push(three);
  assert.deepEqual(units, [1, 3, 3]);
});

test('a format object that says the same as before changes nothing', () => {
  const units = stream('h264').map((unit, index) => (index < 5 ? unit : { ...unit, format: { ...unit.format } }));
  assert.equal(remake(units, video('h264')).length, 10);
});

test('pictures that the viewers have already are decoded, not made again', () => {
  using run = new PipelineRun(first(moving).format).add(1, video('h264'), 50 * 3600);
  run.push(moving);
  assert.deepEqual(ptsOf(run.made()), ptsOf(moving).slice(51));
  assert.equal(first(run.made()).key, true);
});

test('an output that begins in the middle of a group of pictures begins at once', () => {
  using run = new PipelineRun(first(moving).format).push(moving.slice(0, 10));
  run.add(1, video('h264')).push(moving.slice(10, 20));
  assert.deepEqual(ptsOf(run.made()), ptsOf(moving).slice(10, 20));
  assert.equal(first(run.made()).key, true);
  run.pipeline.removeOutput(1);
  run.push(moving.slice(20, 30));
  assert.equal(run.made().length, 10);
});

test('a pipeline that begins between key frames shows nothing until the next one', () => {
  const made = remake(moving.slice(10, 40), video('h264'));
  assert.deepEqual(ptsOf(made), ptsOf(moving).slice(25, 40));
});

test('a time line that begins anew is followed', () => {
  const later = moving.map((unit) => ({ ...unit, pts: unit.pts + 9_000_000, dts: unit.dts + 9_000_000 }));
  const made = remake([...later.slice(0, 30), ...moving], video('h264', { fps: 12 }));
  assert.ok(made.filter(({ pts }) => pts < 9_000_000).length >= 47);
});

const impossible: readonly [what: string, ask: Omit<VideoTarget, 'kind' | 'codec'>][] = [
  ['a size of 0x0', { width: 0, height: 0 }],
  ['a size of 100000x100000', { width: 100_000, height: 100_000 }],
  ['a height beyond what the aspect ratio allows', { height: 8000 }],
  ['a width of 1', { width: 1 }],
  ['half a pixel', { width: 100.5 }],
  ['no number', { height: Number.NaN }],
  ['-5 pictures a second', { fps: -5 }],
  ['0 pictures a second', { fps: 0 }],
  ['10000 pictures a second', { fps: 10_000 }],
  ['a negative bit rate', { bitrateKbps: -1 }],
  ['an absurd bit rate', { bitrateKbps: 1e9 }],
  ['a key frame every 0 pictures', { gop: 0 }],
  ['a quality of 101', { quality: 101 }],
];
for (const [what, ask] of impossible) {
  test(`${what} is refused with the reason`, () => {
    const source: VideoFormat = { ...first(stream('h264')).format, width: 1920, height: 1080 };
    using run = new PipelineRun(source);
    assert.throws(
      () => run.add(1, video('h264', ask)),
      (error: unknown) => error instanceof JobError && error.fault === 'request' && error.message.length > 20,
    );
    run.push(stream('h264'));
    assert.equal(run.made().length, 0);
  });
}

test('a size that turns out to be too large with the first picture ends this output alone', () => {
  const units = stream('h264').map((unit) => ({ ...unit, format: { ...unit.format, width: 0, height: 0 } }));
  using run = new PipelineRun(first(units).format);
  run
    .add(1, video('h264', { height: 8000 }))
    .add(2, video('h264'))
    .push(units);
  assert.equal(run.faults.length, 1);
  assert.match(first(run.faults), /^1 request: .*10666x8000/);
  assert.equal(run.made(2).length, 10);
});

test('sound from pictures and pictures from sound are refused', () => {
  const nothing = (): void => undefined;
  const events = { format: nothing, unit: nothing, failed: nothing, note: nothing };
  assert.throws(() => makeVideoPipeline(makeAudioFormat('pcma', 8000, 1), events), { fault: 'request' });
  using pipeline = makeVideoPipeline(first(stream('h264')).format, events);
  assert.throws(() => pipeline.addOutput(1, { kind: 'audio', codec: 'opus' }, 0), { fault: 'request' });
});
