import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { startTestApp, type TestApp, type TestAppOptions } from '../../../testkit/app.ts';
import { type Collector, collect } from '../../../testkit/hub.ts';
import { MemoryLog } from '../../../testkit/memory-log.ts';
import { type ClipSource, clipSource, makeClip } from '../../../testkit/mp4-source.ts';
import { seenColours } from '../../../testkit/pictures.ts';
import { waitFor } from '../../../testkit/wait.ts';
import { HearthcamError } from '../../core/errors.ts';
import { isVideo, type VideoFormat } from '../../core/media.ts';
import { Scope } from '../../core/scope.ts';
import { allowedOverHttp } from '../../core/source-policy.ts';
import { createCodecProcess } from '../../transcode/codec-process.ts';

const X264 = ['-c:v', 'libx264', '-preset', 'ultrafast', '-tune', 'zerolatency', '-pix_fmt', 'yuv420p', '-g', '25'];
const X265 = ['-c:v', 'libx265', '-preset', 'ultrafast', '-x265-params', 'log-level=none:bframes=0:keyint=25'];

/** Where in the mosaic which colour is: upper left, upper right, lower left, lower right. */
function lastColours(viewer: Collector): string {
  const units = viewer.of('video');
  const from = units.findLastIndex((unit) => unit.key);
  const shown = units.slice(Math.max(0, from));
  const format = shown[0]?.format;
  if (format === undefined || !isVideo(format)) return '';
  return (
    seenColours(
      format,
      shown.map((unit) => unit.data),
    ).at(-1) ?? ''
  );
}

