import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatTransport, parseSession, parseTransport, type RtspTransport } from './transport.ts';

const rows: { name: string; text: string; want: Partial<RtspTransport>[] }[] = [
  {
    name: 'interleaved over TCP',
    text: 'RTP/AVP/TCP;unicast;interleaved=0-1',
    want: [{ lower: 'tcp', profile: 'RTP/AVP', multicast: false, interleaved: [0, 1] }],
  },
  {
    name: 'UDP with ports of both sides',
    text: 'RTP/AVP;unicast;client_port=5000-5001;server_port=6000-6001;ssrc=DEADBEEF',
    want: [{ lower: 'udp', clientPort: [5000, 5001], serverPort: [6000, 6001], ssrc: 0xdeadbeef }],
  },
  {
    name: 'Hikvision pads ssrc with a blank',
    text: 'RTP/AVP/TCP;unicast;interleaved=0-1;ssrc= 1f2e',
    want: [{ interleaved: [0, 1], ssrc: 0x1f2e }],
  },
  { name: 'a 0x before the ssrc', text: 'RTP/AVP/UDP;unicast;ssrc=0x12AB', want: [{ lower: 'udp', ssrc: 0x12ab }] },
  { name: 'an ssrc that is no number is left out', text: 'RTP/AVP;ssrc=hello', want: [{ lower: 'udp' }] },
  { name: 'one channel means the next too', text: 'RTP/AVP/TCP;interleaved=4', want: [{ interleaved: [4, 5] }] },
  { name: 'blanks everywhere', text: ' RTP/AVP/TCP ; unicast ; interleaved = 2 - 3 ', want: [{ interleaved: [2, 3] }] },
  { name: 'a quoted mode', text: 'RTP/AVP/TCP;unicast;interleaved=0-1;mode="record"', want: [{ mode: 'record' }] },
  {
    name: 'FFmpeg pushes with mode=record',
    text: 'RTP/AVP/TCP;unicast;interleaved=0-1;mode=record',
    want: [{ mode: 'record' }],
  },
  {
    name: 'alternatives in order',
    text: 'RTP/AVP;multicast;port=3456-3457;ttl=16,RTP/AVP/TCP;interleaved=0-1',
    want: [
      { lower: 'udp', multicast: true, port: [3456, 3457], ttl: 16 },
      { lower: 'tcp', multicast: false, interleaved: [0, 1] },
    ],
  },
  { name: 'a channel over 255 is left out', text: 'RTP/AVP/TCP;interleaved=300-301', want: [{ lower: 'tcp' }] },
  { name: 'what is not RTP', text: 'MP2T/H2221/UDP;unicast', want: [{ lower: 'other', profile: 'MP2T/H2221' }] },
  { name: 'nonsense', text: ';;=,', want: [] },
];
for (const row of rows) {
  test(`Transport: ${row.name}`, () => {
    const got = parseTransport(row.text);
    assert.equal(got.length, row.want.length);
    for (const [index, want] of row.want.entries()) {
      assert.deepEqual({ ...got[index], ...want }, got[index], 'all that is wanted is there');
    }
    assert.equal('ssrc' in (got[0] ?? {}), row.want[0] !== undefined && 'ssrc' in row.want[0]);
  });
}

test('a Transport that was written is read back the same', () => {
  for (const row of rows) {
    for (const one of parseTransport(row.text)) {
      if (one.lower !== 'other') assert.deepEqual(parseTransport(formatTransport(one)), [one]);
    }
  }
});

const sessions: [string | undefined, { id: string; timeoutMs?: number } | null][] = [
  ['12345678', { id: '12345678' }],
  ['12345678;timeout=60', { id: '12345678', timeoutMs: 60_000 }],
  [' ab-C$_.+ ; timeout = 30 ; x=y', { id: 'ab-C$_.+', timeoutMs: 30_000 }],
  ['1;timeout=0', { id: '1' }],
  ['1;timeout=soon', { id: '1' }],
  ['', null],
  [';timeout=60', null],
  [undefined, null],
];
for (const [text, want] of sessions) {
  test(`Session: ${text ?? '(none)'}`, () => assert.deepEqual(parseSession(text), want));
}
