import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { decodeL16 } from '../l16/l16.ts';
import { decodeAlaw, decodeUlaw } from './g711.ts';

for (const [format, decode] of [
  ['alaw', decodeAlaw],
  ['mulaw', decodeUlaw],
] as const) {
  test(`${format}: every code decodes to the sample that ffmpeg gives`, () => {
    const codes = Buffer.from(Array.from({ length: 256 }, (_, code) => code));
    const pcm = execFileSync(
      'ffmpeg',
      ['-v', 'error', '-f', format, '-ar', '8000', '-i', 'pipe:0', '-f', 's16be', 'pipe:1'],
      { input: codes },
    );
    assert.deepEqual([...decode(codes)], [...decodeL16(pcm)]);
  });
}

test('L16 is read as big-endian samples', () => {
  const samples = Int16Array.from([0, 1, -1, 32_767, -32_768]);
  assert.deepEqual(decodeL16(Buffer.from('00000001ffff7fff8000', 'hex')), samples);
});
