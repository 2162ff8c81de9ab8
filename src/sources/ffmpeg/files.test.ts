import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { collect, makeTestHub, type TestHub } from '../../../testkit/hub.ts';
import { testPicture } from '../../../testkit/mp4-source.ts';
import { runSource } from '../../../testkit/run-source.ts';
import { waitFor } from '../../../testkit/wait.ts';
import { HearthcamError } from '../../core/errors.ts';
import type { SourceUnit } from '../../core/source.ts';
import { createFfmpegSource } from './source.ts';

const run = promisify(execFile);
const SECONDS = 1;
const FPS = 25;
const X264 = ['-c:v', 'libx264', '-preset', 'ultrafast', '-pix_fmt', 'yuv420p'];
const AAC = ['-c:a', 'aac', '-ar', '16000', '-ac', '1'];

const KINDS = [
  ['mp4', 'a.mp4', [...X264, '-bf', '2'], AAC, ['h264', 'aac']],
  [
    'Matroska with H.265 and Opus',
    'a.mkv',
    ['-c:v', 'libx265', '-x265-params', 'log-level=none', '-pix_fmt', 'yuv420p'],
    ['-c:a', 'libopus'],
    ['h265', 'opus'],
  ],
  ['MPEG-TS', 'a.ts', X264, AAC, ['h264', 'aac']],
  [
    'WebM',
    'a.webm',
    ['-c:v', 'libvpx-vp9', '-deadline', 'realtime', '-cpu-used', '8'],
    ['-c:a', 'libopus'],
    ['vp9', 'opus'],
  ],
  [
    'AVI with MJPEG and samples',
    'a.avi',
    ['-c:v', 'mjpeg', '-pix_fmt', 'yuvj420p'],
    ['-c:a', 'pcm_s16le', '-ar', '8000', '-ac', '1'],
    ['jpeg', 'l16'],
  ],
  ['QuickTime with A-law', 'a.mov', X264, ['-c:a', 'pcm_alaw', '-ar', '8000', '-ac', '1'], ['h264', 'pcma']],
  [
    'AVI with MPEG-4 and AC-3, which nothing here plays',
    'old.avi',
    ['-c:v', 'mpeg4'],
    ['-c:a', 'ac3', '-ac', '2'],
    ['h264', 'l16'],
  ],
] as const;

