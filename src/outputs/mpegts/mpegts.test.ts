import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { connect } from 'node:net';
import { before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { startTestApp } from '../../../testkit/app.ts';
import { type Clip, clipSource, makeClip, testPicture } from '../../../testkit/mp4-source.ts';
import { waitFor } from '../../../testkit/wait.ts';
import { TsReader } from '../../wire/mpegts/reader.ts';
import { mpegts } from './module.ts';

const run = promisify(execFile);

/** Reads the stream for a while as ffprobe does. */
async function probe(
  url: string,
  seconds = 1,
): Promise<{ streams: Record<string, unknown>[]; packets: Record<string, unknown>[] }> {
  const quick = ['-analyzeduration', '1000000'];
  const args = [
    '-v',
    'error',
    ...quick,
    '-show_streams',
    '-show_packets',
    '-read_intervals',
    `%+${seconds}`,
    '-of',
    'json',
    url,
  ];
  const { stdout, stderr } = await run('ffprobe', args, { maxBuffer: 64 * 1024 * 1024, timeout: 30_000 });
  assert.equal(stderr, '');
  return JSON.parse(stdout);
}

describe('/api/stream.ts', { timeout: 90_000 }, () => {
  let h264: Clip;
  let h265: Clip;
  before(async () => {
    h264 = await makeClip(testPicture({ gop: 50 }));
    const x265 = ['-c:v', 'libx265', '-preset', 'ultrafast', '-x265-params', 'log-level=none', '-pix_fmt', 'yuv420p'];
    h265 = await makeClip(testPicture({ gop: 50, video: x265, audio: ['-c:a', 'libopus'] }));
  });

  test('plays in ffmpeg: H.264 with AAC, H.265 with Opus', async () => {
    await using server = await startTestApp({
      streams: { one: ['clip:1'], two: ['hevc:1'] },
      sources: [clipSource('clip', h264).module, clipSource('hevc', h265).module],
      outputs: [mpegts],
    });
    for (const [name, codecs] of [
      ['one', ['h264', 'aac']],
      ['two', ['hevc', 'opus']],
    ] as const) {
      const { streams, packets } = await probe(`${server.url}/api/stream.ts?src=${name}`);
      assert.deepEqual(
        streams.map((stream) => stream['codec_name']),
        codecs,
      );
      assert.deepEqual([streams[0]?.['width'], streams[0]?.['height']], [320, 240]);
      assert.ok(packets.length > 25);
    }
  });

  test('who joins late begins with the key frame and misses no packet', async () => {
    await using server = await startTestApp({
      streams: { cam: ['clip:1'] },
      sources: [clipSource('clip', h264).module],
      outputs: [mpegts],
    });
    const first = await fetch(`${server.url}/api/stream.ts?src=cam`);
    assert.equal(first.status, 200);
    assert.equal(first.headers.get('content-type'), 'video/mp2t');
    const stream = server.app.hub.require('cam');
    // Well into the first GOP of two seconds.
    await waitFor(() => stream.gop().units.length > 40);
    const response = await fetch(`${server.url}/api/stream.ts?src=cam`);
    let pictures = 0;
    let key: boolean | undefined;
    const reader = new TsReader({
      programme: () => {},
      unit: (unit) => {
        if (unit.stream.codec !== 'h264') return;
        key ??= unit.randomAccess;
        pictures++;
      },
    });
    const body = response.body ?? assert.fail('no body');
    for await (const chunk of body) {
      reader.push(Buffer.from(chunk));
      if (pictures > 60) break;
    }
    assert.equal(key, true);
    assert.equal(reader.counters.continuityErrors, 0);
    assert.equal(stream.consumers.size > 0, true);
    await first.body?.cancel();
    await waitFor(() => stream.consumers.size === 0, { what: 'both viewers to be gone' });
  });

  test('a viewer that stops reading does not stop the others, and is let go when it hangs up', async () => {
    await using server = await startTestApp({
      streams: { cam: ['clip:1'] },
      sources: [clipSource('clip', h264).module],
      outputs: [mpegts],
    });
    const lazy = connect(server.ports.api, '127.0.0.1');
    lazy.write('GET /api/stream.ts?src=cam HTTP/1.1\r\nHost: localhost\r\n\r\n');
    lazy.pause();
    const { packets } = await probe(`${server.url}/api/stream.ts?src=cam`, 2);
    assert.ok(packets.length > 50);
    lazy.destroy();
    await waitFor(() => server.app.hub.require('cam').consumers.size === 0);
  });

  test('what goes wrong is said in the status and one line of text', async () => {
    const clip = clipSource('clip', h264);
    clip.refuse = true;
    await using server = await startTestApp({
      streams: { dead: ['clip:1'], empty: [] },
      sources: [clip.module],
      outputs: [mpegts],
    });
    for (const [query, status, text] of [
      ['src=nobody', 404, /^stream not found\n$/],
      ['', 404, /^stream not found\n$/],
      ['src=dead', 502, /^camera "dead" can't be reached: connection refused\n$/],
      ['src=empty', 404, /no source/],
    ] as const) {
      const response = await fetch(`${server.url}/api/stream.ts?${query}`);
      assert.equal(response.status, status, query);
      assert.match(response.headers.get('content-type') ?? '', /^text\/plain/);
      assert.match(await response.text(), text);
    }
  });
});
