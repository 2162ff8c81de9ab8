import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { startTestApp, type TestApp } from '../../../testkit/app.ts';
import {
  type Clip,
  type ClipSource,
  clipSource,
  makeClip,
  readClip,
  testPicture,
} from '../../../testkit/mp4-source.ts';
import { waitFor } from '../../../testkit/wait.ts';
import { mp4 } from './module.ts';
import { contentDisposition, parseMp4Query, wantsHls } from './query.ts';

const run = promisify(execFile);
let app: TestApp;
let clip: Clip;
let camera: ClipSource;

before(async () => {
  clip = await makeClip(testPicture({ gop: 25, seconds: 2 }));
  const opus = await makeClip(testPicture({ gop: 25, seconds: 2, audio: ['-c:a', 'libopus'] }));
  camera = clipSource('clip', clip);
  const other = clipSource('opus', opus);
  app = await startTestApp({
    streams: { porch: ['clip:1'], door: ['opus:1'], dead: ['dead:1'] },
    sources: [
      camera.module,
      other.module,
      { name: 'dead', schemes: ['dead'], run: () => Promise.reject(new Error('connection refused')) },
    ],
    outputs: [mp4],
  });
});
after(() => app[Symbol.asyncDispose]());

async function ffprobe(path: string): Promise<string> {
  const args = [
    '-v',
    'error',
    '-count_packets',
    '-show_entries',
    'stream=codec_name,nb_read_packets',
    '-of',
    'csv=p=0',
  ];
  const { stdout, stderr } = await run('ffprobe', [...args, `${app.url}${path}`], { timeout: 30_000 });
  assert.equal(stderr, '');
  return stdout.trim().split('\n').join(' ');
}

test('two seconds of MP4 end by themselves and are whole to ffprobe', async () => {
  const found = await ffprobe('/api/stream.mp4?src=porch&duration=2');
  const [, pictures, , frames] = /^h264,(\d+) (aac),(\d+)$/.exec(found) ?? [];
  assert.ok(Number(pictures) >= 48 && Number(pictures) <= 60, found);
  assert.ok(Number(frames) >= 20, found);
});

test('an endless MP4 begins with a key frame at time 0 and plays on until the viewer leaves', async () => {
  const response = await fetch(`${app.url}/api/stream.mp4?src=porch`);
  assert.equal(response.status, 200);
  assert.equal(response.headers.get('content-type'), 'video/mp4; codecs="avc1.42C00D,mp4a.40.2"');
  const parts: Uint8Array[] = [];
  assert.ok(response.body !== null);
  for await (const part of response.body) {
    parts.push(part);
    if (parts.length > 40) break;
  }
  const read = readClip(Buffer.concat(parts));
  const pictures = read.units.filter((unit) => unit.track === 0);
  assert.equal(pictures[0]?.key, true);
  assert.equal(pictures[0]?.ticks, 0);
  const stream = app.app.hub.require('porch');
  await waitFor(() => ![...stream.consumers].some((consumer) => consumer.formatName === 'mp4'));
});

test('Opus is given with mp4=all only; otherwise AAC is made of it', async () => {
  assert.match(await ffprobe('/api/stream.mp4?src=door&duration=2'), /^h264,\d+ aac,\d+$/);
  assert.match(await ffprobe('/api/stream.mp4?src=door&duration=1&mp4=all'), /^h264,\d+ opus,\d+$/);
});

test('the key frame as MP4', async () => {
  const response = await fetch(`${app.url}/api/frame.mp4?src=porch&filename=Tür.mp4`);
  assert.equal(response.status, 200);
  assert.equal(response.headers.get('content-type'), 'video/mp4; codecs="avc1.42C00D"');
  assert.match(response.headers.get('content-disposition') ?? '', /^attachment; filename="T_r\.mp4"/);
  const bytes = Buffer.from(await response.arrayBuffer());
  assert.equal(Number(response.headers.get('content-length')), bytes.length);
  const { units } = readClip(bytes);
  assert.deepEqual(
    units.map((unit) => [unit.key, unit.ticks]),
    [[true, 0]],
  );
});

for (const row of [
  { path: '/api/stream.mp4?src=nobody', status: 404, text: 'stream not found\n' },
  { path: '/api/frame.mp4?src=nobody', status: 404, text: 'stream not found\n' },
  { path: '/api/frame.mp4', status: 404, text: 'stream not found\n' },
  { path: '/api/frame.mp4?src=dead', status: 502, text: /can't be reached: connection refused/ },
  { path: '/api/stream.mp4?src=dead', status: 502, text: /can't be reached: connection refused/ },
  {
    path: '/api/stream.mp4?src=porch&video=av1',
    status: 500,
    text: /^streams: codecs not matched: video:H264, audio:AAC => /,
  },
  { path: '/api/stream.mp4?src=porch&duration=-1', status: 400, text: /duration=-1 is not possible/ },
  { path: '/api/stream.mp4?src=porch&rotate=45', status: 400, text: /rotate=45/ },
]) {
  test(`${row.path} → ${row.status}`, async () => {
    const response = await fetch(`${app.url}${row.path}`);
    const text = await response.text();
    assert.equal(response.status, row.status, text);
    if (typeof row.text === 'string') assert.equal(text, row.text);
    else assert.match(text, row.text);
  });
}

const SAFARI =
  'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Safari/605.1.15';

test('Safari is sent to HLS, unless it asks for a finished file', async () => {
  const get = (path: string) => fetch(`${app.url}${path}`, { headers: { 'user-agent': SAFARI }, redirect: 'manual' });
  const response = await get('/api/stream.mp4?src=porch');
  assert.equal(response.status, 301);
  assert.equal(response.headers.get('location'), 'stream.m3u8?src=porch&mp4');
  const file = await get('/api/stream.mp4?src=porch&duration=1');
  assert.equal(file.status, 200);
  await file.body?.cancel();
});

test('who counts as Safari', () => {
  const none = new URLSearchParams();
  const chrome =
    'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36';
  assert.equal(wantsHls(SAFARI, none), true);
  assert.equal(wantsHls(chrome, none), false);
  assert.equal(wantsHls(`${chrome} Edg/120`, none), false);
  assert.equal(wantsHls('VLC/3.0.18 LibVLC/3.0.18', none), false);
  assert.equal(wantsHls(undefined, none), false);
});

test('the query: rotation, pixel aspect, codecs', () => {
  const parse = (text: string) => parseMp4Query(new URLSearchParams(text));
  assert.deepEqual(parse('rotate=-90&scale=4:3').init, { rotate: 270, pixelAspect: [4, 3] });
  assert.deepEqual(parse('mp4=flac').wants[1]?.codecs, ['aac', 'pcma', 'pcmu', 'l16', 'flac']);
  assert.deepEqual(parse('video=jpeg,h264').wants, [{ kind: 'video', codecs: ['h264'] }]);
  assert.throws(() => parse('scale=0:1'), { status: 400 });
  assert.equal(contentDisposition('a"\r\nb').includes('\n'), false);
});

test('a camera that is off while a still is asked for answers with an error in time', async () => {
  camera.refuse = true;
  camera.drop();
  const stream = app.app.hub.require('porch');
  await waitFor(() => stream.consumers.size === 0 && !stream.running);
  const response = await fetch(`${app.url}/api/frame.mp4?src=porch`);
  assert.ok(response.status >= 500, String(response.status));
  assert.ok((await response.text()).length > 10);
  camera.refuse = false;
});
