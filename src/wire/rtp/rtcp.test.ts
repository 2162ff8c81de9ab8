import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WireError } from '../../core/errors.ts';
import {
  ntpMiddle,
  ntpToUnixMs,
  parseRtcp,
  type ReportBlock,
  type RtcpPacket,
  unixMsToNtp,
  writeBye,
  writeFir,
  writeNack,
  writePli,
  writeReceiverReport,
  writeSdes,
  writeSenderReport,
} from './rtcp.ts';

const block: ReportBlock = {
  ssrc: 5,
  fractionLost: 12,
  packetsLost: -3,
  highestSequence: 0x10002,
  jitter: 77,
  lastSr: 0x87654321,
  delaySinceLastSr: 65_536,
};
const info = {
  ssrc: 0xdeadbeef,
  ntpSeconds: 3_900_000_000,
  ntpFraction: 0x80000000,
  rtpTimestamp: 123,
  packetCount: 4,
  octetCount: 500,
};

const rows: { name: string; bytes: Buffer; want: RtcpPacket }[] = [
  { name: 'sender report', bytes: writeSenderReport(info, [block]), want: { kind: 'sr', ...info, reports: [block] } },
  {
    name: 'receiver report',
    bytes: writeReceiverReport(9, [block, block]),
    want: { kind: 'rr', ssrc: 9, reports: [block, block] },
  },
  { name: 'empty receiver report', bytes: writeReceiverReport(9, []), want: { kind: 'rr', ssrc: 9, reports: [] } },
  ...['', 'a', 'ab', 'abc', 'hearthcam'].map((cname) => ({
    name: `source description "${cname}"`,
    bytes: writeSdes(9, cname),
    want: { kind: 'sdes' as const, chunks: [{ ssrc: 9, cname }] },
  })),
  { name: 'goodbye', bytes: writeBye([1, 2]), want: { kind: 'bye', ssrcs: [1, 2] } },
  {
    name: 'NACK of several, over the wrap',
    bytes: writeNack(1, 2, [65534, 65535, 3, 14, 15, 600]),
    want: { kind: 'nack', senderSsrc: 1, mediaSsrc: 2, sequences: [65534, 65535, 3, 14, 15, 600] },
  },
  { name: 'picture loss indication', bytes: writePli(1, 2), want: { kind: 'pli', senderSsrc: 1, mediaSsrc: 2 } },
  { name: 'full intra request', bytes: writeFir(1, 2, 3), want: { kind: 'fir', senderSsrc: 1, mediaSsrcs: [2] } },
  {
    name: 'transport-wide feedback is passed over',
    bytes: Buffer.from('8fcd0002000000010000000200000000', 'hex').subarray(0, 12),
    want: { kind: 'other', type: 205, count: 15 },
  },
];
for (const row of rows) {
  test(`RTCP ${row.name} is written and read the same`, () => {
    assert.equal(row.bytes.length % 4, 0);
    assert.deepEqual(parseRtcp(row.bytes), [row.want]);
  });
}

test('a compound packet gives all its parts, also from the middle of a buffer', () => {
  const bytes = Buffer.concat([Buffer.alloc(4), ...rows.map((row) => row.bytes), Buffer.alloc(2)]);
  assert.deepEqual(
    parseRtcp(bytes, 4, bytes.length - 2).map((packet) => packet.kind),
    rows.map((row) => row.want.kind),
  );
});

test('bytes behind a good report do not spoil it', () => {
  const bytes = Buffer.concat([writeSenderReport(info), Buffer.from('81ca00', 'hex')]);
  assert.deepEqual(parseRtcp(bytes), [{ kind: 'sr', ...info, reports: [] }]);
});

test('what is no RTCP is refused', () => {
  for (const bytes of ['80', '40c80006', '80c80006000000', '80c8000100000001']) {
    assert.throws(() => parseRtcp(Buffer.from(bytes, 'hex')), WireError, bytes);
  }
});

test('NTP times are converted to the millisecond, before and after the year 2036', () => {
  for (const unixMs of [0, 1_750_000_000_123, 2_085_978_500_000, 4_000_000_000_000]) {
    const { seconds, fraction } = unixMsToNtp(unixMs);
    assert.ok(Math.abs(ntpToUnixMs(seconds, fraction) - unixMs) < 0.01, String(unixMs));
  }
  assert.equal(ntpMiddle(0x11112222, 0x33334444), 0x22223333);
});
