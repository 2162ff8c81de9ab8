import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { test } from 'node:test';
import type { AccessPolicy } from '../src/core/contracts.ts';
import { decodeAlaw } from '../src/wire/g711/g711.ts';
import { startTestApp, type TestApp } from '../testkit/app.ts';
import { ffmpegBytes } from '../testkit/bitstreams.ts';
import { describesTalk, type FakeCamera, playing, startFakeCamera } from '../testkit/fake-rtsp-camera.ts';
import { plainApi } from '../testkit/plain-api.ts';
import { waitFor } from '../testkit/wait.ts';

// Playing something to a camera over HTTP, and what is told about cameras that can be spoken to (compatibility.md 1.2, 5.3).

const SINE = ['-f', 'lavfi', '-i', 'sine=frequency=500:duration=1'];

async function start(cameras: Readonly<Record<string, string>>, access?: AccessPolicy): Promise<TestApp> {
  const api = plainApi();
  return startTestApp({
    streams: Object.fromEntries(Object.entries(cameras).map(([name, url]) => [name, [url]])),
    outputs: [api],
    ...(access === undefined ? {} : { access }),
  });
}

/** Samples that came by the back channel. */
function heardSamples(camera: FakeCamera): Int16Array {
  const frames = camera.clients.flatMap(({ frames }) => frames.filter(({ channel }) => channel === 0));
  return decodeAlaw(Buffer.concat(frames.map(({ packet }) => packet.subarray(12))));
}

const loud = (camera: FakeCamera): number => heardSamples(camera).filter((sample) => Math.abs(sample) > 1_000).length;

async function mp3Server(): Promise<{ url: string } & AsyncDisposable> {
  const mp3 = await ffmpegBytes([...SINE, '-f', 'mp3']);
  const server = createServer((_request, response) => response.setHeader('content-type', 'audio/mpeg').end(mp3));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    url: `http://127.0.0.1:${port}/bell.mp3`,
    [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

const post = (app: TestApp, query: Readonly<Record<string, string>>, path = '/api/streams'): Promise<Response> =>
  fetch(`${app.url}${path}?${new URLSearchParams(query)}`, { method: 'POST' });

test('a file is played to a camera once, in the form that it takes, and then hung up', async () => {
  await using camera = await startFakeCamera({ on: { DESCRIBE: describesTalk() } });
  await using file = await mp3Server();
  await using app = await start({ porch: camera.url });
  const answer = await post(app, { dst: 'porch', src: `ffmpeg:${file.url}#audio=pcma#input=file` });
  assert.equal(answer.status, 200, await answer.clone().text());
  assert.ok('producers' in JSON.parse(await answer.text()));
  await waitFor(() => loud(camera) > 5_000, { timeoutMs: 20_000, what: 'most of a second of tone' });
  await waitFor(() => camera.log.at(-1)?.startsWith('TEARDOWN'), { timeoutMs: 20_000, what: 'the goodbye' });
  assert.ok(loud(camera) < 9_000, 'not twice');
});

test('another stream is played until somebody stops it', async () => {
  await using camera = await startFakeCamera({ on: { DESCRIBE: describesTalk() } });
  await using nursery = await startFakeCamera({ on: { PLAY: playing(400) } });
  await using app = await start({ porch: camera.url, nursery: nursery.url });
  assert.equal((await post(app, { dst: 'porch', src: 'nursery' })).status, 200);
  await waitFor(() => camera.clients.some(({ frames }) => frames.length > 3), { what: 'its sound' });
  assert.equal((await post(app, { dst: 'porch', src: '' })).status, 200);
  await waitFor(() => camera.log.at(-1)?.startsWith('TEARDOWN'), { what: 'the goodbye' });
});

test('/api/ffmpeg plays a file, and says that it can’t speak', async () => {
  await using camera = await startFakeCamera({ on: { DESCRIBE: describesTalk() } });
  await using file = await mp3Server();
  await using app = await start({ porch: camera.url });
  const spoken = await post(app, { dst: 'porch', text: 'dinner' }, '/api/ffmpeg');
  assert.equal(spoken.status, 501);
  assert.match(await spoken.text(), /no voice/);
  const played = await post(app, { dst: 'porch', file: file.url }, '/api/ffmpeg');
  assert.equal(played.status, 200, await played.clone().text());
  await waitFor(() => loud(camera) > 2_000, { timeoutMs: 20_000, what: 'the tone' });
});

test('who may only talk can play what there is, but no addresses', async () => {
  await using camera = await startFakeCamera({ on: { DESCRIBE: describesTalk() } });
  const access: AccessPolicy = { allows: (_peer, right) => right !== 'configure' };
  await using app = await start({ porch: camera.url }, access);
  assert.equal((await post(app, { dst: 'porch', src: 'http://192.0.2.1/x.mp3' })).status, 403);
  assert.equal((await post(app, { dst: 'porch', src: 'nobody' })).status, 404);
});

test('a probe with "microphone" tells what can be spoken to, and leaves alone what plays', async () => {
  await using camera = await startFakeCamera({ on: { DESCRIBE: describesTalk(), PLAY: playing(20) } });
  await using mute = await startFakeCamera({ on: { PLAY: playing(20) } });
  await using app = await start({ porch: camera.url, mute: mute.url });
  const probe = async (name: string, query: string): Promise<readonly string[]> => {
    const answer = await fetch(`${app.url}/api/streams?src=${name}&video=all&audio=all${query}`);
    assert.equal(answer.status, 200);
    // Checked border: a wrong shape fails the test below.
    const { producers } = (await answer.json()) as { producers: { medias?: string[] }[] };
    return producers.flatMap(({ medias }) => medias ?? []);
  };
  const plain = ['video, recvonly, H264', 'audio, recvonly, PCMA/8000'];
  assert.deepEqual(await probe('porch', ''), plain);
  assert.deepEqual(await probe('porch', '&microphone'), [...plain, 'audio, sendonly, PCMA/8000']);
  assert.deepEqual(await probe('mute', '&microphone'), plain);
  await probe('porch', '&microphone');
  assert.equal(camera.log.filter((line) => line.startsWith('PLAY')).length, 1, 'what plays is not connected anew');
  const asked = camera.clients.flatMap(({ requests }) =>
    requests.filter((one) => one.headers.get('require') !== undefined),
  );
  assert.equal(asked.length, 1, 'and asked once');
  const [playingClient] = camera.clients;
  assert.ok(playingClient?.requests.every((one) => one.headers.get('require') === undefined));
});

test('who may not talk is not told about it', async () => {
  await using camera = await startFakeCamera({ on: { DESCRIBE: describesTalk(), PLAY: playing(20) } });
  const access: AccessPolicy = { allows: (_peer, right) => right !== 'talk' };
  await using app = await start({ porch: camera.url }, access);
  const answer = await fetch(`${app.url}/api/streams?src=porch&microphone`);
  assert.doesNotMatch(await answer.text(), /audio, sendonly, PCMA/);
});
