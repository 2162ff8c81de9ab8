import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { connect } from 'node:net';
import { test } from 'node:test';
import { startTestApp, type TestApp } from '../testkit/app.ts';
import { RawRtspClient } from '../testkit/rtsp-server.ts';
import { startTestSimulator } from '../testkit/simulator.ts';
import { waitFor } from '../testkit/wait.ts';

/** Viewers of each kind in a round, at once. `npm run soak` is the long form of this. */
const VIEWERS = 8;
const ENOUGH_BYTES = 20_000;

/** What a process may not have more of after viewers have come and gone. */
function held(): { files: number; handles: Record<string, number> } {
  const handles: Record<string, number> = {};
  for (const name of process.getActiveResourcesInfo()) {
    // The test's own waits are among the timers.
    if (name !== 'Timeout' && name !== 'Immediate') handles[name] = (handles[name] ?? 0) + 1;
  }
  return { files: readdirSync('/proc/self/fd').length, handles };
}

/** Sends bytes, takes some of what comes back, and leaves without a word. */
function visit(port: number, lines: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let bytes = 0;
    const socket = connect(port, '127.0.0.1', () => socket.write(lines, 'latin1'));
    socket.setTimeout(15_000, () => socket.destroy(new Error(`${bytes} bytes for ${lines.split('\r\n')[0]}`)));
    socket.on('data', (chunk) => {
      bytes += chunk.length;
      if (bytes >= ENOUGH_BYTES) socket.destroy();
    });
    socket.on('error', reject);
    socket.on('close', resolve);
  });
}

/** A masked text frame (RFC 6455 §5.3) with a mask of zeros, which leaves the text as it is. */
function webSocketText(text: string): string {
  return `\x81${String.fromCharCode(0x80 | text.length)}\0\0\0\0${text}`;
}

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`;
const UPGRADE =
  'GET /api/ws?src=cam HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
  'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n';

async function visitHls(app: TestApp): Promise<void> {
  const master = await (await fetch(`${app.url}/api/stream.m3u8?src=cam`)).text();
  const media = master.split('\n').find((line) => line !== '' && !line.startsWith('#')) ?? '';
  const answer = await fetch(new URL(media, `${app.url}/api/`));
  assert.match(await answer.text(), /#EXT-X-MAP/);
}

async function visitRtsp(app: TestApp): Promise<void> {
  using client = await RawRtspClient.open(`${app.rtspUrl}/cam`);
  await client.play();
  await waitFor(() => client.packets.length > 20, { timeoutMs: 15_000 });
}

/** One viewer of each kind. */
function visitors(app: TestApp): Promise<void>[] {
  const { api } = app.ports;
  return [
    visitRtsp(app),
    visit(api, `${UPGRADE}${webSocketText('{"type":"mse"}')}`),
    visit(api, get('/api/stream.mp4?src=cam')),
    visit(api, get('/api/stream.ts?src=cam')),
    visit(api, get('/api/stream.flv?src=cam')),
    visitHls(app),
  ];
}

async function round(app: TestApp): Promise<void> {
  await Promise.all(Array.from({ length: VIEWERS }, () => visitors(app)).flat());
}

/** Until nobody watches and the camera is let go. */
async function quiet(app: TestApp): Promise<void> {
  const stream = app.app.hub.require('cam');
  const idle = (): boolean =>
    stream.consumers.size === 0 && stream.producers.every((producer) => producer.state === 'idle');
  await waitFor(idle, { timeoutMs: 40_000, everyMs: 50, what: 'the stream to be let go' });
}

test('after viewers came and went and the camera dropped, nothing of them is left', async () => {
  const cameras = [{ name: 'nursery', main: { width: 320, height: 180, bitRateKbps: 400 }, sub: false as const }];
  await using simulator = await startTestSimulator({ cameras });
  await using app = await startTestApp({ streams: { cam: [simulator.url('nursery')] } });
  await visitRtsp(app);
  await quiet(app);
  const before = held();

  await round(app);
  const stream = app.app.hub.require('cam');
  const [producer] = stream.producers;
  for (let drops = 1; drops <= 3; drops++) {
    const watching = round(app);
    await waitFor(() => stream.consumers.size >= VIEWERS);
    simulator.simulator.drop();
    await watching;
    await waitFor(() => (producer?.reconnects ?? 0) >= drops && producer?.state === 'running', { timeoutMs: 20_000 });
  }
  await quiet(app);

  // The test's own connections (fetch keeps some) end in their own time.
  const same = (): boolean => {
    const now = held();
    const more = Object.entries(now.handles).filter(([name, count]) => count > (before.handles[name] ?? 0));
    return now.files <= before.files && more.length === 0;
  };
  await waitFor(same, { timeoutMs: 15_000, everyMs: 50 }).catch(() =>
    assert.deepEqual(held(), before, 'open files and handles as before'),
  );
  assert.deepEqual(app.log.find('error', /./), []);
});
