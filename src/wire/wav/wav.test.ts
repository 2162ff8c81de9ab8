import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { WireError } from '../../core/errors.ts';
import { parseWavHeader } from './header.ts';

function wav(tag: number, channels: number, rateHz: number, bits: number, extra = Buffer.alloc(0)): Buffer {
  const out = Buffer.alloc(44);
  out.write('RIFF', 0, 'latin1');
  out.write('WAVEfmt ', 8, 'latin1');
  out.writeUInt32LE(16, 16);
  out.writeUInt16LE(tag, 20);
  out.writeUInt16LE(channels, 22);
  out.writeUInt32LE(rateHz, 24);
  out.writeUInt16LE(bits, 34);
  out.write('data', 36, 'latin1');
  out.writeUInt32LE(0xffff_ffff, 40);
  return Buffer.concat([out.subarray(0, 36), extra, out.subarray(36)]);
}

const list = Buffer.from('LIST\x03\0\0\0abc\0', 'latin1');
const rows = [
  { name: 'A-law', bytes: wav(6, 1, 8_000, 8), want: { codec: 'pcma', sampleRateHz: 8_000, channels: 1, dataAt: 44 } },
  {
    name: 'µ-law',
    bytes: wav(7, 2, 16_000, 8),
    want: { codec: 'pcmu', sampleRateHz: 16_000, channels: 2, dataAt: 44 },
  },
  { name: 'PCM', bytes: wav(1, 1, 48_000, 16), want: { codec: 'l16', sampleRateHz: 48_000, channels: 1, dataAt: 44 } },
  {
    name: 'a chunk of odd size in between',
    bytes: wav(6, 1, 8_000, 8, list),
    want: { codec: 'pcma', sampleRateHz: 8_000, channels: 1, dataAt: 56 },
  },
  { name: 'not all there yet', bytes: wav(6, 1, 8_000, 8).subarray(0, 30), want: null },
];
for (const row of rows) test(`WAV: ${row.name}`, () => assert.deepEqual(parseWavHeader(row.bytes), row.want));

for (const [name, bytes] of [
  ['a text', Buffer.from('hello world, this is not sound')],
  ['32-bit float', wav(3, 1, 8_000, 32)],
  ['no channel', wav(1, 0, 8_000, 16)],
] as const) {
  test(`WAV: ${name} is refused`, () => assert.throws(() => parseWavHeader(bytes), WireError));
}

test('WAV: changed bytes give a header, nothing, or a WireError', () => {
  const seed = wav(1, 1, 48_000, 16, list);
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(seed.length - 1), fc.nat(255))), fc.nat(seed.length), (changes, length) => {
      const bytes = Buffer.from(seed);
      for (const [at, value] of changes) bytes[at] = value;
      try {
        parseWavHeader(bytes.subarray(0, length));
      } catch (error) {
        if (!(error instanceof WireError)) throw error;
      }
    }),
    { numRuns: Number(process.env['FUZZ_RUNS'] ?? 300) },
  );
});
