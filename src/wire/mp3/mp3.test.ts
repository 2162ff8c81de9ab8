import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { readMp3Header } from './frame.ts';

const rows = [
  { name: 'MPEG-1 layer 3, 128 kb/s, 44.1 kHz', bytes: 'fffb9000', want: [417, 1152, 44_100, 2, 3] },
  { name: 'with padding', bytes: 'fffb9200', want: [418, 1152, 44_100, 2, 3] },
  { name: 'MPEG-2 layer 3, 64 kb/s, 22.05 kHz, mono', bytes: 'fff380c0', want: [208, 576, 22_050, 1, 3] },
  { name: 'MPEG-2.5 layer 3, 8 kb/s, 8 kHz, mono', bytes: 'ffe318c0', want: [72, 576, 8_000, 1, 3] },
  { name: 'MPEG-1 layer 2, 192 kb/s, 48 kHz', bytes: 'fffda400', want: [576, 1152, 48_000, 2, 2] },
  { name: 'AAC in ADTS is no MP3', bytes: 'fff15080', want: null },
  { name: 'free format', bytes: 'fffb0000', want: null },
  { name: 'cut short', bytes: 'fffb90', want: null },
];
for (const row of rows) {
  test(`MPEG audio header: ${row.name}`, () => {
    const header = readMp3Header(Buffer.from(row.bytes, 'hex'));
    const { frameBytes, samples, sampleRateHz, channels, layer } = header ?? {};
    assert.deepEqual(header === null ? null : [frameBytes, samples, sampleRateHz, channels, layer], row.want);
  });
}

test('any four bytes are a header with a length or none', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 0, maxLength: 6 }), (bytes) => {
      const header = readMp3Header(bytes);
      assert.ok(header === null || (header.frameBytes > 4 && Number.isInteger(header.frameBytes)));
    }),
    { numRuns: Number(process.env['FUZZ_RUNS'] ?? 300) },
  );
});
