import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { outputs } from '../src/modules.ts';
import { decodeAlaw } from '../src/wire/g711/g711.ts';
import { startTestApp, type TestApp } from '../testkit/app.ts';
import { launchBrowser } from '../testkit/browser.ts';
import { type GstCamera, startGstCamera } from '../testkit/gst-camera.ts';
import { plainApi } from '../testkit/plain-api.ts';
import { waitFor } from '../testkit/wait.ts';
import { ensureWebBuilt } from '../testkit/web.ts';

const PATIENCE_MS = 30_000;

let browser: Browser;
let camera: GstCamera;
let mute: GstCamera;
let app: TestApp;

before(async () => {
  await ensureWebBuilt();
  // A microphone that beeps about once a second, and a name by which this machine is no secure place for a page.
  browser = await launchBrowser([
    '--use-fake-device-for-media-stream',
    '--use-fake-ui-for-media-stream',
    '--host-resolver-rules=MAP nas.local 127.0.0.1',
  ]);
  [camera, mute] = await Promise.all([
    startGstCamera({ audio: 'pcma', talk: 'pcma' }),
    startGstCamera({ audio: 'pcma' }),
  ]);
  app = await startTestApp({
    streams: { porch: [`${camera.url}#backchannel=all`], mute: [mute.url] },
    outputs: [...outputs, plainApi()],
  });
});

after(async () => {
  await browser?.close();
  await app?.[Symbol.asyncDispose]();
  await camera?.[Symbol.asyncDispose]();
  await mute?.[Symbol.asyncDispose]();
});

async function watch(src: string, base = app.url): Promise<Page> {
  const page = await browser.newPage();
  await page.goto(`${base}/stream.html?src=${src}`);
  await page.waitForFunction(() => document.querySelector('hearthcam-player')?.playingMode !== null, undefined, {
    timeout: PATIENCE_MS,
  });
  return page;
}

const talk = (page: Page) => page.locator('hearthcam-talk');
const stateOf = (page: Page): Promise<string> =>
  talk(page).evaluate((one) => ('state' in one ? String(one.state) : ''));
const textOf = (page: Page): Promise<string> =>
  page.locator('hearthcam-talk [role=status]').evaluate((one) => one.textContent ?? '');

async function loudSamples(): Promise<number> {
  return decodeAlaw(await camera.heard()).filter((sample) => Math.abs(sample) > 3_000).length;
}

test('holding the button lets the camera hear the microphone, and letting it go ends that', async () => {
  const page = await watch('porch');
  const button = page.locator('hearthcam-talk button');
  await button.waitFor({ timeout: PATIENCE_MS });
  assert.equal((await camera.heard()).length, 0, 'nobody is listened to unasked');
  await button.hover();
  await page.mouse.down();
  await waitFor(async () => (await stateOf(page)) === 'live', { timeoutMs: PATIENCE_MS, what: 'being live' });
  assert.equal(await textOf(page), 'Speak now');
  assert.equal(await button.getAttribute('aria-pressed'), 'true');
  await waitFor(async () => (await loudSamples()) > 100, { timeoutMs: PATIENCE_MS, what: 'the beep at the camera' });
  await page.mouse.up();
  assert.equal(await stateOf(page), 'idle');
  const { talk: desk } = app.app.hub.require('porch');
  await waitFor(() => desk.session === undefined, { what: 'the camera to be free' });
  await page.close();
});

test('the space key does the same, and a second speaker is told that somebody speaks', async () => {
  const [page, other] = [await watch('porch'), await watch('porch')];
  await page.locator('hearthcam-talk button').focus();
  await page.keyboard.down(' ');
  await waitFor(async () => (await stateOf(page)) === 'live', { timeoutMs: PATIENCE_MS, what: 'being live' });
  const button = other.locator('hearthcam-talk button');
  await button.hover();
  await other.mouse.down();
  await waitFor(async () => (await textOf(other)).startsWith('Somebody is speaking'), { what: 'the reason' });
  assert.equal(await stateOf(other), 'idle');
  await page.keyboard.up(' ');
  assert.equal(await stateOf(page), 'idle');
  await Promise.all([page.close(), other.close()]);
});

test('there is no button for a camera that takes no sound', async () => {
  const page = await watch('mute');
  // It is asked with the first picture: what the server knows afterwards is the answer.
  await waitFor(() => !app.app.hub.require('mute').talk.possible, { timeoutMs: PATIENCE_MS, what: 'the answer' });
  await page.evaluate(() => fetch('/api'));
  assert.equal(await talk(page).count(), 0);
  await page.close();
});

test('a page that browsers give no microphone says so plainly', async () => {
  const page = await watch('porch', app.url.replace('127.0.0.1', 'nas.local'));
  const button = page.locator('hearthcam-talk button');
  await button.waitFor({ timeout: PATIENCE_MS });
  await button.hover();
  await page.mouse.down();
  await waitFor(async () => /https only/.test(await textOf(page)), { what: 'the reason' });
  await page.close();
});
