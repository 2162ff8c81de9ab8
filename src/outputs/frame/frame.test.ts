import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { startTestApp } from '../../../testkit/app.ts';
import { scriptedSource, videoFormat } from '../../../testkit/scripted-source.ts';
import { waitFor } from '../../../testkit/wait.ts';
import type { StillDecoder, StillRequest } from '../../core/contracts.ts';
import { HearthcamError } from '../../core/errors.ts';
import { frame } from './frame.ts';

/** A decoder that the test plays: what it was asked, and answers when told. */
function scriptedStills(answer: (request: StillRequest, nth: number) => Promise<Buffer>) {
  const asked: StillRequest[] = [];
  const stills: StillDecoder = {
    still: (request) => {
      asked.push(request);
      return answer(request, asked.length);
    },
  };
  return { stills, asked };
}

async function start(
  answer: (request: StillRequest, nth: number) => Promise<Buffer> = () => Promise.resolve(Buffer.from('a jpeg')),
) {
  const camera = scriptedSource('cam');
  const dead = scriptedSource('dead', {
    refuse: () => new HearthcamError('cam.login', 'the camera refuses the password', { status: 401 }),
  });
  const network = scriptedSource('rtsp', { refuse: () => new Error('connect ECONNREFUSED') });
  const { stills, asked } = scriptedStills(answer);
  const app = await startTestApp({
    streams: { porch: ['cam:1'], away: ['dead:1'], empty: [] },
    outputs: [frame],
    sources: [camera.module, dead.module, network.module],
    stills,
  });
  const get = (query: string, init: RequestInit = {}): Promise<Response> =>
    fetch(`${app.url}/api/frame.jpeg?${query}`, init);
  /** The camera, as soon as it is connected to. */
  const connected = (nth = 0) => waitFor(() => camera.connections[nth], { what: 'a connection to the camera' });
  return { app, get, asked, connected, [Symbol.asyncDispose]: () => app[Symbol.asyncDispose]() };
}

test('a still is made of the first key frame, and answered as go2rtc does', async () => {
  await using server = await start();
  const answer = server.get('src=porch');
  const camera = await server.connected();
  camera.describe();
  camera.picture(0, false);
  camera.picture(40, true, 321);
  const reply = await answer;
  assert.equal(reply.status, 200);
  assert.equal(reply.headers.get('content-type'), 'image/jpeg');
  assert.equal(reply.headers.get('content-length'), '6');
  assert.equal(reply.headers.get('cache-control'), 'no-cache');
  assert.equal(reply.headers.get('pragma'), 'no-cache');
  assert.equal(reply.headers.get('connection'), 'close');
  assert.equal(await reply.text(), 'a jpeg');
  assert.equal(server.asked[0]?.data.length, 321);
});

test('a stream that runs gives a still at once from the key frame it keeps', async () => {
  await using server = await start();
  const stream = server.app.app.hub.require('porch');
  const viewer = stream.open({
    formatName: 'test',
    protocol: '',
    remoteAddr: '',
    wants: [{ kind: 'video', codecs: 'any' }],
  });
  const camera = await server.connected();
  camera.describe();
  camera.picture(0, true, 111);
  camera.picture(40, false, 50);
  await viewer;
  assert.equal((await server.get('src=porch')).status, 200);
  assert.equal(server.asked[0]?.data.length, 111);
});

test('all who ask at the same time, and within a second, share one decoding', async () => {
  const gate = Promise.withResolvers<Buffer>();
  await using server = await start(() => gate.promise);
  const answers = Array.from({ length: 5 }, () => server.get('src=porch&w=64'));
  const camera = await server.connected();
  camera.describe();
  camera.picture(0, true);
  await waitFor(() => server.asked.length > 0);
  gate.resolve(Buffer.from('shared'));
  for (const answer of answers) assert.equal(await (await answer).text(), 'shared');
  assert.equal(await (await server.get('src=porch&w=64')).text(), 'shared');
  assert.equal(server.asked.length, 1);
  await server.get('src=porch&w=65');
  assert.equal(server.asked.length, 2, 'another size is another still');
});

test('after a second a still is made anew, unless an older one is accepted', async () => {
  await using server = await start((_request, nth) => Promise.resolve(Buffer.from(`still ${nth}`)));
  const first = server.get('src=porch&cache=30s');
  const camera = await server.connected();
  camera.describe();
  camera.picture(0, true);
  assert.equal(await (await first).text(), 'still 1');
  await waitFor(async () => (await (await server.get('src=porch')).text()) === 'still 2', { everyMs: 100 });
  assert.equal(await (await server.get('src=porch&cache=30s')).text(), 'still 2');
});

