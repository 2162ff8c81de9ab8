import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import type { Browser } from 'playwright-core';
import { startTestApp, type TestApp } from '../../../testkit/app.ts';
import { blankPage, launchBrowser } from '../../../testkit/browser.ts';
import { ANY_VIDEO } from '../../../testkit/hub.ts';
import { type Clip, clipSource, makeClip, testPicture } from '../../../testkit/mp4-source.ts';
import { throttledLink } from '../../../testkit/throttle.ts';
import { waitFor } from '../../../testkit/wait.ts';
import type { Rendition } from '../../core/qualities.ts';
import { DEFAULT_TRANSCODE } from '../../transcode/settings.ts';
import { hls } from './module.ts';

const SMALL: Rendition = {
  name: '180p',
  picture: { kind: 'video', codec: 'h264', height: 180, bitrateKbps: 150, fps: 15 },
};

interface Report {
  readonly errors: readonly string[];
  readonly width: number;
  readonly frames: number;
  readonly currentTime: number;
  readonly estimateBps: number;
  readonly level: number;
  readonly switches: readonly number[];
  readonly latencyS: number;
}

const SCRIPT = `
window.startHls = (url, options) => {
  const video = document.createElement('video');
  video.muted = true;
  document.body.replaceChildren(video);
  const hls = new Hls({ enableWorker: false, ...options });
  const state = { hls, video, errors: [], switches: [] };
  window.hlsState = state;
  hls.on(Hls.Events.ERROR, (_, data) => state.errors.push([data.details, data.fatal, data.response?.code].join(' ')));
  hls.on(Hls.Events.FRAG_CHANGED, (_, data) => {
    if (data.frag.level !== state.switches.at(-1)) state.switches.push(data.frag.level);
  });
  hls.loadSource(url);
  hls.attachMedia(video);
  video.play();
};
window.reportHls = () => {
  const { hls, video, errors, switches } = window.hlsState;
  return {
    errors, switches, width: video.videoWidth, frames: video.getVideoPlaybackQuality().totalVideoFrames,
    currentTime: video.currentTime, estimateBps: hls.bandwidthEstimate, level: hls.currentLevel, latencyS: hls.latency,
  };
};
`;

let clip: Clip;
let browser: Browser;

before(async () => {
  const video = [
    ...['-c:v', 'libx264', '-preset', 'ultrafast', '-tune', 'zerolatency', '-pix_fmt', 'yuv420p'],
    ...['-b:v', '1500k', '-minrate', '1500k', '-maxrate', '1500k', '-bufsize', '1500k', '-x264-params', 'nal-hrd=cbr'],
  ];
  clip = await makeClip(testPicture({ size: '640x360', fps: 25, gop: 50, seconds: 8, video }));
  browser = await launchBrowser();
});
after(() => browser.close());

function startCamera(): Promise<TestApp> {
  return startTestApp({
    streams: { porch: ['main:1'], yard: ['main:2'] },
    renditions: { porch: [SMALL], yard: [SMALL] },
    transcode: { ...DEFAULT_TRANSCODE, maxEncodes: 1 },
    sources: [clipSource('main', clip).module],
    outputs: [hls],
  });
}

interface Player extends AsyncDisposable {
  until(wanted: (report: Report) => boolean, what: string): Promise<Report>;
}

async function play(app: TestApp, port: number): Promise<Player> {
  const page = await blankPage(browser, app.url);
  const library = await readFile(new URL(import.meta.resolve('hls.js/dist/hls.js')), 'utf8');
  await page.evaluate(`${library}\n;${SCRIPT}`);
  // By default hls.js looks back far, and takes parts for no measure: it needs minutes to believe in a faster link.
  const options = JSON.stringify({ lowLatencyMode: false, abrEwmaFastLive: 0.1, abrEwmaSlowLive: 0.15 });
  await page.evaluate(`window.startHls('http://127.0.0.1:${port}/api/stream.m3u8?src=porch', ${options})`);
  let last: Report | undefined;
  return {
    until: (wanted, what) => {
      const look = async () => {
        last = await page.evaluate<Report>('window.reportHls()');
        return wanted(last) ? last : undefined;
      };
      return waitFor(look, { everyMs: 250, timeoutMs: 60_000, what }).catch((error: unknown) => {
        throw new Error(`${what}: ${JSON.stringify(last)}`, { cause: error });
      });
    },
    [Symbol.asyncDispose]: () => page.close(),
  };
}

const fatal = (report: Report): readonly string[] => report.errors.filter((error) => error.includes('true'));

test('hls.js in Chromium takes the smaller picture on a slow link, and the camera’s again when it is fast', async () => {
  await using app = await startCamera();
  await using link = await throttledLink(app.ports.api);
  await using player = await play(app, link.port);
  const { until } = player;
  const start = await until((report) => report.width === 640 && report.frames > 50, 'the camera’s picture');
  assert.equal(start.switches[0], 1, 'it begins with what costs nothing');
  link.bitsPerSecond = 800_000;
  const small = await until((report) => report.width === 320, 'the smaller picture');
  await until((report) => report.frames > small.frames + 30, 'the smaller picture to move');
  link.bitsPerSecond = 20_000_000;
  const back = await until((report) => report.width === 640, 'the camera’s picture again');
  const end = await until((report) => report.frames > back.frames + 50, 'it to move');
  assert.deepEqual(fatal(end), []);
});

test('where no more pictures may be made, hls.js stays with the camera’s', async () => {
  await using app = await startCamera();
  await app.app.hub
    .require('yard')
    .open({ formatName: 'test', protocol: '', remoteAddr: '', wants: [ANY_VIDEO], picture: SMALL.picture });
  await using link = await throttledLink(app.ports.api);
  await using player = await play(app, link.port);
  const { until } = player;
  await until((report) => report.width === 640 && report.frames > 50, 'the camera’s picture');
  link.bitsPerSecond = 800_000;
  const refused = await until((report) => report.errors.some((error) => error.includes('503')), 'the refusal');
  link.bitsPerSecond = 20_000_000;
  const end = await until((report) => report.frames > refused.frames + 75, 'the picture to go on');
  assert.equal(end.width, 640);
  assert.deepEqual(fatal(end), []);
});
