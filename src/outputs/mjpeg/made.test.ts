import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { before, describe, test } from 'node:test';
import { startTestApp, type TestApp } from '../../../testkit/app.ts';
import { blankPage, launchBrowser } from '../../../testkit/browser.ts';
import { type Clip, clipSource, makeClip, testPicture } from '../../../testkit/mp4-source.ts';
import { makeStream } from '../../../testkit/pictures.ts';
import { unitSource } from '../../../testkit/unit-source.ts';
import { waitFor } from '../../../testkit/wait.ts';
import { DEFAULT_TRANSCODE } from '../../transcode/settings.ts';
import { JpegSplitter } from '../../wire/multipart/reader.ts';
import { mjpeg } from './module.ts';

const X265 = ['-c:v', 'libx265', '-preset', 'ultrafast', '-x265-params', 'log-level=none:bframes=0'];

interface Viewer {
  readonly pictures: { readonly atMs: number; readonly jpeg: Buffer }[];
  close(): Promise<void>;
}

/** Reads the pictures of an endless response. */
async function view(server: TestApp, query: string): Promise<Viewer> {
  const response = await fetch(`${server.url}/api/stream.mjpeg?${query}`);
  assert.equal(response.status, 200, query);
  const pictures: { atMs: number; jpeg: Buffer }[] = [];
  const splitter = new JpegSplitter();
  const reader = (response.body ?? assert.fail('no body')).getReader();
  const reading = (async () => {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      splitter.push(Buffer.from(value), (jpeg) => pictures.push({ atMs: performance.now(), jpeg: Buffer.from(jpeg) }));
    }
  })();
  return {
    pictures,
    close: async () => {
      await reader.cancel();
      await reading;
    },
  };
}

/** Pictures a second from the second one on: the first ones come from what was kept. */
function rate({ pictures }: Viewer): number {
  const times = pictures.slice(1).map((one) => one.atMs);
  return ((times.length - 1) * 1000) / ((times.at(-1) ?? 0) - (times[0] ?? 0));
}

function size(jpeg: Buffer): string {
  const args = ['-v', 'error', '-f', 'mjpeg', '-i', '-', '-show_entries', 'stream=width,height', '-of', 'csv=p=0:s=x'];
  return execFileSync('ffprobe', args, { input: jpeg }).toString().trim();
}

