import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { outputs } from '../src/modules.ts';
import { startTestApp, type TestApp } from '../testkit/app.ts';
import { launchBrowser } from '../testkit/browser.ts';
import { clipSource, makeClip, testPicture } from '../testkit/mp4-source.ts';
import { plainApi } from '../testkit/plain-api.ts';
import { meanBrightness } from '../testkit/png.ts';
import { waitFor } from '../testkit/wait.ts';
import { ensureWebBuilt } from '../testkit/web.ts';
import type { HearthcamPlayer } from './player/hearthcam-player.ts';

const PATIENCE_MS = 30_000;
const MAIN_WIDTH = 640;
const SUB_WIDTH = 320;

let browser: Browser;
let context: BrowserContext;
let app: TestApp;

before(async () => {
  await ensureWebBuilt();
  browser = await launchBrowser();
  const [main, sub] = await Promise.all([
    makeClip(testPicture({ size: '640x360', fps: 25, gop: 25, seconds: 4 })),
    makeClip(testPicture({ size: '320x180', fps: 25, gop: 25, seconds: 4, audio: [] })),
  ]);
  app = await startTestApp({
    outputs: [...outputs, plainApi()],
    streams: { yard: ['main:yard'], yard_sub: ['sub:yard'] },
    cameras: { yard: ['yard', 'yard_sub'] },
    sources: [clipSource('main', main).module, clipSource('sub', sub).module],
  });
  context = await browser.newContext({ viewport: { width: 800, height: 450 } });
});

after(async () => {
  await browser?.close();
  await app?.[Symbol.asyncDispose]();
});

async function open(query: string): Promise<Page & AsyncDisposable> {
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  await page.goto(`${app.url}/stream.html?src=yard&${query}`);
  return Object.assign(page, { [Symbol.asyncDispose]: () => page.close() });
}

function width(page: Page): Promise<number> {
  return page.evaluate(() => {
    const picture = document.querySelector<HearthcamPlayer>('hearthcam-player')?.picture;
    return picture instanceof HTMLVideoElement ? picture.videoWidth : 0;
  });
}

const untilWidth = (page: Page, wanted: number): Promise<unknown> =>
  waitFor(async () => (await width(page)) === wanted, {
    what: `a picture ${wanted} pixels wide`,
    timeoutMs: PATIENCE_MS,
    everyMs: 50,
  });

const menuButton = (page: Page) => page.getByRole('button', { name: /^Quality/ });

async function choose(page: Page, name: RegExp): Promise<void> {
  await menuButton(page).click();
  await page.getByRole('menuitemradio', { name }).click();
}

for (const mode of ['webrtc', 'mse', 'hls']) {
  test(`${mode}: the quality that is chosen plays, without a black picture, and is remembered`, async () => {
    await using page = await open(`mode=${mode}`);
    // hls.js begins with what surely comes through.
    if (mode === 'hls') await choose(page, /Main/);
    await untilWidth(page, MAIN_WIDTH);
    const normal = meanBrightness(await page.screenshot());
    await choose(page, /Sub/);
    let darkest = normal;
    await waitFor(
      async () => {
        darkest = Math.min(darkest, meanBrightness(await page.screenshot()));
        return (await width(page)) === SUB_WIDTH;
      },
      { what: 'the smaller picture', timeoutMs: PATIENCE_MS, everyMs: 50 },
    );
    assert.ok(darkest > normal * 0.7, `it was ${normal} bright, and ${darkest} at the darkest`);
    await menuButton(page).filter({ hasText: 'Sub 320×180' }).waitFor();
    // Another page of the same browser begins with it.
    await using again = await open(`mode=${mode}`);
    await untilWidth(again, SUB_WIDTH);
    await choose(again, /Main/);
    await untilWidth(again, MAIN_WIDTH);
    await choose(again, /Auto/);
    await menuButton(again).filter({ hasText: 'Auto' }).waitFor();
    assert.equal(await again.evaluate(() => Object.keys(localStorage).some((key) => key.includes('quality'))), false);
  });
}

test('the menu works by the keyboard alone', async () => {
  await using page = await open('mode=mse');
  await untilWidth(page, MAIN_WIDTH);
  await menuButton(page).waitFor();
  await menuButton(page).focus();
  await page.keyboard.press('q');
  const items = page.getByRole('menuitemradio');
  await items.first().waitFor();
  assert.deepEqual(await items.evaluateAll((all) => all.map((one) => one.getAttribute('aria-checked'))), [
    'true',
    'false',
    'false',
  ]);
  await page.screenshot({ path: join(tmpdir(), 'hearthcam-quality-menu.png') });
  await page.keyboard.press('Escape');
  await items.first().waitFor({ state: 'detached' });
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('End');
  await page.keyboard.press('Enter');
  await untilWidth(page, SUB_WIDTH);
  await page.evaluate(() => localStorage.clear());
});

test('a remembered quality that the camera has no more is forgotten, and the picture plays', async () => {
  await using page = await open('mode=mse');
  await untilWidth(page, MAIN_WIDTH);
  await page.evaluate(() => {
    const key = `hearthcam-player-quality:${new URL('.', location.href).href}|yard`;
    localStorage.setItem(key, '240p');
  });
  await using again = await open('mode=mse');
  await untilWidth(again, MAIN_WIDTH);
  assert.equal(await again.evaluate(() => Object.keys(localStorage).some((key) => key.includes('quality'))), false);
});

test('why there is no sound is said in the server’s words, as text, and can be closed', async () => {
  await using page = await open('mode=mse&media=video');
  await page.routeWebSocket(/api\/ws/, (ws) => {
    const server = ws.connectToServer();
    server.onMessage((message) => {
      const value = {
        kind: 'audio',
        reason: 'G.726 sound is <b>not</b> made into AAC',
        hint: 'write "transcode: audio"',
      };
      if (typeof message === 'string' && message.includes('"mse"')) ws.send(JSON.stringify({ type: 'notice', value }));
      ws.send(message);
    });
  });
  await page.reload();
  await untilWidth(page, MAIN_WIDTH);
  const note = page.getByRole('status').filter({ hasText: 'No sound: G.726 sound is <b>not</b> made into AAC' });
  await note.filter({ hasText: 'write "transcode: audio"' }).waitFor();
  await page.screenshot({ path: join(tmpdir(), 'hearthcam-notice.png') });
  await page.getByRole('button', { name: 'Close this note' }).click();
  await note.waitFor({ state: 'detached' });
});
