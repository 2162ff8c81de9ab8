import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { collect, makeTestHub } from '../../../testkit/hub.ts';
import { waitFor } from '../../../testkit/wait.ts';
import { httpSource } from './source.ts';

const run = promisify(execFile);

describe('HLS', { timeout: 120_000, concurrency: 4 }, () => {
  let folder = '';
  let url = '';
  const server = http.createServer((request, response) => {
    const name = (request.url ?? '/').slice(1);
    readFile(join(folder, name)).then(
      (bytes) => {
        const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
        const type = name.endsWith('.m3u8') ? 'application/vnd.apple.mpegurl' : 'application/octet-stream';
        response.writeHead(range === null ? 200 : 206, { 'content-type': type });
        response.end(range === null ? bytes : bytes.subarray(Number(range[1]), Number(range[2]) + 1));
      },
      () => response.writeHead(404).end(),
    );
  });
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hc-hls-'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    assert.ok(address !== null && typeof address === 'object');
    url = `http://127.0.0.1:${address.port}`;
    const input = ['-f', 'lavfi', '-i', 'testsrc2=s=320x240:r=25:d=4', '-f', 'lavfi', '-i', 'sine=r=16000:d=4'];
    const codecs = [
      '-c:v',
      'libx264',
      '-preset',
      'ultrafast',
      '-g',
      '25',
      '-pix_fmt',
      'yuv420p',
      '-c:a',
      'aac',
      '-ac',
      '1',
    ];
    const hls = ['-f', 'hls', '-hls_time', '1', '-hls_list_size', '0', '-hls_playlist_type', 'vod'];
    const fmp4 = ['-hls_segment_type', 'fmp4'];
    const out = (name: string): string => join(folder, name);
    await run('ffmpeg', [
      ...['-v', 'error', ...input],
      ...[...codecs, ...hls, out('ts.m3u8')],
      ...[...codecs, ...hls, ...fmp4, '-hls_fmp4_init_filename', 'one.mp4', out('fmp4.m3u8')],
      ...[...codecs, ...hls, ...fmp4, '-hls_flags', 'single_file', out('range.m3u8')],
    ]);
    const variants = [
      '#EXTM3U',
      '#EXT-X-STREAM-INF:BANDWIDTH=9000000,CODECS="av01.0.08M.08"',
      'none.m3u8',
      '#EXT-X-STREAM-INF:BANDWIDTH=100000,RESOLUTION=160x120,CODECS="avc1.42C00B"',
      'none.m3u8',
      '#EXT-X-STREAM-INF:BANDWIDTH=500000,RESOLUTION=320x240,CODECS="avc1.42C00D,mp4a.40.2"',
      'ts.m3u8',
    ];
    await writeFile(out('master.m3u8'), `${variants.join('\n')}\n`);
    // Two times the same segments: the times begin again.
    const list = await readFile(out('ts.m3u8'), 'utf8');
    const body = list.split('\n').filter((line) => line.startsWith('#EXTINF') || /\.ts$/.test(line));
    const head = list.split('\n').filter((line) => /VERSION|TARGETDURATION|EXTM3U/.test(line));
    const twice = [
      ...head,
      '#EXT-X-MEDIA-SEQUENCE:0',
      ...body.slice(4),
      '#EXT-X-DISCONTINUITY',
      ...body.slice(0, 2),
      '#EXT-X-ENDLIST',
      '',
    ];
    await writeFile(out('twice.m3u8'), twice.join('\n'));
    await writeFile(out('locked.m3u8'), list.replace('#EXTINF', '#EXT-X-KEY:METHOD=AES-128,URI="k"\n#EXTINF'));
    await writeFile(out('hole.m3u8'), list.replace(/ts1\.ts/, 'gone.ts'));
  });
  after(async () => {
    server.closeAllConnections();
    server.close();
    await rm(folder, { recursive: true });
  });

  for (const [name, format] of [
    ['ts.m3u8', 'hls/mpegts'],
    ['fmp4.m3u8', 'hls/fmp4'],
    ['range.m3u8', 'hls/fmp4'],
    ['master.m3u8', 'hls/mpegts'],
  ] as const) {
    test(`${name} is played whole, at its own speed`, async () => {
      await using test = makeTestHub({ sources: [httpSource], streams: { cam: [`${url}/${name}`] } });
      using viewer = await collect(test.hub.require('cam'));
      const startMs = performance.now();
      const units = await viewer.wait('video', 75);
      const tookMs = performance.now() - startMs;
      assert.ok(tookMs > 2_000 && tookMs < 20_000, `three seconds took ${tookMs} ms`);
      assert.equal(test.hub.require('cam').producers[0]?.description?.formatName, format);
      const steps = units.slice(1).map((unit, index) => unit.pts - (units[index]?.pts ?? 0));
      assert.ok(
        steps.slice(1).every((step) => Math.abs(step - 3600) <= 1),
        `${steps}`,
      );
      assert.ok(viewer.of('audio').length > 30);
      assert.deepEqual(test.log.find('warn', /./), []);
    });
  }

  test('a discontinuity goes on without a jump', async () => {
    await using test = makeTestHub({ sources: [httpSource], streams: { cam: [`${url}/twice.m3u8`] } });
    using viewer = await collect(test.hub.require('cam'));
    const units = await viewer.wait('video', 60);
    const steps = units.slice(1).map((unit, index) => unit.pts - (units[index]?.pts ?? 0));
    assert.ok(
      steps.every((step) => step > 0 && step < 45_000),
      `${steps}`,
    );
  });

  test('a segment that is gone costs that segment', async () => {
    await using test = makeTestHub({ sources: [httpSource], streams: { cam: [`${url}/hole.m3u8`] } });
    using viewer = await collect(test.hub.require('cam'));
    await viewer.wait('video', 70);
    assert.equal(test.log.find('warn', /left out.*404/).length, 1);
  });

  test('an encrypted stream is named as one', async () => {
    await using test = makeTestHub({ sources: [httpSource], streams: { cam: [`${url}/locked.m3u8`] } });
    await assert.rejects(collect(test.hub.require('cam')), /encrypted \(AES-128\)/);
  });

  test('a live list is followed near its end', async () => {
    const args = ['-v', 'error', '-re', '-f', 'lavfi', '-i', 'testsrc2=s=320x240:r=25'];
    const codec = ['-c:v', 'libx264', '-preset', 'ultrafast', '-g', '25', '-pix_fmt', 'yuv420p'];
    const list = join(folder, 'live.m3u8');
    const live = ['-f', 'hls', '-hls_time', '1', '-hls_list_size', '4', '-hls_flags', 'delete_segments', list];
    const ffmpeg = spawn('ffmpeg', [...args, ...codec, ...live]);
    try {
      await waitFor(
        () =>
          readFile(list, 'utf8').then(
            (text) => text.includes('live2.ts'),
            () => false,
          ),
        { timeoutMs: 30_000 },
      );
      await using test = makeTestHub({ sources: [httpSource], streams: { cam: [`${url}/live.m3u8`] } });
      using viewer = await collect(test.hub.require('cam'));
      await viewer.wait('video', 75, 30_000);
      assert.deepEqual(test.log.find('warn', /./), []);
    } finally {
      ffmpeg.kill('SIGKILL');
    }
  });
});
