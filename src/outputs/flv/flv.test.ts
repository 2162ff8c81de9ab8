import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { startTestApp } from '../../../testkit/app.ts';
import { type Clip, clipSource, makeClip, testPicture } from '../../../testkit/mp4-source.ts';
import { waitFor } from '../../../testkit/wait.ts';
import { FlvReader } from '../../wire/flv/reader.ts';
import { parseAudioTag, parseVideoTag } from '../../wire/flv/tags.ts';
import { aac } from '../aac/module.ts';
import { flv } from './module.ts';

const run = promisify(execFile);

describe('/api/stream.flv and /api/stream.aac', { timeout: 90_000 }, () => {
  let h264: Clip;
  let h265: Clip;
  before(async () => {
    h264 = await makeClip(testPicture({ gop: 50 }));
    const x265 = ['-c:v', 'libx265', '-preset', 'ultrafast', '-x265-params', 'log-level=none', '-pix_fmt', 'yuv420p'];
    h265 = await makeClip(testPicture({ gop: 50, video: x265 }));
  });

  const start = () =>
    startTestApp({
      streams: { one: ['clip:1'], two: ['hevc:1'] },
      sources: [clipSource('clip', h264).module, clipSource('hevc', h265).module],
      outputs: [flv, aac],
    });

  test('H.264 and AAC play in ffmpeg, whoever joins when', async () => {
    await using server = await start();
    for (const wait of [0, 30]) {
      await waitFor(() => server.app.hub.require('one').gop().units.length >= wait);
      const args = ['-v', 'error', '-i', `${server.url}/api/stream.flv?src=one`, '-t', '1', '-f', 'null', '-'];
      const { stderr } = await run('ffmpeg', args, { timeout: 30_000 });
      assert.equal(stderr, '');
    }
  });

  test('H.265 has the enhanced header, its configuration first, and a key frame next', async () => {
    await using server = await start();
    const response = await fetch(`${server.url}/api/stream.flv?src=two`);
    assert.equal(response.headers.get('content-type'), 'video/x-flv');
    const seen: string[] = [];
    const reader = new FlvReader();
    for await (const chunk of response.body ?? assert.fail('no body')) {
      reader.push(Buffer.from(chunk), (tag) => {
        const parsed = tag.kind === 'video' ? parseVideoTag(tag.data) : parseAudioTag(tag.data);
        if (parsed.type === 'other' || parsed.type === 'end') assert.fail(parsed.type);
        seen.push(`${parsed.codec} ${parsed.type}${'key' in parsed && parsed.key ? ' key' : ''}`);
      });
      if (seen.length > 20) break;
    }
    assert.deepEqual(seen.slice(0, 2), ['h265 config', 'aac config']);
    assert.equal(
      seen.find((what) => what.startsWith('h265 frame')),
      'h265 frame key',
    );
    assert.ok(seen.includes('aac frame'));
  });

  test('the sound alone is AAC that ffmpeg hears', async () => {
    await using server = await start();
    const url = `${server.url}/api/stream.aac?src=one`;
    const args = ['-v', 'error', '-analyzeduration', '1000000', '-show_streams', '-of', 'json', url];
    const { stdout } = await run('ffprobe', args, { timeout: 30_000 });
    const { streams } = JSON.parse(stdout);
    assert.deepEqual([streams.length, streams[0].codec_name, streams[0].sample_rate], [1, 'aac', '16000']);
  });

  test('a stream without the codec says what it has', async () => {
    const silent = clipSource('clip', await makeClip(testPicture({ audio: [], seconds: 1 })));
    await using server = await startTestApp({ streams: { one: ['clip:1'] }, sources: [silent.module], outputs: [aac] });
    const response = await fetch(`${server.url}/api/stream.aac?src=one`);
    assert.equal(response.status, 500);
    assert.equal(await response.text(), 'streams: codecs not matched: video:H264 => audio:AAC\n');
  });
});
