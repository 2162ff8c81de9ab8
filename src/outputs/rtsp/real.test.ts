import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { bitstreamSource } from '../../../testkit/bitstream-source.ts';
import { makeBitstream } from '../../../testkit/bitstreams.ts';
import { collect } from '../../../testkit/hub.ts';
import { type Clip, clipSource, makeClip, testPicture } from '../../../testkit/mp4-source.ts';
import { startTestRtspServer, type TestRtspServer } from '../../../testkit/rtsp-server.ts';
import { waitFor } from '../../../testkit/wait.ts';
import type { Codec } from '../../core/media.ts';

const run = promisify(execFile);
const LIMIT = { timeout: 60_000, maxBuffer: 64 * 1024 * 1024 };

const clips: Record<string, Clip> = {};
before(async () => {
  const made = await Promise.all([
    makeClip(testPicture({ seconds: 4, gop: 50 })),
    makeClip(testPicture({ seconds: 4, gop: 50, video: ['-c:v', 'libx264', '-preset', 'veryfast', '-bf', '2'] })),
    makeClip(
      testPicture({
        seconds: 4,
        gop: 50,
        video: ['-c:v', 'libx265', '-preset', 'ultrafast', '-x265-params', 'log-level=none', '-tag:v', 'hvc1'],
        audio: ['-c:a', 'libopus', '-ac', '2'],
      }),
    ),
  ]);
  const [plain, reordered, hevc] = made;
  Object.assign(clips, { plain, reordered, hevc });
});

async function start(name: string, config: Record<string, unknown> = {}): Promise<TestRtspServer> {
  const clip = clips[name];
  assert.ok(clip !== undefined);
  return startTestRtspServer({
    sources: [clipSource('clip', clip).module],
    streams: { cam: ['clip:'], push: [] },
    config,
  });
}

interface Frame {
  readonly media_type: string;
  readonly pts_time?: string;
  readonly width?: number;
}

/** Decodes for some seconds with ffprobe. */
async function probe(url: string, transport: 'tcp' | 'udp', seconds = 2): Promise<Frame[]> {
  const { stdout } = await run(
    'ffprobe',
    [
      ...[
        '-v',
        'error',
        '-rtsp_transport',
        transport,
        '-of',
        'json',
        '-show_frames',
        '-read_intervals',
        `%+${seconds}`,
      ],
      ...['-show_entries', 'frame=media_type,pts_time,width', url],
    ],
    LIMIT,
  );
  const parsed: { frames?: Frame[] } = JSON.parse(stdout);
  return parsed.frames ?? [];
}

