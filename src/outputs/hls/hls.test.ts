import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import type { Browser } from 'playwright-core';
import { WebSocket } from 'ws';
import { startTestApp, type TestApp } from '../../../testkit/app.ts';
import { blankPage, launchBrowser } from '../../../testkit/browser.ts';
import { ANY_VIDEO } from '../../../testkit/hub.ts';
import {
  type Clip,
  type ClipSource,
  clipSource,
  makeClip,
  readClip,
  testPicture,
} from '../../../testkit/mp4-source.ts';
import { waitFor } from '../../../testkit/wait.ts';
import { Scope } from '../../core/scope.ts';
import { parsePlaylist } from '../../wire/m3u8/parse.ts';
import { hls } from './module.ts';
import { HlsSessions } from './sessions.ts';

const run = promisify(execFile);
let app: TestApp;
let browser: Browser;
let main: ClipSource;
let large: Clip;
let small: Clip;

before(async () => {
  [large, small] = await Promise.all([
    makeClip(testPicture({ gop: 50, seconds: 4, size: '640x360' })),
    makeClip(testPicture({ gop: 50, seconds: 4, size: '320x180' })),
  ]);
  main = clipSource('main', large);
  const sub = clipSource('sub', small);
  app = await startTestApp({
    streams: { porch: ['main:1'], porch_sub: ['sub:1'], dead: ['dead:1'] },
    cameras: { porch: ['porch', 'porch_sub'] },
    sources: [
      main.module,
      sub.module,
      { name: 'dead', schemes: ['dead'], run: () => Promise.reject(new Error('connection refused')) },
    ],
    outputs: [hls],
  });
  browser = await launchBrowser();
});
after(async () => {
  await browser.close();
  await app[Symbol.asyncDispose]();
});

async function get(path: string): Promise<{ status: number; text: string; headers: Headers }> {
  const response = await fetch(`${app.url}/api/${path}`);
  return { status: response.status, text: await response.text(), headers: response.headers };
}

async function media(path: string) {
  const { status, text } = await get(path);
  assert.equal(status, 200, text);
  const parsed = parsePlaylist(text);
  assert.ok(parsed.kind === 'media');
  return parsed;
}

/** Address of the media playlist of a stream's first variant. */
async function open(name: string): Promise<string> {
  const { status, text } = await get(`stream.m3u8?src=${name}`);
  assert.equal(status, 200, text);
  const parsed = parsePlaylist(text);
  assert.ok(parsed.kind === 'master');
  return parsed.variants[0]?.uri ?? '';
}

async function bytes(path: string): Promise<Buffer> {
  const response = await fetch(`${app.url}/api/${path}`);
  assert.equal(response.status, 200);
  return Buffer.from(await response.arrayBuffer());
}

test('the multivariant playlist offers main and sub stream with measured facts', async () => {
  const { text, headers } = await get('stream.m3u8?src=porch');
  assert.equal(headers.get('content-type'), 'application/vnd.apple.mpegurl');
  assert.equal(headers.get('access-control-allow-origin'), '*');
  const parsed = parsePlaylist(text);
  assert.ok(parsed.kind === 'master');
  assert.deepEqual(
    parsed.variants.map(({ width, height, codecs }) => [width, height, codecs.join()]),
    [
      [640, 360, 'avc1.42C01E,mp4a.40.2'],
      [320, 180, 'avc1.42C00C,mp4a.40.2'],
    ],
  );
  assert.ok((parsed.variants[0]?.bandwidth ?? 0) > (parsed.variants[1]?.bandwidth ?? 0));
  assert.ok(Math.abs((parsed.variants[0]?.frameRate ?? 0) - 25) < 3);
  assert.ok(parsed.variants.every((variant) => /^hls\/playlist\.m3u8\?id=[\w-]{16}$/.test(variant.uri)));
  assert.equal((await get('stream.m3u8?src=porch_sub')).text.match(/RESOLUTION/g)?.length, 1, 'no larger one');
});

