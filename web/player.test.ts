import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import type { StillDecoder } from '../src/core/contracts.ts';
import { outputs } from '../src/modules.ts';
import { DEFAULT_TRANSCODE } from '../src/transcode/settings.ts';
import { freePort, startTestApp, type TestApp } from '../testkit/app.ts';
import { ffmpegBytes, makeBitstream } from '../testkit/bitstreams.ts';
import { launchBrowser } from '../testkit/browser.ts';
import { type Clip, type ClipSource, clipSource, makeClip, testPicture } from '../testkit/mp4-source.ts';
import { plainApi } from '../testkit/plain-api.ts';
import { meanBrightness } from '../testkit/png.ts';
import { waitFor } from '../testkit/wait.ts';
import { ensureWebBuilt } from '../testkit/web.ts';
import { PLAYER_BUDGET_BYTES } from './build.ts';
import type { HearthcamPlayer } from './player/hearthcam-player.ts';

/** Size that the JPEG camera has. */
const JPEG_SIZE = [320, 240];
const OTHER_SIZE = [160, 120];
const MODES = { webrtc: 'WebRTC', mse: 'MSE', hls: 'HLS', mjpeg: 'MJPEG' } as const;
const WIDTH = 640;
const HEIGHT = 360;
const PATIENCE_MS = 30_000;

let webRoot: string;
let browser: Browser;
let context: BrowserContext;
let camera: ClipSource;
let jpegCamera: ClipSource;
/** Changes its codec in a test. */
let otherCamera: ClipSource;
let otherCodec: Clip;
let stills: StillDecoder;
let app: TestApp;

before(async () => {
  webRoot = await ensureWebBuilt();
  browser = await launchBrowser();
  const size = `${WIDTH}x${HEIGHT}`;
  const vp9 = ['-c:v', 'libvpx-vp9', '-deadline', 'realtime', '-cpu-used', '8', '-pix_fmt', 'yuv420p'];
  const [clip, vp9Clip, jpegClip, still] = await Promise.all([
    makeClip(testPicture({ size, fps: 25, gop: 50, seconds: 4 })),
    makeClip(testPicture({ size: OTHER_SIZE.join('x'), fps: 25, gop: 25, seconds: 2, video: vp9 })),
    makeJpegClip(),
    ffmpegBytes(['-f', 'lavfi', '-i', `testsrc2=size=${size}`, '-frames:v', '1', '-f', 'mjpeg']),
  ]);
  camera = clipSource('clip', clip);
  otherCamera = clipSource('other', clip);
  otherCodec = vp9Clip;
  jpegCamera = clipSource('jpeg', jpegClip);
  stills = { still: () => Promise.resolve(still) };
  app = await start();
  context = await browser.newContext({ viewport: { width: 800, height: 450 } });
});

after(async () => {
  await browser?.close();
  await app?.[Symbol.asyncDispose]();
});

/** A camera that sends JPEG pictures, 25 a second. */
async function makeJpegClip(): Promise<Clip> {
  const pictures = await makeBitstream('jpeg');
  const units = pictures.map((picture, index) => ({
    ...picture,
    track: 0,
    ticks: index * 3_600,
    decodeTicks: index * 3_600,
  }));
  const format = pictures[0]?.format ?? null;
  return {
    tracks: [{ kind: 'video', codec: 'jpeg', clockRateHz: 90_000, format }],
    units,
    durationMs: pictures.length * 40,
  };
}

function start(listen?: string): Promise<TestApp> {
  return startTestApp({
    outputs: [...outputs, plainApi()],
    streams: {
      nursery: ['clip:nursery'],
      porch: ['jpeg:porch'],
      attic: ['clip:attic'],
      switching: ['other:x'],
      untouched: ['clip:untouched'],
    },
    transcode: { ...DEFAULT_TRANSCODE, streams: new Map([['untouched', 'never']]) },
    sources: [camera.module, jpegCamera.module, otherCamera.module],
    stills,
    ...(listen === undefined ? {} : { api: { listen } }),
  });
}

