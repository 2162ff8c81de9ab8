import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createApi } from '../src/api/module.ts';
import { allSections, layoutOf } from '../src/cli/settings.ts';
import { parseInput } from '../src/config/inputs.ts';
import { jsonSchema } from '../src/config/section.ts';
import { ConfigStore } from '../src/config/store.ts';
import { Scope } from '../src/core/scope.ts';
import { SecretMask } from '../src/core/secrets.ts';
import type { AppControl } from '../src/core/services.ts';
import { LogRing } from '../src/logging/sink.ts';
import { outputs } from '../src/modules.ts';
import { startTestApp, type TestApp } from '../testkit/app.ts';
import { audioFormat, type ScriptedSource, scriptedSource, videoFormat } from '../testkit/scripted-source.ts';
import { waitFor } from '../testkit/wait.ts';

// go2rtc's HTTP contract (compatibility.md 1.1–1.3, 5.1 and 6), asked over a real connection.

interface Server extends TestApp {
  readonly file: string;
  readonly camera: ScriptedSource;
  readonly ring: LogRing;
  readonly commands: string[];
  get(path: string): Promise<Answer>;
  send(method: string, path: string, body?: string): Promise<Answer>;
}

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly text: string;
  /** Parsed; undefined when it isn't JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: a test looks into answers of any shape, and fails where they differ
  readonly json: any;
}

const FILE = `# cameras
streams:
  front: rtsp://admin:hunter2@192.0.2.9/stream1#timeout=5 # porch
  side:
    - rtsp://192.0.2.10/live
    - rtsp://192.0.2.10/audio
  push:
`;

async function start(
  t: TestContext,
  options: { text?: string | null; refuse?: () => Error | undefined; show?: boolean } = {},
) {
  const dir = mkdtempSync(join(tmpdir(), 'hearthcam-api-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const file = join(dir, 'hearthcam.yaml');
  const text = options.text === undefined ? FILE : options.text;
  if (text !== null) writeFileSync(file, text);
  const mask = new SecretMask();
  const sections = allSections(outputs);
  const inputs = text === null ? [] : [parseInput(file, dir)];
  const store = new ConfigStore({ inputs, sections, env: {}, mask });
  const camera = scriptedSource('rtsp', options.refuse === undefined ? {} : { refuse: options.refuse });
  const ffmpeg = scriptedSource('ffmpeg');
  const exec = { ...scriptedSource('exec').module, configOnly: true };
  const ring = new LogRing();
  const commands: string[] = [];
  const control: AppControl = {
    restart: () => void commands.push('restart'),
    exit: (code) => void commands.push(`exit ${code}`),
  };
  const api = createApi({
    settings: store,
    ring,
    control,
    show: (one) => (options.show === true ? one : mask.mask(one)),
    mask: (one) => mask.mask(one),
    version: '1.9.15',
    ownVersion: '0.1.0',
    rtsp: { listen: ':8554', default_query: 'video&audio', pkt_size: 0 },
    schema: () => jsonSchema(sections),
  });
  const { streams, cameras } = layoutOf(store.current);
  const app = await startTestApp({
    streams,
    cameras,
    sources: [camera.module, ffmpeg.module, exec],
    outputs: [...outputs, api],
  });
  const scope = new Scope('test');
  store.watch(app.log, scope, (next) => app.app.apply({ ...layoutOf(next), preload: {} }));
  t.after(async () => {
    await scope.close();
    await app[Symbol.asyncDispose]();
  });
  const send = async (method: string, path: string, body?: string): Promise<Answer> => {
    const response = await fetch(`${app.url}${path}`, { method, ...(body === undefined ? {} : { body }) });
    const answer = await response.text();
    let json: unknown;
    try {
      json = JSON.parse(answer);
    } catch {
      json = undefined;
    }
    return { status: response.status, type: response.headers.get('content-type') ?? '', text: answer, json };
  };
  const server: Server = { ...app, file, camera, ring, commands, send, get: (path) => send('GET', path) };
  return server;
}

/** Answers every dial of the camera with video and audio. */
async function play(server: Server): Promise<void> {
  const connection = await waitFor(() => server.camera.connections.at(-1));
  connection.describe({
    tracks: [
      { kind: 'video', codec: 'h264', clockRateHz: 90_000, format: videoFormat({ codecString: 'avc1.42000b' }) },
      { kind: 'audio', codec: 'pcma', clockRateHz: 8_000, format: audioFormat() },
    ],
    formatName: 'rtsp',
    protocol: 'rtsp+tcp',
    remoteAddr: '192.0.2.9:554',
    sdp: 'v=0\r\n',
    userAgent: 'hearthcam/test',
  });
}