describe('files', { timeout: 120_000, concurrency: 4 }, () => {
  let folder = '';
  const path = (name: string): string => join(folder, name);
  const module = createFfmpegSource({ getHub: () => hub.hub, modules: [], ownRtspPorts: () => [] });
  let hub: TestHub;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hearthcam-files-'));
    hub = makeTestHub({ sources: [module] });
    const make = (args: readonly string[], name: string) => run('ffmpeg', ['-v', 'error', '-y', ...args, path(name)]);
    await Promise.all([
      ...KINDS.map(([, name, video, audio]) =>
        make(
          testPicture({ size: '160x120', fps: FPS, gop: FPS, seconds: SECONDS, video: [...video], audio: [...audio] }),
          name,
        ),
      ),
      make(['-f', 'lavfi', '-i', 'sine=frequency=440', '-t', '1', '-c:a', 'libmp3lame'], 'sound.mp3'),
      make(['-f', 'lavfi', '-i', 'testsrc2=size=161x121', '-frames:v', '1'], 'still.png'),
      writeFile(path('broken.mp4'), 'this is no film'),
    ]);
  });
  after(async () => {
    await hub[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  for (const [name, file, , , codecs] of KINDS) {
    test(`${name} is shown from beginning to end, in the time that it lasts`, async () => {
      const startMs = performance.now();
      await using running = runSource(module, `ffmpeg:${path(file)}`);
      const error = await running.done;
      const tookMs = performance.now() - startMs;
      assert.ok(error instanceof HearthcamError);
      assert.deepEqual([error.code, error.permanent], ['source.ended', true]);
      const { descriptions, units } = running.sink;
      assert.deepEqual(
        descriptions.map(({ tracks }) => tracks.map((track) => track.codec)),
        [codecs],
      );
      const pictures = units.filter((unit) => unit.track === 0);
      assert.ok(Math.abs(pictures.length - FPS * SECONDS) <= 1, `${pictures.length} pictures`);
      const [first] = pictures;
      assert.ok(first?.format.kind === 'video' && first.key);
      assert.deepEqual([first.format.codec, first.format.width, first.format.height], [codecs[0], 160, 120]);
      const [sound] = units.filter((unit) => unit.track === 1);
      assert.equal(sound?.format.codec, codecs[1]);
      checkTimes(pictures, 90_000, SECONDS);
      checkTimes(
        units.filter((unit) => unit.track === 1),
        sound?.format.clockRateHz ?? 1,
        SECONDS,
      );
      assert.ok(tookMs > SECONDS * 1000 * 0.8, `${tookMs} ms`);
      assert.ok(units.every((unit) => unit.data.length > 0));
    });
  }

  for (const file of ['a.mp4', 'old.avi', 'a.ts']) {
    test(`${file}#loop begins again with times that go on`, async () => {
      await using running = runSource(module, `ffmpeg:file://${path(file)}#loop`);
      const { units } = running.sink;
      const pictures = (): SourceUnit[] => units.filter((unit) => unit.track === 0);
      await waitFor(() => pictures().length > 2.2 * FPS * SECONDS, { timeoutMs: 20_000, what: 'two rounds and more' });
      const steps = pictures()
        .slice(1)
        .map((unit, index) => (unit.decodeTicks ?? 0) - (pictures()[index]?.decodeTicks ?? 0));
      assert.ok(Math.min(...steps) > 0, 'times go up');
      // A round lasts as long as its longest track: AAC and AC-3 come in frames of 32…64 ms.
      assert.ok(Math.max(...steps) <= 0.2 * 90_000, `${Math.max(...steps)} ticks at most`);
      assert.equal(running.sink.descriptions.length, 1);
    });
  }

  test('sound alone, and only what is asked for', async () => {
    await using mp3 = runSource(module, `ffmpeg:${path('sound.mp3')}`);
    await using mute = runSource(module, `ffmpeg:${path('a.mp4')}#video=copy`);
    await Promise.all([mp3.done, mute.done]);
    assert.deepEqual(
      [mp3, mute].map(({ sink }) => sink.descriptions[0]?.tracks.map((track) => track.codec)),
      [['mp3'], ['h264']],
    );
    assert.ok(mp3.sink.units.length > 30);
  });

  test('a picture is a film of one picture, over and over', async () => {
    await using running = runSource(module, `ffmpeg:${path('still.png')}#loop`);
    await waitFor(() => running.sink.units.length > 5, { timeoutMs: 20_000, what: 'pictures' });
    const [unit] = running.sink.units;
    assert.ok(unit?.format.kind === 'video');
    assert.deepEqual([unit.format.codec, unit.format.width, unit.format.height], ['h264', 160, 120]);
  });

  test('a file is a stream like any other, and its sound is made into what is asked for', async () => {
    hub.hub.set('film', [`ffmpeg:${path('a.mp4')}#loop`]);
    using viewer = await collect(hub.hub.require('film'));
    await viewer.wait('video', 30);
    await viewer.wait('audio', 10);
  });

  for (const [name, input, text] of [
    ['is not there', 'missing.mp4', /can not be opened: No such file/],
    ['is no film', 'broken.mp4', /can not be opened: Invalid data/],
  ] as const) {
    test(`a file that ${name} is told in words`, async () => {
      await using running = runSource(module, `ffmpeg:${path(input)}`);
      const error = await running.done;
      assert.ok(error instanceof HearthcamError);
      assert.match(error.message, text);
    });
  }

  for (const file of ['a.mp4', 'a.ts', 'old.avi', 'a.webm']) {
    test(`damaged copies of ${file} are shown as far as they go, and end nothing else`, async () => {
      const whole = await readFile(path(file));
      const copies = Array.from({ length: 3 }, async (_, copy) => {
        const bytes = Buffer.from(whole);
        for (let index = 0; index < 40; index++) {
          const at = 64 + ((index * 7919 + copy * 104_729) % (bytes.length - 64));
          bytes[at] = (bytes[at] ?? 0) ^ (1 << ((index + copy) % 8));
        }
        const name = `damaged-${copy}-${file}`;
        await writeFile(path(name), copy === 2 ? bytes.subarray(0, bytes.length / 2) : bytes);
        await using running = runSource(module, `ffmpeg:${path(name)}`);
        const error = await running.done;
        assert.ok(error instanceof HearthcamError, String(error));
        assert.ok(!error.message.includes('helper'), error.message);
      });
      await Promise.all(copies);
    });
  }

  test('a playlist can not lead from a file to the network', async () => {
    let connections = 0;
    const server = createServer(() => connections++).listen(0, '127.0.0.1');
    await waitFor(() => server.address() !== null, { what: 'the server' });
    const address = server.address();
    assert.ok(address !== null && typeof address === 'object');
    const list = `#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:${address.port}/a.ts\n#EXT-X-ENDLIST\n`;
    await writeFile(path('list.m3u8'), list);
    await using running = runSource(module, `ffmpeg:${path('list.m3u8')}`);
    assert.ok((await running.done) instanceof HearthcamError);
    assert.equal(connections, 0);
    server.close();
  });

  test('an address that only FFmpeg reads is shown as it comes', async () => {
    const port = 20_000 + (process.pid % 20_000);
    const url = `udp://127.0.0.1:${port}`;
    await using running = runSource(module, `ffmpeg:${url}`);
    const sender = execFile('ffmpeg', [
      '-v',
      'error',
      '-re',
      ...testPicture({ gop: 5, seconds: 20 }),
      '-f',
      'mpegts',
      url,
    ]);
    try {
      await waitFor(() => running.sink.units.length > 20, { timeoutMs: 30_000, what: 'units' });
      assert.deepEqual(
        running.sink.descriptions[0]?.tracks.map((track) => track.codec),
        ['h264', 'aac'],
      );
      running.abort();
      assert.equal(await running.done, undefined);
    } finally {
      sender.kill('SIGKILL');
    }
  });

  test('the process ends with its stream', async () => {
    await using running = runSource(module, `ffmpeg:${path('a.mp4')}#loop`);
    await waitFor(() => running.sink.units.length > 5, { timeoutMs: 20_000, what: 'units' });
    const startMs = performance.now();
    running.abort();
    assert.equal(await running.done, undefined);
    assert.ok(performance.now() - startMs < 5_000);
  });
});

function checkTimes(units: readonly SourceUnit[], clockRateHz: number, seconds: number): void {
  const last = Math.max(...units.map((unit) => unit.ticks));
  const first = Math.min(...units.map((unit) => unit.ticks));
  const spanS = (last - first) / clockRateHz;
  assert.ok(Math.abs(spanS - seconds) < 0.2, `${spanS} s from the first to the last`);
  assert.ok(first >= 0);
  const decodes = units.map((unit) => unit.decodeTicks ?? unit.ticks);
  assert.ok(
    decodes.every((at, index) => index === 0 || at > (decodes[index - 1] ?? 0)),
    'decoding times go up',
  );
}
