import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseInput } from './inputs.ts';
import { loadConfig } from './load.ts';
import { formatProblem } from './problems.ts';
import { jsonSchema } from './section.ts';
import { camerasSection, coreSections, streamsSection, transcodeSection } from './sections.ts';
import { layOut } from './streams.ts';

function load(yaml: string, ...more: string[]) {
  return loadConfig({
    inputs: ['f', ...more].map((input) => parseInput(input, '/')),
    sections: coreSections,
    references: { env: {}, credentialsDirectory: undefined, readFile: () => '' },
    readFile: () => yaml,
  });
}
type Loaded = ReturnType<typeof load>;
const lines = (config: Loaded): string[] => config.problems.map(formatProblem);
const layoutOf = (config: Loaded) => layOut(config.get(streamsSection), config.get(camerasSection));

for (const row of [
  { yaml: '', want: 'audio' },
  { yaml: 'transcode:\n', want: 'audio' },
  { yaml: 'transcode: auto\n', want: 'auto' },
  { yaml: 'transcode: never\n', want: 'never' },
  { yaml: 'transcode: {}\n', want: { mode: 'audio', hardware: 'auto' } },
  {
    yaml: 'transcode: {mode: auto, max_encodes: "3", hardware: off}\n',
    want: { mode: 'auto', max_encodes: 3, hardware: 'off' },
  },
]) {
  test(`${JSON.stringify(row.yaml)} is ${JSON.stringify(row.want)}`, () => {
    const config = load(row.yaml);
    assert.deepEqual(lines(config), []);
    assert.deepEqual(config.get(transcodeSection), row.want);
  });
}

test('on the command line a word goes over the map of the file, and one key over its own', () => {
  assert.equal(load('transcode: {mode: auto}\n', '{transcode: never}').get(transcodeSection), 'never');
  assert.deepEqual(load('transcode: {mode: auto, max_encodes: 2}\n', 'transcode.max_encodes=5').get(transcodeSection), {
    mode: 'auto',
    max_encodes: 5,
    hardware: 'auto',
  });
});

for (const row of [
  {
    yaml: 'transcode: atuo\n',
    want: ['f:1:12: error: transcode must be one of auto, audio, never or a map (did you mean "auto"?)'],
    fatal: true,
  },
  {
    yaml: 'transcode:\n  mode: nevr\n',
    want: ['f:2:9: error: transcode.mode must be one of auto, audio, never (did you mean "never"?)'],
    fatal: true,
  },
  {
    yaml: 'transcode:\n  hardwear: vaapi\n',
    want: ['f:2:3: warning: unknown key "transcode.hardwear" (did you mean "hardware"?)'],
    fatal: false,
  },
  {
    yaml: 'transcode: {hardware: vapi}\n',
    want: [
      'f:1:23: error: transcode.hardware must be one of auto, vaapi, qsv, cuda, v4l2m2m, rkmpp, off (did you mean "vaapi"?)',
    ],
    fatal: true,
  },
]) {
  test(`${JSON.stringify(row.yaml)} is told with its place and what was meant`, () => {
    const config = load(row.yaml);
    assert.deepEqual(lines(config), row.want);
    assert.equal(config.fatal, row.fatal);
  });
}

test('streams and cameras say what is made of them; the plain forms stay as they are', () => {
  const config = load(`
streams:
  plain: rtsp://h/1
  list: [rtsp://h/1, "ffmpeg:list#audio=opus"]
  old: {url: rtsp://h/1}
  cam:
    url: [rtsp://h/1, rtsp://h/2]
    transcode: never
    renditions: [720p, 360p]
  phone: {url: , transcode: auto}
cameras:
  nursery:
    main: rtsp://h/3
    sub: rtsp://h/4
    transcode: auto
    renditions: 240
`);
  assert.deepEqual(lines(config), []);
  const { streams, modes, renditions } = layoutOf(config);
  assert.deepEqual(streams, {
    plain: ['rtsp://h/1'],
    list: ['rtsp://h/1', 'ffmpeg:list#audio=opus'],
    old: ['rtsp://h/1'],
    cam: ['rtsp://h/1', 'rtsp://h/2'],
    phone: [],
    nursery: ['rtsp://h/3'],
    nursery_sub: ['rtsp://h/4'],
  });
  assert.deepEqual(modes, { cam: 'never', phone: 'auto', nursery: 'auto', nursery_sub: 'auto' });
  assert.deepEqual(renditions, {
    cam: [
      { name: '720p', picture: { kind: 'video', codec: 'h264', height: 720, bitrateKbps: 2_200, fps: 30 } },
      { name: '360p', picture: { kind: 'video', codec: 'h264', height: 360, bitrateKbps: 700, fps: 30 } },
    ],
    nursery: [{ name: '240p', picture: { kind: 'video', codec: 'h264', height: 240, bitrateKbps: 350, fps: 15 } }],
  });
});

