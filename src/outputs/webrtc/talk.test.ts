import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Browser } from 'playwright-core';
import { startTestApp, type TestApp } from '../../../testkit/app.ts';
import { blankPage, launchBrowser } from '../../../testkit/browser.ts';
import { describesTalk, type FakeCamera, startFakeCamera } from '../../../testkit/fake-rtsp-camera.ts';
import { startGstCamera } from '../../../testkit/gst-camera.ts';
import { TalkPage } from '../../../testkit/talk-page.ts';
import { waitFor } from '../../../testkit/wait.ts';
import type { AccessPolicy } from '../../core/contracts.ts';
import { decodeAlaw, decodeUlaw } from '../../wire/g711/g711.ts';
import { webrtcOutput } from './module.ts';

/** Chromium's own pretended microphone beeps about every second. */
const BEEPING = ['--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream'];
const WIDE_PCMU = ['m=audio 0 RTP/AVP 97', 'a=rtpmap:97 PCMU/16000', 'a=sendonly', 'a=control:trackID=5'];
/** Of 16-bit samples: a tone is far above, silence far below. */
const LOUD = 3_000;

let browser: Browser;

before(async () => {
  browser = await launchBrowser(BEEPING);
});
after(async () => {
  await browser.close();
});

async function open(
  cameras: Readonly<Record<string, string>>,
  access?: AccessPolicy,
): Promise<{ app: TestApp; page: TalkPage; newPage: () => Promise<TalkPage> } & AsyncDisposable> {
  const streams = Object.fromEntries(Object.entries(cameras).map(([name, url]) => [name, [url]]));
  const app = await startTestApp({ streams, outputs: [webrtcOutput], ...(access === undefined ? {} : { access }) });
  const newPage = async (): Promise<TalkPage> => TalkPage.open(await blankPage(browser, app.url));
  return { app, page: await newPage(), newPage, [Symbol.asyncDispose]: () => app.app.close() };
}

function isLoud(coded: Buffer, law: 'a' | 'u'): boolean {
  return (law === 'a' ? decodeAlaw(coded) : decodeUlaw(coded)).some((sample) => Math.abs(sample) > LOUD);
}

/** Packets with a tone in them that a camera got behind `sinceMs`. */
function loudPackets(camera: FakeCamera, law: 'a' | 'u', sinceMs = 0) {
  return camera.clients.flatMap(({ frames }) =>
    frames.filter(({ channel, packet, atMs }) => channel === 0 && atMs >= sinceMs && isLoud(packet.subarray(12), law)),
  );
}

/** From the moment of a beep in the page to that at which the camera has it. */
async function delayMs(page: TalkPage, talker: number, camera: FakeCamera, law: 'a' | 'u'): Promise<number> {
  // The first one may come before the connection carries anything.
  for (let tries = 0; tries < 20; tries++) {
    const beganMs = await page.beep(talker, 100);
    const heard = (): boolean => loudPackets(camera, law, beganMs).length > 0;
    if (await waitFor(heard, { timeoutMs: 1_000 }).catch(() => false)) {
      return (loudPackets(camera, law, beganMs)[0]?.atMs ?? 0) - beganMs;
    }
  }
  assert.fail('the camera heard none of the beeps');
}

