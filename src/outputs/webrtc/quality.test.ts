import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Browser } from 'playwright-core';
import { startTestApp, type TestApp } from '../../../testkit/app.ts';
import { blankPage, launchBrowser } from '../../../testkit/browser.ts';
import { clipSource, makeClip, testPicture } from '../../../testkit/mp4-source.ts';
import { type UdpRelay, udpRelay } from '../../../testkit/udp-relay.ts';
import { waitFor } from '../../../testkit/wait.ts';
import { WebrtcPage } from '../../../testkit/webrtc-page.ts';
import { createWebrtcOutput } from './module.ts';

const OPUS = ['-c:a', 'libopus', '-b:a', '32k', '-ac', '2'];
const LOW = ['-c:v', 'libx264', '-preset', 'ultrafast', '-tune', 'zerolatency', '-profile:v', 'baseline'];
const HEVC = ['-c:v', 'libx265', '-preset', 'ultrafast', '-x265-params', 'log-level=none:bframes=0'];
const PATIENCE_MS = 30_000;
/** Several times as fast as for people. */
const ADAPTIVE = { troubleMs: 900, settleMs: 1_500, cleanMs: 1_500, trialMs: 10_000, maxWaitMs: 30_000 };

let browser: Browser;
let app: TestApp;

/** How smoothly a viewer's picture goes on; runs in the page. */
const WATCH = `
window.watchPicture = (index) => {
  const { video } = viewers[index];
  const seen = { sizes: [], longestGapMs: 0, backwards: 0, frames: 0, lastMs: 0, lastS: -1, readyMs: performance.now() };
  viewers[index].seen = seen;
  const next = (nowMs, { width, mediaTime }) => {
    if (seen.lastMs > 0) seen.longestGapMs = Math.max(seen.longestGapMs, nowMs - seen.lastMs);
    seen.lastMs = nowMs;
    if (video.currentTime < seen.lastS) seen.backwards++;
    seen.lastS = video.currentTime;
    seen.frames++;
    if (seen.sizes.at(-1) !== width) seen.sizes.push(width);
    video.requestVideoFrameCallback(next);
  };
  video.requestVideoFrameCallback(next);
};
window.seenOf = (index) => viewers[index].seen;
window.say = (index, type, value) => viewers[index].ws.send(JSON.stringify({ type, value }));
`;

interface Seen {
  readonly sizes: readonly number[];
  readonly longestGapMs: number;
  readonly backwards: number;
  readonly frames: number;
}

class QualityPage extends WebrtcPage {
  static override async open(): Promise<QualityPage> {
    const { page } = await WebrtcPage.open(await blankPage(browser, app.url));
    await page.evaluate(WATCH);
    return new QualityPage(page);
  }

  watch(viewer: number): Promise<void> {
    return this.page.evaluate(`window.watchPicture(${viewer})`);
  }
  seen(viewer: number): Promise<Seen> {
    return this.page.evaluate(`window.seenOf(${viewer})`);
  }
  say(viewer: number, type: string, value: string): Promise<void> {
    return this.page.evaluate(`window.say(${viewer}, ${JSON.stringify(type)}, ${JSON.stringify(value)})`);
  }
  async untilWidth(viewer: number, width: number): Promise<void> {
    await waitFor(async () => (await this.report(viewer)).width === width, {
      what: `a picture ${width} pixels wide`,
      timeoutMs: PATIENCE_MS,
      everyMs: 50,
    });
  }
}

function consumers(stream: string) {
  return [...app.app.hub.require(stream).consumers];
}

before(async () => {
  const [main, sub, other] = await Promise.all([
    makeClip(testPicture({ size: '640x360', gop: 25, seconds: 4, audio: OPUS })),
    makeClip(testPicture({ size: '320x180', gop: 25, seconds: 4, audio: [], video: [...LOW, '-pix_fmt', 'yuv420p'] })),
    makeClip(testPicture({ size: '320x180', gop: 25, seconds: 2, audio: [], video: [...HEVC, '-pix_fmt', 'yuv420p'] })),
  ]);
  browser = await launchBrowser();
  app = await startTestApp({
    streams: {
      cam: ['main:cam'],
      cam_sub: ['sub:cam'],
      mixed: ['main:mixed'],
      mixed_sub: ['other:mixed'],
      made: ['main:made'],
    },
    renditions: { made: [{ name: '180p', picture: { kind: 'video', codec: 'h264', height: 180 } }] },
    cameras: { cam: ['cam', 'cam_sub'], mixed: ['mixed', 'mixed_sub'] },
    sources: [clipSource('main', main).module, clipSource('sub', sub).module, clipSource('other', other).module],
    outputs: [createWebrtcOutput({ adaptive: ADAPTIVE })],
  });
});
after(async () => {
  await browser?.close();
  await app?.[Symbol.asyncDispose]();
});

