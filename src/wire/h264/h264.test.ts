import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WireError } from '../../core/errors.ts';
import { BitWriter } from '../codecs/bits.ts';
import type { DepacketizedUnit, MediaProblem } from '../codecs/depacketizer.ts';
import { createDepacketizer } from '../codecs/depacketizer.ts';
import { makeH264Format, parseAvcC } from './format.ts';
import { parseH264Sps } from './sps.ts';

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');

const PPS = hex('68ee3c80');
/** x264, Baseline 3.0, 640x480. */
const SPS_BASELINE = hex('6742c01eda0280f6840000030004000003000a3c58ba80');
/** x264, High 4.0, 1920x1080 with cropping and two B-frames. */
const SPS_HIGH = hex('67640028acd940780227e5c044000003000400000300c83c60c658');

const spsRows = [
  { name: 'x264 Baseline', sps: SPS_BASELINE, want: { width: 640, height: 480, reorderFrames: 0, profileIdc: 66 } },
  { name: 'x264 High 1080p, cropped', sps: SPS_HIGH, want: { width: 1920, height: 1080, reorderFrames: 2 } },
  {
    name: 'VUI cut off: size is right, reordering unknown',
    sps: SPS_HIGH.subarray(0, 14),
    want: { width: 1920, height: 1080, reorderFrames: null },
  },
];
for (const row of spsRows) {
  test(`SPS: ${row.name}`, () => {
    const sps: Record<string, unknown> = { ...parseH264Sps(row.sps) };
    for (const [key, value] of Object.entries(row.want)) assert.equal(sps[key], value, key);
  });
}

test('an SPS with an impossible picture size is an error that shows it', () => {
  const bits = new BitWriter().u(0x67, 8).u(66, 8).u(0, 8).u(30, 8).u(1, 1).u(1, 1).u(1, 1).u(1, 1);
  bits.u(2, 3).u(0, 1).u(0, 15).u(0x8000, 16).u(0, 15).u(0x8000, 16);
  assert.throws(() => parseH264Sps(bits.finish()), WireError);
});

test('the format has RFC 6381 string, avcC and size', () => {
  const format = makeH264Format({ sps: [SPS_HIGH], pps: [PPS] });
  assert.equal(format.codecString, 'avc1.640028');
  assert.equal(`${format.width}x${format.height}`, '1920x1080');
  assert.equal(format.reorderDepth, 2);
  const config = parseAvcC(format.config);
  assert.deepEqual(config.sps, [SPS_HIGH]);
  assert.deepEqual(config.pps, [PPS]);
  assert.equal(config.lengthBytes, 4);
});

const IDR = hex('65 88 84 00 aa bb cc');
const P = hex('41 9a 22 00 11 22 33');
/** Second slice of a picture: first_mb_in_slice = 7. */
const IDR_SLICE2 = hex('65 08 22 33');
const SEI = hex('06 05 01 aa 80');
const RECOVERY = hex('06 06 01 c4 80');
/** I slice that is not IDR: first_mb 0, slice_type 7. */
const I_SLICE = hex('41 88 84 00 01 02 03');

interface Packet {
  payload: Buffer;
  marker?: boolean;
  ticks: number;
  lost?: boolean;
}
const fua = (nal: Buffer, from: number, to: number, flags: number): Buffer =>
  Buffer.concat([Buffer.from([((nal[0] ?? 0) & 0xe0) | 28, flags | ((nal[0] ?? 0) & 0x1f)]), nal.subarray(from, to)]);
const stapA = (...nals: Buffer[]): Buffer =>
  Buffer.concat([hex('78'), ...nals.flatMap((nal) => [Buffer.from([nal.length >> 8, nal.length & 255]), nal])]);
const sprop = `${SPS_BASELINE.toString('base64')},${PPS.toString('base64')}`;

function run(packets: Packet[], fmtp: Record<string, string> = { 'sprop-parameter-sets': sprop }) {
  const units: DepacketizedUnit[] = [];
  const problems: MediaProblem[] = [];
  const depacketizer = createDepacketizer(
    { codec: 'h264', clockRateHz: 90_000, channels: 0, fmtp: new Map(Object.entries(fmtp)), payloadType: 96 },
    (unit) => units.push(unit),
    (problem) => problems.push(problem),
  );
  for (const { payload, marker, ticks, lost } of packets) {
    const shared = Buffer.from(payload);
    depacketizer.push(shared, marker ?? false, ticks, lost ?? false);
    shared.fill(0xee);
  }
  return { units, problems, depacketizer };
}
const lp = (...nals: Buffer[]): string =>
  Buffer.concat(
    nals.flatMap((nal) => {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(nal.length);
      return [length, nal];
    }),
  ).toString('hex');
const IN_BAND: Packet[] = [{ payload: stapA(SPS_BASELINE, PPS), ticks: 0 }];

