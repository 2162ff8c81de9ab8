import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WireError } from '../../core/errors.ts';
import { writeWsBinaryHeader, wsBinaryFrame, wsCloseFrame, wsHeaderBytes } from './frame.ts';

function headerOf(payloadBytes: number): string {
  const header = Buffer.alloc(wsHeaderBytes(payloadBytes));
  assert.equal(writeWsBinaryHeader(header, 0, payloadBytes), header.length);
  return header.toString('hex');
}

const rows = [
  { bytes: 0, header: '8200' },
  { bytes: 125, header: '827d' },
  { bytes: 126, header: '827e007e' },
  { bytes: 65_535, header: '827effff' },
  { bytes: 65_536, header: '827f0000000000010000' },
];

for (const row of rows) {
  test(`a binary message of ${row.bytes} bytes has the header ${row.header}`, () => {
    const payload = Buffer.alloc(row.bytes, 7);
    const frame = wsBinaryFrame(payload);
    const headerBytes = row.header.length / 2;
    assert.equal(wsHeaderBytes(row.bytes), headerBytes);
    assert.equal(frame.subarray(0, headerBytes).toString('hex'), row.header);
    assert.equal(headerOf(row.bytes), row.header);
    assert.ok(frame.subarray(headerBytes).equals(payload));
  });
}

test('a message longer than 4 GiB still has the right length', () => {
  assert.equal(headerOf(2 ** 32 + 5), '827f0000000100000005');
});

test('a close message says code and reason', () => {
  assert.equal(wsCloseFrame(1012, 'bye').toString('latin1'), '\x88\x05\x03\xf4bye');
  assert.throws(() => wsCloseFrame(1000, 'x'.repeat(124)), WireError);
});
