import assert from 'node:assert/strict';
import { test } from 'node:test';
import { codecInfo, sourceMedia, wantMedia } from './codec-names.ts';
import { streamsDot } from './dot.ts';
import { preloadQuery } from './preload.ts';

test('codecs carry the names that ffprobe gives them', () => {
  const video = (codec: 'h264' | 'h265' | 'jpeg', codecString: string, width = 0) =>
    codecInfo({
      kind: 'video',
      codec,
      format: {
        kind: 'video',
        codec,
        clockRateHz: 90_000,
        width,
        height: width / 2,
        codecString,
        parameterSets: { vps: [], sps: [], pps: [] },
        config: Buffer.alloc(0),
        reorderDepth: 0,
      },
    });
  assert.deepEqual(video('h264', 'avc1.640029', 1280), {
    codec_name: 'h264',
    codec_type: 'video',
    profile: 'High',
    level: 41,
    width: 1280,
    height: 640,
  });
  assert.deepEqual(video('h265', 'hvc1.1.6.L153.B0'), { codec_name: 'hevc', codec_type: 'video' });
  assert.deepEqual(video('jpeg', 'jpeg'), { codec_name: 'mjpeg', codec_type: 'video' });
  assert.deepEqual(codecInfo({ kind: 'audio', codec: 'opus', format: null }), {
    codec_name: 'opus',
    codec_type: 'audio',
  });
  const config = Buffer.alloc(0);
  const opus = {
    kind: 'audio',
    codec: 'opus',
    clockRateHz: 48_000,
    sampleRateHz: 48_000,
    channels: 2,
    codecString: 'opus',
    config,
  } as const;
  assert.deepEqual(codecInfo({ kind: 'audio', codec: 'opus', format: opus }), {
    codec_name: 'opus',
    codec_type: 'audio',
    sample_rate: 48_000,
    channels: 2,
  });
  assert.equal(
    sourceMedia({ kind: 'audio', codec: 'opus', clockRateHz: 48_000, format: opus }),
    'audio, recvonly, OPUS/48000/2',
  );
  assert.equal(
    sourceMedia({ kind: 'audio', codec: 'aac', clockRateHz: 16_000, format: null }),
    'audio, recvonly, MPEG4-GENERIC/16000',
  );
  assert.equal(
    sourceMedia({ kind: 'video', codec: 'h265', clockRateHz: 90_000, format: null }),
    'video, recvonly, H265',
  );
  assert.equal(wantMedia({ kind: 'video', codecs: ['h264', 'h265'] }), 'video, sendonly, H264, H265');
  assert.equal(wantMedia({ kind: 'audio', codecs: 'any' }), 'audio, sendonly, ANY');
  assert.equal(wantMedia({ kind: 'audio', codecs: 'any', all: true }), 'audio, sendonly, ALL');
});

const preloadRows = [
  ['src=a', 'video&audio'],
  ['src=a&video=&audio=', 'video&audio'],
  ['src=a&video=h264,h265&audio=aac/16000', 'video=h264,h265&audio=aac/16000'],
  ['src=a&video=all&other=1', 'video=all'],
  ['src=a&audio=x%26video%3D"', 'audio=xvideo'],
] as const;
for (const [query, want] of preloadRows) {
  test(`preload with "${query}" holds ${want}`, () => assert.equal(preloadQuery(new URLSearchParams(query)), want));
}

test('names in the graph are quoted', () => {
  const dot = streamsDot({
    'a"\\\n': { producers: [{ url: 'x"y' }], consumers: [{ id: 1, format_name: 'rtsp', bytes_send: 51_978 }] },
  });
  assert.ok(dot.includes('[label="a\\"\\\\\\n", shape=ellipse]'));
  assert.ok(dot.includes('50.76 KB'));
});