const rows: { name: string; packets: Packet[]; fmtp?: Record<string, string>; want: string[]; problems?: string[] }[] =
  [
    {
      name: 'single NAL units, ended by the marker',
      packets: [
        { payload: IDR, marker: true, ticks: 0 },
        { payload: P, marker: true, ticks: 3000 },
      ],
      want: [`0 key ${lp(IDR)}`, `3000 ${lp(P)}`],
    },
    {
      name: 'parameter sets only in band, in a STAP-A with SEI and picture',
      packets: [{ payload: stapA(SPS_BASELINE, PPS, SEI, IDR), marker: true, ticks: 0 }],
      fmtp: {},
      want: [`0 key ${lp(SEI, IDR)}`],
    },
    {
      name: 'nothing is delivered while there is no parameter set',
      packets: [{ payload: IDR, marker: true, ticks: 0 }],
      fmtp: {},
      want: [],
    },
    {
      name: 'a broken sprop-parameter-sets is no obstacle',
      packets: [...IN_BAND, { payload: IDR, marker: true, ticks: 0 }],
      fmtp: { 'sprop-parameter-sets': 'Z0IA,,!!,aM48gA==' },
      want: [`0 key ${lp(IDR)}`],
      problems: ['h264.sps'],
    },
    {
      name: 'FU-A in three parts',
      packets: [
        { payload: fua(IDR, 1, 3, 0x80), ticks: 0 },
        { payload: fua(IDR, 3, 5, 0), ticks: 0 },
        { payload: fua(IDR, 5, 7, 0x40), marker: true, ticks: 0 },
      ],
      want: [`0 key ${lp(IDR)}`],
    },
    {
      name: 'FU-A with start and end in one packet (CostarHD) is a whole NAL unit',
      packets: [{ payload: fua(IDR, 1, 7, 0xc0), marker: true, ticks: 0 }],
      want: [`0 key ${lp(IDR)}`],
    },
    {
      name: 'marker on SPS, PPS and SEI ends nothing',
      packets: [
        { payload: SPS_BASELINE, marker: true, ticks: 0 },
        { payload: PPS, marker: true, ticks: 0 },
        { payload: SEI, marker: true, ticks: 0 },
        { payload: IDR, marker: true, ticks: 0 },
      ],
      fmtp: {},
      want: [`0 key ${lp(SEI, IDR)}`],
    },
    {
      name: 'SEI with a time stamp of its own belongs to the picture behind',
      packets: [
        { payload: SEI, ticks: 2900 },
        { payload: IDR, marker: true, ticks: 3000 },
      ],
      want: [`3000 key ${lp(SEI, IDR)}`],
    },
    {
      name: 'a camera that never sets the marker: the time stamp ends pictures',
      packets: [
        { payload: IDR, ticks: 0 },
        { payload: P, ticks: 3000 },
        { payload: P, ticks: 6000 },
      ],
      want: [`0 key ${lp(IDR)}`, `3000 ${lp(P)}`],
    },
    {
      name: 'a camera that sets the marker on every slice is found out',
      packets: [
        { payload: IDR, marker: true, ticks: 0 },
        { payload: IDR_SLICE2, marker: true, ticks: 0 },
        { payload: IDR, marker: true, ticks: 3000 },
        { payload: IDR_SLICE2, marker: true, ticks: 3000 },
        { payload: P, marker: true, ticks: 6000 },
      ],
      want: [`0 key ${lp(IDR)}`, `3000 key ${lp(IDR, IDR_SLICE2)}`],
      problems: ['rtp.marker', 'rtp.damaged'],
    },
    {
      name: 'a lost middle fragment drops the picture, the next one is delivered',
      packets: [
        { payload: P, marker: true, ticks: 0 },
        { payload: fua(IDR, 1, 3, 0x80), ticks: 3000 },
        { payload: fua(IDR, 5, 7, 0x40), marker: true, ticks: 3000, lost: true },
        { payload: P, marker: true, ticks: 6000 },
      ],
      want: [`0 ${lp(P)}`, `6000 ${lp(P)}`],
      problems: ['rtp.damaged'],
    },
    {
      name: 'a lost first fragment drops the picture',
      packets: [
        { payload: P, marker: true, ticks: 0 },
        { payload: fua(IDR, 3, 7, 0x40), marker: true, ticks: 3000, lost: true },
        { payload: P, marker: true, ticks: 6000 },
      ],
      want: [`0 ${lp(P)}`, `6000 ${lp(P)}`],
      problems: ['rtp.damaged'],
    },
    {
      name: 'a lost first slice drops the picture',
      packets: [
        { payload: P, marker: true, ticks: 0 },
        { payload: IDR_SLICE2, marker: true, ticks: 3000, lost: true },
        { payload: P, marker: true, ticks: 6000 },
      ],
      want: [`0 ${lp(P)}`, `6000 ${lp(P)}`],
      problems: ['rtp.damaged'],
    },
    {
      name: 'a lost end drops one picture only',
      packets: [
        { payload: P, marker: true, ticks: 0 },
        { payload: fua(IDR, 1, 3, 0x80), ticks: 3000 },
        { payload: P, marker: true, ticks: 6000, lost: true },
      ],
      want: [`0 ${lp(P)}`, `6000 ${lp(P)}`],
      problems: ['rtp.damaged'],
    },
    {
      name: 'a whole picture lost between two good ones',
      packets: [
        { payload: P, marker: true, ticks: 0 },
        { payload: P, marker: true, ticks: 6000, lost: true },
      ],
      want: [`0 ${lp(P)}`, `6000 ${lp(P)}`],
    },
    {
      name: 'joining in the middle of a picture is no problem to report',
      packets: [
        { payload: fua(IDR, 3, 7, 0x40), marker: true, ticks: 0 },
        { payload: P, marker: true, ticks: 3000 },
      ],
      want: [`3000 ${lp(P)}`],
    },
    {
      name: 'a picture of I slices behind an exact recovery point is a key frame',
      packets: [
        { payload: RECOVERY, ticks: 0 },
        { payload: I_SLICE, marker: true, ticks: 0 },
        { payload: I_SLICE, marker: true, ticks: 3000 },
      ],
      want: [`0 key ${lp(RECOVERY, I_SLICE)}`, `3000 ${lp(I_SLICE)}`],
    },
    {
      name: 'SPS, PPS and picture in one NAL unit with start codes (AlexxIT/WebRTC#391)',
      packets: [
        {
          payload: Buffer.concat([SPS_BASELINE, hex('00000001'), PPS, hex('000001'), IDR]),
          marker: true,
          ticks: 0,
        },
      ],
      fmtp: {},
      want: [`0 key ${lp(IDR)}`],
    },
    {
      name: 'access unit delimiters are taken out',
      packets: [
        { payload: hex('09f0'), ticks: 0 },
        { payload: IDR, marker: true, ticks: 0 },
      ],
      want: [`0 key ${lp(IDR)}`],
    },
    {
      name: 'interleaved mode is named',
      packets: [
        { payload: hex('7a 0000 0007 00 0000 65888400'), marker: true, ticks: 0 },
        { payload: P, marker: true, ticks: 3000 },
      ],
      want: [`3000 ${lp(P)}`],
      problems: ['h264.mtap'],
    },
    {
      name: 'STAP-A with a size beyond its end drops the picture',
      packets: [
        { payload: P, marker: true, ticks: 0 },
        { payload: hex('78 0050 4188'), marker: true, ticks: 3000 },
      ],
      want: [`0 ${lp(P)}`],
      problems: ['nal.aggregate', 'rtp.damaged'],
    },
  ];