const shapes: readonly [query: string, expected: Partial<StillRequest>][] = [
  ['width=320&height=200', { width: 320, height: 200 }],
  ['w=320', { width: 320 }],
  ['h=200', { height: 200 }],
  ['width=321&height=-1', { width: 321 }],
  ['rotate=90', { rotate: 90 }],
  ['rotate=-90', { rotate: 270 }],
  ['quality=40', { quality: 40 }],
  ['hardware=vaapi&hw', {}],
];
test('size, rotation and quality are read as go2rtc reads them', async () => {
  await using server = await start();
  for (const [index, [query, expected]] of shapes.entries()) {
    const answer = server.get(`src=porch&${query}`);
    if (index === 0) {
      const camera = await server.connected();
      camera.describe();
      camera.picture(0, true);
    }
    assert.equal((await answer).status, 200, query);
    const { width, height, rotate, quality } = server.asked.at(-1) ?? {};
    const seen = Object.entries({ width, height, rotate, quality }).filter(([, value]) => value !== undefined);
    assert.deepEqual(Object.fromEntries(seen), { rotate: 0, ...expected }, query);
  }
});

const wrong = ['width=0', 'height=9000', 'w=12.5', 'h=abc', 'width=-5', 'rotate=45', 'quality=101', 'cache=soon'];
test('a size, rotation or duration that makes no sense is refused with its name', async () => {
  await using server = await start();
  for (const query of wrong) {
    const reply = await server.get(`src=porch&${query}`);
    assert.equal(reply.status, 400, query);
    assert.match(await reply.text(), new RegExp(`frame\\.jpeg: ${query.replace('.', '\\.')} must be .*\n$`));
  }
  assert.equal(server.asked.length, 0);
});

test('errors are text that ends a line: unknown stream 404, a camera that refuses 5xx, no source 404', async () => {
  await using server = await start();
  for (const query of ['src=attic', '', 'src=attic%2520']) {
    const reply = await server.get(query);
    assert.equal(reply.status, 404);
    assert.equal(reply.headers.get('content-type'), 'text/plain; charset=utf-8');
    assert.equal(await reply.text(), 'stream not found\n');
  }
  const refused = await server.get('src=away');
  assert.equal(refused.status, 502);
  assert.equal(await refused.text(), 'camera "away" can\'t be reached: the camera refuses the password\n');
  assert.equal((await server.get('src=empty')).status, 404);
});

test('a damaged key frame is passed over for the next one', async () => {
  await using server = await start((request) =>
    request.data.length === 13
      ? Promise.reject(new HearthcamError('codec.input', 'damaged', { status: 502 }))
      : Promise.resolve(Buffer.from('whole')),
  );
  const answer = server.get('src=porch');
  const camera = await server.connected();
  camera.describe();
  camera.picture(0, true, 13);
  await waitFor(() => server.asked.length === 1);
  camera.picture(40, false);
  camera.picture(80, true, 14);
  assert.equal(await (await answer).text(), 'whole');
});

test('a camera that sends JPEG is not decoded unless another size is asked for', async () => {
  await using server = await start();
  const answer = server.get('src=porch');
  const camera = await server.connected();
  camera.describe({ tracks: [{ kind: 'video', codec: 'jpeg', clockRateHz: 90_000, format: null }] });
  const jpeg = execFileSync('ffmpeg', [
    '-v',
    'error',
    '-f',
    'lavfi',
    '-i',
    'color=red:s=32x32',
    '-frames:v',
    '1',
    '-f',
    'mjpeg',
    '-',
  ]);
  const unit = { track: 0, format: videoFormat({ codec: 'jpeg' }), ticks: 0, key: true, data: jpeg };
  camera.sink.unit(unit);
  camera.sink.flush();
  assert.deepEqual(Buffer.from(await (await answer).arrayBuffer()), jpeg);
  assert.equal(server.asked.length, 0);
  assert.equal((await server.get('src=porch&w=16')).status, 200);
  assert.equal(server.asked.length, 1);
});

test('the camera is let go after the still, and a client that went away leaves nothing behind', async () => {
  await using server = await start();
  const stream = server.app.app.hub.require('porch');
  const abort = new AbortController();
  const answer = server.get('src=porch', { signal: abort.signal });
  const camera = await server.connected();
  camera.describe();
  await waitFor(() => stream.consumers.size === 1);
  assert.equal([...stream.consumers][0]?.formatName, 'keyframe');
  abort.abort();
  await assert.rejects(answer);
  camera.picture(0, true);
  await waitFor(() => stream.consumers.size === 0, { what: 'the consumer to be closed' });
});

test('a URL as src makes a stream of it, for which no program may be started and no file read', async () => {
  await using server = await start();
  // Kinds of source that only the configuration may name, or that there are none of.
  for (const src of ['cam:1', 'exec:ffmpeg', 'file:/etc/passwd']) {
    const reply = await server.get(`src=${encodeURIComponent(src)}`);
    assert.ok(reply.status === 400 || reply.status === 404, `${src}: ${reply.status}`);
  }
  const url = 'rtsp://127.0.0.1:1/stream1';
  const reply = await server.get(`src=${encodeURIComponent(url)}&name=shed`);
  assert.equal(reply.status, 502);
  assert.deepEqual(
    server.app.app.hub.get('shed')?.producers.map((producer) => producer.spec.text),
    [url],
  );
  const taken = await server.get(`src=${encodeURIComponent(url)}&name=porch`);
  assert.equal(taken.status, 400);
});
