import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { WireError } from '../../core/errors.ts';
import { BitReader, BitWriter } from '../codecs/bits.ts';
import { createDepacketizer, type DepacketizedUnit, type MediaProblem } from '../codecs/depacketizer.ts';
import { adtsConfig, adtsHeaderMaker, readAdtsHeader } from './adts.ts';
import { buildAudioSpecificConfig, makeAacFormat, parseAudioSpecificConfig } from './config.ts';
import { readAudioMuxElement, readLoasHeader, readStreamMuxConfig } from './latm.ts';

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 300);
const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');

const configs = [
  { name: 'AAC-LC 16 kHz mono', hex: '1408', want: { objectType: 2, sampleRateHz: 16_000, channels: 1, sbr: null } },
  { name: 'AAC-LC 44.1 kHz stereo', hex: '1210', want: { sampleRateHz: 44_100, channels: 2, frameSamples: 1024 } },
  {
    name: 'HE-AAC, explicit',
    hex: '2b 92 08 00',
    want: { objectType: 2, sampleRateHz: 22_050, channels: 2, sbr: { sampleRateHz: 44_100, ps: false } },
  },
  {
    name: 'HE-AAC, backward compatible',
    hex: '13 90 56 e5 a0',
    want: { objectType: 2, sampleRateHz: 22_050, sbr: { sampleRateHz: 44_100, ps: false } },
  },
  {
    name: 'HE-AAC v2, backward compatible',
    hex: '13 88 56 e5 a5 48 80',
    want: { sampleRateHz: 22_050, channels: 1, sbr: { sampleRateHz: 44_100, ps: true } },
  },
  { name: '960 samples a frame', hex: '140c', want: { frameSamples: 960 } },
  { name: 'AAC-ELD', hex: 'f8f02000', want: { objectType: 39, sampleRateHz: 16_000, frameSamples: 512 } },
  { name: 'a rate of its own', hex: '17 80 1f 40 08', want: { sampleRateHz: 16_000, channels: 1 } },
];
for (const row of configs) {
  test(`AudioSpecificConfig: ${row.name}`, () => {
    const parsed: Record<string, unknown> = { ...parseAudioSpecificConfig(hex(row.hex)) };
    for (const [key, value] of Object.entries(row.want)) assert.deepEqual(parsed[key], value, key);
  });
}

test('a config that is built is read back', () => {
  for (const rate of [8000, 16_000, 44_100, 48_000, 12_345]) {
    for (const channels of [1, 2, 6, 8]) {
      const parsed = parseAudioSpecificConfig(buildAudioSpecificConfig(rate, channels));
      assert.equal(parsed.sampleRateHz, rate);
      assert.equal(parsed.channels, channels);
    }
  }
  assert.throws(() => buildAudioSpecificConfig(48_000, 7), WireError);
});

test('the codec string tells LC from HE-AAC', () => {
  assert.equal(makeAacFormat(hex('1408')).codecString, 'mp4a.40.2');
  assert.equal(makeAacFormat(hex('2b920800')).codecString, 'mp4a.40.5');
  assert.equal(makeAacFormat(hex('13885 6e5a54880')).codecString, 'mp4a.40.29');
});

test('an ADTS header says what the config says, and back', () => {
  for (const config of [hex('1408'), hex('1210'), hex('1590')]) {
    const header = readAdtsHeader(adtsHeaderMaker(config)(500));
    assert.ok(header !== null);
    assert.equal(header.frameBytes, 507);
    assert.deepEqual(adtsConfig(header), config);
  }
  assert.equal(readAdtsHeader(hex('fff34c8015bffc')), null, 'the layer bits of MP3');
});

