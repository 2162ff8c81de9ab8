import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AccessPolicy } from '../src/core/contracts.ts';
import { parseSourceSpec, type TalkCall } from '../src/core/source.ts';
import { outputs } from '../src/modules.ts';
import { makeRtspSource } from '../src/sources/rtsp/index.ts';
import { makeAudioFormat } from '../src/wire/codecs/formats.ts';
import { startTestApp, type TestApp } from '../testkit/app.ts';
import { describesTalk, playing, startFakeCamera } from '../testkit/fake-rtsp-camera.ts';
import { MemoryLog } from '../testkit/memory-log.ts';
import { waitFor } from '../testkit/wait.ts';

// Speaking through this server as if it were the camera: by another Hearthcam, go2rtc, or an ONVIF client.

async function start(url: string, access?: AccessPolicy): Promise<TestApp> {
  const rtsp = outputs.filter(({ name }) => name === 'rtsp');
  return startTestApp({ streams: { porch: [url] }, outputs: rtsp, ...(access === undefined ? {} : { access }) });
}

async function call(url: string): Promise<TalkCall> {
  const { signal } = new AbortController();
  const made = await makeRtspSource().talk?.({
    spec: parseSourceSpec(url),
    streamName: 'x',
    log: new MemoryLog(),
    signal,
  });
  assert.ok(made);
  return made;
}

for (const suffix of ['', '#backchannel=all']) {
  test(`what is said to our RTSP server arrives at the camera (${suffix === '' ? 'alone' : 'with picture and sound'})`, async () => {
    await using camera = await startFakeCamera({ on: { DESCRIBE: describesTalk(), PLAY: playing(200) } });
    await using app = await start(camera.url);
    await using made = await call(`${app.rtspUrl}/porch${suffix}`);
    assert.deepEqual(
      made.codecs.map(({ codec, clockRateHz }) => `${codec}/${clockRateHz}`),
      ['pcma/8000', 'pcmu/8000', 'opus/48000'],
    );
    const [pcma] = made.codecs;
    assert.ok(pcma);
    const line = await made.start(pcma, true);
    const format = makeAudioFormat('pcma', 8_000, 1);
    const timer = setInterval(() => line.push({ format, data: Buffer.alloc(160, 0x21) }), 20);
    const heard = (): boolean =>
      camera.clients.some(({ frames }) =>
        frames.some(({ packet }) => packet.subarray(12).every((byte) => byte === 0x21)),
      );
    await waitFor(heard, { what: 'the camera to hear it' }).finally(() => clearInterval(timer));
    await made[Symbol.asyncDispose]();
    await waitFor(() => app.app.hub.require('porch').talk.session === undefined, { what: 'the camera to be free' });
  });
}

test('who may not talk gets no back channel, and one without a loudspeaker has none', async () => {
  await using camera = await startFakeCamera({ on: { DESCRIBE: describesTalk(), PLAY: playing(50) } });
  await using mute = await startFakeCamera({ on: { PLAY: playing(50) } });
  await using refusing = await start(camera.url, { allows: (_peer, right) => right !== 'talk' });
  await using silent = await start(mute.url);
  for (const app of [refusing, silent]) {
    await using made = await call(`${app.rtspUrl}/porch`);
    assert.deepEqual(made.codecs, []);
  }
});