/** A page with complaints of the browser about its own rules (Content-Security-Policy) and scripts collected. */
async function open(path: string, options: { url?: string; prepare?: (page: Page) => Promise<void> } = {}) {
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('console', (message) => {
    if (/Content Security Policy|Refused to/.test(message.text())) complaints.push(message.text());
  });
  await options.prepare?.(page);
  await page.goto(`${options.url ?? app.url}/${path}`);
  return { page, complaints, [Symbol.asyncDispose]: () => page.close() };
}

const playing = (page: Page): Promise<string | null> =>
  page.evaluate(() => document.querySelector<HearthcamPlayer>('hearthcam-player')?.playingMode ?? null);

const untilPlaying = (page: Page, mode: string): Promise<unknown> =>
  waitFor(async () => (await playing(page)) === mode, { what: `${mode} to play`, timeoutMs: PATIENCE_MS, everyMs: 20 });

interface Picture {
  readonly width: number;
  readonly height: number;
  /** A few pixels of it, as text. */
  readonly print: string;
}

/** What the shown element shows. */
function look(page: Page): Promise<Picture | null> {
  return page.evaluate(() => {
    const picture = document.querySelector<HearthcamPlayer>('hearthcam-player')?.picture ?? null;
    const scratch = document.createElement('canvas');
    scratch.width = scratch.height = 24;
    const context = scratch.getContext('2d');
    if (picture === null || context === null) return null;
    context.drawImage(picture, 0, 0, 24, 24);
    const [width, height] =
      picture instanceof HTMLVideoElement ? [picture.videoWidth, picture.videoHeight] : [picture.width, picture.height];
    return { width, height, print: context.getImageData(0, 0, 24, 24).data.join() };
  });
}

/** Waits for so many different pictures. */
async function untilMoving(page: Page, count = 4): Promise<void> {
  const seen = new Set<string>();
  await waitFor(
    async () => {
      seen.add((await look(page))?.print ?? '');
      return seen.size > count;
    },
    { what: `${count} different pictures`, timeoutMs: PATIENCE_MS, everyMs: 40 },
  );
}

for (const [mode, name] of Object.entries(MODES)) {
  test(`${name} plays: the picture moves, has the camera’s size, and the player says how late it is`, async () => {
    const src = mode === 'mjpeg' ? 'porch' : 'nursery';
    await using opened = await open(`stream.html?src=${src}&mode=${mode}`);
    const { page, complaints } = opened;
    await untilPlaying(page, mode);
    await untilMoving(page);
    const picture = await look(page);
    assert.deepEqual([picture?.width, picture?.height], mode === 'mjpeg' ? JPEG_SIZE : [WIDTH, HEIGHT]);
    const badge = await waitFor(
      async () => {
        const text = (await page.locator('hearthcam-player .badge').textContent())?.trim() ?? '';
        return text.includes('·') ? text : undefined;
      },
      { what: 'a latency in the badge', timeoutMs: PATIENCE_MS },
    );
    assert.match(badge, new RegExp(`^${name} · \\d+(\\.\\d\\d)? s$`));
    assert.deepEqual(complaints, []);
  });
}

test('a viewer of MSE stays near the live edge', async () => {
  await using opened = await open('stream.html?src=nursery&mode=mse');
  await untilPlaying(opened.page, 'mse');
  await waitFor(
    async () => {
      const seconds = await opened.page.evaluate(
        () => document.querySelector<HearthcamPlayer>('hearthcam-player')?.latency ?? null,
      );
      return seconds !== null && seconds < 0.5;
    },
    { what: 'a latency below half a second', timeoutMs: PATIENCE_MS },
  );
});