describe('the quality of a WebRTC picture', { timeout: 180_000 }, () => {
  test('changes by a message: the picture goes on without a gap, and so does the sound', async () => {
    const page = await QualityPage.open();
    const viewer = await page.socket('cam', ['video', 'audio'], 1);
    await page.unmute(viewer);
    await page.untilWidth(viewer, 640);
    await page.watch(viewer);
    await waitFor(async () => (await page.seen(viewer)).frames > 25, { what: 'pictures', timeoutMs: PATIENCE_MS });
    for (const [name, width] of [
      ['sub', 320],
      ['main', 640],
      ['sub', 320],
    ] as const) {
      const before = await page.report(viewer);
      await page.say(viewer, 'quality', name);
      await page.untilWidth(viewer, width);
      await waitFor(async () => (await page.report(viewer)).audioEnergy > before.audioEnergy, {
        what: 'the tone to go on',
        timeoutMs: PATIENCE_MS,
      });
    }
    const { framesDecoded } = await page.report(viewer);
    await waitFor(async () => (await page.report(viewer)).framesDecoded > framesDecoded + 25, {
      what: 'further pictures',
      timeoutMs: PATIENCE_MS,
    });
    const seen = await page.seen(viewer);
    assert.deepEqual(seen.sizes.slice(-4), [640, 320, 640, 320]);
    assert.ok(seen.longestGapMs < 1_000, `the longest time without a picture was ${Math.round(seen.longestGapMs)} ms`);
    assert.equal(seen.backwards, 0, 'the time never went back');
    const report = await page.report(viewer);
    assert.ok(report.packetsLost <= 0, `${report.packetsLost} packets seem lost`);
    assert.ok(report.messages.includes('quality'));
    await page.leave(viewer);
    await page.page.close();
    await waitFor(() => consumers('cam').length + consumers('cam_sub').length === 0, {
      what: 'the viewer to be gone from both streams',
      timeoutMs: PATIENCE_MS,
    });
  });

  test('is chosen at the start, with the sound of the stream that was named', async () => {
    const page = await QualityPage.open();
    const viewer = await page.socket('cam&quality=sub', ['video', 'audio'], 1);
    await page.unmute(viewer);
    await page.untilWidth(viewer, 320);
    await waitFor(async () => (await page.report(viewer)).audioEnergy > 0.001, {
      what: 'the tone to be heard',
      timeoutMs: PATIENCE_MS,
    });
    assert.ok((await page.report(viewer)).messages.includes('quality'));
    await page.leave(viewer);
    await page.page.close();
  });

  test('releases the larger stream when it is not needed any more', async () => {
    const page = await QualityPage.open();
    const viewer = await page.socket('cam', ['video'], 1);
    await page.untilWidth(viewer, 640);
    await page.say(viewer, 'quality', 'sub');
    await page.untilWidth(viewer, 320);
    await waitFor(() => consumers('cam').length === 0, { what: 'the main stream to be released' });
    assert.equal(consumers('cam_sub').length, 1);
    await page.say(viewer, 'quality', 'main');
    await page.untilWidth(viewer, 640);
    await waitFor(() => consumers('cam_sub').length === 0, { what: 'the sub stream to be released' });
    await page.leave(viewer);
    await page.page.close();
  });

  test('that is another codec, or none of the camera, is refused and the picture stays', async () => {
    const page = await QualityPage.open();
    const viewer = await page.socket('mixed', ['video'], 1);
    await page.untilWidth(viewer, 640);
    await page.say(viewer, 'quality', 'sub');
    await page.say(viewer, 'quality', 'huge');
    await waitFor(async () => (await page.report(viewer)).messages.filter((one) => one === 'error').length === 2, {
      what: 'two errors',
      timeoutMs: PATIENCE_MS,
    });
    const { framesDecoded } = await page.report(viewer);
    await waitFor(async () => (await page.report(viewer)).framesDecoded > framesDecoded + 10, {
      what: 'the picture to go on',
      timeoutMs: PATIENCE_MS,
    });
    assert.equal((await page.report(viewer)).width, 640);
    await page.leave(viewer);
    await page.page.close();
  });

  test('of a viewer by WHEP changes by a POST to its address', async () => {
    const page = await QualityPage.open();
    let location = '';
    await page.page.exposeFunction('whepWithQuality', async (offer: string) => {
      const response = await post(`/api/webrtc?src=cam&quality=main`, offer);
      location = response.headers.get('location') ?? '';
      return response.text();
    });
    const viewer = await page.whep('cam', ['video'], 'whepWithQuality');
    await page.untilWidth(viewer, 640);
    const path = `/api/${location}`;
    assert.deepEqual(await state(path), { quality: 'main', auto: false, choices: ['main', 'sub'], notices: [] });
    assert.equal((await post(`${path}&quality=sub`)).status, 200);
    await page.untilWidth(viewer, 320);
    assert.equal((await post(`${path}&quality=tiny`)).status, 400);
    assert.deepEqual(await state(path), { quality: 'sub', auto: false, choices: ['main', 'sub'], notices: [] });
    assert.equal((await fetch(`${app.url}${path}`, { method: 'DELETE' })).status, 200);
    await waitFor(async () => (await fetch(`${app.url}${path}`)).status === 404, {
      what: 'the viewer to be forgotten',
    });
    await page.leave(viewer);
    await page.page.close();
  });

  test('that is made by this server is made for as long as somebody has chosen it', async () => {
    const page = await QualityPage.open();
    const viewer = await page.socket('made', ['video'], 1);
    await page.untilWidth(viewer, 640);
    const made = () => app.app.hub.require('made').derived;
    assert.equal(made().length, 0);
    await page.say(viewer, 'quality', '180p');
    await page.untilWidth(viewer, 320);
    assert.equal(made().length, 1);
    await page.say(viewer, 'quality', 'main');
    await page.untilWidth(viewer, 640);
    await waitFor(() => made().every((one) => one.consumers.size === 0), { what: 'the made picture to be released' });
    await page.leave(viewer);
    await page.page.close();
  });

  for (const [trouble, worsen] of [
    ['packets get lost', (relay: UdpRelay) => Object.assign(relay, { loss: 0.2 })],
    ['it carries less than the picture needs', (relay: UdpRelay) => Object.assign(relay, { bitsPerS: 1_000_000 })],
  ] as const) {
    test(`follows the connection with quality=auto: down when ${trouble}, and back afterwards`, () => follow(worsen));
  }

  async function follow(worsen: (relay: UdpRelay) => unknown): Promise<void> {
    await using relay: UdpRelay = await udpRelay(app.ports.webrtc);
    const page = await QualityPage.open();
    let location = '';
    await page.page.exposeFunction('autoThroughRelay', async (offer: string) => {
      const response = await post('/api/webrtc?src=cam&quality=auto', offer);
      location = response.headers.get('location') ?? '';
      return (await response.text()).replaceAll(` ${app.ports.webrtc} typ host`, ` ${relay.port} typ host`);
    });
    const viewer = await page.whep('cam', ['video'], 'autoThroughRelay');
    await page.untilWidth(viewer, 640);
    await waitFor(() => Number(consumers('cam')[0]?.details?.['estimate_bps']) > 0, {
      what: 'an estimate (REMB) of the browser',
      timeoutMs: PATIENCE_MS,
    });
    worsen(relay);
    await page.untilWidth(viewer, 320);
    Object.assign(relay, { loss: 0, bitsPerS: 0 });
    await page.untilWidth(viewer, 640);
    assert.match(JSON.stringify(await state(`/api/${location}`)), /"auto":true/);
    await page.leave(viewer);
    await page.page.close();
  }
});

function post(path: string, body = ''): Promise<Response> {
  const headers: Record<string, string> = body === '' ? {} : { 'content-type': 'application/sdp' };
  return fetch(`${app.url}${path}`, { method: 'POST', headers, ...(body === '' ? {} : { body }) });
}

async function state(path: string): Promise<unknown> {
  return (await fetch(`${app.url}${path}`)).json();
}
