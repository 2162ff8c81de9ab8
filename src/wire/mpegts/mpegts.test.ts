import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { WireError } from '../../core/errors.ts';
import type { AccessUnit, TrackFormat } from '../../core/media.ts';
import { readAdtsHeader } from '../aac/adts.ts';
import { makeAacFormat } from '../aac/config.ts';
import { addAnnexB, NalAssembler } from '../codecs/nal-assembler.ts';
import { opusControlHeader, splitOpusPes } from './opus.ts';
import { crc32Mpeg, readTimestamp, writeTimestamp } from './packet.ts';
import { looksLikeMpegTs, TsReader, type TsUnit } from './reader.ts';
import { parsePat, parsePmt, type TsStreamInfo } from './tables.ts';
import { TsWriter } from './writer.ts';

const run = promisify(execFile);

interface Copy {
  codec: string | null;
  pts: number | null;
  dts: number | null;
  key: boolean;
  data: Buffer;
}

function readAll(bytes: Buffer, step: number): { units: Copy[]; streams: readonly TsStreamInfo[]; reader: TsReader } {
  const units: Copy[] = [];
  let streams: readonly TsStreamInfo[] = [];
  const reader = new TsReader({
    programme: (found) => {
      streams = found;
    },
    unit: (unit: TsUnit) =>
      units.push({
        codec: unit.stream.codec,
        pts: unit.pts90k,
        dts: unit.dts90k,
        key: unit.randomAccess,
        data: Buffer.from(unit.data),
      }),
  });
  for (let at = 0; at < bytes.length; at += step) reader.push(bytes.subarray(at, at + step));
  reader.end();
  return { units, streams, reader };
}

test('the CRC of a section is that of the standard', () => {
  // A PAT as ffmpeg writes it.
  const pat = Buffer.from('00b00d0001c100000001f0002ab104b2', 'hex');
  assert.equal(crc32Mpeg(pat), 0);
  assert.deepEqual([...parsePat(pat)], [[1, 0x1000]]);
  const damaged = Buffer.from(pat);
  damaged[9] = 7;
  assert.throws(() => parsePat(damaged), WireError);
});

for (const ticks of [0, 1, 90_000, 2 ** 30 - 1, 2 ** 30, 2 ** 32 + 5, 2 ** 33 - 1]) {
  test(`the time ${ticks} is read as it was written`, () => {
    const bytes = Buffer.alloc(5);
    writeTimestamp(bytes, 0, 2, ticks);
    assert.equal(readTimestamp(bytes, 0), ticks);
  });
}

for (const bytes of [1, 254, 255, 256, 510, 1275]) {
  test(`an Opus packet of ${bytes} bytes comes back out of its PES`, () => {
    const packet = Buffer.alloc(bytes, 3);
    const pes = Buffer.concat([opusControlHeader(bytes), packet, opusControlHeader(1), Buffer.from([9])]);
    assert.deepEqual(splitOpusPes(pes), [packet, Buffer.from([9])]);
  });
}

const streamTypes = [
  { name: 'H.264', entry: '1be100f000', want: 'h264' },
  { name: 'H.265', entry: '24e100f000', want: 'h265' },
  { name: 'H.265 as private data with registration', entry: '06e100f0060504 48455643', want: 'h265' },
  { name: 'AAC in ADTS', entry: '0fe100f000', want: 'aac' },
  { name: 'AAC in LATM', entry: '11e100f000', want: 'aac' },
  { name: 'MP3', entry: '03e100f000', want: 'mp3' },
  { name: 'Opus', entry: '06e100f00a05044f7075737f028002', want: 'opus' },
  { name: 'Tapo sends A-law as 0x90', entry: '90e100f000', want: 'pcma' },
  { name: 'µ-law as 0x91', entry: '91e100f000', want: 'pcmu' },
  { name: 'subtitles are not carried', entry: '06e100f0055603 656e67', want: null },
];
for (const row of streamTypes) {
  test(`PMT: ${row.name}`, () => {
    const body = Buffer.from(`e100f000${row.entry.replaceAll(' ', '')}`, 'hex');
    const section = Buffer.concat([Buffer.from('02b0000001c10000', 'hex'), body, Buffer.alloc(4)]);
    section[2] = section.length - 3;
    section.writeUInt32BE(crc32Mpeg(section.subarray(0, -4)), section.length - 4);
    const { pcrPid, streams } = parsePmt(section);
    assert.equal(pcrPid, 0x100);
    assert.deepEqual(
      streams.map((stream) => [stream.pid, stream.codec, stream.latm]),
      [[0x100, row.want, row.entry.startsWith('11')]],
    );
  });
}