test('where WebRTC is refused MSE plays, and the browser remembers it', async () => {
  const blocked = async (page: Page): Promise<void> => {
    await page.route('**/api/webrtc*', (route) => route.abort());
  };
  await using opened = await open('stream.html?src=nursery', { prepare: blocked });
  const { page } = opened;
  await untilPlaying(page, 'mse');
  const remembered = await waitFor(
    () => page.evaluate(() => Object.entries(localStorage).find(([key]) => key.endsWith('|nursery'))?.[1]),
    { what: 'the memory', timeoutMs: PATIENCE_MS },
  );
  assert.match(remembered, /"webrtc":\[1,\d+\]/);
  await using again = await open('stream.html?src=nursery');
  await untilPlaying(again.page, 'mse');
  await page.evaluate(() => localStorage.clear());
});

test('when WebRTC dies while it plays, MSE takes over and the picture is never black', async () => {
  await using opened = await open('stream.html?src=nursery');
  const { page } = opened;
  await untilPlaying(page, 'webrtc');
  await untilMoving(page);
  const normal = meanBrightness(await page.screenshot());
  assert.ok(normal > 60, `brightness ${normal}`);
  await page.route('**/api/webrtc*', (route) => route.abort());
  const killed = webrtcProcesses();
  assert.ok(killed.length > 0, 'there is a WebRTC process');
  for (const pid of killed) process.kill(pid, 'SIGKILL');
  let darkest = normal;
  await waitFor(
    async () => {
      darkest = Math.min(darkest, meanBrightness(await page.screenshot()));
      return (await playing(page)) === 'mse';
    },
    { what: 'MSE to take over', timeoutMs: PATIENCE_MS },
  );
  await untilMoving(page);
  darkest = Math.min(darkest, meanBrightness(await page.screenshot()));
  assert.ok(darkest > normal * 0.7, `it was ${normal} bright, and ${darkest} at the darkest`);
  await page.evaluate(() => localStorage.clear());
});

test('when the WebRTC process dies WebRTC plays again by itself', async () => {
  await using opened = await open('stream.html?src=nursery&mode=webrtc');
  const { page } = opened;
  await untilPlaying(page, 'webrtc');
  await untilMoving(page);
  for (const pid of webrtcProcesses()) process.kill(pid, 'SIGKILL');
  const killedMs = performance.now();
  await waitFor(
    async () => {
      const before = (await look(page))?.print;
      await page.waitForTimeout(200);
      return performance.now() - killedMs > 1_000 && (await look(page))?.print !== before;
    },
    { what: 'the picture to move again', timeoutMs: PATIENCE_MS },
  );
  assert.equal(await playing(page), 'webrtc');
});

for (const [mode, name] of Object.entries(MODES)) {
  const src = mode === 'mjpeg' ? 'porch' : 'nursery';
  test(`after a restart of the server ${name} comes back by itself, and the last picture stays meanwhile`, async () => {
    const listen = `127.0.0.1:${await freePort()}`;
    const first = await start(listen);
    await using opened = await open(`stream.html?src=${src}&mode=${mode}`, { url: `http://${listen}` });
    const { page } = opened;
    await untilPlaying(page, mode);
    await untilMoving(page);
    const normal = meanBrightness(await page.screenshot());
    await first.app.close();
    await page.locator('hearthcam-player .notice').waitFor();
    assert.ok(meanBrightness(await page.screenshot()) > normal * 0.7, 'the last picture stays');
    const last = (await look(page))?.print;
    await using second = await start(listen);
    assert.ok(second.app);
    const backMs = performance.now();
    await waitFor(async () => (await look(page))?.print !== last, { what: 'a new picture', timeoutMs: PATIENCE_MS });
    // 2 s is the promise; what is above leaves room for a machine that runs other tests at the same time.
    assert.ok(performance.now() - backMs < 5_000, `${performance.now() - backMs} ms`);
    await untilMoving(page);
  });
}