test('GET /api says what go2rtc says, and our own version in a field of its own', async (t) => {
  const server = await start(t);
  const host = new URL(server.url).host;
  for (const method of ['GET', 'POST']) {
    const answer = await server.send(method, '/api');
    assert.equal(answer.status, 200);
    assert.match(answer.type, /^application\/json/);
    assert.ok(answer.text.endsWith('}\n'));
    assert.deepEqual(answer.json, {
      config_path: server.file,
      host,
      revision: '',
      rtsp: { listen: ':8554', default_query: 'video&audio' },
      version: '1.9.15',
      hearthcam: '0.1.0',
    });
  }
});

test('GET /api/schemes is a list of unique names with those that Home Assistant looks for', async (t) => {
  const { json } = await (await start(t)).get('/api/schemes');
  assert.ok(Array.isArray(json) && json.every((one: unknown) => typeof one === 'string'));
  assert.equal(new Set(json).size, json.length);
  assert.ok(json.includes('rtsp') && json.includes('ffmpeg'));
});

test('a stream that nobody watches shows its sources as configured, passwords masked', async (t) => {
  const server = await start(t);
  const all = await server.get('/api/streams');
  assert.deepEqual(all.json, {
    front: { producers: [{ url: 'rtsp://***@192.0.2.9/stream1#timeout=5' }], consumers: null },
    side: {
      producers: [{ url: 'rtsp://192.0.2.10/live' }, { url: 'rtsp://192.0.2.10/audio' }],
      consumers: null,
    },
    push: { producers: null, consumers: null },
  });
  assert.ok(!all.text.includes('hunter2'));
  const one = await server.get('/api/streams?src=front');
  assert.deepEqual(one.json, all.json.front);
  assert.ok(one.text.startsWith('{\n  "producers": [\n    {\n      "url"'), 'two spaces');
  const unknown = await server.get('/api/streams?src=nobody');
  assert.deepEqual([unknown.status, unknown.text], [404, 'stream not found\n']);
  assert.match(unknown.type, /^text\/plain; charset=utf-8/);
});

test('api.mask_secrets: false shows sources as they were put', async (t) => {
  const { json } = await (await start(t, { show: true })).get('/api/streams');
  assert.equal(json.front.producers[0].url, 'rtsp://admin:hunter2@192.0.2.9/stream1#timeout=5');
});

test('an active stream shows its camera, tracks and viewers field by field', async (t) => {
  const server = await start(t);
  const probe = server.get('/api/streams?src=front&video=all&audio=all&microphone');
  await play(server);
  const { status, json } = await probe;
  assert.equal(status, 200);
  const [producer] = json.producers;
  const [consumer] = json.consumers;
  assert.deepEqual(Object.keys(producer), [
    'id',
    'format_name',
    'protocol',
    'remote_addr',
    'url',
    'sdp',
    'user_agent',
    'medias',
    'receivers',
  ]);
  assert.equal(producer.url, 'rtsp://***@192.0.2.9/stream1#timeout=5');
  assert.deepEqual(producer.medias, ['video, recvonly, H264', 'audio, recvonly, PCMA/8000']);
  const [video, audio] = producer.receivers;
  assert.deepEqual(video.codec, {
    codec_name: 'h264',
    codec_type: 'video',
    profile: 'Baseline',
    level: 11,
    width: 640,
    height: 360,
  });
  assert.deepEqual(audio.codec, { codec_name: 'pcm_alaw', codec_type: 'audio', sample_rate: 8000 });
  assert.deepEqual(consumer.format_name, 'probe');
  assert.deepEqual(consumer.medias, ['video, sendonly, ALL', 'audio, sendonly, ALL', 'audio, recvonly, ANY']);
  assert.deepEqual(
    consumer.senders.map((one: { parent: number }) => one.parent),
    [video.id, audio.id],
  );
  assert.deepEqual(
    [video.childs, audio.childs],
    consumer.senders.map((one: { id: number }) => [one.id]),
  );
  const ids = [producer.id, consumer.id, video.id, audio.id, ...consumer.senders.map((one: { id: number }) => one.id)];
  assert.ok(ids.every((id: unknown) => Number.isInteger(id)) && new Set(ids).size === ids.length);
  // The probe leaves; its camera lingers and keeps its numbers.
  server.camera.connections[0]?.picture(0, true, 500);
  const after = await server.get('/api/streams?src=front');
  assert.deepEqual(after.json.consumers, []);
  assert.deepEqual(
    [after.json.producers[0].receivers[0].bytes, after.json.producers[0].receivers[0].packets],
    [500, 1],
  );
  assert.equal(after.json.producers[0].receivers[0].id, video.id);
  assert.equal(after.json.producers[0].bytes_recv, 500);
});

