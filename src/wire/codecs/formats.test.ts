import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { ffmpegBytes, makeBitstream } from '../../../testkit/bitstreams.ts';
import { lengthPrefixed, toAnnexB } from '../../../testkit/nal.ts';
import { WireError } from '../../core/errors.ts';
import type { VideoFormat } from '../../core/media.ts';
import { parseAv1Sequence } from '../av1/format.ts';
import { parseAvcC } from '../h264/format.ts';
import { parseH264Sps } from '../h264/sps.ts';
import { parseHvcC } from '../h265/format.ts';
import { parseH265Sps } from '../h265/sps.ts';
import { parseJpeg } from '../jpeg/jpeg.ts';
import { forEachAnnexBNal, forEachNal, unescapeRbsp } from './nal.ts';
import { NalAssembler } from './nal-assembler.ts';

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 300);

interface Probe {
  readonly width: number;
  readonly height: number;
  readonly has_b_frames: number;
}

async function probe(bytes: Buffer, name: string): Promise<Probe> {
  const folder = await mkdtemp(join(tmpdir(), 'hearthcam-'));
  try {
    const path = join(folder, name);
    await writeFile(path, bytes);
    const { stdout } = await promisify(execFile)('ffprobe', [
      ...['-v', 'error', '-select_streams', 'v', '-of', 'json', '-show_entries'],
      'stream=width,height,has_b_frames',
      path,
    ]);
    const parsed: { streams?: Probe[] } = JSON.parse(stdout);
    const found = parsed.streams?.[0];
    assert.ok(found !== undefined);
    return found;
  } finally {
    await rm(folder, { recursive: true });
  }
}

function formatOf(codec: 'h264' | 'h265', bytes: Buffer): VideoFormat {
  const assembler = new NalAssembler(codec, (problem) => assert.fail(problem.message));
  forEachAnnexBNal(bytes, (data, start, end) => assembler.add(data, start, end));
  assert.ok(assembler.format !== null);
  return assembler.format;
}

const x264 = (more: string[]): string[] => ['-c:v', 'libx264', '-preset', 'ultrafast', ...more, '-f', 'h264'];
const x265 = (more: string): string[] => ['-c:v', 'libx265', '-x265-params', `log-level=none${more}`, '-f', 'hevc'];
const rows: { name: string; size: string; args: string[]; want: string }[] = [
  { name: 'H.264 Baseline', size: '640x360', args: x264(['-profile:v', 'baseline']), want: 'avc1.42C01E' },
  {
    name: 'H.264 Main with B-frames, odd height',
    size: '1920x1080',
    args: x264(['-bf', '3', '-b_strategy', '0', '-level', '4.0']),
    want: 'avc1.4D4028',
  },
  { name: 'H.264 4:4:4', size: '322x242', args: x264(['-pix_fmt', 'yuv444p']), want: 'avc1.F4000D' },
  { name: 'H.264 interlaced', size: '720x576', args: x264(['-flags', '+ildct+ilme']), want: 'avc1.4D401E' },
  { name: 'H.265 Main', size: '1280x720', args: x265(''), want: 'hvc1.1.6.L93.90' },
  { name: 'H.265 Main 10', size: '642x482', args: ['-pix_fmt', 'yuv420p10le', ...x265('')], want: 'hvc1.2.4.L90.90' },
  { name: 'H.265 without B-frames', size: '640x360', args: x265(':bframes=0'), want: 'hvc1.1.6.L63.90' },
];
for (const row of rows) {
  test(`${row.name}: size, reordering and codec string agree with ffprobe`, async () => {
    const codec = row.args.includes('hevc') ? 'h265' : 'h264';
    const bytes = await ffmpegBytes([
      ...['-f', 'lavfi', '-i', `testsrc2=size=${row.size}:rate=25`, '-frames:v', '8', '-pix_fmt', 'yuv420p'],
      ...row.args,
    ]);
    const format = formatOf(codec, bytes);
    const wanted = await probe(bytes, `a.${codec}`);
    assert.equal(`${format.width}x${format.height}`, `${wanted.width}x${wanted.height}`);
    assert.equal(format.reorderDepth, wanted.has_b_frames);
    assert.equal(format.codecString, row.want);
    const record = codec === 'h264' ? parseAvcC(format.config) : parseHvcC(format.config);
    assert.deepEqual(record.sps, format.parameterSets.sps);
    assert.deepEqual(record.pps, format.parameterSets.pps);
  });
}

