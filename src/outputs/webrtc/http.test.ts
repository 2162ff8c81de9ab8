import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import { WebSocket } from 'ws';
import { freePort, startTestApp, type TestApp } from '../../../testkit/app.ts';
import { scriptedSource } from '../../../testkit/scripted-source.ts';
import { waitFor } from '../../../testkit/wait.ts';
import { webrtcOutput } from './module.ts';
import { parseCandidate } from './sdp/candidate.ts';

const offer = readFileSync(new URL('./testdata/chromium-watch.sdp', import.meta.url), 'utf8');
const publish = readFileSync(new URL('./testdata/chromium-publish.sdp', import.meta.url), 'utf8');

/** An app whose streams are cameras that the test plays: `cam` has H.264, `jpeg` only JPEG. */
async function startApp(webrtc: Readonly<Record<string, unknown>> = {}): Promise<TestApp> {
  const camera = scriptedSource('scripted');
  const timer = setInterval(() => {
    for (const connection of camera.connections) {
      if (connection.taken.length > 0) continue;
      const codec = connection.request.streamName === 'jpeg' ? 'jpeg' : 'h264';
      connection.describe({ tracks: [{ kind: 'video', codec, clockRateHz: 90_000, format: null }] });
    }
  }, 5);
  const app = await startTestApp({
    streams: { cam: ['scripted:a'], jpeg: ['scripted:b'], push: [] },
    sources: [camera.module],
    outputs: [webrtcOutput],
    sections: { webrtc },
  });
  return {
    ...app,
    [Symbol.asyncDispose]: async () => {
      clearInterval(timer);
      await app[Symbol.asyncDispose]();
    },
  };
}