/** The best of a few: what a busy machine adds is not ours. */
async function bestDelayMs(page: TalkPage, talker: number, camera: FakeCamera, law: 'a' | 'u'): Promise<number> {
  const delays: number[] = [];
  for (let i = 0; i < 5; i++) {
    delays.push(await delayMs(page, talker, camera, law));
    if (Math.min(...delays) < 150) break;
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
  return Math.min(...delays);
}

describe('speaking to a camera from a browser', () => {
  test('is heard within 300 ms, as it is where camera and browser have the same codec', async (t) => {
    await using camera = await startFakeCamera({ on: { DESCRIBE: describesTalk() } });
    await using run = await open({ porch: camera.url });
    const { status, talker } = await run.page.speak('porch');
    assert.equal(status, 201);
    await waitFor(async () => (await run.page.state(talker)).state === 'connected', { what: 'the connection' });
    const best = await bestDelayMs(run.page, talker, camera, 'a');
    t.diagnostic(`${Math.round(best)} ms`);
    assert.ok(best < 300, `${best} ms from mouth to camera`);
    assert.equal((await run.page.state(talker)).codec, 'audio/PCMA');
    assert.deepEqual(run.app.app.codecProcesses, []);
    const session = run.app.app.hub.require('porch').talk.session;
    assert.equal(session?.codec?.codec, 'pcma');
    await run.page.stop(talker);
    await waitFor(() => camera.log.at(-1)?.startsWith('TEARDOWN'), { what: 'the goodbye to the camera' });
  });

  test('is heard within 300 ms where it has to be transcoded: Opus to PCMU at 16 kHz', async (t) => {
    await using camera = await startFakeCamera({ on: { DESCRIBE: describesTalk(WIDE_PCMU) } });
    await using run = await open({ porch: camera.url });
    const { talker } = await run.page.speak('porch', 'opus');
    await waitFor(async () => (await run.page.state(talker)).state === 'connected', { what: 'the connection' });
    const best = await bestDelayMs(run.page, talker, camera, 'u');
    t.diagnostic(`${Math.round(best)} ms`);
    assert.ok(best < 300, `${best} ms from mouth to camera`);
    assert.equal((await run.page.state(talker)).codec.toLowerCase(), 'audio/opus');
  });

  test('goes along with watching, as go2rtc’s cards do it, and a real camera hears the microphone', async () => {
    await using camera = await startGstCamera({ audio: 'pcma', talk: 'pcma' });
    await using run = await open({ porch: `${camera.url}#backchannel=all` });
    const { talker } = await run.page.watchAndSpeak('porch', true);
    await waitFor(async () => (await run.page.state(talker)).framesDecoded > 5, {
      timeoutMs: 20_000,
      what: 'pictures',
    });
    await waitFor(async () => isLoud(await camera.heard(), 'a'), {
      timeoutMs: 20_000,
      what: 'the beep of the microphone',
    });
  });

  test('is for one at a time: the second is told so, and let in afterwards', async () => {
    await using camera = await startFakeCamera({ on: { DESCRIBE: describesTalk() } });
    await using run = await open({ porch: camera.url });
    const other = await run.newPage();
    const first = await run.page.speak('porch');
    const refused = await other.speak('porch');
    assert.equal(refused.status, 409);
    assert.match(refused.text, /somebody is speaking to "porch" already/);
    const left = await fetch(`${run.app.url}/api/${first.location}`, { method: 'DELETE' });
    assert.equal(left.status, 200);
    assert.equal((await other.speak('porch')).status, 201);
  });

  test('needs the right to talk, and without it nobody is asked to listen', async () => {
    await using camera = await startGstCamera({ audio: 'pcma', talk: 'pcma' });
    const access: AccessPolicy = { allows: (_peer, right) => right !== 'talk' };
    await using run = await open({ porch: camera.url }, access);
    assert.deepEqual(await run.page.speak('porch').then(({ status, text }) => [status, text.trim()]), [
      403,
      'speaking to "porch" needs the right to talk',
    ]);
    const { talker, text } = await run.page.watchAndSpeak('porch', false);
    await waitFor(async () => (await run.page.state(talker)).framesDecoded > 5, {
      timeoutMs: 20_000,
      what: 'pictures',
    });
    assert.deepEqual(
      text.match(/^a=(sendonly|recvonly|inactive)\r?$/gm)?.map((line) => line.trim()),
      ['a=inactive', 'a=sendonly', 'a=sendonly'],
    );
    assert.equal((await camera.heard()).length, 0);
  });

  test('is refused with the words that cards know where the camera takes no sound', async () => {
    await using camera = await startFakeCamera();
    await using run = await open({ porch: camera.url });
    const { status, text } = await run.page.speak('porch');
    assert.equal(status, 500);
    assert.match(text, /^can't find consumer/);
    assert.equal(run.app.app.hub.require('porch').talk.possible, false);
  });

  test('goes on when the camera drops out in mid-sentence and comes back', async () => {
    await using camera = await startFakeCamera({ on: { DESCRIBE: describesTalk() } });
    await using run = await open({ porch: camera.url });
    const { talker } = await run.page.speak('porch');
    await waitFor(async () => (await run.page.state(talker)).state === 'connected', { what: 'the connection' });
    await delayMs(run.page, talker, camera, 'a');
    for (const { socket } of camera.clients) socket.destroy();
    await waitFor(() => camera.log.filter((line) => line.startsWith('PLAY')).length === 2, { what: 'another call' });
    await delayMs(run.page, talker, camera, 'a');
  });
});
