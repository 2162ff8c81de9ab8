import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WireError } from '../../core/errors.ts';
import { looksLikeRtcp, makeRtpView, readRtp, writeRtpHeader } from './header.ts';
import { ReceiverStats } from './receiver.ts';
import { ReorderBuffer } from './reorder.ts';
import { SequenceUnwrapper, TimestampUnwrapper } from './unwrap.ts';

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');

const packets: { name: string; bytes: Buffer; payload: string; extension?: [number, string] }[] = [
  { name: 'plain', bytes: hex('80e0 0001 00000002 00000003 aabb'), payload: 'aabb' },
  { name: 'padding', bytes: hex('a0e0 0001 00000002 00000003 aabb 000003'), payload: 'aabb' },
  { name: 'padding alone', bytes: hex('a0e0 0001 00000002 00000003 000003'), payload: '' },
  {
    name: 'a padding bit without padding (count 0)',
    bytes: hex('a0e0 0001 00000002 00000003 aabb00'),
    payload: 'aabb00',
  },
  { name: 'a padding count beyond the packet', bytes: hex('a0e0 0001 00000002 00000003 aabbff'), payload: 'aabbff' },
  { name: 'two CSRCs', bytes: hex('82e0 0001 00000002 00000003 11111111 22222222 aabb'), payload: 'aabb' },
  {
    name: 'an ONVIF extension',
    bytes: hex('90e0 0001 00000002 00000003 abac 0001 01020304 aabb'),
    payload: 'aabb',
    extension: [0xabac, '01020304'],
  },
  {
    name: 'CSRC, extension and padding together',
    bytes: hex('b1e0 0001 00000002 00000003 11111111 bede 0000 aabb 0002'),
    payload: 'aabb',
    extension: [0xbede, ''],
  },
];
for (const row of packets) {
  test(`an RTP packet with ${row.name} gives just its payload`, () => {
    const view = makeRtpView();
    // Read from the middle of a buffer, as in an interleaved frame.
    const bytes = Buffer.concat([hex('24000000'), row.bytes, hex('2400')]);
    readRtp(bytes, 4, 4 + row.bytes.length, view);
    assert.equal(bytes.toString('hex', view.payloadStart, view.payloadEnd), row.payload);
    assert.deepEqual([view.payloadType, view.marker, view.sequence, view.timestamp, view.ssrc], [96, true, 1, 2, 3]);
    const extension = [view.extensionProfile, bytes.toString('hex', view.extensionStart, view.extensionEnd)];
    assert.deepEqual(extension, row.extension ?? [-1, '']);
  });
}

const broken: [string, Buffer, string][] = [
  ['eleven bytes', hex('80e0 0001 00000002 000000'), 'rtp.short'],
  ['version 1', hex('40e0 0001 00000002 00000003'), 'rtp.version'],
  ['CSRCs beyond the end', hex('8fe0 0001 00000002 00000003 aabb'), 'rtp.short'],
  ['an extension beyond the end', hex('90e0 0001 00000002 00000003 abac ffff aabb'), 'rtp.short'],
  ['half an extension header', hex('90e0 0001 00000002 00000003 abac'), 'rtp.short'],
];
for (const [name, bytes, code] of broken) {
  test(`an RTP packet with ${name} is refused with ${code}`, () => {
    assert.throws(
      () => readRtp(bytes, 0, bytes.length, makeRtpView()),
      (error) => error instanceof WireError && error.code === code,
    );
  });
}

test('a header that was written is read back the same', () => {
  const bytes = Buffer.alloc(14);
  writeRtpHeader(bytes, 0, 111, true, 0x1fffe, 2 ** 32 + 5, 0xdeadbeef);
  const view = makeRtpView();
  readRtp(bytes, 0, 14, view);
  assert.deepEqual(
    [view.payloadType, view.marker, view.sequence, view.timestamp, view.ssrc],
    [111, true, 0xfffe, 5, 0xdeadbeef],
  );
  assert.equal(looksLikeRtcp(bytes, 0, 14), false);
  assert.equal(looksLikeRtcp(hex('80c8 0006 00000000'), 0, 8), true);
});

test('RTP time goes on over the wrap of 32 bits, and back for B-pictures', () => {
  const clock = new TimestampUnwrapper();
  const given = [0xffff_f000, 0xffff_ff00, 0x0000_0500, 0xffff_fd00, 0x0000_1000];
  assert.deepEqual(
    given.map((ts) => clock.unwrap(ts)),
    [0xffff_f000, 0xffff_ff00, 0x1_0000_0500, 0xffff_fd00, 0x1_0000_1000],
  );
  assert.equal(clock.peek(0xffff_0000), 0xffff_0000, 'a sender report from before the wrap');
  assert.equal(clock.unwrap(0x2000), 0x1_0000_2000);
});

test('RTP time stays exact for years', () => {
  const clock = new TimestampUnwrapper();
  let ts = 0;
  let expected = 0;
  clock.unwrap(0);
  for (let i = 0; i < 5000; i++) {
    ts = (ts + 0x7000_0001) >>> 0;
    expected += 0x7000_0001;
    assert.equal(clock.unwrap(ts), expected);
  }
});

test('sequence numbers go on over the wrap of 16 bits', () => {
  const unwrapper = new SequenceUnwrapper();
  const got = [65534, 65535, 0, 65535, 1, 2].map((sequence) => unwrapper.unwrap(sequence));
  assert.deepEqual(
    got.map((one) => one - (got[0] ?? 0)),
    [0, 1, 2, 1, 3, 4],
  );
  assert.equal((got[0] ?? 0) % 0x10000, 65534);
});