for (const row of rows) {
  test(`H.264 over RTP: ${row.name}`, () => {
    const { units, problems } = run(row.packets, row.fmtp);
    assert.deepEqual(
      units.map((unit) => `${unit.ticks}${unit.key ? ' key' : ''} ${unit.data.toString('hex')}`),
      row.want,
    );
    assert.deepEqual(
      problems.map((problem) => problem.code),
      row.problems ?? [],
    );
  });
}

test('bytes behind the trailing bits of a slice are kept', () => {
  const stamped = Buffer.concat([P, Buffer.alloc(32, 0x5a), hex('000001')]);
  const { units } = run([{ payload: stamped, marker: true, ticks: 0 }]);
  assert.equal(units[0]?.data.toString('hex'), lp(stamped));
});

test('the format is one object until bytes of a parameter set change', () => {
  const { units } = run([
    { payload: stapA(SPS_BASELINE, PPS, IDR), marker: true, ticks: 0 },
    { payload: stapA(SPS_BASELINE, PPS, IDR), marker: true, ticks: 3000 },
    { payload: stapA(SPS_HIGH, PPS, IDR), marker: true, ticks: 6000 },
  ]);
  assert.equal(units[0]?.format, units[1]?.format);
  assert.notEqual(units[1]?.format, units[2]?.format);
  const last = units[2]?.format;
  assert.equal(last?.kind === 'video' ? last.width : 0, 1920);
});

test('reordering that the SPS does not announce is learnt from time stamps that go back', () => {
  const { units } = run([0, 9000, 3000, 6000, 12000].map((ticks) => ({ payload: P, marker: true, ticks })));
  const depths = units.map((unit) => (unit.format.kind === 'video' ? unit.format.reorderDepth : -1));
  assert.deepEqual(depths, [0, 0, 1, 1, 1]);
});

test('the format is known from the SDP before the first packet', () => {
  assert.equal(run([]).depacketizer.format?.codecString, 'avc1.42C01E');
});