test('a camera that changes its codec plays on in MSE without a new connection', async () => {
  let sockets = 0;
  await using opened = await open('stream.html?src=switching&mode=mse', {
    prepare: (page) => {
      page.on('websocket', () => sockets++);
      return Promise.resolve();
    },
  });
  const { page } = opened;
  await untilPlaying(page, 'mse');
  await untilMoving(page);
  otherCamera.clip = otherCodec;
  await waitFor(async () => (await look(page))?.width === OTHER_SIZE[0], {
    what: 'the picture of the other codec',
    timeoutMs: PATIENCE_MS,
    everyMs: 20,
  });
  await untilMoving(page);
  assert.equal(sockets, 1);
  assert.equal(await page.getByRole('alert').count(), 0);
});

test('it begins muted, and one click turns the sound on', async () => {
  await using opened = await open('stream.html?src=nursery&mode=mse');
  const { page } = opened;
  await untilPlaying(page, 'mse');
  const muted = (): Promise<boolean | null> =>
    page.evaluate(() => {
      const picture = document.querySelector<HearthcamPlayer>('hearthcam-player')?.picture ?? null;
      return picture instanceof HTMLVideoElement ? picture.muted : null;
    });
  assert.equal(await muted(), true);
  await page.getByRole('button', { name: 'Turn sound on' }).first().click();
  assert.equal(await muted(), false);
  await untilMoving(page);
  await page.locator('hearthcam-player').press('m');
  assert.equal(await muted(), true);
});

test('sound that WebRTC can’t carry (AAC) is there after the same click: another mode takes over', async () => {
  await using opened = await open('stream.html?src=untouched');
  const { page } = opened;
  await untilPlaying(page, 'webrtc');
  await page.getByRole('button', { name: 'Turn sound on' }).first().click();
  await untilPlaying(page, 'mse');
  await waitFor(
    () =>
      page.evaluate(() => {
        const picture = document.querySelector<HearthcamPlayer>('hearthcam-player')?.picture;
        // Chromium's count of decoded sound; it stays 0 without a sound track.
        return (
          picture && !Reflect.get(picture, 'muted') && Number(Reflect.get(picture, 'webkitAudioDecodedByteCount')) > 0
        );
      }),
    { what: 'decoded sound', timeoutMs: PATIENCE_MS },
  );
  await untilMoving(page);
});

test('a camera that can’t be reached is named with its reason, and plays when it is back', async () => {
  camera.refuse = true;
  try {
    await using opened = await open('stream.html?src=attic&mode=mse');
    const { page } = opened;
    const alert = page.getByRole('alert');
    await alert.filter({ hasText: 'connection refused' }).waitFor();
    camera.refuse = false;
    await untilPlaying(page, 'mse');
    await alert.waitFor({ state: 'detached' });
  } finally {
    camera.refuse = false;
  }
});

test('a stream that doesn’t exist is said to be missing', async () => {
  await using opened = await open('stream.html?src=cellar');
  await opened.page.getByRole('alert').filter({ hasText: 'no stream “cellar”' }).waitFor();
});

test('the index shows each stream with a still, its state, its codec and the way to play it', async () => {
  await using opened = await open('');
  const { page, complaints } = opened;
  const card = page.locator('.card').filter({ has: page.getByRole('heading', { name: 'nursery' }) });
  await card.locator('img').waitFor();
  await card.filter({ hasText: `H.264 · ${WIDTH}×${HEIGHT} · AAC` }).waitFor();
  await card.filter({ hasText: 'Live' }).waitFor();
  assert.equal(await page.locator('.card').count(), 5);
  await card.getByRole('link', { name: 'Addresses of nursery' }).click();
  await page.getByText('rtsp://127.0.0.1:8554/nursery', { exact: true }).waitFor();
  await page.goBack();
  await card.getByRole('link', { name: 'Play nursery' }).last().click();
  await untilMoving(page);
  assert.deepEqual(complaints, []);
});

