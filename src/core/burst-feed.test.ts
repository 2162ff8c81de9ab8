import assert from 'node:assert/strict';
import { connect, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { makeTestHub } from '../../testkit/hub.ts';
import { scriptedSource } from '../../testkit/scripted-source.ts';
import { waitFor } from '../../testkit/wait.ts';
import { BurstFeed, type BurstMuxer } from './burst-feed.ts';
import { isVideo } from './media.ts';

/** Writes `(` at the beginning, then K for a key frame, p for a picture, a for audio, and `|` behind each burst. */
function letters(): BurstMuxer & { muxed: number } {
  const muxer = {
    muxed: 0,
    begin: () => Buffer.from('('),
    mux: (units: Parameters<BurstMuxer['mux']>[0]) => {
      muxer.muxed++;
      const text = units.map((unit) => (isVideo(unit.format) ? (unit.key ? 'K' : 'p') : 'a')).join('');
      return Buffer.from(`${text}|`);
    },
  };
  return muxer;
}

async function setup() {
  const script = scriptedSource('test');
  const { hub, ...held } = makeTestHub({ sources: [script.module], streams: { cam: ['test:1'] } });
  const stream = hub.require('cam');
  const opening = stream.open({
    formatName: 'test',
    protocol: '',
    remoteAddr: '',
    wants: [
      { kind: 'video', codecs: 'any' },
      { kind: 'audio', codecs: 'any' },
    ],
  });
  const camera = await waitFor(() => script.connections[0]);
  camera.describe({
    tracks: [
      { kind: 'video', codec: 'h264', clockRateHz: 90_000, format: null },
      { kind: 'audio', codec: 'pcma', clockRateHz: 8_000, format: null },
    ],
  });
  const consumer = await opening;
  const sockets: Socket[] = [];
  const server = createServer((socket) => sockets.push(socket));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  const viewer = async (): Promise<{ socket: Socket; text: () => string }> => {
    const count = sockets.length;
    let text = '';
    const client = connect(address.port, '127.0.0.1');
    client.on('data', (data) => {
      text += data.toString();
    });
    const socket = await waitFor(() => sockets[count]);
    return { socket, text: () => text };
  };
  return {
    stream,
    camera,
    consumer,
    viewer,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await held[Symbol.asyncDispose]();
    },
  };
}

test('who joins gets the beginning and what came since the last key frame, then the same as all others', async () => {
  await using all = await setup();
  const { stream, camera, consumer } = all;
  camera.picture(0, true);
  camera.picture(40, false);
  const muxer = letters();
  using feed = new BurstFeed(stream, consumer.tracks, muxer);
  const one = await all.viewer();
  const stop = feed.add({ socket: one.socket, consumer, onStuck: () => {} });
  await waitFor(() => one.text() === '(Kp|');
  camera.picture(80, false);
  camera.audio(1, 90);
  camera.picture(120, true);
  camera.picture(160, false);
  const other = await all.viewer();
  feed.add({ socket: other.socket, consumer, onStuck: () => {} });
  camera.picture(200, false);
  await waitFor(() => one.text() === '(Kp|p|aK|p|p|', { what: 'the first viewer' });
  await waitFor(() => other.text() === '(aK|p|p|', { what: 'the second viewer' });
  assert.equal(muxer.muxed, 5, 'muxed once for all');
  stop();
  camera.picture(240, false);
  await waitFor(() => other.text().endsWith('|p|p|p|'));
  assert.equal(one.text(), '(Kp|p|aK|p|p|');
});

test('a key frame behind another picture in one read begins a burst of its own', async () => {
  await using all = await setup();
  const { stream, camera, consumer } = all;
  camera.picture(0, true);
  using feed = new BurstFeed(stream, consumer.tracks, letters());
  const one = await all.viewer();
  feed.add({ socket: one.socket, consumer, onStuck: () => {} });
  const video = consumer.tracks[0]?.format;
  assert.ok(video);
  for (const [ms, key] of [
    [40, false],
    [80, true],
    [120, false],
  ] as const) {
    camera.sink.unit({ track: 0, format: video, ticks: ms * 90, key, data: Buffer.alloc(1) });
  }
  camera.sink.flush();
  await waitFor(() => one.text() === '(K|p|Kp|');
});

test('before the first key frame a viewer gets the beginning, then waits for it', async () => {
  await using all = await setup();
  const { stream, camera, consumer } = all;
  using feed = new BurstFeed(stream, consumer.tracks, letters());
  const one = await all.viewer();
  feed.add({ socket: one.socket, consumer, onStuck: () => {} });
  camera.audio(1, 0);
  camera.picture(40, true);
  camera.picture(80, false);
  await waitFor(() => one.text() === '(K|p|', { what: 'the key frame to come first' });
});
