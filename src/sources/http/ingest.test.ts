import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { startTestApp } from '../../../testkit/app.ts';
import { collect } from '../../../testkit/hub.ts';
import { waitFor } from '../../../testkit/wait.ts';
import { httpIngest } from './ingest.ts';

const run = promisify(execFile);

describe('publishing over HTTP', { timeout: 90_000 }, () => {
  let folder = '';
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hc-in-'));
    const input = ['-f', 'lavfi', '-i', 'testsrc2=s=320x240:r=25:d=8', '-f', 'lavfi', '-i', 'sine=r=16000:d=8'];
    const codecs = ['-c:v', 'libx264', '-preset', 'ultrafast', '-g', '25', '-pix_fmt', 'yuv420p', '-c:a', 'aac'];
    await run('ffmpeg', ['-v', 'error', ...input, ...codecs, join(folder, 'a.ts')]);
  });
  after(() => rm(folder, { recursive: true }));

  for (const [path, args, codecs] of [
    ['stream.ts', ['-c', 'copy', '-f', 'mpegts'], ['h264', 'aac']],
    ['stream.flv', ['-c', 'copy', '-bsf:a', 'aac_adtstoasc', '-f', 'flv'], ['h264', 'aac']],
    ['stream.mjpeg', ['-an', '-c:v', 'mjpeg', '-f', 'mpjpeg'], ['jpeg']],
    ['stream', ['-c', 'copy', '-f', 'mpegts'], ['h264', 'aac']],
  ] as const) {
    test(`ffmpeg posts to /api/${path} and is a source until it ends`, async () => {
      await using server = await startTestApp({ streams: { door: [] }, outputs: [httpIngest] });
      const url = `${server.url}/api/${path}?dst=door`;
      const ffmpeg = spawn('ffmpeg', ['-v', 'error', '-re', '-i', join(folder, 'a.ts'), ...args, url]);
      try {
        const stream = server.app.hub.require('door');
        await waitFor(() => stream.running, { what: 'the stream to run' });
        {
          using viewer = await collect(stream);
          assert.deepEqual(
            viewer.consumer.tracks.map((track) => track.codec),
            codecs,
          );
          await viewer.wait('video', 20);
          const { spec } = stream.producers[0] ?? assert.fail('no producer');
          assert.equal(spec.text, 'http-publish:door');
        }
      } finally {
        ffmpeg.kill('SIGKILL');
      }
      await waitFor(() => server.app.hub.require('door').producers.length === 0, { what: 'the source to go' });
    });
  }

  test('what can not be published is refused with the reason', async () => {
    await using server = await startTestApp({ streams: { door: [] }, outputs: [httpIngest] });
    for (const [query, body, status, text] of [
      ['', 'x', 400, /^dst is missing/],
      ['?dst=nobody', 'x', 404, /^stream not found\n$/],
      ['?dst=door', '<!DOCTYPE html><html></html>', 400, /web page instead of video/],
      ['?dst=door', 'something else that is no video', 400, /no video that we know/],
    ] as const) {
      const response = await fetch(`${server.url}/api/stream.ts${query}`, { method: 'POST', body });
      assert.match(await response.text(), text);
      assert.equal(response.status, status);
    }
    assert.equal(server.app.hub.require('door').producers.length, 0);
  });
});
