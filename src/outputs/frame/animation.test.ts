import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import { startTestApp, type TestApp } from '../../../testkit/app.ts';
import { blankPage, launchBrowser } from '../../../testkit/browser.ts';
import { MemoryLog } from '../../../testkit/memory-log.ts';
import { type Clip, clipSource, makeClip, testPicture } from '../../../testkit/mp4-source.ts';
import { makeStream } from '../../../testkit/pictures.ts';
import { unitSource } from '../../../testkit/unit-source.ts';
import { waitFor } from '../../../testkit/wait.ts';
import type { StillDecoder } from '../../core/contracts.ts';
import { HearthcamError } from '../../core/errors.ts';
import { Scope } from '../../core/scope.ts';
import type { SourceModule } from '../../core/source.ts';
import { createCodecProcess } from '../../transcode/codec-process.ts';
import { parseAnimationQuery } from './animation.ts';
import { frame } from './frame.ts';

interface Seen {
  readonly width: number;
  readonly height: number;
  /** How long each picture is shown. */
  readonly durationsMs: readonly number[];
  /** Whether it plays without end. */
  readonly endless: boolean;
}

/** What the browser's own decoder sees in a file of the server: this project's compiler knows no DOM. */
const LOOK = `async (path, type) => {
  const reply = await fetch(path);
  if (reply.status !== 200) throw new Error(reply.status + ' ' + (await reply.text()));
  const decoder = new ImageDecoder({ data: await reply.arrayBuffer(), type });
  await decoder.tracks.ready;
  const { frameCount, repetitionCount } = decoder.tracks.selectedTrack;
  const durationsMs = [];
  let size;
  for (let index = 0; index < frameCount; index++) {
    const { image } = await decoder.decode({ frameIndex: index });
    size = { width: image.displayWidth, height: image.displayHeight };
    durationsMs.push(image.duration / 1000);
    image.close();
  }
  return { ...size, durationsMs, endless: repetitionCount === Infinity };
}`;