test('a client sees a key frame at once, and blocking reloads bring part after part', async () => {
  const uri = await open('porch');
  const first = await media(`hls/${uri.slice(4)}`);
  const part = first.segments.at(-1)?.parts.at(-1);
  assert.ok(part !== undefined && first.preloadHint !== undefined);
  const map = first.segments[0]?.map?.uri ?? '';
  const independent = first.segments.flatMap((segment) => segment.parts).findLast((one) => one.independent);
  assert.ok(independent !== undefined);
  const clip = readClip(Buffer.concat([await bytes(`hls/${map}`), await bytes(`hls/${independent.uri}`)]));
  assert.equal(clip.units.find((unit) => unit.track === 0)?.key, true);

  const last = first.segments.at(-1);
  const hinted = bytes(`hls/${first.preloadHint}`);
  let [sequence, index] = [last?.sequence ?? 0, (last?.parts.length ?? 1) - 1];
  for (let count = 0; count < 4; count++) {
    const before = performance.now();
    const next = await media(`hls/${uri.slice(4)}&_HLS_msn=${sequence}&_HLS_part=${index + 1}`);
    const tail = next.segments.at(-1);
    const [now, parts] = [tail?.sequence ?? 0, (tail?.parts.length ?? 0) - 1];
    assert.ok(now > sequence || parts > index, 'something new');
    assert.ok(performance.now() - before < 3_000);
    [sequence, index] = [now, parts];
  }
  assert.ok((await hinted).includes('moof'), 'the hinted part came');
});

test('several clients use one id, and a complete segment is the sum of its parts', async () => {
  const [one, other] = await Promise.all([open('porch'), open('porch')]);
  assert.equal(one, other);
  const playlist = await media(`hls/${one.slice(4)}&_HLS_msn=1`);
  const whole = playlist.segments.find((segment) => segment.uri !== '' && segment.parts.length > 0);
  assert.ok(whole !== undefined);
  const parts = await Promise.all(whole.parts.map((part) => bytes(`hls/${part.uri}`)));
  const [first, second] = await Promise.all([bytes(`hls/${whole.uri}`), bytes(`hls/${whole.uri}`)]);
  assert.ok(Buffer.concat(parts).equals(first) && first.equals(second));
});