// Real clients take real time, so several run side by side.
describe('RTSP server with real clients', { concurrency: 4 }, () => {
  const rows: { name: string; clip: string; transport: 'tcp' | 'udp' }[] = [
    { name: 'H.264 and AAC over TCP', clip: 'plain', transport: 'tcp' },
    { name: 'H.264 and AAC over UDP', clip: 'plain', transport: 'udp' },
    { name: 'H.264 with B-frames over TCP', clip: 'reordered', transport: 'tcp' },
    { name: 'H.265 and Opus over TCP', clip: 'hevc', transport: 'tcp' },
    { name: 'H.265 and Opus over UDP', clip: 'hevc', transport: 'udp' },
  ];
  for (const row of rows) {
    test(`ffmpeg decodes ${row.name} without a gap`, async () => {
      await using server = await start(row.clip);
      const frames = await probe(`${server.url}/cam`, row.transport);
      const video = frames.filter((frame) => frame.media_type === 'video');
      const audio = frames.filter((frame) => frame.media_type === 'audio');
      assert.ok(video.length > 35, `${video.length} pictures`);
      assert.ok(audio.length > 15, `${audio.length} frames of sound`);
      assert.equal(video[0]?.width, 320);
      // FFmpeg gives the first picture of any RTSP stream no time.
      const times = video.slice(1).map((frame) => Number(frame.pts_time));
      for (const [index, time] of times.entries()) {
        const last = times[index - 1];
        if (last === undefined) continue;
        assert.ok(time > last && time - last < 0.3, `picture ${index} at ${time} s behind ${last} s`);
      }
    });
  }

  const codecRows: { video: Codec; audio: Codec; unitMs: number }[] = [
    { video: 'vp9', audio: 'pcma', unitMs: 40 },
    { video: 'jpeg', audio: 'l16', unitMs: 20 },
    { video: 'vp8', audio: 'opus', unitMs: 20 },
  ];
  for (const { video, audio, unitMs } of codecRows) {
    test(`ffmpeg decodes ${video} and ${audio}`, async () => {
      const tracks = [
        { units: await makeBitstream(video), unitMs: 40 },
        { units: await makeBitstream(audio), unitMs },
      ];
      await using server = await startTestRtspServer({
        sources: [bitstreamSource('bits', tracks)],
        streams: { cam: ['bits:'] },
      });
      const frames = await probe(`${server.url}/cam`, 'tcp', 2);
      const pictures = frames.filter((frame) => frame.media_type === 'video');
      assert.ok(pictures.length > 30, `${pictures.length} pictures`);
      assert.equal(pictures.at(-1)?.width, 320);
      assert.ok(frames.length - pictures.length > 20);
    });
  }

  test('clients that join a running stream decode from the first picture on, over TCP and UDP', async () => {
    await using server = await start('plain');
    const stream = server.hub.require('cam');
    using viewer = await collect(stream);
    await viewer.wait('video', 30);
    for (const transport of ['tcp', 'udp'] as const) {
      const frames = await probe(`${server.url}/cam`, transport, 1);
      const times = frames.filter((frame) => frame.media_type === 'video').map((frame) => Number(frame.pts_time));
      assert.ok(times.length > 20);
      for (const [index, time] of times.entries()) {
        const last = times[index - 1];
        if (last !== undefined && index > 1) assert.ok(time > last && time - last < 0.3, `${time} behind ${last}`);
      }
      await run(
        'gst-launch-1.0',
        [
          ...['-q', 'rtspsrc', `location=${server.url}/cam`, `protocols=${transport}`, 'latency=200', 'name=s'],
          ...['s.', '!', 'rtph264depay', '!', 'h264parse', '!', 'avdec_h264', '!', 'fakesink', 'num-buffers=60'],
          ...['s.', '!', 'rtpmp4gdepay', '!', 'aacparse', '!', 'avdec_aac', '!', 'fakesink', 'num-buffers=30'],
        ],
        LIMIT,
      );
    }
  });

  for (const protocol of ['tcp', 'udp']) {
    test(`GStreamer's rtspsrc decodes the stream over ${protocol}`, async () => {
      await using server = await start('plain');
      await run(
        'gst-launch-1.0',
        [
          ...['-q', 'rtspsrc', `location=${server.url}/cam?video`, `protocols=${protocol}`, 'latency=200', '!'],
          ...['rtph264depay', '!', 'h264parse', '!', 'avdec_h264', '!', 'fakesink', 'num-buffers=60', 'sync=true'],
        ],
        LIMIT,
      );
    });
  }

  test('with user and password: Digest for ffmpeg and GStreamer, 401 without, closed when wrong', async () => {
    await using server = await start('plain', { username: 'anna', password: 'se:cr@t', local_auth: true });
    const at = server.url.replace('rtsp://', '');
    const frames = await probe(`rtsp://anna:${encodeURIComponent('se:cr@t')}@${at}/cam`, 'tcp', 1);
    assert.ok(frames.length > 10);
    await assert.rejects(probe(`rtsp://${at}/cam`, 'tcp', 1), /401/);
    await assert.rejects(probe(`rtsp://anna:wrong@${at}/cam`, 'tcp', 1), /401/);
    await run(
      'gst-launch-1.0',
      [
        ...['-q', 'rtspsrc', `location=${server.url}/cam?video`, 'user-id=anna', 'user-pw=se:cr@t', '!'],
        ...['rtph264depay', '!', 'fakesink', 'num-buffers=20'],
      ],
      LIMIT,
    );
    assert.match(server.log.text, /wrong user or password/);
    assert.doesNotMatch(server.log.text, /se:cr@t/);
  });

  test('from this machine no password is asked for, as in go2rtc', async () => {
    await using server = await start('plain', { username: 'anna', password: 'secret' });
    assert.ok((await probe(`${server.url}/cam`, 'tcp', 1)).length > 10);
  });

  for (const transport of ['tcp', 'udp'] as const) {
    test(`ffmpeg publishes over ${transport}; viewers get it, and it ends with its connection`, async () => {
      await using server = await start('plain');
      const stream = server.hub.require('push');
      const publisher = spawn(
        'ffmpeg',
        [
          ...['-v', 'error', '-re', '-f', 'lavfi', '-i', 'testsrc2=size=320x240:rate=25'],
          ...['-f', 'lavfi', '-i', 'sine=frequency=440:sample_rate=16000', '-t', '60'],
          ...['-c:v', 'libx264', '-preset', 'ultrafast', '-tune', 'zerolatency', '-pix_fmt', 'yuv420p', '-g', '25'],
          ...['-c:a', 'aac', '-f', 'rtsp', '-rtsp_transport', transport, `${server.url}/push`],
        ],
        { stdio: ['ignore', 'ignore', 'inherit'] },
      );
      try {
        await waitFor(() => stream.running, { timeoutMs: 30_000, what: 'the publisher' });
        using viewer = await collect(stream);
        const video = await viewer.wait('video', 60, 60_000);
        assert.ok(viewer.of('audio').length > 10);
        assert.ok(video.some((unit) => unit.key));
        const format = video[0]?.format;
        assert.equal(format?.kind === 'video' ? `${format.width}x${format.height}` : '', '320x240');
        assert.match(stream.producers[0]?.spec.text ?? '', /^rtsp:\/\/127\.0\.0\.1:\d+\/ \(published\)$/);
        assert.equal(stream.producers[0]?.description?.protocol, `rtsp+${transport}`);
        publisher.kill('SIGTERM');
        await waitFor(() => stream.producers.length === 0, { timeoutMs: 30_000, what: 'the end of publishing' });
      } finally {
        publisher.kill('SIGKILL');
      }
    });
  }

  const relayRows: { name: string; args: string[] }[] = [
    {
      name: 'MJPEG and Opus',
      args: ['-pix_fmt', 'yuvj420p', '-c:v', 'mjpeg', '-huffman', 'default', '-c:a', 'libopus'],
    },
    {
      name: 'VP9 and PCMU',
      args: ['-c:v', 'libvpx-vp9', '-deadline', 'realtime', '-cpu-used', '8', '-c:a', 'pcm_mulaw'],
    },
    {
      name: 'H.265 and AAC',
      args: ['-c:v', 'libx265', '-preset', 'ultrafast', '-x265-params', 'log-level=none', '-c:a', 'aac'],
    },
  ];
  for (const row of relayRows) {
    test(`what ffmpeg publishes as ${row.name} is what ffmpeg gets`, async () => {
      await using server = await start('plain');
      const stream = server.hub.require('push');
      const publisher = spawn(
        'ffmpeg',
        [
          ...['-v', 'error', '-re', '-f', 'lavfi', '-i', 'testsrc2=size=320x240:rate=25'],
          ...['-f', 'lavfi', '-i', 'sine=frequency=440:sample_rate=8000', '-t', '60', '-g', '25', ...row.args],
          ...['-strict', 'experimental', '-f', 'rtsp', '-rtsp_transport', 'tcp', `${server.url}/push`],
        ],
        { stdio: ['ignore', 'ignore', 'inherit'] },
      );
      try {
        await waitFor(() => stream.running && stream.gop().units.length > 0, {
          timeoutMs: 30_000,
          what: 'the publisher',
        });
        const frames = await probe(`${server.url}/push`, 'tcp', 2);
        const video = frames.filter((frame) => frame.media_type === 'video');
        assert.ok(video.length > 25, `${video.length} pictures`);
        assert.equal(video.at(-1)?.width, 320);
        assert.ok(frames.length - video.length > 5, `${frames.length - video.length} frames of sound`);
      } finally {
        publisher.kill('SIGKILL');
      }
    });
  }
});