test('AV1, VP8, VP9 and JPEG formats tell size and codec string', async () => {
  const strings: Record<string, RegExp> = {
    av1: /^av01\.0\.00M\.08$/,
    vp8: /^vp08\.00\.20\.08$/,
    vp9: /^vp09\.00\.(11|20)\.08$/,
    jpeg: /^jpeg$/,
  };
  for (const codec of ['av1', 'vp8', 'vp9', 'jpeg'] as const) {
    const [unit] = await makeBitstream(codec, 1);
    const format = unit?.format;
    assert.ok(format?.kind === 'video');
    assert.equal(`${format.width}x${format.height}`, '320x240', codec);
    assert.match(format.codecString, strings[codec] ?? /never/);
  }
});

test('a byte stream and length-prefixed units hold the same NAL units', () => {
  const nals = [Buffer.from('6742c01e', 'hex'), Buffer.from('68ce', 'hex'), Buffer.from('6588840001', 'hex')];
  const stream = Buffer.concat([
    Buffer.from('ffff00000001', 'hex'),
    nals[0] ?? Buffer.alloc(0),
    Buffer.from('000001', 'hex'),
    nals[1] ?? Buffer.alloc(0),
    Buffer.from('000000000001', 'hex'),
    nals[2] ?? Buffer.alloc(0),
  ]);
  const found: string[] = [];
  forEachAnnexBNal(stream, (data, start, end) => found.push(data.subarray(start, end).toString('hex')));
  assert.deepEqual(
    found,
    nals.map((nal) => nal.toString('hex')),
  );
  const again: string[] = [];
  forEachAnnexBNal(toAnnexB(lengthPrefixed(nals)), (data, start, end) =>
    again.push(data.subarray(start, end).toString('hex')),
  );
  assert.deepEqual(again, found);
});

test('a NAL length that points past the end is an error', () => {
  assert.throws(() => forEachNal(Buffer.from('00000009aabb', 'hex'), () => {}), WireError);
  assert.throws(() => forEachNal(Buffer.from('00000001aabb', 'hex'), () => {}), WireError);
});

test('emulation prevention bytes are taken out, and only those', () => {
  assert.equal(unescapeRbsp(Buffer.from('0100000300000301', 'hex')).toString('hex'), '010000000001');
  const plain = Buffer.from('01020304', 'hex');
  assert.equal(unescapeRbsp(plain), plain);
});

test('parsers of headers answer any bytes with a value or a WireError', async () => {
  const seeds: Buffer[] = [];
  const h264 = formatOf('h264', await ffmpegBytes(['-f', 'lavfi', '-i', 'testsrc2', '-frames:v', '1', ...x264([])]));
  const h265 = formatOf('h265', await ffmpegBytes(['-f', 'lavfi', '-i', 'testsrc2', '-frames:v', '1', ...x265('')]));
  seeds.push(h264.config, h265.config, ...h264.parameterSets.sps, ...h265.parameterSets.sps);
  for (const codec of ['jpeg', 'av1'] as const) {
    const [unit] = await makeBitstream(codec, 1);
    seeds.push(unit?.data.subarray(0, 700) ?? Buffer.alloc(0));
    if (unit?.format.kind === 'video') seeds.push(unit.format.config.subarray(6));
  }
  const parsers = [parseH264Sps, parseH265Sps, parseAvcC, parseHvcC, parseJpeg, parseAv1Sequence];
  const mutated = fc
    .tuple(fc.nat(), fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { maxLength: 6 }), fc.nat({ max: 40 }))
    .map(([index, changes, cut]) => {
      const seed = seeds[index % seeds.length] ?? Buffer.alloc(0);
      const out = Buffer.from(seed.subarray(0, Math.max(0, seed.length - (cut > 20 ? cut : 0))));
      for (const [at, value] of changes) if (out.length > 0) out[at % out.length] = value;
      return out;
    });
  const wild = fc.uint8Array({ maxLength: 64 }).map((bytes) => Buffer.from(bytes));
  fc.assert(
    fc.property(fc.oneof(mutated, wild), (bytes) => {
      for (const parse of parsers) {
        try {
          parse(bytes);
        } catch (error) {
          if (!(error instanceof WireError)) throw error;
        }
      }
    }),
    { numRuns: RUNS },
  );
});
