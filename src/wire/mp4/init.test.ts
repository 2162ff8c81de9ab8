import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { makeClip, readClip, testPicture } from '../../../testkit/mp4-source.ts';
import { WireError } from '../../core/errors.ts';
import type { AudioFormat } from '../../core/media.ts';
import { streamInfo } from '../flac/encoder.ts';
import { FlacTrack } from '../flac/track.ts';
import { fragment } from './fragment.ts';
import { initSegment } from './init.ts';
import { hlsCodec, mimeCodec, mp4Mime } from './mime.ts';
import { sampleEntry } from './sample-entry.ts';
import { silentFrame } from './silence.ts';
import { keyframeMp4 } from './still.ts';

const folder = mkdtempSync(join(tmpdir(), 'hearthcam-mp4-'));
after(() => rmSync(folder, { recursive: true }));

/** What ffprobe says of a file, without a word of complaint. */
function probe(bytes: Buffer, ...args: string[]): string {
  const path = join(folder, 'probe.mp4');
  writeFileSync(path, bytes);
  const found = spawnSync('ffprobe', ['-v', 'warning', '-of', 'csv=p=0', ...args, path], { encoding: 'utf8' });
  assert.equal(found.stderr, '');
  const decoded = spawnSync('ffmpeg', ['-v', 'error', '-i', path, '-f', 'null', '-'], { encoding: 'utf8' });
  // ffmpeg's own null writer counts in pictures and so finds two of them at the same time.
  assert.equal(decoded.stderr.replace(/^.*non monotonically increasing dts to muxer.*\n/gm, ''), '');
  return found.stdout.trim();
}

const X264 = ['-c:v', 'libx264', '-preset', 'ultrafast', '-bf', '2', '-pix_fmt', 'yuv420p'];
const AAC = ['-c:a', 'aac', '-ar', '16000', '-ac', '1'];
const codecs = [
  { name: 'H.264 with B pictures', video: X264, audio: AAC, want: 'h264 aac', mime: /^avc1\.[0-9A-F]{6},mp4a\.40\.2$/ },
  {
    name: 'H.265',
    video: ['-c:v', 'libx265', '-preset', 'ultrafast', '-x265-params', 'log-level=none', '-tag:v', 'hvc1'],
    audio: ['-c:a', 'libopus', '-ac', '2'],
    want: 'hevc opus',
    mime: /^hvc1\.1\.6\.L\d+\.[0-9A-F]+,opus$/,
  },
  {
    name: 'VP9',
    video: ['-c:v', 'libvpx-vp9', '-deadline', 'realtime', '-cpu-used', '8'],
    audio: ['-c:a', 'flac', '-strict', '-2', '-ac', '2'],
    want: 'vp9 flac',
    mime: /^vp09\.00\.\d\d\.08,flac$/,
  },
  {
    name: 'AV1',
    video: ['-c:v', 'libsvtav1', '-preset', '12'],
    audio: ['-c:a', 'libmp3lame', '-ar', '44100'],
    want: 'av1 mp3',
    mime: /^av01\.0\.\d\dM\.\d\d,mp4a\.6B$/,
  },
];

for (const row of codecs) {
  test(`${row.name} read from ffmpeg and written again is the same to ffprobe, packet by packet`, async () => {
    const clip = await makeClip(testPicture({ seconds: 1, video: row.video, audio: row.audio }));
    const formats = clip.tracks.map((track) => track.format);
    const known = formats.filter((format) => format !== null);
    assert.equal(known.length, 2);
    const tracks = known.map((format, index) => ({ id: index + 1, format }));
    const parts = clip.units.map((unit, index) => {
      const sample = { data: unit.data, durationTicks: 1, offsetTicks: unit.ticks - unit.decodeTicks, key: unit.key };
      // Times before 0 (B pictures, encoder delay) can't be written without an edit list.
      const decodeTicks = unit.decodeTicks + (known[unit.track]?.clockRateHz ?? 0);
      return fragment(index, [{ trackId: unit.track + 1, decodeTicks, samples: [sample] }]);
    });
    const shifted = tracks.map((track) => ({ ...track, startTicks: track.format.clockRateHz }));
    const bytes = Buffer.concat([initSegment(shifted), ...parts]);
    assert.equal(probe(bytes, '-show_entries', 'stream=codec_name').split(/\s+/).join(' '), row.want);
    const first = (track: number) => clip.units.filter((unit) => unit.track === track);
    const lines = probe(bytes, '-show_entries', 'packet=stream_index,pts,dts,size').split('\n');
    for (const track of [0, 1]) {
      const want = first(track).map((unit) => `${track},${unit.ticks},${unit.decodeTicks},${unit.data.length}`);
      assert.deepEqual(
        lines.filter((line) => line.startsWith(`${track},`)),
        want,
      );
    }
    const again = readClip(bytes);
    assert.deepEqual(again.units, clip.units);
    assert.match(known.map(mimeCodec).join(','), row.mime);
  });
}