describe('MJPEG that is made', { timeout: 120_000 }, () => {
  let h264: Clip;
  let h265: Clip;
  before(async () => {
    [h264, h265] = await Promise.all([
      makeClip(testPicture({ gop: 50, seconds: 4, audio: [] })),
      makeClip(testPicture({ gop: 100, seconds: 4, audio: [], video: [...X265, '-pix_fmt', 'yuv420p'] })),
    ]);
  });
  const start = () =>
    startTestApp({
      streams: { avc: ['avc:'], hevc: ['hevc:'] },
      sources: [clipSource('avc', h264).module, clipSource('hevc', h265).module],
      outputs: [mjpeg],
    });
  const codecsEnd = (server: TestApp) =>
    waitFor(() => server.app.codecProcesses.length === 0, {
      what: 'the end of the codec processes',
      timeoutMs: 20_000,
    });

  for (const name of ['avc', 'hevc']) {
    test(`${name}: five pictures a second where nobody asks for another rate`, async () => {
      await using server = await start();
      const viewer = await view(server, `src=${name}`);
      await waitFor(() => viewer.pictures.length >= 17, { what: '17 pictures', timeoutMs: 30_000 });
      await viewer.close();
      const fps = rate(viewer);
      assert.ok(fps > 4 && fps < 6, `${fps.toFixed(2)} pictures a second`);
      assert.equal(size(viewer.pictures[0]?.jpeg ?? assert.fail()), '320x240');
    });
  }

  test('five viewers of one form share one encoder, another form has its own, all end with their viewers', async () => {
    await using server = await start();
    const query = 'src=avc&fps=10&width=160&quality=60&rotate=90';
    const viewers = await Promise.all(Array.from({ length: 5 }, () => view(server, query)));
    await waitFor(() => viewers.every(({ pictures }) => pictures.length >= 15), { what: '15 pictures each' });
    const stream = server.app.hub.require('avc');
    assert.equal(stream.derived.length, 1);
    assert.equal(server.app.codecProcesses.length, 1);
    const [first = assert.fail(), ...others] = viewers;
    assert.equal(size(first.pictures[0]?.jpeg ?? assert.fail()), '120x160');
    const last = first.pictures[10]?.jpeg ?? assert.fail();
    assert.ok(
      others.every(({ pictures }) => pictures.some(({ jpeg }) => jpeg.equals(last))),
      'the very same picture',
    );
    const small = await view(server, 'src=avc&fps=2&w=80&h=60');
    await waitFor(() => small.pictures.length >= 2, { what: 'pictures of the other form' });
    assert.equal(size(small.pictures[0]?.jpeg ?? assert.fail()), '80x60');
    assert.equal(stream.derived.length, 2);
    assert.equal(server.app.codecProcesses.length, 1, 'decoded once for both');
    await Promise.all([...viewers, small].map((viewer) => viewer.close()));
    await codecsEnd(server);
  });

  test('a JPEG camera is passed through, and made smaller where that is asked for', async () => {
    const units = await makeStream('jpeg', { picture: 'testsrc2=s=320x240:r=25', pictures: 25 });
    await using server = await startTestApp({
      streams: { cam: ['units:'] },
      sources: [unitSource('units', units)],
      outputs: [mjpeg],
    });
    const viewer = await view(server, 'src=cam');
    await waitFor(() => viewer.pictures.length >= 5);
    assert.ok(viewer.pictures.every(({ jpeg }) => units.some((unit) => unit.data.equals(jpeg))));
    assert.deepEqual(server.app.codecProcesses, []);
    const small = await view(server, 'src=cam&width=64');
    await waitFor(() => small.pictures.length >= 2);
    assert.equal(size(small.pictures[0]?.jpeg ?? assert.fail()), '64x48');
    await Promise.all([viewer.close(), small.close()]);
    await codecsEnd(server);
  });

  test('what can not be is refused with the reason, before a process is started', async () => {
    await using server = await start();
    const rows: readonly (readonly [query: string, reason: RegExp])[] = [
      ['fps=0', /fps=0 must be a number from 0\.1 to 60/],
      ['fps=1000', /fps=1000 must be/],
      ['fps=fast', /fps=fast must be/],
      ['fps=-5', /fps=-5 must be/],
      ['width=100000', /width=100000 must be a whole number from 16 to 8192/],
      ['w=wide', /w=wide must be/],
      ['height=8', /height=8 must be/],
      ['rotate=45', /rotate=45 must be 90, 180, 270 or -90/],
      ['quality=0', /quality=0 must be a whole number from 1 to 100/],
      ['quality=best', /quality=best must be a number from 1 to 100, or a picture of the camera/],
      ['width=8192&height=8192', /8192x8192 pixels can't be made/],
    ];
    for (const [query, reason] of rows) {
      const reply = await fetch(`${server.url}/api/stream.mjpeg?src=avc&${query}`);
      assert.equal(reply.status, 400, query);
      assert.match(await reply.text(), reason);
    }
    assert.deepEqual(server.app.codecProcesses, []);
  });

  test('with the switch off key frames are shown, as there is nothing else', async () => {
    await using server = await startTestApp({
      streams: { avc: ['avc:'] },
      sources: [clipSource('avc', h264).module],
      outputs: [mjpeg],
      transcode: { ...DEFAULT_TRANSCODE, mode: 'never' },
      stills: { still: async () => Buffer.from('ffd8ffdb000401aaffd9', 'hex') },
    });
    const reply = await fetch(`${server.url}/api/stream.mjpeg?src=avc&fps=5`);
    assert.equal(reply.status, 200);
    await reply.body?.cancel();
    assert.deepEqual(server.app.codecProcesses, []);
  });

  test('Chromium shows one picture in five seconds as soon as it is there', async () => {
    await using server = await start();
    await using browser = await launchBrowser();
    const page = await blankPage(browser, server.url);
    const startMs = performance.now();
    await page.setContent('<img src="/api/stream.mjpeg?src=avc&fps=0.2">', { waitUntil: 'commit' });
    await waitFor(async () => Number(await page.evaluate('document.images[0].naturalWidth')) === 320);
    assert.ok(performance.now() - startMs < 4_500, `shown after ${performance.now() - startMs} ms`);
  });
});