describe('a transport stream of ffmpeg', () => {
  let folder = '';
  let h264: Buffer;
  let h265: Buffer;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hc-ts-'));
    const source = ['-f', 'lavfi', '-i', 'testsrc2=s=320x240:r=25', '-f', 'lavfi', '-i', 'sine=r=44100'];
    await run('ffmpeg', [
      '-v',
      'error',
      ...source,
      '-t',
      '2',
      '-c:v',
      'libx264',
      '-bf',
      '2',
      '-g',
      '25',
      '-pix_fmt',
      'yuv420p',
      '-c:a',
      'aac',
      join(folder, 'a.ts'),
    ]);
    await run('ffmpeg', [
      '-v',
      'error',
      ...source,
      '-t',
      '1',
      '-c:v',
      'libx265',
      '-x265-params',
      'log-level=none',
      '-g',
      '10',
      '-pix_fmt',
      'yuv420p',
      '-c:a',
      'libopus',
      join(folder, 'b.ts'),
    ]);
    h264 = await readFile(join(folder, 'a.ts'));
    h265 = await readFile(join(folder, 'b.ts'));
  });
  after(() => rm(folder, { recursive: true }));

  test('is recognised', () => {
    assert.equal(looksLikeMpegTs(h264), true);
    assert.equal(looksLikeMpegTs(h264.subarray(1)), false);
  });

  for (const step of [7, 188, 5000]) {
    test(`is read whole in pieces of ${step} bytes`, () => {
      const { units, streams, reader } = readAll(h264, step);
      assert.deepEqual(
        streams.map((stream) => stream.codec),
        ['h264', 'aac'],
      );
      const video = units.filter((unit) => unit.codec === 'h264');
      assert.equal(video.length, 50);
      assert.deepEqual(
        video.map((unit, index) => (unit.key ? index : -1)).filter((index) => index >= 0),
        [0, 25],
      );
      const dts = video.map((unit) => unit.dts ?? unit.pts ?? 0);
      assert.deepEqual(
        dts.slice(1).map((value, index) => value - (dts[index] ?? 0)),
        Array.from({ length: 49 }, () => 3600),
      );
      assert.equal(reader.counters.continuityErrors, 0);
      assert.equal(reader.counters.damagedUnits, 0);
      assert.equal(reader.counters.lostSyncBytes, 0);
    });
  }

  test('H.265 and Opus are read', () => {
    const { units } = readAll(h265, 4096);
    assert.equal(units.filter((unit) => unit.codec === 'h265').length, 25);
    const packets = units.filter((unit) => unit.codec === 'opus').flatMap((unit) => splitOpusPes(unit.data));
    assert.ok(packets.length >= 50, `${packets.length} Opus packets`);
  });

  test('junk in front and in between costs the units it hits, and is counted', () => {
    const cut = 188 * 40;
    const bytes = Buffer.concat([
      Buffer.alloc(50, 0x11),
      h264.subarray(0, cut),
      Buffer.alloc(100, 0x22),
      h264.subarray(cut),
    ]);
    const { units, reader } = readAll(bytes, 1000);
    assert.equal(reader.counters.lostSyncBytes, 150);
    assert.ok(units.filter((unit) => unit.codec === 'h264').length >= 49);
  });

  test('a lost packet is counted and its picture left out', () => {
    const cut = 188 * 20;
    const { units, reader } = readAll(Buffer.concat([h264.subarray(0, cut), h264.subarray(cut + 188)]), 1000);
    assert.equal(reader.counters.continuityErrors, 1);
    assert.equal(reader.counters.damagedUnits, 1);
    assert.equal(units.filter((unit) => unit.codec === 'h264').length, 49);
  });

  test('a megabyte of something else is refused', () => {
    assert.throws(() => readAll(Buffer.alloc(1200 * 1024, 0x33), 65_536), WireError);
  });

  for (const [name, want] of [
    ['a', ['h264', 'aac']],
    ['b', ['hevc', 'opus']],
  ] as const) {
    test(`${want.join(' and ')}, taken apart and written anew, are the same to ffprobe`, async () => {
      const bytes = name === 'a' ? h264 : h265;
      const remuxed = remux(bytes, 3);
      assert.equal(readAll(remuxed, 4096).reader.counters.continuityErrors, 0);
      await writeFile(join(folder, 'out.ts'), remuxed);
      const [old, fresh] = await Promise.all([probe(join(folder, `${name}.ts`)), probe(join(folder, 'out.ts'))]);
      assert.deepEqual(
        fresh.streams.map((stream) => stream.codec_name),
        want,
      );

      for (const index of [0, 1]) {
        const one = old.packets.filter((packet) => packet.stream_index === index);
        const other = fresh.packets.filter((packet) => packet.stream_index === index);
        assert.equal(other.length, one.length);
        const shift = Number(other[0]?.pts_time) - Number(one[0]?.pts_time);
        one.forEach((packet, at) => {
          assert.ok(Math.abs(Number(other[at]?.pts_time) - Number(packet.pts_time) - shift) < 0.0005, `packet ${at}`);
        });
      }
      const decoded = await Promise.all([frames(join(folder, `${name}.ts`)), frames(join(folder, 'out.ts'))]);
      assert.equal(decoded[1], decoded[0]);
    });
  }
});