for (const row of [
  { entry: '1080p', name: '1080p', picture: { height: 1080, bitrateKbps: 4_500, fps: 30 } },
  { entry: '540', name: '540p', picture: { height: 540, bitrateKbps: 1_380, fps: 30 } },
  { entry: '180P', name: '180p', picture: { height: 180, bitrateKbps: 230, fps: 15 } },
  { entry: '{height: 64}', name: '64p', picture: { height: 64, bitrateKbps: 70, fps: 15 } },
  { entry: '4320p', name: '4320p', picture: { height: 4320, bitrateKbps: 16_000, fps: 30 } },
  { entry: '{width: 640}', name: '640w', picture: { width: 640, bitrateKbps: 700, fps: 30 } },
  {
    entry: '{name: small, width: 320, height: 240, bitrate: 200k, fps: 5}',
    name: 'small',
    picture: { width: 320, height: 240, bitrateKbps: 200, fps: 5 },
  },
  { entry: '{height: 720, bitrate: 2.5M}', name: '720p', picture: { height: 720, bitrateKbps: 2_500, fps: 30 } },
  { entry: '{height: 720, bitrate: 1500000}', name: '720p', picture: { height: 720, bitrateKbps: 1_500, fps: 30 } },
  { entry: '{bitrate: 800 kbps}', name: '800k', picture: { bitrateKbps: 800 } },
  { entry: '{fps: 2.5}', name: '2.5fps', picture: { fps: 2.5 } },
]) {
  test(`rendition ${row.entry} is ${JSON.stringify(row.picture)}`, () => {
    const config = load(`streams:\n  a: {url: rtsp://h, renditions: [${row.entry}]}\n`);
    assert.deepEqual(lines(config), []);
    const { name, picture } = row;
    assert.deepEqual(layoutOf(config).renditions['a'], [
      { name, picture: { kind: 'video', codec: 'h264', ...picture } },
    ]);
  });
}

const AT = 'streams.a.renditions';
for (const row of [
  { list: '[720i]', want: `5: error: ${AT}.0 must be a height such as 720p` },
  { list: '[9999p]', want: `5: error: ${AT}.0 must be a height from 16 to 8192` },
  { list: '[{hight: 720}]', want: `5: warning: unknown key "${AT}.0.hight" (did you mean "height"?)` },
  { list: '[{name: x}]', want: `5: error: ${AT}.0 needs a width, height, bitrate or fps` },
  { list: '[{height: 0}]', want: `5: error: ${AT}.0.height: Too small: expected number to be >=16` },
  { list: '[{height: 100000}]', want: `5: error: ${AT}.0.height: Too big: expected number to be <=8192` },
  { list: '[{height: 720, bitrate: 800}]', want: `5: error: ${AT}.0.bitrate must be a bit rate such as 800k or 2M` },
  { list: '[{height: 720, bitrate: fast}]', want: `5: error: ${AT}.0.bitrate must be a bit rate such as 800k or 2M` },
  { list: '[360p, {height: 360}]', want: `5: error: ${AT}.1: "360p" stands here twice` },
  { list: '[{name: sub, height: 360}]', want: `5: error: ${AT}.0: "sub" is what the camera sends itself` },
  { list: '[{name: a b, height: 360}]', want: `5: error: ${AT}.0.name must be one word` },
  { list: '{height: 360}', want: `5: error: ${AT} must be a list` },
]) {
  test(`renditions: ${row.list} is told, and the camera is used without`, () => {
    const config = load(`streams:\n  a:\n    url: rtsp://h\n    transcode: never\n    renditions: ${row.list}\n`);
    const told = lines(config);
    assert.ok(
      told.some((line) => line.startsWith(`f:${row.want.split(':')[0]}:`) && line.includes(row.want.slice(3))),
      told.join('\n'),
    );
    assert.equal(config.fatal, false);
    const { streams, renditions, modes } = layoutOf(config);
    assert.deepEqual(streams, { a: ['rtsp://h'] });
    assert.deepEqual(renditions, {});
    assert.deepEqual(modes, { a: 'never' });
  });
}

test('a misspelt mode of a stream is told, and neither the stream nor its other keys are lost', () => {
  const config = load('streams:\n  a:\n    url: rtsp://h\n    transcode: atuo\n    renditions: [360p]\n');
  assert.deepEqual(lines(config), [
    'f:4:16: error: streams.a.transcode must be one of auto, audio, never (did you mean "auto"?)',
  ]);
  const { streams, modes, renditions } = layoutOf(config);
  assert.deepEqual([streams['a'], modes, renditions['a']?.length], [['rtsp://h'], {}, 1]);
  const camera = load('cameras:\n  n:\n    main: rtsp://h\n    trancode: auto\n');
  assert.deepEqual(lines(camera), ['f:4:5: warning: unknown key "cameras.n.trancode" (did you mean "transcode"?)']);
});

test('what a camera says goes over what a stream of the same name says', () => {
  const config = load('streams: {n: {url: rtsp://h, transcode: never, renditions: [360p]}}\ncameras: {n: rtsp://c}\n');
  const { modes, renditions, clashes } = layoutOf(config);
  assert.deepEqual([modes, renditions, clashes.length], [{}, {}, 1]);
});

test('the JSON schema knows both forms', () => {
  const text = JSON.stringify(jsonSchema(coreSections));
  for (const piece of ['"max_encodes"', '"v4l2m2m"', '"renditions"', '"never"']) assert.ok(text.includes(piece), piece);
});
