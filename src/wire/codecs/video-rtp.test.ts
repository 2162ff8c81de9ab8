import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeBitstream } from '../../../testkit/bitstreams.ts';
import { parseRtpMedia, sendThrough } from '../../../testkit/rtp-packets.ts';
import type { Codec } from '../../core/media.ts';
import { buildJpegHeaders, parseJpeg } from '../jpeg/jpeg.ts';
import { quantTables } from '../jpeg/tables.ts';
import { vp8DescriptorBytes } from '../vp8/depacketizer.ts';
import { vp9DescriptorBytes } from '../vp9/depacketizer.ts';
import { createDepacketizer, type DepacketizedUnit, type MediaProblem } from './depacketizer.ts';

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');

function run(
  codec: Codec,
  packets: readonly (readonly [payload: Buffer, marker: boolean, ticks: number, lost?: boolean])[],
  fmtp: Record<string, string> = {},
) {
  const units: DepacketizedUnit[] = [];
  const problems: MediaProblem[] = [];
  const depacketizer = createDepacketizer(
    parseRtpMedia(codec, fmtp),
    (unit) => units.push(unit),
    (problem) => problems.push(problem),
  );
  for (const [payload, marker, ticks, lost] of packets) depacketizer.push(payload, marker, ticks, lost ?? false);
  return { units, problems: problems.map((problem) => problem.code) };
}

// x265, Main, 320x240.
async function h265Sets(): Promise<{ vps: Buffer; sps: Buffer; pps: Buffer }> {
  const format = (await makeBitstream('h265', 1))[0]?.format;
  assert.ok(format?.kind === 'video');
  const { vps, sps, pps } = format.parameterSets;
  assert.ok(vps[0] !== undefined && sps[0] !== undefined && pps[0] !== undefined);
  return { vps: vps[0], sps: sps[0], pps: pps[0] };
}
const sprops = (sets: { vps: Buffer; sps: Buffer; pps: Buffer }): Record<string, string> => ({
  'sprop-vps': sets.vps.toString('base64'),
  'sprop-sps': sets.sps.toString('base64'),
  'sprop-pps': sets.pps.toString('base64'),
});
/** IDR_W_RADL (type 19), first slice; TRAIL_R (type 1). */
const IDR = hex('2601 af11 2233');
const TRAIL = hex('0201 d044 5566');

test('H.265: AP, FU and single NAL units; IRAP pictures are key frames', async () => {
  const sets = sprops(await h265Sets());
  const { units, problems } = run(
    'h265',
    [
      [hex('6001 0004 4e01 05ff 0006 2601 af11 2233'), true, 0],
      [hex('6201 81 d044'), false, 3000],
      [hex('6201 41 5566'), true, 3000],
      [TRAIL, true, 6000],
    ],
    sets,
  );
  assert.deepEqual(
    units.map((unit) => `${unit.key} ${unit.data.toString('hex')}`),
    [
      'true 000000044e0105ff000000062601af112233',
      `false 00000006${TRAIL.toString('hex')}`,
      `false 00000006${TRAIL.toString('hex')}`,
    ],
  );
  assert.deepEqual(problems, []);
});

test('H.265: decoding order numbers are skipped where the SDP announces them', async () => {
  const sets = { ...sprops(await h265Sets()), 'sprop-max-don-diff': '2' };
  const { units } = run(
    'h265',
    [
      [hex('6001 0007 0004 4e01 05ff 01 0006 2601 af11 2233'), true, 0],
      [hex('6201 81 0009 d044'), false, 3000],
      [hex('6201 41 5566'), true, 3000],
      [hex('0201 0010 d044 5566'), true, 6000],
    ],
    sets,
  );
  assert.deepEqual(
    units.map((unit) => unit.data.toString('hex')),
    ['000000044e0105ff000000062601af112233', `00000006${TRAIL.toString('hex')}`, `00000006${TRAIL.toString('hex')}`],
  );
});

test('H.265: without parameter sets nothing is delivered, in band they count', async () => {
  const { vps, sps, pps } = await h265Sets();
  const { units } = run('h265', [
    [IDR, true, 0],
    [vps, true, 3000],
    [sps, true, 3000],
    [pps, true, 3000],
    [IDR, true, 3000],
  ]);
  assert.deepEqual(
    units.map((unit) => [unit.ticks, unit.format.codecString.startsWith('hvc1.1.')]),
    [[3000, true]],
  );
});