test('pages and elements of go2rtc’s names play', async () => {
  await using redirected = await open('hls.html?src=nursery');
  await redirected.page.waitForURL('**/stream.html?src=nursery&mode=hls');
  await using opened = await open('stream.html');
  const { page, complaints } = opened;
  await page.evaluate(async () => {
    // The browser resolves it against the page; the type checker can't.
    await import(new URL('video-stream.js', location.href).href);
    const stream = document.createElement('video-stream');
    Object.assign(stream, { src: new URL('api/ws?src=nursery', location.href), mode: 'mse', background: true });
    document.querySelector('#players')?.replaceChildren(stream);
  });
  await untilPlaying(page, 'mse');
  await untilMoving(page);
  assert.deepEqual(complaints, []);
});

test('a page that comes back into sight is live at once, even when the browser had put the picture to sleep', async () => {
  await using opened = await open('stream.html?src=nursery&mode=mse');
  const { page } = opened;
  await untilPlaying(page, 'mse');
  await untilMoving(page);
  const turn = (state: 'hidden' | 'visible'): Promise<void> =>
    page.evaluate((value) => {
      // What a browser without a window can't be brought to do by itself.
      Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => value });
      document.dispatchEvent(new Event('visibilitychange'));
      const picture = document.querySelector<HearthcamPlayer>('hearthcam-player')?.picture;
      if (value === 'hidden' && picture instanceof HTMLVideoElement) picture.pause();
    }, state);
  await turn('hidden');
  await page.waitForTimeout(5_000);
  assert.equal(await playing(page), 'mse', 'a paused picture of a hidden page is not taken for stalled');
  await turn('visible');
  await untilMoving(page);
  const lagS = await page.evaluate(() => {
    const picture = document.querySelector<HearthcamPlayer>('hearthcam-player')?.picture;
    if (!(picture instanceof HTMLVideoElement)) return Number.NaN;
    return picture.buffered.end(picture.buffered.length - 1) - picture.currentTime;
  });
  assert.ok(lagS < 1.5, `${lagS} s behind`);
});

test('two streams in one address play side by side', async () => {
  await using opened = await open('stream.html?src=nursery&src=attic&mode=mse&width=300px');
  const { page } = opened;
  await waitFor(
    () =>
      page.evaluate(() =>
        [...document.querySelectorAll<HearthcamPlayer>('hearthcam-player')].every((one) => one.playingMode === 'mse'),
      ),
    { what: 'both to play', timeoutMs: PATIENCE_MS },
  );
  const boxes = await Promise.all([0, 1].map((index) => page.locator('hearthcam-player').nth(index).boundingBox()));
  assert.equal(boxes[0]?.y, boxes[1]?.y);
});

test('the player is one small file; hls.js is fetched only when HLS is played', async () => {
  const bytes = statSync(join(webRoot, 'hearthcam-player.js')).size;
  assert.ok(bytes <= PLAYER_BUDGET_BYTES, `${bytes} bytes`);
  const scripts: string[] = [];
  await using opened = await open('stream.html?src=nursery&mode=mse', {
    prepare: (page) => {
      page.on('request', (request) => {
        if (request.resourceType() === 'script') scripts.push(new URL(request.url()).pathname);
      });
      return Promise.resolve();
    },
  });
  await untilPlaying(opened.page, 'mse');
  assert.deepEqual(scripts.sort(), ['/hearthcam-player.js', '/stream.js']);
});

/** Child processes of ours that carry WebRTC (Linux: `/proc`). */
function webrtcProcesses(): number[] {
  const pids: number[] = [];
  for (const task of readdirSync(`/proc/${process.pid}/task`)) {
    const children = readFileSync(`/proc/${process.pid}/task/${task}/children`, 'utf8').split(' ');
    for (const pid of children.filter((text) => text !== '').map(Number)) {
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
      if (command.includes('outputs/webrtc')) pids.push(pid);
    }
  }
  return pids;
}