interface Row {
  name: string;
  fmtp: Record<string, string>;
  clockRateHz?: number;
  encoding?: string;
  packets: [payload: string, marker: boolean, ticks: number, lost?: boolean][];
  want: string[];
  problems?: string[];
}
const HBR = { mode: 'AAC-hbr', sizelength: '13', indexlength: '3', indexdeltalength: '3', config: '1408' };
const rows: Row[] = [
  { name: 'one frame', fmtp: HBR, packets: [['0010 0018 aabbcc', true, 0]], want: ['0 aabbcc'] },
  {
    name: 'three frames in a packet',
    fmtp: HBR,
    packets: [['0030 0018 0010 0008 aabbcc ddee ff', true, 5000]],
    want: ['5000 aabbcc', '6024 ddee', '7048 ff'],
  },
  {
    name: 'header lengths left out of the SDP are those of the mode',
    fmtp: { config: '1408' },
    packets: [['0010 0018 aabbcc', true, 0]],
    want: ['0 aabbcc'],
  },
  {
    name: 'no config: AAC-LC at the rate of the rtpmap',
    fmtp: { ...HBR, config: '' },
    packets: [['0010 0018 aabbcc', true, 0]],
    want: ['0 aabbcc'],
  },
  {
    name: 'a frame in two fragments',
    fmtp: HBR,
    packets: [
      ['0010 0030 aabbcc', false, 0],
      ['0010 0030 ddeeff', true, 0],
      ['0010 0010 1122', true, 1024],
    ],
    want: ['0 aabbccddeeff', '1024 1122'],
  },
  {
    name: 'a lost fragment loses one frame',
    fmtp: HBR,
    packets: [
      ['0010 0048 aabbcc', false, 0],
      ['0010 0048 ddeeff', true, 0, true],
      ['0010 0010 1122', true, 1024],
    ],
    want: ['1024 1122'],
    problems: ['rtp.damaged'],
  },
  {
    name: 'an ADTS header on each frame is taken off',
    fmtp: HBR,
    packets: [['0010 0048 fff16040013ffc aabb', true, 0]],
    want: ['0 aabb'],
  },
  {
    name: 'low bit rate mode',
    fmtp: { mode: 'AAC-lbr', sizelength: '6', indexlength: '2', indexdeltalength: '2', config: '1408' },
    packets: [['0010 0c 08 aabbcc ddee', true, 0]],
    want: ['0 aabbcc', '1024 ddee'],
  },
  {
    name: 'constant size without headers',
    fmtp: { mode: 'generic', constantsize: '3', config: '1408' },
    packets: [['aabbcc ddeeff', true, 0]],
    want: ['0 aabbcc', '1024 ddeeff'],
  },
  {
    name: 'headers longer than the packet',
    fmtp: HBR,
    packets: [['ffff 0018', true, 0]],
    want: [],
    problems: ['aac.headers'],
  },
  {
    name: 'an rtpmap of 8 kHz over time stamps of 16 kHz (wrong rate) is seen and corrected',
    fmtp: HBR,
    clockRateHz: 8000,
    packets: Array.from({ length: 7 }, (_, index): [string, boolean, number] => ['0010 0008 aa', true, index * 1024]),
    want: ['0 aa', '1024 aa', '2048 aa', '3072 aa', '2048 aa', '2560 aa', '3072 aa'],
  },
  {
    name: 'LATM with the config in the SDP',
    encoding: 'MP4A-LATM',
    fmtp: { cpresent: '0', config: '400028103fc0' },
    packets: [['03aabbcc', true, 0]],
    want: ['0 aabbcc'],
  },
  {
    name: 'LATM in two packets',
    encoding: 'MP4A-LATM',
    fmtp: { cpresent: '0', config: '400028103fc0' },
    packets: [
      ['06aabb', false, 0],
      ['ccddeeff', true, 0],
    ],
    want: ['0 aabbccddeeff'],
  },
];
for (const row of rows) {
  test(`AAC over RTP: ${row.name}`, () => {
    const units: DepacketizedUnit[] = [];
    const problems: MediaProblem[] = [];
    const depacketizer = createDepacketizer(
      {
        codec: 'aac',
        clockRateHz: row.clockRateHz ?? 16_000,
        channels: 1,
        fmtp: new Map(Object.entries(row.fmtp)),
        payloadType: 97,
        ...(row.encoding === undefined ? {} : { encoding: row.encoding }),
      },
      (unit) => units.push(unit),
      (problem) => problems.push(problem),
    );
    for (const [payload, marker, ticks, lost] of row.packets) {
      depacketizer.push(hex(payload), marker, ticks, lost ?? false);
    }
    assert.deepEqual(
      units.map((unit) => `${unit.ticks} ${unit.data.toString('hex')}`),
      row.want,
    );
    assert.deepEqual(
      problems.map((problem) => problem.code),
      row.problems ?? [],
    );
    const { format } = depacketizer;
    assert.ok(format?.kind === 'audio');
    assert.equal(format.clockRateHz, row.clockRateHz ?? 16_000, 'ticks count the clock of the SDP');
  });
}

test('LATM in band: the config of the element counts and is given without its padding', () => {
  const bits = new BitWriter().u(0, 1).u(0, 1).u(1, 1).u(0, 6).u(0, 4).u(0, 3).u(0x1408, 16).u(0, 3).u(0xff, 8);
  const element = bits.u(0, 2).u(3, 8).u(0xaa, 8).u(0xbb, 8).u(0xcc, 8).finish();
  const { config, frames } = readAudioMuxElement(element, null, true);
  assert.equal(config?.config.toString('hex'), '1408');
  assert.deepEqual(
    frames.map((frame) => frame.toString('hex')),
    ['aabbcc'],
  );
  assert.deepEqual(readLoasHeader(hex('56e012')), { elementBytes: 18 });
  assert.equal(readLoasHeader(hex('56c012')), null);
});

test('no bytes make the AAC parsers throw anything but a WireError', () => {
  const guard = (work: () => unknown): void => {
    try {
      work();
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
    }
  };
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (raw) => {
      const bytes = Buffer.from(raw);
      guard(() => parseAudioSpecificConfig(bytes));
      guard(() => makeAacFormat(bytes));
      guard(() => readStreamMuxConfig(new BitReader(bytes, 'test')));
      guard(() => readAudioMuxElement(bytes, null, true));
      readAdtsHeader(bytes);
      readLoasHeader(bytes);
    }),
    { numRuns: RUNS },
  );
});
