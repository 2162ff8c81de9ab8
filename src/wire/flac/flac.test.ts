import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { audioFormat } from '../../../testkit/scripted-source.ts';
import { WireError } from '../../core/errors.ts';
import type { AccessUnit, AudioFormat } from '../../core/media.ts';
import { decodeAlaw } from '../g711/g711.ts';
import { flacBlockSamples } from '../mp4/duration.ts';
import { encodeFlacFrame, MAX_BLOCK_SAMPLES, streamInfo } from './encoder.ts';
import { FlacTrack } from './track.ts';

/** A FLAC file of frames, decoded by ffmpeg to interleaved 16-bit samples. */
function decodeWithFfmpeg(info: Buffer, frames: readonly Buffer[]): Int16Array {
  const head = Buffer.from('fLaC\x80\x00\x00\x22', 'latin1');
  const { status, stdout, stderr } = spawnSync(
    'ffmpeg',
    ['-v', 'warning', '-f', 'flac', '-i', 'pipe:0', '-f', 's16le', '-c:a', 'pcm_s16le', 'pipe:1'],
    { input: Buffer.concat([head, info, ...frames]), maxBuffer: 1 << 26 },
  );
  assert.equal(status, 0, String(stderr));
  assert.equal(String(stderr), '');
  return new Int16Array(stdout.buffer, stdout.byteOffset, stdout.length >> 1).slice();
}

type Make = (at: number, channel: number) => number;
let seed = 1;
const noise = (): number => {
  seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
  return (seed >>> 16) - 32_768;
};
const signals: Record<string, Make> = {
  silence: () => 0,
  'a constant': () => -1234,
  'a tone': (at, channel) => Math.round(12_000 * Math.sin(at / (7 + channel))),
  'full-scale noise': () => noise(),
  'soft noise': () => noise() >> 10,
  'the steepest square wave': (at) => ((at & 1) === 0 ? 32_767 : -32_768),
  'one click in silence': (at) => (at % 160 === 77 ? 32_767 : 0),
};

for (const [name, make] of Object.entries(signals)) {
  for (const channels of [1, 2]) {
    test(`FLAC of ${name} on ${channels} channel(s) decodes to the same samples in ffmpeg`, () => {
      const sizes = [160, 16, 320, 1024, MAX_BLOCK_SAMPLES, 17];
      const all: number[] = [];
      const frames: Buffer[] = [];
      let first = 0;
      for (const size of sizes) {
        const samples = new Int16Array(size * channels);
        for (let at = 0; at < samples.length; at++) {
          samples[at] = make(first + Math.floor(at / channels), at % channels);
        }
        const frame = encodeFlacFrame(samples, channels, 16_000, first);
        assert.equal(flacBlockSamples(frame), size);
        frames.push(frame);
        all.push(...samples);
        first += size;
      }
      assert.deepEqual(decodeWithFfmpeg(streamInfo(16_000, channels), frames), Int16Array.from(all));
    });
  }
}

test('a quiet room as A-law becomes FLAC that is not longer than 16-bit samples, and the same in ffmpeg', () => {
  const format = audioFormat();
  const track = new FlacTrack(format);
  const units = Array.from({ length: 20 }, (_, index): AccessUnit => {
    const data = Buffer.from(Array.from({ length: 160 }, (__, at) => 0xd5 ^ ((at * (index + 3)) % 5)));
    const pts = 2 ** 31 - 3200 + index * 160; // the largest sample numbers that FFmpeg takes
    return { trackId: 0, format, pts, dts: pts, key: true, data, wallMs: 0, arrivedMs: 0 };
  });
  const frames = units.flatMap((unit) => track.convert(unit));
  assert.equal(track.convert(units[0] as AccessUnit)[0], frames[0], 'each unit is encoded once');
  assert.ok(frames.reduce((sum, frame) => sum + frame.data.length, 0) < 20 * 320);
  const decoded = decodeWithFfmpeg(
    track.format.config,
    frames.map((frame) => frame.data),
  );
  assert.deepEqual(decoded, Int16Array.from(units.flatMap((unit) => [...decodeAlaw(unit.data)])));
});

test('long packets become several frames, short ones are filled up', () => {
  const format: AudioFormat = {
    kind: 'audio',
    codec: 'l16',
    clockRateHz: 48_000,
    sampleRateHz: 48_000,
    channels: 2,
    codecString: 'l16',
    config: Buffer.alloc(0),
  };
  const track = new FlacTrack(format);
  const unit = (samples: number): AccessUnit => ({
    trackId: 0,
    format,
    pts: 1000,
    dts: 1000,
    key: true,
    data: Buffer.alloc(samples * 4),
    wallMs: 0,
    arrivedMs: 0,
  });
  assert.deepEqual(
    track.convert(unit(10_000)).map((made) => [made.pts, flacBlockSamples(made.data)]),
    [
      [1000, 4608],
      [5608, 4608],
      [10_216, 784],
    ],
  );
  assert.deepEqual(
    track.convert(unit(3)).map((made) => flacBlockSamples(made.data)),
    [16],
  );
  assert.deepEqual(track.convert(unit(0)), []);
});

test('what FLAC can not carry is refused', () => {
  assert.throws(() => streamInfo(0, 1), WireError);
  assert.throws(() => streamInfo(48_000, 9), WireError);
  assert.throws(() => encodeFlacFrame(new Int16Array(8), 1, 8_000, 0), WireError);
});