test('an edit list takes a viewer who joins after 40 days to time 0', async () => {
  const clip = await makeClip(testPicture({ seconds: 1, audio: [] }));
  const [unit] = clip.units;
  assert.ok(unit?.format.kind === 'video');
  const startTicks = 40 * 86_400 * 90_000;
  const bytes = Buffer.concat([
    initSegment([{ id: 1, format: unit.format, startTicks }]),
    ...clip.units.map((one, index) => {
      const sample = { data: one.data, durationTicks: 3600, offsetTicks: 0, key: one.key };
      return fragment(index, [{ trackId: 1, decodeTicks: startTicks + index * 3600, samples: [sample] }]);
    }),
  ]);
  const pts = probe(bytes, '-show_entries', 'packet=pts').split('\n').map(Number);
  assert.deepEqual(pts.slice(0, 3), [0, 3600, 7200]);
});

test('a still turned by 90° and with pixels 4:3 says so to players', async () => {
  const clip = await makeClip(testPicture({ seconds: 1, audio: [] }));
  const unit = clip.units[0];
  assert.ok(unit?.format.kind === 'video');
  const bytes = keyframeMp4(unit.format, unit.data, 90_000, { rotate: 90, pixelAspect: [4, 3] });
  assert.equal(probe(bytes, '-show_entries', 'stream_side_data=rotation'), '-90');
  assert.equal(probe(bytes, '-show_entries', 'stream=sample_aspect_ratio').replace(/,$/, ''), '4:3');
  assert.equal(probe(bytes, '-show_entries', 'packet=pts,duration,flags').split('\n').length, 1);
});

test('A-law as FLAC in MP4 plays in ffmpeg, also where its sample number wraps', () => {
  const format: AudioFormat = {
    kind: 'audio',
    codec: 'pcma',
    clockRateHz: 8_000,
    sampleRateHz: 8_000,
    channels: 1,
    codecString: 'pcma',
    config: Buffer.alloc(0),
  };
  const flac = new FlacTrack(format);
  const parts: Buffer[] = [initSegment([{ id: 1, format: flac.format }])];
  for (let index = 0; index < 20; index++) {
    const pts = 2 ** 31 - 1600 + index * 160;
    const data = Buffer.alloc(160, 0xd5 ^ index);
    for (const unit of flac.convert({ trackId: 0, format, pts, dts: pts, key: true, data, wallMs: 0, arrivedMs: 0 })) {
      const sample = { data: unit.data, durationTicks: 160, offsetTicks: 0, key: true };
      parts.push(fragment(index, [{ trackId: 1, decodeTicks: index * 160, samples: [sample] }]));
    }
  }
  const bytes = Buffer.concat(parts);
  assert.equal(probe(bytes, '-show_entries', 'stream=codec_name,sample_rate,channels'), 'flac,8000,1');
  assert.equal(probe(bytes, '-show_entries', 'packet=pts').split('\n').length, 20);
});

for (const row of [
  { codec: 'aac' as const, clockHz: 16_000, channels: 1, config: Buffer.from('1408', 'hex') },
  { codec: 'aac' as const, clockHz: 48_000, channels: 2, config: Buffer.from('1190', 'hex') },
  { codec: 'opus' as const, clockHz: 48_000, channels: 1, config: Buffer.alloc(0) },
  { codec: 'opus' as const, clockHz: 48_000, channels: 2, config: Buffer.alloc(0) },
  { codec: 'flac' as const, clockHz: 8_000, channels: 1, config: streamInfo(8_000, 1) },
]) {
  test(`the silence that fills ${row.codec} with ${row.channels} channel(s) decodes to nothing but zeros`, () => {
    const format: AudioFormat = {
      kind: 'audio',
      codec: row.codec,
      clockRateHz: row.clockHz,
      sampleRateHz: row.clockHz,
      channels: row.channels,
      codecString: row.codec,
      config: row.config,
    };
    const data = silentFrame(format);
    assert.ok(data !== undefined);
    const samples = Array.from({ length: 5 }, () => ({ data, durationTicks: 1024, offsetTicks: 0, key: true }));
    const bytes = Buffer.concat([
      initSegment([{ id: 1, format }]),
      fragment(1, [{ trackId: 1, decodeTicks: 0, samples }]),
    ]);
    probe(bytes, '-show_entries', 'stream=codec_name');
    const path = join(folder, 'probe.mp4');
    const { stdout } = spawnSync('ffmpeg', ['-v', 'error', '-i', path, '-f', 's16le', '-c:a', 'pcm_s16le', 'pipe:1']);
    assert.ok(stdout.length > 4_000, `${stdout.length} bytes`);
    assert.ok(stdout.every((byte) => byte === 0));
  });
}

test('codec strings for Content-Type and for HLS', () => {
  const audio = (codec: AudioFormat['codec'], codecString: string): AudioFormat => ({
    kind: 'audio',
    codec,
    clockRateHz: 48_000,
    sampleRateHz: 48_000,
    channels: 2,
    codecString,
    config: Buffer.alloc(0),
  });
  const all = [audio('aac', 'mp4a.40.2'), audio('opus', 'opus'), audio('flac', 'flac'), audio('mp3', 'mp3')];
  assert.equal(mp4Mime(all), 'video/mp4; codecs="mp4a.40.2,opus,flac,mp4a.6B"');
  assert.deepEqual(all.map(hlsCodec), ['mp4a.40.2', 'Opus', 'fLaC', 'mp4a.6B']);
  assert.throws(() => sampleEntry(audio('pcma', 'pcma')), WireError);
});