for (const row of [
  { path: 'stream.m3u8?src=nobody', status: 404, text: /^stream not found/ },
  { path: 'stream.m3u8?src=dead', status: 502, text: /can't be reached: connection refused/ },
  { path: 'hls/playlist.m3u8?id=guess', status: 404, text: /session not found/ },
  { path: 'hls/init.mp4?id=guess', status: 404, text: /session not found/ },
  { path: 'hls/segment.m4s', status: 404, text: /session not found/ },
  { path: 'stream.m3u8?src=porch&video=av1', status: 500, text: /codecs not matched/ },
]) {
  test(`/api/${row.path} → ${row.status}`, async () => {
    const { status, text, headers } = await get(row.path);
    assert.equal(status, row.status, text);
    assert.match(text, row.text);
    assert.equal(headers.get('access-control-allow-origin'), '*');
  });
}

test('what lies too far ahead, is too old, or is no number is refused', async () => {
  const uri = (await open('porch')).slice(4);
  const id = uri.slice(uri.indexOf('id='));
  assert.equal((await get(`hls/${uri}&_HLS_msn=99999`)).status, 400);
  assert.equal((await get(`hls/${uri}&_HLS_msn=x`)).status, 400);
  assert.equal((await get(`hls/segment.m4s?${id}&n=99999`)).status, 404);
  assert.equal((await get(`hls/segment.m4s?${id}&part=99999`)).status, 404);
  assert.equal((await get(`hls/init.mp4?${id}&v=99`)).status, 404);
  const options = await fetch(`${app.url}/api/hls/${uri}`, { method: 'OPTIONS' });
  assert.equal(options.status, 200);
});

test('the hls message of the WebSocket gives the playlist itself', async () => {
  const ws = new WebSocket(`${app.wsUrl}?src=porch`);
  await once(ws, 'open');
  ws.send(JSON.stringify({ type: 'hls', value: 'avc1.640029,mp4a.40.2' }));
  const [data] = await once(ws, 'message');
  const message = JSON.parse(String(data));
  assert.equal(message.type, 'hls');
  assert.match(message.value, /^#EXTM3U\n[\s\S]*\nhls\/playlist\.m3u8\?id=/);
  ws.terminate();
});

test('ffprobe, which knows no parts, reads it', async () => {
  const { stdout } = await run(
    'ffprobe',
    [
      '-v',
      'error',
      '-show_entries',
      'stream=codec_name,width',
      '-of',
      'csv=p=0',
      `${app.url}/api/stream.m3u8?src=porch_sub`,
    ],
    { timeout: 30_000 },
  );
  assert.match(stdout, /h264,320/);
  assert.match(stdout, /aac/);
});

interface Player {
  readonly errors: readonly string[];
  readonly firstPictureMs: number | null;
  readonly currentTime: number;
  readonly latencyS: number;
  readonly width: number;
  readonly frames: number;
  readonly audioBytes: number;
  readonly parts: number;
}

const SCRIPT = `
window.startHls = (url) => {
  const startMs = performance.now();
  const video = document.createElement('video');
  video.muted = true;
  document.body.replaceChildren(video);
  const hls = new Hls({ lowLatencyMode: true, enableWorker: false });
  const state = { hls, video, errors: [], first: null, parts: 0 };
  window.hlsState = state;
  hls.on(Hls.Events.ERROR, (_, data) => state.errors.push([data.details, data.fatal, data.reason, data.response?.code].join(' ')));
  hls.on(Hls.Events.FRAG_LOADED, (_, data) => { if (data.part) state.parts++; });
  video.requestVideoFrameCallback((nowMs) => { state.first = nowMs - startMs; });
  hls.loadSource(url);
  hls.attachMedia(video);
  video.play();
};
window.reportHls = () => {
  const { hls, video, errors, first, parts } = window.hlsState;
  return {
    errors, parts, firstPictureMs: first, currentTime: video.currentTime, latencyS: hls.latency, width: video.videoWidth,
    frames: video.getVideoPlaybackQuality().totalVideoFrames, audioBytes: video.webkitAudioDecodedByteCount,
  };
};
`;

test('hls.js in Chromium plays with low latency, through a dropped camera and a change of resolution', async () => {
  const stream = app.app.hub.require('porch');
  const held = await stream.open({ formatName: 'test', protocol: '', remoteAddr: '', wants: [ANY_VIDEO] });
  await using page = await blankPage(browser, app.url);
  const library = await readFile(new URL(import.meta.resolve('hls.js/dist/hls.js')), 'utf8');
  await page.evaluate(`${library}\n;${SCRIPT}`);
  await page.evaluate(`window.startHls('${app.url}/api/stream.m3u8?src=porch')`);
  let last: Player | undefined;
  const until = async (wanted: (report: Player) => boolean, what: string): Promise<Player> => {
    const look = async () => {
      last = await page.evaluate<Player>('window.reportHls()');
      return wanted(last) ? last : undefined;
    };
    return waitFor(look, { everyMs: 100, timeoutMs: 25_000, what }).catch((error: unknown) => {
      throw new Error(`${what}: ${JSON.stringify(last)}`, { cause: error });
    });
  };
  const playing = await until((report) => report.frames > 50 && report.audioBytes > 0, 'picture and sound');
  assert.deepEqual(
    playing.errors.filter((error) => error.includes('true')),
    [],
    'no fatal error',
  );
  assert.ok((playing.firstPictureMs ?? 1e9) < 4_000, `first picture after ${playing.firstPictureMs} ms`);
  assert.ok(playing.parts > 3, 'parts are loaded');
  assert.ok(playing.latencyS < 3, `latency ${playing.latencyS} s`);

  main.refuse = true;
  main.drop();
  // The outage itself: longer than what is buffered.
  await new Promise((resolve) => setTimeout(resolve, 2_500));
  const stood = await until(() => true, 'a report');
  main.refuse = false;
  await until((report) => report.frames > stood.frames + 40, 'pictures after the camera was away');

  main.clip = small;
  const before = await until((report) => report.width === 320, 'the other resolution');
  const later = await until((report) => report.currentTime > before.currentTime + 1.5, 'time to advance');
  assert.deepEqual(
    later.errors.filter((error) => error.includes('true')),
    [],
    'no fatal error',
  );
  held.close();
});

test('a stream that nobody asks for any more is let go, and its address still works afterwards', async () => {
  const { hub } = app.app;
  await using scope = new Scope('test');
  const sessions = new HlsSessions(hub, app.log, scope, 200);
  const who = { formatName: 'hls/fmp4', protocol: 'http', remoteAddr: 'idle' };
  const session = sessions.for({ stream: hub.require('porch_sub'), wants: [ANY_VIDEO] });
  const mine = () => [...hub.require('porch_sub').consumers].some((consumer) => consumer.remoteAddr === 'idle');
  const before = await session.open(who);
  assert.ok(mine());
  await waitFor(() => !mine(), { what: 'the muxer to stop' });
  assert.equal(before.ended, true);
  const after = await sessions.require(session.id).open(who);
  const [first] = after.window.segments;
  assert.ok((first?.sequence ?? 0) > (before.window.segments.at(-1)?.sequence ?? 0), 'sequence numbers go on');
  assert.equal(first?.discontinuity, true);
});
