import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { WebSocket } from 'ws';
import { createApi } from '../src/api/module.ts';
import { allSections, layoutOf } from '../src/cli/settings.ts';
import { parseInput } from '../src/config/inputs.ts';
import { jsonSchema } from '../src/config/section.ts';
import { ConfigStore } from '../src/config/store.ts';
import { Scope } from '../src/core/scope.ts';
import { SecretMask } from '../src/core/secrets.ts';
import { LogRing } from '../src/logging/sink.ts';
import { outputs } from '../src/modules.ts';
import { startTestApp, type TestApp } from '../testkit/app.ts';
import { collect } from '../testkit/hub.ts';

// Programs come from the configuration file and from nowhere else, whatever is asked for, and by whichever way.

const PICTURE =
  'ffmpeg -hide_banner -loglevel error -re -f lavfi -i testsrc2=size=192x108:rate=25 -c:v libx264 -preset ultrafast -g 10';

describe('programs as sources', { timeout: 90_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'hearthcam-programs-'));
  const mark = join(folder, 'ran');
  const file = join(folder, 'hearthcam.yaml');
  const FILE = `streams:
  front: ""
  birdseye: exec:${PICTURE} -rtsp_transport tcp -f rtsp {output}
  template: exec:touch ${mark} {input}
exec: {allow_paths: [ffmpeg, touch]}
`;
  const scope = new Scope('test');
  let app: TestApp;
  before(async () => {
    writeFileSync(file, FILE);
    const mask = new SecretMask();
    const sections = allSections(outputs);
    const store = new ConfigStore({ inputs: [parseInput(file, folder)], sections, env: {}, mask });
    const api = createApi({
      settings: store,
      ring: new LogRing(),
      control: { restart: () => {}, exit: () => {} },
      show: (one) => mask.mask(one),
      mask: (one) => mask.mask(one),
      version: '1.9.15',
      ownVersion: '0.1.0',
      rtsp: { listen: ':8554', default_query: 'video&audio', pkt_size: 0 },
      schema: () => jsonSchema(sections),
    });
    app = await startTestApp({ ...layoutOf(store.current), outputs: [...outputs, api] });
    store.watch(app.log, scope, (next) => app.app.apply({ ...layoutOf(next), preload: {} }));
  });
  after(async () => {
    await scope.close();
    await app[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true });
  });

  /** The status of the answer. */
  const http = async (method: string, path: string, body?: string): Promise<number> => {
    const answer = await fetch(`${app.url}${path}`, { method, ...(body === undefined ? {} : { body }) });
    await answer.body?.cancel();
    return answer.status;
  };
  /** The first answer to a message of a socket for `src`: 400 for an error, 0 for anything else. */
  const socket = async (src: string, type: string, value: unknown): Promise<number> => {
    const ws = new WebSocket(`${app.wsUrl}?src=${src}`);
    try {
      const answer = new Promise<string>((resolve, reject) => {
        ws.once('message', (data) => resolve(String(data)));
        ws.once('unexpected-response', (_request, response) => resolve(`"error" ${response.statusCode}`));
        ws.once('error', reject);
      });
      ws.once('open', () => ws.send(JSON.stringify({ type, value })));
      return (await answer).includes('"error"') ? 400 : 0;
    } finally {
      ws.terminate();
    }
  };
  /** 403 for being refused; nothing else counts, as a file that can't be used says nothing. */
  const config = async (method: string, body: string | object): Promise<number> => {
    const status = await http(method, '/api/config', typeof body === 'string' ? body : JSON.stringify(body));
    return status === 403 ? 403 : 0;
  };
  const offer = 'v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n';

  const WAYS: Readonly<Record<string, (src: string) => Promise<number>>> = {
    'PUT /api/streams': (src) => http('PUT', `/api/streams?name=new&src=${src}`),
    'PUT /api/streams beside a good source': (src) =>
      http('PUT', `/api/streams?name=new&src=rtsp%3A%2F%2F192.0.2.1%2F1&src=${src}`),
    'PUT /api/streams over a stream that is there': (src) => http('PUT', `/api/streams?name=front&src=${src}`),
    'PATCH /api/streams': (src) => http('PATCH', `/api/streams?name=front&src=${src}`),
    'PATCH of a source with {input}': (src) => http('PATCH', `/api/streams?name=template&src=${src}`),
    'POST /api/streams to a camera': (src) => http('POST', `/api/streams?dst=front&src=${src}`),
    'POST /api/streams to elsewhere': (src) => http('POST', `/api/streams?dst=rtmp%3A%2F%2Fx%2Fy&src=${src}`),
    'PUT /api/preload': (src) => http('PUT', `/api/preload?src=${src}`),
    'frame.jpeg': (src) => http('GET', `/api/frame.jpeg?src=${src}`),
    'frame.mp4': (src) => http('GET', `/api/frame.mp4?src=${src}`),
    'stream.mp4': (src) => http('GET', `/api/stream.mp4?src=${src}`),
    'stream.mp4 with a name': (src) => http('GET', `/api/stream.mp4?name=new&src=${src}`),
    'stream.m3u8': (src) => http('GET', `/api/stream.m3u8?src=${src}`),
    'stream.mjpeg': (src) => http('GET', `/api/stream.mjpeg?src=${src}`),
    'stream.ts': (src) => http('GET', `/api/stream.ts?src=${src}`),
    'stream.flv': (src) => http('GET', `/api/stream.flv?src=${src}`),
    WHEP: (src) => http('POST', `/api/webrtc?src=${src}`, offer),
    'WebSocket mse': (src) => socket(src, 'mse', ''),
    'WebSocket mp4': (src) => socket(src, 'mp4', ''),
    'WebSocket hls': (src) => socket(src, 'hls', ''),
    'WebSocket mjpeg': (src) => socket(src, 'mjpeg', undefined),
    'WebSocket webrtc/offer': (src) => socket(src, 'webrtc/offer', offer),
    'POST /api/config': (src) =>
      config('POST', FILE.replace('streams:\n', `streams:\n  evil: ${JSON.stringify(decodeURIComponent(src))}\n`)),
    'PATCH /api/config': (src) => config('PATCH', { streams: { evil: [decodeURIComponent(src)] } }),
    'PATCH /api/config of a camera': (src) => config('PATCH', { cameras: { evil: { main: decodeURIComponent(src) } } }),
    'PATCH /api/config by way of env:': (src) =>
      config('PATCH', { env: { EVIL: decodeURIComponent(src) }, streams: { evil: `\${EVIL}` } }),
  };
  const sources = ['exec:', 'EXEC:', 'echo:', 'Echo:', 'ffmpeg:exec:', 'ffmpeg:EXEC:', 'ffmpeg:ffmpeg:echo:'];
  for (const [way, ask] of Object.entries(WAYS)) {
    test(`${way}: no program`, async () => {
      for (const source of sources) {
        const status = await ask(encodeURIComponent(`${source}touch ${mark}`));
        assert.ok([400, 403, 404].includes(status), `${source} gives ${status}`);
        const bare = await ask(encodeURIComponent(`${source}${mark}`));
        assert.ok([400, 403, 404].includes(bare), `${source} without a space gives ${bare}`);
      }
      assert.equal(existsSync(mark), false, 'nothing ran');
      assert.equal(readFileSync(file, 'utf8'), FILE, 'nothing was written');
    });
  }

  for (const [name, patch] of [
    ['the list of programs', { exec: { allow_paths: ['ffmpeg', 'touch', 'sh'] } }],
    ['no list of programs', { exec: null }],
    ['another command', { streams: { birdseye: 'exec:ffmpeg -i /etc/passwd {output}' } }],
  ] as const) {
    test(`PATCH /api/config can't set ${name}`, async () => {
      assert.equal(await http('PATCH', '/api/config', JSON.stringify(patch)), 403);
      assert.equal(readFileSync(file, 'utf8'), FILE);
    });
  }

  test('Frigate’s birdseye: ffmpeg publishes to {output}, and its address is of no use to others', async () => {
    {
      using viewer = await collect(app.app.hub.require('birdseye'));
      const [first] = await viewer.wait('video', 20);
      assert.equal(first?.key, true);
      const [producer] = app.app.hub.require('birdseye').producers;
      assert.equal(producer?.description?.protocol, 'rtsp+tcp');
      assert.equal(await http('GET', '/api/streams'), 200);
    }
    const text = await (await fetch(`${app.url}/api/streams?src=birdseye`)).text();
    assert.doesNotMatch(text, /[0-9a-f]{48}/);
    assert.doesNotMatch(app.log.text, /[0-9a-f]{48}/);
  });

  test('what stands in the file may be saved over HTTP, and taken away', async () => {
    assert.equal(await http('PATCH', '/api/config', JSON.stringify({ streams: { side: 'rtsp://192.0.2.3/1' } })), 200);
    const { streams, ...rest } = { streams: { birdseye: null, template: null }, exec: { allow_paths: ['ffmpeg'] } };
    assert.equal(await http('PATCH', '/api/config', JSON.stringify({ streams, ...rest })), 200);
    assert.equal(await http('PATCH', '/api/config', JSON.stringify({ exec: { allow_paths: ['touch'] } })), 403);
  });
});