/** Pushes `sequence@ms` in order; gives what comes out as `sequence`, with `-n` before it for n lost. */
function reorder(
  given: readonly (readonly [sequence: number, atMs: number])[],
  options = {},
): { out: string[]; buffer: ReorderBuffer<number> } {
  const out: string[] = [];
  const buffer = new ReorderBuffer<number>((packet, sequence, lost) => {
    assert.equal(packet, sequence, 'a packet keeps its number');
    if (lost > 0) out.push(`-${lost}`);
    out.push(String(sequence));
  }, options);
  for (const [sequence, atMs] of given) buffer.push(sequence, sequence, atMs);
  return { out, buffer };
}

const orders: {
  name: string;
  given: [number, number][];
  want: string[];
  pollMs?: number;
  lost?: number;
  late?: number;
}[] = [
  {
    name: 'in order',
    given: [
      [1, 0],
      [2, 1],
      [3, 2],
    ],
    want: ['1', '2', '3'],
  },
  {
    name: 'two swapped',
    given: [
      [1, 0],
      [3, 1],
      [2, 2],
      [4, 3],
    ],
    want: ['1', '2', '3', '4'],
  },
  {
    name: 'over the wrap, swapped',
    given: [
      [65534, 0],
      [0, 1],
      [65535, 2],
      [1, 3],
    ],
    want: ['65534', '65535', '0', '1'],
  },
  {
    name: 'a missing one is waited for',
    given: [
      [1, 0],
      [3, 1],
      [4, 50],
    ],
    want: ['1'],
  },
  {
    name: 'a missing one is given up after 100 ms',
    given: [
      [1, 0],
      [3, 1],
      [4, 102],
    ],
    want: ['1', '-1', '3', '4'],
    lost: 1,
  },
  {
    name: 'a poll gives it up too',
    given: [
      [1, 0],
      [4, 1],
    ],
    pollMs: 101,
    want: ['1', '-2', '4'],
    lost: 2,
  },
  {
    name: 'the second gap has its own time',
    given: [
      [1, 0],
      [3, 10],
      [5, 90],
    ],
    pollMs: 115,
    want: ['1', '-1', '3'],
    lost: 1,
  },
  {
    name: 'twice the same',
    given: [
      [1, 0],
      [2, 1],
      [2, 2],
      [4, 3],
      [4, 4],
      [3, 5],
    ],
    want: ['1', '2', '3', '4'],
    late: 2,
  },
  {
    name: 'too late',
    given: [
      [1, 0],
      [3, 1],
      [4, 150],
      [2, 151],
      [5, 152],
    ],
    want: ['1', '-1', '3', '4', '5'],
    lost: 1,
    late: 1,
  },
  {
    name: 'a camera that begins anew far away',
    given: [
      [1, 0],
      [40000, 1],
      [40001, 2],
      [40002, 3],
    ],
    want: ['1', '40001', '40002'],
    late: 1,
  },
  {
    name: 'a single stray packet',
    given: [
      [1, 0],
      [40000, 1],
      [2, 2],
      [3, 3],
    ],
    want: ['1', '2', '3'],
    late: 1,
  },
];
for (const row of orders) {
  test(`UDP packets: ${row.name}`, () => {
    const { out, buffer } = reorder(row.given);
    if (row.pollMs !== undefined) buffer.poll(row.pollMs);
    assert.deepEqual(out, row.want);
    assert.equal(buffer.lost, row.lost ?? 0);
    assert.equal(buffer.late, row.late ?? 0);
  });
}

test('what waits behind a missing packet is bounded, and a flush leaves nothing behind', () => {
  const given: [number, number][] = [[0, 0]];
  for (let i = 2; i < 40; i++) given.push([i, 1]);
  const { out, buffer } = reorder(given, { maxPackets: 16 });
  assert.equal(buffer.deadlineMs, undefined, 'the gap was given up when the 17th packet came');
  assert.deepEqual(out.slice(0, 3), ['0', '-1', '2']);
  buffer.push(50, 50, 2);
  assert.equal(buffer.deadlineMs, 102);
  buffer.flush();
  assert.deepEqual(out.slice(-2), ['-10', '50']);
});

test('receiver reports count loss, cycles and the delay since the sender report (RFC 3550 §A.3)', () => {
  const stats = new ReceiverStats(90_000);
  assert.equal(stats.report(0), null);
  assert.equal(stats.add(65534, 0, 7, 0), 0);
  assert.equal(stats.add(65535, 3000, 7, 33), 0);
  assert.equal(stats.add(2, 6000, 7, 66), 2, 'two are missing over the wrap');
  stats.addSenderReport(0x12345678, 100);
  const report = stats.report(1100);
  assert.deepEqual(report, {
    ssrc: 7,
    fractionLost: Math.floor((2 * 256) / 5),
    packetsLost: 2,
    highestSequence: 0x10002,
    jitter: report?.jitter,
    lastSr: 0x12345678,
    delaySinceLastSr: 65_536,
  });
  assert.ok((report?.jitter ?? 99) < 10);
  assert.equal(stats.report(1200)?.fractionLost, 0, 'nothing was lost since');
  assert.equal(stats.add(1, 9000, 7, 99), -1, 'a step back is no loss but a break');
  assert.equal(stats.add(500, 0, 8, 99), -1, 'so is another SSRC');
  assert.equal(stats.lost, 2);
});