test('a probe of a dead camera tells why, and blocks nobody else', async (t) => {
  const server = await start(t, { refuse: () => undefined });
  const probe = server.get('/api/streams?src=front&video');
  await waitFor(() => server.camera.connections[0]);
  const started = performance.now();
  // The camera does not answer: everything else must.
  await server.send('PUT', '/api/preload?src=front');
  await server.send('PUT', '/api/streams?name=new&src=rtsp://192.0.2.11/x');
  const listed = await server.get('/api/streams');
  assert.ok(performance.now() - started < 5_000);
  assert.ok('new' in listed.json);
  server.camera.connections[0]?.end(new Error('connect ECONNREFUSED rtsp://admin:hunter2@192.0.2.9'));
  const answer = await probe;
  assert.equal(answer.status, 500);
  assert.match(answer.text, /^streams: .*ECONNREFUSED rtsp:\/\/\*\*\*@192\.0\.2\.9/);
  const shown = await server.get('/api/streams?src=front');
  assert.match(shown.json.producers[0].error, /ECONNREFUSED/);
});

test('a probe that finds no codec says so in words that clients know', async (t) => {
  const server = await start(t);
  const probe = server.get('/api/streams?src=front&video=h265');
  await play(server);
  const { status, text } = await probe;
  assert.equal(status, 500);
  assert.equal(text, 'streams: codecs not matched: video:H264, audio:PCMA => video:H265\n');
});