describe('animated snapshots', { timeout: 120_000 }, () => {
  const scope = new Scope('animations');
  let stills: StillDecoder;
  let h264: Clip;
  let sources: SourceModule[];
  before(async () => {
    stills = createCodecProcess({ log: new MemoryLog(), scope, requestTimeoutMs: 20_000, jobTimeoutMs: 10_000 });
    const hevc = makeClip(
      testPicture({
        size: '640x360',
        gop: 25,
        seconds: 4,
        audio: [],
        video: ['-c:v', 'libx265', '-preset', 'ultrafast', '-x265-params', 'log-level=none:bframes=2'],
      }),
    );
    h264 = await makeClip(testPicture({ size: '640x360', gop: 250, seconds: 10 }));
    sources = [
      clipSource('avc', h264).module,
      clipSource('hevc', await hevc).module,
      unitSource('jpeg', await makeStream('jpeg', { picture: 'testsrc2=s=320x240:r=25', pictures: 50 })),
    ];
  });
  after(() => scope.close());
  const start = (decoder: StillDecoder = stills) =>
    startTestApp({
      streams: { avc: ['avc:'], hevc: ['hevc:'], jpeg: ['jpeg:'] },
      sources,
      outputs: [frame],
      stills: decoder,
    });

  const sum = (list: readonly number[]): number => list.reduce((total, one) => total + one, 0);

  test('Chromium plays both forms, of every kind of camera, with the size, the rate and the length asked for', async () => {
    await using server = await start();
    await using browser = await launchBrowser();
    const page = await blankPage(browser, server.url);
    const look = async (query: string, form: 'webp' | 'gif'): Promise<Seen> => {
      const path = JSON.stringify(`/api/frame.${form}?${query}`);
      // Checked border: what the script above returns.
      return (await page.evaluate(`(${LOOK})(${path}, 'image/${form}')`)) as Seen;
    };
    const rows: readonly [query: string, width: number, height: number, ms: number, count: number][] = [
      ['src=avc', 480, 270, 3_000, 15],
      ['src=hevc&duration=2s&fps=10&width=320', 320, 180, 2_000, 20],
      ['src=jpeg&duration=1s&fps=5&rotate=90&h=120', 120, 160, 1_000, 5],
      ['src=jpeg&duration=1s&width=960', 320, 240, 1_000, 5],
    ];
    await Promise.all(
      rows.flatMap(([query, width, height, ms, count]) =>
        (['webp', 'gif'] as const).map(async (form) => {
          const seen = await look(query, form);
          assert.deepEqual([seen.width, seen.height, seen.endless], [width, height, true], `${form} ${query}`);
          const lasts = sum(seen.durationsMs);
          assert.ok(Math.abs(lasts - ms) <= 210, `${form} ${query} lasts ${lasts} ms`);
          assert.ok(Math.abs(seen.durationsMs.length - count) <= 1, `${form} ${query}: ${seen.durationsMs.join()}`);
        }),
      ),
    );
  });

  test('ffprobe finds the pictures, the size and the length of a GIF', async () => {
    await using server = await start();
    const reply = await fetch(`${server.url}/api/frame.gif?src=avc&duration=2s&fps=5&width=160`);
    assert.equal(reply.headers.get('content-type'), 'image/gif');
    const file = Buffer.from(await reply.arrayBuffer());
    const entries = 'stream=width,height,nb_read_frames:format=duration';
    const out = execFileSync(
      'ffprobe',
      ['-v', 'error', '-count_frames', '-show_entries', entries, '-of', 'csv=p=0', '-f', 'gif', '-'],
      { input: file },
    );
    const [size, duration] = out.toString().trim().split('\n');
    assert.match(size ?? '', /^160,90,(?:9|10|11)$/);
    assert.ok(duration === 'N/A' || Math.abs(Number(duration) - 2) < 0.25, duration);
  });

  test('a camera that was watched for long enough answers with what was seen, without waiting', async () => {
    await using server = await start();
    const stream = server.app.hub.require('avc');
    const viewer = await stream.open({
      ...{ formatName: 'test', protocol: '', remoteAddr: '' },
      wants: [{ kind: 'video', codecs: 'any' }],
    });
    await waitFor(() => stream.gop().units.filter((unit) => unit.format.kind === 'video').length > 90, {
      what: 'four seconds of pictures',
    });
    const startMs = performance.now();
    const reply = await fetch(`${server.url}/api/frame.webp?src=avc&duration=3s`);
    assert.equal(reply.status, 200);
    await reply.arrayBuffer();
    const tookMs = performance.now() - startMs;
    assert.ok(tookMs < 2_500, `${Math.round(tookMs)} ms`);
    viewer.close();
  });

  test('who asks for the same at the same time, or soon after, shares one', async () => {
    let made = 0;
    await using server = await start({
      still: stills.still,
      animation: async ({ units }) => Buffer.from(`${++made} of ${units.length}`),
    });
    const get = async (query: string): Promise<string> =>
      (await fetch(`${server.url}/api/frame.webp?src=jpeg&${query}`)).text();
    const [one, ...others] = await Promise.all(Array.from({ length: 5 }, () => get('duration=1s')));
    assert.ok(others.every((text) => text === one));
    assert.equal(await get('duration=1s'), one);
    assert.notEqual(await get('duration=0.5s'), one);
    assert.equal(made, 2);
  });

  test('what can not be is refused with the reason', async () => {
    await using server: TestApp = await start();
    for (const [query, reason] of [
      ['duration=11s', /duration=11s must be from 500ms to 10s/],
      ['duration=0s', /duration=0s must be/],
      ['duration=long', /duration=long must be a duration such as 5s/],
      ['fps=0', /fps=0 must be a number from 1 to 15/],
      ['fps=30', /fps=30 must be/],
      ['width=961', /width=961 must be a whole number from 16 to 960/],
      ['height=1', /height=1 must be/],
      ['rotate=1', /rotate=1 must be/],
      ['quality=101', /quality=101 must be/],
    ] as const) {
      for (const form of ['webp', 'gif']) {
        const reply = await fetch(`${server.url}/api/frame.${form}?src=avc&${query}`);
        assert.equal(reply.status, 400, query);
        assert.match(await reply.text(), reason);
      }
    }
    assert.equal((await fetch(`${server.url}/api/frame.gif?src=nobody`)).status, 404);
  });

  test('any query gives an animation within the limits, or a 400', () => {
    const key = fc.constantFrom('duration', 'fps', 'width', 'w', 'height', 'h', 'rotate', 'quality', 'cache');
    const value = fc.oneof(fc.string(), fc.integer().map(String), fc.constantFrom('3s', '5', '480', '90', '-1'));
    fc.assert(
      fc.property(fc.array(fc.tuple(key, value), { maxLength: 6 }), (pairs) => {
        try {
          const query = parseAnimationQuery('webp', new URLSearchParams(pairs));
          assert.ok(query.durationMs >= 500 && query.durationMs <= 10_000);
          assert.ok(query.fps >= 1 && query.fps <= 15);
          assert.ok(query.width !== undefined || query.height !== undefined);
        } catch (error) {
          assert.ok(error instanceof HearthcamError && error.status === 400, String(error));
        }
      }),
      { numRuns: Number(process.env['FUZZ_RUNS'] ?? 300) },
    );
  });
});
