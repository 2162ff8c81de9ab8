import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { WebSocket } from 'ws';
import type { Right } from '../src/core/contracts.ts';
import { PUBLISH_RIGHT } from '../src/core/publish-right.ts';
import { startTestApp, type TestApp } from '../testkit/app.ts';
import { RawRtspClient } from '../testkit/rtsp-server.ts';

const OFFER = readFileSync(new URL('../src/outputs/webrtc/testdata/chromium-publish.sdp', import.meta.url), 'utf8');
const SESSION = 'v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n';

const post = async (app: TestApp, path: string, body: string): Promise<boolean> => {
  const headers = { 'content-type': 'application/sdp' };
  return (await fetch(`${app.url}${path}`, { method: 'POST', body, headers })).status === 403;
};

const rtsp = async (app: TestApp, method: string): Promise<boolean> => {
  using client = await RawRtspClient.open(`${app.rtspUrl}/door`);
  return (await client.request(method, '', { 'Content-Type': 'application/sdp' }, SESSION)).status === 403;
};

const socket = async (app: TestApp, type: string, value: unknown): Promise<boolean> => {
  const ws = new WebSocket(`${app.wsUrl}?dst=door`);
  try {
    const answer = new Promise<string>((resolve, reject) => {
      ws.once('message', (data) => resolve(String(data)));
      ws.once('error', reject);
    });
    ws.once('open', () => ws.send(JSON.stringify({ type, value })));
    return (await answer).includes('publishing needs the right');
  } finally {
    ws.terminate();
  }
};

/** Every way to publish; each gives whether it was refused for want of the right. */
const WAYS: Readonly<Record<string, (app: TestApp) => Promise<boolean>>> = {
  'RTSP ANNOUNCE': (app) => rtsp(app, 'ANNOUNCE'),
  'RTSP RECORD': (app) => rtsp(app, 'RECORD'),
  'POST /api/stream': (app) => post(app, '/api/stream?dst=door', 'x'),
  'POST /api/stream.ts': (app) => post(app, '/api/stream.ts?dst=door', 'x'),
  'POST /api/stream.flv': (app) => post(app, '/api/stream.flv?dst=door', 'x'),
  'POST /api/stream.mjpeg': (app) => post(app, '/api/stream.mjpeg?dst=door', 'x'),
  WHIP: (app) => post(app, '/api/webrtc?dst=door', OFFER),
  'ending a WHIP session': async (app) =>
    (await fetch(`${app.url}/api/webrtc?id=1`, { method: 'DELETE' })).status === 403,
  'WebSocket webrtc/offer': (app) => socket(app, 'webrtc/offer', OFFER),
  'WebSocket webrtc': (app) => socket(app, 'webrtc', { type: 'offer', sdp: OFFER }),
};

describe('publishing needs the right to configure', { timeout: 60_000 }, () => {
  const all: readonly Right[] = ['view', 'listen', 'talk', 'playback', 'control', 'configure'];
  let granted: readonly Right[] = all;
  let app: TestApp;
  before(async () => {
    app = await startTestApp({ streams: { door: [] }, access: { allows: (_peer, right) => granted.includes(right) } });
  });
  after(() => app[Symbol.asyncDispose]());

  for (const [way, isRefused] of Object.entries(WAYS)) {
    test(`${way}: refused without it whatever else is granted, let through with it`, async () => {
      granted = all.filter((right) => right !== PUBLISH_RIGHT);
      assert.equal(await isRefused(app), true);
      granted = ['view', PUBLISH_RIGHT];
      assert.equal(await isRefused(app), false);
    });
  }

  test('no other part of the program publishes', () => {
    const root = fileURLToPath(new URL('../src', import.meta.url));
    const publishing = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter(
      (file) => /(?<!\.test)\.ts$/.test(file) && /\bstream\.publish\(/.test(readFileSync(`${root}/${file}`, 'utf8')),
    );
    assert.deepEqual(publishing.toSorted(), [
      'outputs/rtsp/publisher.ts',
      'outputs/webrtc/publisher.ts',
      'sources/http/ingest.ts',
    ]);
  });
});