interface Probe {
  streams: { codec_name: string }[];
  packets: { stream_index: number; pts_time: string }[];
}

async function probe(file: string): Promise<Probe> {
  const args = ['-v', 'error', '-show_streams', '-show_packets', '-of', 'json', file];
  const { stdout, stderr } = await run('ffprobe', args, { maxBuffer: 64 * 1024 * 1024 });
  assert.equal(stderr, '');
  return JSON.parse(stdout);
}

/** Checksums of all decoded pictures. */
async function frames(file: string): Promise<string> {
  const args = ['-v', 'error', '-i', file, '-map', '0:v', '-f', 'framemd5', '-'];
  const { stdout } = await run('ffmpeg', args, { maxBuffer: 64 * 1024 * 1024 });
  return stdout
    .split('\n')
    .filter((line) => !line.startsWith('#'))
    .map((line) => line.split(',').at(-1))
    .join();
}

/** Reads units, writes them in bursts of `size`. */
function remux(bytes: Buffer, size: number): Buffer {
  const { units, streams } = readAll(bytes, 65_536);
  const codecs = streams.map((stream) => stream.codec ?? 'h264');
  const assembler = new NalAssembler(codecs[0] === 'h265' ? 'h265' : 'h264', () => {});
  const writer = new TsWriter(codecs.map((codec, id) => ({ id, codec, channels: 1 })));
  const all: AccessUnit[] = [];
  const push = (trackId: number, format: TrackFormat, pts: number, dts: number, key: boolean, data: Buffer): void => {
    all.push({ trackId, format, pts, dts, key, data: Buffer.from(data), wallMs: 0, arrivedMs: 0 });
  };
  for (const unit of units) {
    const pts = unit.pts ?? 0;
    if (unit.codec === 'h264' || unit.codec === 'h265') {
      addAnnexB(assembler, unit.data);
      const made = assembler.take();
      if (made !== null) push(0, made.format, pts, unit.dts ?? pts, made.key, made.data);
    } else if (unit.codec === 'aac') {
      const format = makeAacFormat(Buffer.from('1208', 'hex'));
      let samples = Math.round((pts / 90_000) * 44_100);
      for (let at = 0; at < unit.data.length; ) {
        const header = readAdtsHeader(unit.data, at);
        assert.ok(header);
        push(1, format, samples, samples, true, unit.data.subarray(at + header.headerBytes, at + header.frameBytes));
        at += header.frameBytes;
        samples += 1024;
      }
    } else if (unit.codec === 'opus') {
      const format = {
        kind: 'audio',
        codec: 'opus',
        clockRateHz: 48_000,
        sampleRateHz: 48_000,
        channels: 1,
        codecString: 'opus',
        config: Buffer.alloc(0),
      } as const;
      let samples = Math.round((pts / 90_000) * 48_000);
      for (const packet of splitOpusPes(unit.data)) {
        push(1, format, samples, samples, true, packet);
        samples += 960;
      }
    }
  }
  const out: Buffer[] = [];
  for (let at = 0; at < all.length; at += size) {
    const burst = writer.write(all.slice(at, at + size));
    if (burst !== null) out.push(burst);
  }
  return Buffer.concat(out);
}

test('times go on when their 33 bits are full, for all streams together', () => {
  const writer = new TsWriter([
    { id: 0, codec: 'aac', channels: 1 },
    { id: 1, codec: 'aac', channels: 1 },
  ]);
  const format = makeAacFormat(Buffer.from('1408', 'hex'));
  const scale = 90_000 / format.clockRateHz;
  const stamps: [number, number][] = [
    [0, 2 ** 33 - 93_600],
    [1, 2 ** 33 - 93_600],
    [0, 2 ** 33 + 93_600],
    [1, 2 ** 33 - 90_000],
    [0, 2 ** 33 + 180_000],
  ];
  const bytes = stamps.map(([trackId, ticks]) =>
    writer.write([
      {
        trackId,
        format,
        pts: ticks / scale,
        dts: ticks / scale,
        key: true,
        data: Buffer.alloc(10),
        wallMs: 0,
        arrivedMs: 0,
      },
    ]),
  );
  const { units } = readAll(Buffer.concat(bytes.map((one) => one ?? Buffer.alloc(0))), 188);
  assert.deepEqual(
    units.map((unit) => unit.pts),
    stamps.map(([, ticks]) => ticks + 90_000),
  );
});

test('a codec that a transport stream does not carry is refused', () => {
  assert.throws(() => new TsWriter([{ id: 0, codec: 'vp8', channels: 0 }]), WireError);
  assert.throws(() => new TsWriter([]), WireError);
});