test('a source in the file that is not supported is named, and does not take the other ones away', async (t) => {
  const text = 'streams:\n  door: [rtsp://192.0.2.9/a, "tapo://cloudpw@192.0.2.9"]\n  odd: tapo://cloudpw@192.0.2.9\n';
  const server = await start(t, { text });
  const { json } = await server.get('/api/streams');
  assert.deepEqual(json, { door: { producers: [{ url: 'rtsp://192.0.2.9/a' }], consumers: null } });
  assert.match(server.log.text, /stream "door": source not supported \("tapo:" is none of rtsp, /);
  assert.match(server.log.text, /stream "odd": source not supported/);
  assert.ok(!server.log.text.includes('cloudpw'));
});

test('PUT makes a stream, writes it into the file with its comments, and the same PUT again disturbs nobody', async (t) => {
  const server = await start(t);
  const path = '/api/streams?name=yard&src=rtsp://192.0.2.12/a%23timeout=9&src=ffmpeg:yard%23audio=opus';
  const first = await server.send('PUT', path);
  assert.deepEqual([first.status, first.text], [200, '']);
  const written = readFileSync(server.file, 'utf8');
  assert.ok(written.includes('# porch\n'));
  assert.ok(written.includes('  yard:\n    - rtsp://192.0.2.12/a#timeout=9\n    - ffmpeg:yard#audio=opus\n'));
  const probe = server.get('/api/streams?src=yard&video');
  await play(server);
  const [before] = (await probe).json.producers;
  for (let round = 0; round < 3; round++) assert.equal((await server.send('PUT', path)).status, 200);
  const { json } = await server.get('/api/streams?src=yard');
  assert.deepEqual([json.producers[0].id, json.producers[0].url], [before.id, 'rtsp://192.0.2.12/a#timeout=9']);
  assert.equal(server.camera.connections.length, 1, 'the camera was dialled once');
  assert.equal(readFileSync(server.file, 'utf8'), written);
});

test('PUT of other sources keeps what the file says of the stream besides', async (t) => {
  const text =
    'streams:\n  front: {url: rtsp://192.0.2.9/1, transcode: never, renditions: [360p]} # porch\n  back:\n    transcode: auto\n    url: rtsp://192.0.2.8/1\n';
  const server = await start(t, { text });
  for (const name of ['front', 'back']) {
    const path = `/api/streams?name=${name}&src=${encodeURIComponent('rtsp://192.0.2.11/x?a=1,2')}`;
    assert.equal((await server.send('PUT', path)).status, 200);
  }
  assert.equal(
    readFileSync(server.file, 'utf8'),
    'streams:\n  front: {url: ["rtsp://192.0.2.11/x?a=1,2"], transcode: never, renditions: [360p]} # porch\n  back:\n    transcode: auto\n    url:\n      - rtsp://192.0.2.11/x?a=1,2\n',
  );
  const { json } = await server.get('/api/streams?src=front');
  assert.equal(json.producers[0].url, 'rtsp://192.0.2.11/x?a=1,2');
});

test('PUT without a name takes the source for one; without a source it lists', async (t) => {
  const server = await start(t);
  await server.send('PUT', '/api/streams?src=rtsp://192.0.2.13/x');
  assert.ok('rtsp://192.0.2.13/x' in (await server.get('/api/streams')).json);
  const listed = await server.send('PUT', '/api/streams');
  assert.deepEqual(listed.json, (await server.get('/api/streams')).json);
});

const refused = [
  { name: 'an unknown scheme', src: 'foo://x', text: 'streams: source not supported' },
  { name: 'a program', src: 'exec:ffmpeg%20-i%20x', text: 'streams: source from insecure producer' },
  { name: 'a script', src: 'echo:cat', text: 'streams: source from insecure producer' },
  { name: 'white space', src: 'rtsp://h/%20x', text: 'streams: source with spaces may be insecure' },
  { name: 'a file', src: 'ffmpeg:/etc/passwd', text: 'streams: source from insecure producer' },
  { name: 'a device', src: 'ffmpeg:device?video=0', text: 'streams: source from insecure producer' },
  {
    name: 'other raw arguments',
    src: 'ffmpeg:front%23raw=-i%20/etc/passwd',
    text: 'streams: source with spaces may be insecure',
  },
  { name: 'a reference to the environment', src: 'rtsp://evil/%24%7BSECRET%7D', text: 'streams: references are only' },
];
for (const row of refused) {
  test(`PUT refuses ${row.name} with a reason`, async (t) => {
    const server = await start(t);
    const before = readFileSync(server.file, 'utf8');
    const answer = await server.send('PUT', `/api/streams?name=bad&src=${row.src}`);
    assert.equal(answer.status, 400);
    assert.ok(answer.text.startsWith(row.text) && answer.text.endsWith('\n'), answer.text);
    assert.equal((await server.get('/api/streams?src=bad')).status, 404);
    assert.equal(readFileSync(server.file, 'utf8'), before);
  });
}

test('PUT accepts the filters that Home Assistant adds for a camera that hangs upside down', async (t) => {
  const server = await start(t);
  for (const filter of ['-vf hflip', '-vf vflip', '-vf transpose=2,vflip']) {
    const src = encodeURIComponent(`ffmpeg:rtsp://192.0.2.9/x#video=h264#audio=copy#raw=${filter}`);
    assert.equal((await server.send('PUT', `/api/streams?name=turned&src=${src}`)).status, 200, filter);
  }
});

test('without a configuration file PUT works in memory, and /api/config says that there is none', async (t) => {
  const server = await start(t, { text: null });
  assert.equal((await server.send('PUT', '/api/streams?name=a&src=rtsp://192.0.2.9/x')).status, 200);
  assert.deepEqual(Object.keys((await server.get('/api/streams')).json), ['a']);
  assert.equal((await server.get('/api/config')).status, 410);
  assert.ok(!('config_path' in (await server.get('/api')).json));
});

test('DELETE is answered by 200 also when there is nothing, and takes the stream out of the file', async (t) => {
  const server = await start(t);
  assert.equal((await server.send('DELETE', '/api/streams?src=side')).status, 200);
  assert.equal((await server.send('DELETE', '/api/streams?src=nobody')).status, 200);
  assert.deepEqual(Object.keys((await server.get('/api/streams')).json), ['front', 'push']);
  assert.equal(readFileSync(server.file, 'utf8'), FILE.replace(/ {2}side:\n.*\n.*\n/, ''));
});

test('PATCH makes an alias in memory only, and fills in {input}', async (t) => {
  const server = await start(t, { text: `${FILE}  rotated: ffmpeg:{input}#video=h264\n` });
  const before = readFileSync(server.file, 'utf8');
  assert.equal((await server.send('PATCH', '/api/streams?src=front')).status, 400);
  const source = 'rtsp://192.0.2.77/z';
  assert.equal((await server.send('PATCH', `/api/streams?name=rotated&src=${source}`)).status, 200);
  let { json } = await server.get('/api/streams?src=rotated');
  assert.deepEqual(json.producers, [{ url: `ffmpeg:${source}#video=h264` }]);
  await server.send('PATCH', '/api/streams?name=rotated&src=rtsp://127.0.0.1:8554/front');
  ({ json } = await server.get('/api/streams?src=rotated'));
  assert.deepEqual(json.producers, [{ url: 'ffmpeg:front#video=h264' }]);
  assert.equal((await server.send('PATCH', '/api/streams?name=front&src=front')).status, 400);
  assert.equal(readFileSync(server.file, 'utf8'), before);
});

test('a change in memory survives an edit of other parts of the file', async (t) => {
  const server = await start(t);
  await server.send('PATCH', '/api/streams?name=front&src=rtsp://192.0.2.77/z');
  await server.send('PUT', '/api/streams?name=other&src=rtsp://192.0.2.78/z');
  assert.deepEqual((await server.get('/api/streams?src=front')).json.producers, [{ url: 'rtsp://192.0.2.77/z' }]);
});

test('POST tells why talking and publishing are refused', async (t) => {
  const server = await start(t);
  const rows = [
    ['/api/streams?dst=front&src=rtsp://192.0.2.7/song', 500, /^can't find consumer/],
    ['/api/streams?dst=front&src=ffmpeg:x', 400, /not supported/],
    ['/api/streams?dst=front&src=', 200, /^$/],
    ['/api/streams?src=front', 400, /needs dst/],
    ['/api/streams?src=front&dst=rtmp://h/live', 400, /not offered/],
    ['/api/streams?src=nobody&dst=rtmp://h/live', 404, /^stream not found/],
    ['/api/ffmpeg?dst=nobody&text=hi', 404, /^stream not found/],
    ['/api/ffmpeg?dst=front', 400, /needed/],
    ['/api/ffmpeg?dst=front&text=hi', 500, /^can't find consumer/],
  ] as const;
  for (const [path, status, text] of rows) {
    const answer = await server.send('POST', path);
    assert.equal(answer.status, status, path);
    assert.match(answer.text, text, path);
  }
  assert.equal((await server.get('/api/ffmpeg?dst=front')).status, 405);
});

test('OPTIONS and HEAD of /api/streams are answered', async (t) => {
  const server = await start(t);
  for (const method of ['OPTIONS', 'HEAD']) {
    const answer = await server.send(method, '/api/streams');
    assert.deepEqual([answer.status, answer.text], [200, '']);
  }
});

test('preload: held, listed, written into the file, let go', async (t) => {
  const server = await start(t);
  assert.deepEqual((await server.get('/api/preload')).json, {});
  assert.equal((await server.send('PUT', '/api/preload?src=front')).status, 200);
  assert.ok(readFileSync(server.file, 'utf8').endsWith('preload:\n  front: video&audio\n'));
  const waiting = (await server.get('/api/preload')).json;
  assert.equal(waiting.front.query, 'video&audio');
  assert.equal(waiting.front.consumer.format_name, 'preload');
  await play(server);
  await waitFor(async () => {
    const { json } = await server.get('/api/preload');
    return json.front.consumer.senders?.length === 2 ? true : undefined;
  });
  const { json } = await server.get('/api/preload');
  assert.ok(Number.isInteger(json.front.consumer.id));
  assert.deepEqual(json.front.consumer.medias, ['video, sendonly, ANY', 'audio, sendonly, ANY']);
  await server.send('PUT', '/api/preload?src=side&video=h264&other=1');
  assert.equal((await server.get('/api/preload')).json.side.query, 'video=h264');
  assert.equal((await server.send('DELETE', '/api/preload?src=front')).status, 200);
  assert.deepEqual(Object.keys((await server.get('/api/preload')).json), ['side']);
  const rows = [
    ['PUT', '/api/preload?src=x', 500, 'streams: stream not found: x\n'],
    ['DELETE', '/api/preload?src=x', 500, 'streams: preload not found: x\n'],
    ['POST', '/api/preload', 405, 'Method not allowed\n'],
  ] as const;
  for (const [method, path, status, text] of rows) {
    const answer = await server.send(method, path);
    assert.deepEqual([answer.status, answer.text], [status, text]);
  }
});

test('the configuration file is read, merged and replaced; nonsense is refused with line and column', async (t) => {
  const server = await start(t);
  const read = await server.get('/api/config');
  assert.deepEqual([read.status, read.text], [200, FILE]);
  assert.match(read.type, /^application\/yaml/);
  assert.equal((await server.send('PATCH', '/api/config', 'streams: {extra: rtsp://192.0.2.5/x}\n')).status, 200);
  const merged = readFileSync(server.file, 'utf8');
  assert.ok(merged.includes('# cameras') && merged.includes('# porch'));
  assert.ok('extra' in (await server.get('/api/streams')).json, 'applied at once');
  for (const method of ['POST', 'PATCH']) {
    const answer = await server.send(method, '/api/config', 'streams:\n  a: "b\n');
    assert.equal(answer.status, 400);
    assert.match(answer.text, /:3:1|not valid YAML/);
  }
  assert.equal(readFileSync(server.file, 'utf8'), merged);
  assert.equal((await server.send('POST', '/api/config', '# new\nstreams:\n  only: rtsp://192.0.2.5/y\n')).status, 200);
  assert.deepEqual(Object.keys((await server.get('/api/streams')).json), ['only']);
  assert.deepEqual((await server.send('DELETE', '/api/config')).text, '');
  rmSync(server.file);
  assert.equal((await server.get('/api/config')).status, 404);
});

test('a body that never ends is refused', async (t) => {
  const server = await start(t);
  const answer = await server.send('POST', '/api/config', '#'.repeat(3 * 1024 * 1024));
  assert.equal(answer.status, 413);
});

test('what hardware does is told as go2rtc tells it, with the reason', async (t) => {
  const server = await start(t);
  const { status, json } = await server.get('/api/ffmpeg/hardware');
  assert.equal(status, 200);
  const urls = json.sources.map(({ url }: { url: string }) => url);
  for (const kind of ['vaapi', 'cuda', 'v4l2m2m']) {
    for (const codec of ['h264', 'h265']) assert.ok(urls.includes(`ffmpeg:...#video=${codec}#hardware=${kind}`));
  }
  for (const { name, info } of json.sources) {
    assert.match(name, /^(OK|ERROR)$/);
    if (name === 'ERROR') assert.match(info, /: ./);
  }
  assert.ok(json.hardware.every((report: object) => 'decode' in report && 'encode' in report));
});

test('log, restart, exit, schema, graph and what can be discovered', async (t) => {
  const server = await start(t);
  server.ring.push('{"level":"info","message":"x"}\n');
  const log = await server.get('/api/log');
  assert.match(log.type, /^application\/jsonlines/);
  assert.equal(log.text, '{"level":"info","message":"x"}\n');
  assert.deepEqual((await server.send('DELETE', '/api/log')).text, 'OK');
  assert.equal((await server.get('/api/log')).text, '');
  const rows = [
    ['POST', '/api/log', 400, 'Method not allowed\n'],
    ['GET', '/api/restart', 400, 'Method not allowed\n'],
    ['POST', '/api/restart', 200, ''],
    ['GET', '/api/exit', 400, 'Method not allowed\n'],
    ['POST', '/api/exit?code=126', 400, 'Code must be in the range [0, 125]\n'],
    ['POST', '/api/exit?code=x', 400, 'Code must be in the range [0, 125]\n'],
    ['POST', '/api/exit?code=7', 200, ''],
    ['GET', '/api/v4l2', 404, 'no sources\n'],
    ['GET', '/api/hass', 404, 'no hass config\n'],
    ['GET', '/api/homekit', 200, 'null\n'],
    ['GET', '/streams', 200, '{"status":1,"payload":{}}\n'],
    ['GET', '/static', 200, '{"status":1,"payload":{}}\n'],
  ] as const;
  for (const [method, path, status, text] of rows) {
    const answer = await server.send(method, path);
    assert.deepEqual([answer.status, answer.text], [status, text], `${method} ${path}`);
  }
  await waitFor(() => server.commands.length === 2);
  assert.deepEqual(server.commands, ['restart', 'exit 7']);
  const schema = await server.get('/api/schema.json');
  assert.equal(schema.json.properties.streams.type[0], 'object');
  const dot = await server.get('/api/streams.dot');
  assert.match(dot.type, /^text\/vnd\.graphviz/);
  assert.match(dot.text, /^digraph \{[\s\S]*\}\n$/);
  assert.ok(!dot.text.includes('hunter2'));
});

test("Home Assistant's way from its start to a still picture's stream (compatibility.md 5.1)", async (t) => {
  const server = await start(t, { text: 'streams:\n' });
  // At its start: version, schemes.
  const { version } = (await server.get('/api')).json;
  const [major, minor, patch] = String(version).split('.').map(Number);
  assert.ok(major === 1 && (minor ?? 0) >= 9 && ((minor ?? 0) > 9 || (patch ?? 0) >= 15));
  const schemes: string[] = (await server.get('/api/schemes')).json;
  // A generic camera: Home Assistant puts ffmpeg: before its source.
  const id = 'generic_01JABC%2Fx';
  const source = 'ffmpeg:rtsp://192.0.2.9/stream1';
  assert.ok(schemes.includes(source.split(':')[0] ?? ''));
  assert.deepEqual((await server.get('/api/preload')).json, {});
  const isKnown = async (): Promise<boolean> => {
    const streams: Record<string, { producers: { url: string }[] | null }> = (await server.get('/api/streams')).json;
    // The client library refuses the whole list when one producer has no url of type string.
    for (const one of Object.values(streams))
      for (const { url } of one.producers ?? []) assert.equal(typeof url, 'string');
    return streams[id]?.producers?.some((producer) => producer.url === source) === true;
  };
  const put = `/api/streams?name=${encodeURIComponent(id)}&src=${encodeURIComponent(source)}&src=${encodeURIComponent(`ffmpeg:${id}#audio=opus#query=log_level=debug`)}`;
  assert.equal(await isKnown(), false);
  assert.equal((await server.send('PUT', put)).status, 200);
  assert.equal(await isKnown(), true);
  assert.equal((await server.send('PUT', `/api/preload?src=${encodeURIComponent(id)}`)).status, 200);
  const preload = (await server.get('/api/preload')).json;
  assert.deepEqual(Object.keys(preload), [id]);
  assert.equal(typeof preload[id].query, 'string');
  assert.equal(await isKnown(), true, 'also while the camera is dialled');
  assert.equal((await server.send('DELETE', `/api/preload?src=${encodeURIComponent(id)}`)).status, 200);
  assert.ok(readFileSync(server.file, 'utf8').includes('generic_01JABC%2Fx:'));
});
