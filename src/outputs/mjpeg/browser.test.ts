import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startTestApp } from '../../../testkit/app.ts';
import { blankPage, launchBrowser } from '../../../testkit/browser.ts';
import { MemoryLog } from '../../../testkit/memory-log.ts';
import { clipSource, makeClip, testPicture } from '../../../testkit/mp4-source.ts';
import { waitFor } from '../../../testkit/wait.ts';
import { Scope } from '../../core/scope.ts';
import { createCodecProcess } from '../../transcode/codec-process.ts';
import { DEFAULT_TRANSCODE } from '../../transcode/settings.ts';
import { mjpeg } from './module.ts';

test('an <img> in Chromium shows the key frame of an H.264 camera long before the next one', {
  timeout: 60_000,
}, async () => {
  const scope = new Scope('mjpeg');
  try {
    const stills = createCodecProcess({ log: new MemoryLog(), scope, requestTimeoutMs: 20_000, jobTimeoutMs: 10_000 });
    // A key frame every 10 s.
    const clip = await makeClip(testPicture({ gop: 250, seconds: 10, audio: [] }));
    await using server = await startTestApp({
      streams: { cam: ['clip:1'] },
      sources: [clipSource('clip', clip).module],
      outputs: [mjpeg],
      transcode: { ...DEFAULT_TRANSCODE, mode: 'never' },
      stills,
    });
    // The codec process is up before the clock runs.
    const warm = await fetch(`${server.url}/api/stream.mjpeg?src=cam`);
    assert.equal(warm.status, 200);
    await using browser = await launchBrowser();
    const page = await blankPage(browser, server.url);
    const startMs = performance.now();
    await page.setContent('<img src="/api/stream.mjpeg?src=cam">', { waitUntil: 'commit' });
    // In the page's own words: this project's compiler knows no DOM.
    const size = await waitFor(async () => {
      const seen = await page.evaluate('[document.images[0].naturalWidth, document.images[0].naturalHeight].join("x")');
      return seen === '0x0' ? null : String(seen);
    });
    const tookMs = performance.now() - startMs;
    await warm.body?.cancel();
    assert.equal(size, '320x240');
    assert.ok(tookMs < 5_000, `shown after ${tookMs} ms`);
  } finally {
    await scope.close();
  }
});