describe('a mosaic', { timeout: 180_000 }, () => {
  const cameras = new Map<string, ClipSource>();
  before(async () => {
    const camera = async (colour: string, size: string, coder: readonly string[]) => {
      const picture = `color=${colour}:s=${size}:r=25`;
      cameras.set(colour, clipSource(colour, await makeClip(['-f', 'lavfi', '-i', picture, '-t', '2', ...coder])));
    };
    await Promise.all([
      camera('red', '640x360', X264),
      camera('white', '320x180', X265),
      camera('blue', '640x360', X264),
    ]);
  });
  const camera = (name: string): ClipSource => cameras.get(name) ?? assert.fail(name);

  const servers: TestApp[] = [];
  async function start(options: Partial<TestAppOptions> = {}): Promise<TestApp> {
    const server = await startTestApp({
      streams: {
        one: ['white:'],
        two: ['red:'],
        three: ['blue:'],
        four: ['white:'],
        grid: ['mosaic:one,two,three,four#width=640#height=360'],
      },
      sources: [...cameras.values()].map((one) => one.module),
      ...options,
    });
    servers.push(server);
    return server;
  }
  after(() =>
    waitFor(() => servers.every(({ app }) => app.codecProcesses.length === 0), { what: 'no process is left' }),
  );
  const seen = (viewer: Collector, colours: string) =>
    waitFor(() => lastColours(viewer) === colours, {
      what: `${colours}, not ${lastColours(viewer)}`,
      everyMs: 200,
      timeoutMs: 20_000,
    });

  test('shows each camera in its cell, at a steady rate, and is made only while somebody watches it', async () => {
    await using server = await start();
    const { app } = server;
    assert.deepEqual(app.codecProcesses, []);
    const viewer = await collect(app.hub.require('grid'));
    const other = await collect(app.hub.require('grid'));
    await seen(viewer, 'white red blue white');
    assert.equal(app.codecProcesses.length, 1, 'one process for all viewers and cameras');
    const format = viewer.of('video')[0]?.format;
    assert.ok(format !== undefined && isVideo(format));
    assert.deepEqual([format.codec, format.width, format.height, format.reorderDepth], ['h264', 640, 360, 0]);
    const count = viewer.of('video').length;
    await viewer.wait('video', count + 30);
    const units = viewer.of('video').slice(count);
    const fps = ((units.length - 1) * 90_000) / ((units.at(-1)?.pts ?? 0) - (units[0]?.pts ?? 0));
    assert.ok(fps > 9 && fps < 11, `${fps.toFixed(1)} pictures a second`);
    viewer[Symbol.dispose]();
    other[Symbol.dispose]();
    await waitFor(() => app.codecProcesses.length === 0, { what: 'the end of the process', timeoutMs: 20_000 });
    await waitFor(() => ['one', 'two', 'three', 'four'].every((name) => !app.hub.require(name).running), {
      what: 'the end of the cameras',
      timeoutMs: 20_000,
    });
  });

  test('a camera that drops is shown dark, the others go on, and it comes back by itself', async () => {
    await using server = await start();
    using viewer = await collect(server.app.hub.require('grid'));
    await seen(viewer, 'white red blue white');
    const blue = camera('blue');
    blue.refuse = true;
    blue.drop();
    await waitFor(() => /^white red rgb\(\d+,\d+,\d+\) white$/.test(lastColours(viewer)), {
      everyMs: 200,
      timeoutMs: 20_000,
    });
    blue.refuse = false;
    await seen(viewer, 'white red blue white');
    assert.equal(viewer.ended(), undefined);
  });

  test('cameras that can not be reached, or do not exist, leave the others alone', async () => {
    const red = camera('red');
    red.refuse = true;
    await using server = await start({
      streams: { one: ['white:'], two: ['red:'], grid: ['mosaic:one,two,nobody,one#width=640#height=360#labels'] },
    });
    using viewer = await collect(server.app.hub.require('grid'));
    await waitFor(() => /^white rgb\S+ rgb\S+ white$/.test(lastColours(viewer)), { everyMs: 200, timeoutMs: 20_000 });
    red.refuse = false;
    await waitFor(() => /^white red rgb\S+ white$/.test(lastColours(viewer)), { everyMs: 200, timeoutMs: 20_000 });
    assert.equal(server.log.find('info', /shows no "nobody": there is no stream/).length, 1);
  });

  test('a killed process is replaced: viewers stay, and times never go back', async () => {
    await using server = await start();
    using viewer = await collect(server.app.hub.require('grid'));
    await seen(viewer, 'white red blue white');
    const [pid] = server.app.codecProcesses;
    process.kill(pid ?? assert.fail('no process'), 'SIGKILL');
    const count = viewer.of('video').length;
    await viewer.wait('video', count + 20);
    await seen(viewer, 'white red blue white');
    const times = viewer.of('video').map((unit) => unit.pts);
    assert.deepEqual(
      times,
      times.toSorted((a, b) => a - b),
    );
    assert.equal(viewer.ended(), undefined);
  });

  test('of each camera the smallest picture that is large enough is taken', async () => {
    await using server = await start({
      streams: {
        cam: ['red:'],
        cam_sub: ['white:'],
        small: ['mosaic:cam#width=320#height=180'],
        large: ['mosaic:cam#width=1280#height=720'],
      },
      cameras: { cam: ['cam', 'cam_sub'] },
    });
    const { hub } = server.app;
    using small = await collect(hub.require('small'));
    await seen(small, 'white white white white');
    assert.equal(hub.require('cam').everUsed, false, 'the large picture is not even asked for');
    using large = await collect(hub.require('large'));
    await seen(large, 'red red red red');
  });

  test('mosaic:all shows every camera once, no mosaics, and follows when there are others', async () => {
    await using server = await start({
      streams: {
        one: ['white:'],
        two: ['red:'],
        two_sub: ['blue:'],
        three: ['red:'],
        four: ['white:'],
        published: [],
        grid: ['mosaic:all#width=640#height=360'],
        other: ['mosaic:*'],
        copy: ['grid'],
      },
      cameras: { two: ['two', 'two_sub'] },
    });
    const { hub } = server.app;
    using viewer = await collect(hub.require('grid'));
    await seen(viewer, 'white blue red white');
    await hub.remove('four');
    hub.set('five', ['blue:']);
    await seen(viewer, 'white blue red blue');
    assert.equal(viewer.ended(), undefined);
    await waitFor(() => server.app.codecProcesses.length === 1);
  });

  test('a mosaic is never a part of itself', async () => {
    await using server = await start({
      streams: { one: ['white:'], grid: ['mosaic:one,copy'], copy: ['grid'], self: ['mosaic:self'] },
    });
    for (const name of ['grid', 'self']) {
      await assert.rejects(collect(server.app.hub.require(name)), (error: unknown) => {
        assert.ok(error instanceof HearthcamError);
        assert.deepEqual([error.code, error.status], ['source.loop', 400]);
        return true;
      });
    }
    assert.deepEqual(server.app.codecProcesses, []);
  });

  test('what makes no sense is refused with the reason, and over HTTP only streams that exist may be named', async () => {
    await using server = await start();
    const { hub } = server.app;
    for (const [source, reason] of [
      ['mosaic:', /names no stream/],
      ['mosaic:one#width=1', /#width=1 must be a whole number from 160 to 3840/],
      ['mosaic:one#height=99999', /#height=99999 must be/],
      ['mosaic:one#fps=0', /#fps=0 must be/],
      ['mosaic:one#bitrate=much', /#bitrate=much must be/],
      ['mosaic:one#lables', /#lables means nothing/],
    ] as const) {
      assert.throws(
        () => hub.parse(source),
        (error: unknown) => error instanceof HearthcamError && error.status === 400 && reason.test(error.message),
        source,
      );
    }
    allowedOverHttp('mosaic:one,two', hub);
    allowedOverHttp('mosaic:all#labels', hub);
    assert.throws(() => allowedOverHttp('mosaic:one,nobody', hub), /source not supported/);
    assert.throws(() => allowedOverHttp('mosaic:exec:sh', hub), /source not supported/);
  });

  test('RTSP, MP4, MJPEG and stills show it like any camera, also by a URL with nothing configured', async () => {
    const scope = new Scope('stills');
    const stills = createCodecProcess({ log: new MemoryLog(), scope, requestTimeoutMs: 20_000, jobTimeoutMs: 10_000 });
    try {
      await using server = await start({ stills });
      const probe = async (url: string): Promise<string> => {
        const args = ['-v', 'error', '-show_entries', 'stream=codec_name,width,height', '-of', 'csv=p=0', url];
        return (await promisify(execFile)('ffprobe', args, { timeout: 40_000 })).stdout.trim().split('\n')[0] ?? '';
      };
      assert.equal(await probe(`${server.rtspUrl}/grid`), 'h264,640,360');
      assert.equal(await probe(`${server.url}/api/frame.mp4?src=grid`), 'h264,640,360');
      const still = await fetch(`${server.url}/api/frame.jpeg?src=grid`);
      assert.equal(still.status, 200);
      const jpeg = Buffer.from(await still.arrayBuffer());
      const format: VideoFormat = { ...(await formatOf(server)), codec: 'jpeg' };
      assert.deepEqual(seenColours(format, [jpeg]), ['white red blue white']);
      const live = await fetch(`${server.url}/api/stream.mjpeg?src=${encodeURIComponent('mosaic:one,two#fps=5')}`);
      assert.equal(live.status, 200);
      await live.body?.cancel();
    } finally {
      await scope.close();
    }
  });

  async function formatOf(server: TestApp): Promise<VideoFormat> {
    using viewer = await collect(server.app.hub.require('grid'));
    const [unit] = await viewer.wait('video', 1);
    const format = unit?.format;
    if (format === undefined || !isVideo(format)) assert.fail('no picture');
    return format;
  }
});