const JPEG_HEAD = '00 000000 01 32 28 1e';
test('JPEG: a Q of 1…99 stands for the tables of RFC 2435, restart intervals are kept, an EOI is added', () => {
  const { units } = run('jpeg', [
    [hex(`${JPEG_HEAD} aabbcc`), false, 0],
    [hex('00 000003 01 32 28 1e ddee'), true, 0],
    [hex('00 000000 41 0a 28 1e 0004 ffff aabbffd9'), true, 3000],
  ]);
  const [first, second] = units.map((unit) => parseJpeg(unit.data));
  assert.equal(`${first?.width}x${first?.height}`, '320x240');
  assert.ok(first?.quantTables[0]?.equals(quantTables(50).subarray(0, 64)));
  assert.equal(first?.components[0]?.sampling, 0x22);
  assert.equal(units[0]?.data.subarray(first?.scanStart, first?.scanEnd).toString('hex'), 'aabbccddee');
  assert.equal(second?.restartInterval, 4);
  assert.equal(units[1]?.data.subarray(-4).toString('hex'), 'aabbffd9');
});

test('JPEG: tables that came once hold for their Q, unknown ones are a problem', () => {
  const tables = '0000 0080'.padEnd(8) + '07'.repeat(128);
  const { units, problems } = run('jpeg', [
    [hex('00 000000 00 80 28 1e 0000 0000 aa'), true, 0],
    [hex(`00 000000 00 80 28 1e ${tables} bb`), true, 3000],
    [hex('00 000000 00 80 28 1e 0000 0000 cc'), true, 6000],
  ]);
  assert.deepEqual(
    units.map((unit) => [
      unit.ticks,
      parseJpeg(unit.data).quantTables[0]?.[5],
      parseJpeg(unit.data).components[0]?.sampling,
    ]),
    [
      [3000, 7, 0x21],
      [6000, 7, 0x21],
    ],
  );
  assert.ok(problems.includes('jpeg.tables'));
});

test('JPEG: a file with restart markers goes through RTP, one with other Huffman tables can not', async () => {
  const [unit] = await makeBitstream('jpeg', 1);
  assert.ok(unit !== undefined);
  const info = parseJpeg(unit.data);
  const tables = Buffer.concat([info.quantTables[0] ?? hex(''), info.quantTables[0] ?? hex('')]);
  const scan = unit.data.subarray(info.scanStart);
  const restarting = Buffer.concat([buildJpegHeaders(320, 240, 0x22, tables, 9), scan]);
  const [out] = sendThrough([{ ...unit, data: restarting }], 1400);
  assert.ok(out?.data.equals(restarting));
  const other = Buffer.from(restarting);
  const huffman = other.indexOf(hex('ffc4'));
  other[huffman + 25] = (other[huffman + 25] ?? 0) ^ 1;
  assert.deepEqual(sendThrough([{ ...unit, data: other }], 1400), []);
});

const descriptors: [name: string, read: (payload: Buffer) => number, payload: string, want: number][] = [
  ['VP8 without extension', vp8DescriptorBytes, '10 aa', 1],
  ['VP8 with 15-bit picture id, TL0PICIDX, TID', vp8DescriptorBytes, '90 f0 8123 01 20 aa', 6],
  ['VP8 with 7-bit picture id', vp8DescriptorBytes, '90 80 11 aa', 3],
  ['VP9 with 15-bit picture id (Chromium)', vp9DescriptorBytes, '8c 8123 aa', 3],
  ['VP9 with layers', vp9DescriptorBytes, 'ac 8123 00 05 aa', 5],
  ['VP9 flexible mode with two references', vp9DescriptorBytes, 'dc 8123 03 04 aa', 5],
  ['VP9 with scalability structure', vp9DescriptorBytes, '8a 8123 18 0280 01e0 01 04 02 aa', 11],
];
for (const [name, read, payload, want] of descriptors) {
  test(`payload descriptor: ${name}`, () => assert.equal(read(hex(payload)), want));
}

test('AV1: several OBUs in a packet, with and without counts, and one that goes on in the next packet', async () => {
  const [unit] = await makeBitstream('av1', 1);
  assert.ok(unit?.format.kind === 'video');
  // av1C carries the sequence header with its size field: header, size, payload.
  const sequence = Buffer.concat([hex('08'), unit.format.config.subarray(6)]);
  const size = Buffer.from([sequence.length]);
  const frame = hex('30 10 22 33 44');
  const expected = (data: Buffer): string => data.toString('hex').slice(-10);
  const { units } = run('av1', [
    [Buffer.concat([hex('08'), size, sequence, hex('05'), frame]), true, 0],
    [Buffer.concat([hex('28'), size, sequence, frame]), true, 3000],
    [Buffer.concat([hex('60'), size, sequence, frame.subarray(0, 3)]), false, 6000],
    [Buffer.concat([hex('90'), frame.subarray(3)]), true, 6000],
  ]);
  assert.deepEqual(
    units.map((one) => [one.ticks, one.key, expected(one.data)]),
    [0, 3000, 6000].map((ticks) => [ticks, true, '0010223344']),
  );
});