function helperPid(app: TestApp): number {
  return Number(app.log.find('debug', /WebRTC process runs/).at(-1)?.fields['pid']);
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe('/api/webrtc', { timeout: 60_000 }, () => {
  let app: TestApp;
  before(async () => {
    app = await startApp();
  });
  after(() => app[Symbol.asyncDispose]());

  const post = (query: string, body: string, type?: string): Promise<Response> =>
    fetch(`${app.url}/api/webrtc${query}`, {
      method: 'POST',
      body: Buffer.from(body),
      headers: type === undefined ? {} : { 'content-type': type },
    });

  test('WHEP is answered 201 with an answer that holds all candidates, and no Location', async () => {
    const response = await post('?src=cam', offer, 'application/sdp');
    assert.equal(response.status, 201);
    assert.equal(response.headers.get('content-type'), 'application/sdp');
    assert.equal(response.headers.get('location'), null);
    const sdp = await response.text();
    assert.match(sdp, /^v=0\r\n/);
    assert.match(sdp, new RegExp(`a=candidate:\\S+ 1 udp \\d+ 127\\.0\\.0\\.1 ${app.ports.webrtc} typ host`));
    assert.match(sdp, /a=setup:active\r\n/);
    assert.match(sdp, /m=audio 9 UDP\/TLS\/RTP\/SAVPF 111\r\n[\s\S]*a=inactive/);
  });

  test('JSON is answered by JSON', async () => {
    const response = await post('?src=cam', JSON.stringify({ type: 'offer', sdp: offer }), 'application/json');
    assert.equal(response.status, 200);
    // Checked border: the assertions look at what came.
    const body = (await response.json()) as { type: unknown; sdp: unknown };
    assert.equal(body.type, 'answer');
    assert.match(String(body.sdp), /a=candidate/);
  });

  test('a form with base64 is answered by base64, anything else by the bare answer', async () => {
    const form = new URLSearchParams({ data: Buffer.from(offer).toString('base64') }).toString();
    const coded = await post('?src=cam', form, 'application/x-www-form-urlencoded');
    assert.equal(coded.status, 200);
    assert.match(Buffer.from(await coded.text(), 'base64').toString(), /^v=0/);
    const bare = await post('?src=cam', offer);
    assert.equal(bare.status, 200);
    assert.match(await bare.text(), /^v=0/);
  });

  const refusals: [string, string, string, string | undefined, number, RegExp][] = [
    ['an unknown stream', '?src=nobody', offer, 'application/sdp', 404, /^stream not found\n$/],
    ['an unknown stream to publish to', '?dst=nobody', publish, 'application/sdp', 404, /^stream not found\n$/],
    ['neither src nor dst', '', offer, 'application/sdp', 400, /src or dst/],
    ['an offer that is none', '?src=cam', 'hello', 'application/sdp', 500, /not an SDP/],
    ['JSON that is none', '?src=cam', '{', 'application/json', 400, /JSON/],
    ['a body beyond all measure', '?src=cam', 'x'.repeat(300_000), 'application/sdp', 413, /larger/],
    [
      'a camera without a codec for browsers',
      '?src=jpeg',
      offer,
      'application/sdp',
      500,
      /codecs not matched: video:JPEG/,
    ],
    ['a viewer that asks for nothing', '?src=cam', publish, 'application/sdp', 500, /no codec that can be sent/],
    ['a publisher that sends nothing', '?dst=push', offer, 'application/sdp', 500, /no codec that can be received/],
  ];
  for (const [name, query, body, type, status, text] of refusals) {
    test(`${name}: ${status}`, async () => {
      const response = await post(query, body, type);
      const answer = await response.text();
      assert.equal(response.status, status, answer);
      assert.match(answer, text);
    });
  }

  const methods: [string, string, number][] = [
    ['GET', '', 405],
    ['PATCH', '?src=cam', 405],
    ['OPTIONS', '?src=cam', 204],
    ['DELETE', '', 400],
    ['DELETE', '?id=12345', 404],
  ];
  for (const [method, query, status] of methods) {
    test(`${method} ${query}: ${status}`, async () => {
      assert.equal((await fetch(`${app.url}/api/webrtc${query}`, { method })).status, status);
    });
  }

  test('who asks for JSON is told by JSON what is wrong with a body: 4xx, or the 500 that go2rtc’s clients know', async () => {
    for (const [query, body, type, status, code] of [
      ['?src=cam', 'hello', 'application/sdp', 500, 'sdp.start'],
      ['?dst=push', 'hello', 'application/sdp', 500, 'sdp.start'],
      ['?src=cam', '{', 'application/json', 400, 'http.json'],
      ['?dst=push', '{"type":"offer"}', 'application/json', 400, 'http.json'],
      ['?src=cam', 'x'.repeat(200_000), 'application/sdp', 413, 'http.body.size'],
    ] as const) {
      const headers = { 'content-type': type, accept: 'application/json' };
      const response = await fetch(`${app.url}/api/webrtc${query}`, { method: 'POST', body, headers });
      assert.equal(response.status, status);
      assert.match(await response.text(), new RegExp(`^\\{"error":\\{"code":"${code}","message":"[^"]`));
    }
  });

  test('a card that names a URL instead of a stream is given it', async () => {
    const camera = `rtsp://127.0.0.1:${await freePort()}/live`;
    const ws = new WebSocket(`${app.wsUrl}?src=${encodeURIComponent(camera)}&name=doorbell`);
    const answer = new Promise<string>((resolve) => ws.once('message', (data) => resolve(String(data))));
    await new Promise((resolve) => ws.once('open', resolve));
    ws.send(JSON.stringify({ type: 'webrtc/offer', value: offer }));
    assert.match(await answer, /"webrtc\/offer: .*refused the connection/);
    ws.close();
    assert.equal(app.app.hub.require('doorbell').producers[0]?.spec.text, camera);
  });

  test('WHIP is answered 201 with a Location, by which it can be ended', async () => {
    const response = await post('?dst=push', publish, 'application/sdp');
    assert.equal(response.status, 201);
    const location = response.headers.get('location') ?? '';
    assert.match(location, /^webrtc\?id=\d+$/);
    assert.match(await response.text(), /a=recvonly/);
    assert.equal(app.app.hub.require('push').producers.length, 1);
    assert.equal((await fetch(`${app.url}/api/${location}`, { method: 'DELETE' })).status, 200);
    await waitFor(() => app.app.hub.require('push').producers.length === 0);
  });

  test('errors on the WebSocket carry the type of the request', async () => {
    const ws = new WebSocket(`${app.wsUrl}?src=nobody`);
    const errors: string[] = [];
    ws.on('message', (data) => errors.push(String(data)));
    await new Promise((resolve) => ws.once('open', resolve));
    ws.send(JSON.stringify({ type: 'webrtc/candidate', value: 'candidate:nonsense' }));
    ws.send(JSON.stringify({ type: 'webrtc/offer', value: offer }));
    ws.send(JSON.stringify({ type: 'webrtc', value: { type: 'offer' } }));
    ws.send(JSON.stringify({ type: 'webrtc/offer' }));
    await waitFor(() => errors.length === 3);
    ws.close();
    assert.deepEqual(errors.toSorted(), [
      '{"type":"error","value":"webrtc/offer: stream not found"}\n',
      '{"type":"error","value":"webrtc/offer: the value must be a text"}\n',
      '{"type":"error","value":"webrtc: the value has no \\"sdp\\""}\n',
    ]);
  });

  test('a page can publish through the WebSocket', async () => {
    const ws = new WebSocket(`${app.wsUrl}?dst=push`);
    const messages: string[] = [];
    ws.on('message', (data) => messages.push(String(data)));
    await new Promise((resolve) => ws.once('open', resolve));
    ws.send(JSON.stringify({ type: 'webrtc/offer', value: publish }));
    await waitFor(() => messages.length >= 2);
    ws.close();
    assert.match(messages[0] ?? '', /^\{"type":"webrtc\/answer","value":"v=0/);
    assert.match(messages[1] ?? '', /^\{"type":"webrtc\/candidate","value":"candidate:/);
    const [producer] = app.app.hub.require('push').producers;
    assert.equal(producer?.description?.protocol, 'ws+udp');
  });

  test('no offer and no candidate can take the WebRTC process down', async () => {
    await post('?src=cam', offer, 'application/sdp');
    const pid = helperPid(app);
    const lines = offer.split('\r\n');
    const change = fc.tuple(fc.nat(lines.length - 1), fc.string({ maxLength: 20 }), fc.boolean());
    await fc.assert(
      fc.asyncProperty(fc.array(change, { maxLength: 6 }), fc.string(), async (changes, noise) => {
        const mutated = [...lines];
        for (const [at, text, swap] of changes) {
          if (swap) mutated.splice(at, 1);
          else mutated[at] = `${mutated[at] ?? ''}${text}`;
        }
        mutated.push(`a=candidate:1 1 udp 1 192.0.2.7 ${noise.length} typ host ${noise}`);
        const response = await post('?src=cam', mutated.join('\r\n'), 'application/sdp');
        await response.text();
        assert.ok([201, 500, 503].includes(response.status), `status ${response.status}`);
      }),
      { numRuns: Math.min(150, Number(process.env['FUZZ_RUNS'] ?? 100)) },
    );
    assert.ok(alive(pid));
    assert.equal(helperPid(app), pid);
    assert.equal(app.log.find('error', /WebRTC process/).length, 0);
  });
});

describe('the WebRTC process', { timeout: 60_000 }, () => {
  const answerOf = async (app: TestApp): Promise<string> => {
    const response = await fetch(`${app.url}/api/webrtc?src=cam`, {
      method: 'POST',
      body: offer,
      headers: { 'content-type': 'application/sdp' },
    });
    assert.equal(response.status, 201);
    return response.text();
  };

  test('runs only from the first viewer on, and ends with the server', async () => {
    const app = await startApp();
    assert.equal(app.log.find('debug', /WebRTC process runs/).length, 0);
    await answerOf(app);
    const pid = helperPid(app);
    assert.ok(alive(pid));
    await app[Symbol.asyncDispose]();
    assert.ok(!alive(pid));
  });

  test('a port that another program has is named in the error, and everything else goes on', async () => {
    const taken = createSocket('udp4');
    await new Promise<void>((resolve) => taken.bind(0, '127.0.0.1', resolve));
    const { port } = taken.address();
    await using app = await startApp({ listen: `127.0.0.1:${port}` });
    const response = await fetch(`${app.url}/api/webrtc?src=cam`, { method: 'POST', body: offer });
    assert.equal(response.status, 503);
    await waitFor(() => app.log.text.includes(`UDP port ${port} can't be used`));
    assert.equal((await fetch(`${app.url}/api/webrtc`)).status, 405);
    await new Promise<void>((resolve) => taken.close(() => resolve()));
  });

  test('bound to all addresses, it tells those of the network, the configured ones, and loopback to local viewers', async () => {
    await using app = await startApp({
      listen: ':0',
      candidates: ['192.0.2.99:8555', 'localhost:9000', 'nonsense:port:x'],
      filters: {},
    });
    const found = (await answerOf(app)).split('\r\n').flatMap((line) => parseCandidate(line.slice(2)) ?? []);
    const told = found.map((one) => `${one.address}:${one.port}`);
    const port = found.find((one) => one.address === '127.0.0.1' && one.port !== 9000)?.port ?? 0;
    assert.ok(port > 0, told.join(', '));
    assert.ok(told.includes('192.0.2.99:8555'), told.join(', '));
    assert.ok(told.includes('127.0.0.1:9000') || told.includes('::1:9000'), told.join(', '));
  });

  test('what the filters exclude is not told; an empty list excludes everything', async () => {
    await using app = await startApp({ listen: ':0', filters: { ips: [], loopback: false } });
    const sdp = await answerOf(app);
    const hosts = sdp.split('\r\n').filter((line) => line.startsWith('a=candidate'));
    // What is left is loopback, told because this viewer is on the same machine.
    assert.deepEqual(
      hosts.flatMap((line) => parseCandidate(line)?.address ?? []),
      ['127.0.0.1'],
    );
  });

  test('with "stun:PORT" the public address is asked for and told with that port', async () => {
    const stun = createSocket('udp4');
    stun.on('message', (request, from) => {
      // RFC 8489 §14.2: XOR-MAPPED-ADDRESS 203.0.113.9, whatever the sender's address is.
      const answer = Buffer.alloc(32);
      answer.writeUInt16BE(0x0101, 0);
      answer.writeUInt16BE(12, 2);
      request.copy(answer, 4, 4, 20);
      answer.writeUInt16BE(0x0020, 20);
      answer.writeUInt16BE(8, 22);
      answer[25] = 1;
      answer.writeUInt16BE(from.port ^ 0x2112, 26);
      answer.writeUInt32BE((0xcb007109 ^ 0x2112a442) >>> 0, 28);
      stun.send(answer, from.port, from.address);
    });
    await new Promise<void>((resolve) => stun.bind(0, '127.0.0.1', resolve));
    await using app = await startApp({
      candidates: ['stun:8555'],
      ice_servers: [{ urls: [`stun:127.0.0.1:${stun.address().port}`] }],
    });
    const sdp = await answerOf(app);
    assert.match(sdp, /a=candidate:\S+ 1 udp \d+ 203\.0\.113\.9 8555 typ srflx/);
    await new Promise<void>((resolve) => stun.close(() => resolve()));
  });
});
