import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WireError } from '../../core/errors.ts';
import { buildOpusHead, opusPacketSamples } from './opus.ts';

const rows = [
  { name: 'SILK 20 ms, one frame', hex: '0800', want: 960 },
  { name: 'SILK 60 ms', hex: '1800', want: 2880 },
  { name: 'hybrid 10 ms', hex: '6000', want: 480 },
  { name: 'CELT 2.5 ms, two frames', hex: '8100', want: 240 },
  { name: 'CELT 20 ms', hex: 'fc00', want: 960 },
  { name: 'CELT 20 ms, three frames counted', hex: 'ff03', want: 2880 },
  { name: 'never more than 120 ms', hex: '1b3f', want: 5760 },
];
for (const row of rows) {
  test(`Opus packet: ${row.name}`, () => assert.equal(opusPacketSamples(Buffer.from(row.hex, 'hex')), row.want));
}

test('an Opus packet that is cut off is an error', () => {
  assert.throws(() => opusPacketSamples(Buffer.alloc(0)), WireError);
  assert.throws(() => opusPacketSamples(Buffer.from([0xff])), WireError);
});

test('OpusHead begins with its name', () => {
  assert.equal(buildOpusHead(2).toString('latin1', 0, 8), 'OpusHead');
});
