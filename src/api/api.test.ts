import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { HearthcamError } from '../core/errors.ts';
import { Hub } from '../core/hub.ts';
import type { Log } from '../core/log.ts';
import type { SourceModule } from '../core/source.ts';
import { codecInfo, sourceMedia, wantMedia } from './codec-names.ts';
import { streamsDot } from './dot.ts';
import { preloadQuery } from './preload.ts';
import { checkHttpSource } from './source-check.ts';

const log: Log = { trace() {}, debug() {}, info() {}, warn() {}, error() {}, child: () => log };
const module = (schemes: string[], configOnly = false): SourceModule => ({
  name: schemes.join(),
  schemes,
  configOnly,
  run: () => Promise.resolve(),
});
const hub = new Hub({
  log,
  sources: [module(['rtsp', 'rtsps', 'http', 'https', 'ffmpeg', 'file', '']), module(['onvif'], true)],
});
hub.set('front', ['rtsp://h/1']);

const sourceRows = [
  { source: 'rtsp://u:p@192.0.2.9/s#timeout=5', want: 'allowed' },
  { source: 'https://192.0.2.9/x.m3u8', want: 'allowed' },
  { source: 'ffmpeg:front#audio=opus', want: 'allowed' },
  { source: 'ffmpeg:generic_01J%2Fx#audio=opus#query=log_level=debug', want: 'allowed' },
  { source: 'ffmpeg:rtsp://192.0.2.9/s#video=h264', want: 'allowed' },
  { source: 'ffmpeg:rtsp://192.0.2.9/s#raw=-vf hflip', want: 'allowed' },
  { source: 'front', want: 'allowed' },
  { source: 'nobody', want: 'stream not found' },
  {
    source: 'ffmpeg:rtsp://192.0.2.9/s#raw=-vf hflip -i /etc/passwd',
    want: 'streams: source with spaces may be insecure',
  },
  { source: 'ffmpeg:rtsp://192.0.2.9/s#input=-f x', want: 'streams: source with spaces may be insecure' },
  { source: 'ffmpeg:/etc/passwd', want: 'streams: source from insecure producer' },
  { source: 'ffmpeg:device?video=0', want: 'streams: source from insecure producer' },
  { source: 'ffmpeg:file:///etc/passwd', want: 'streams: source from insecure producer' },
  { source: 'ffmpeg:', want: 'streams: source from insecure producer' },
  { source: 'file:///etc/passwd', want: 'streams: source from insecure producer' },
  { source: 'onvif://h', want: 'streams: source from insecure producer' },
  { source: 'exec:rm -rf /', want: 'streams: source from insecure producer' },
  { source: 'EXEC:x', want: 'streams: source from insecure producer' },
  { source: 'foo://x', want: 'streams: source not supported' },
];
for (const { source, want } of sourceRows) {
  test(`over HTTP, the source "${source}" is ${want === 'allowed' ? 'allowed' : `refused: ${want}`}`, () => {
    let seen = 'allowed';
    try {
      checkHttpSource(hub, source);
    } catch (error) {
      if (!(error instanceof HearthcamError)) throw error;
      seen = error.message;
    }
    assert.equal(seen, want);
  });
}

test('any source text is allowed or refused with a reason', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.constantFrom('ffmpeg:', 'exec:', 'rtsp:').chain((a) => fc.string().map((b) => a + b)),
      ),
      (text) => {
        try {
          checkHttpSource(hub, text);
        } catch (error) {
          assert.ok(error instanceof HearthcamError && error.status >= 400 && error.status < 500);
        }
        if (/\s/.test(text) && !text.includes('#raw=')) assert.throws(() => checkHttpSource(hub, text));
      },
    ),
    { numRuns: Number(process.env['FUZZ_RUNS'] ?? 300) },
  );
});

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
