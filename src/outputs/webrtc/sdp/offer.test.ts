import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { WireError } from '../../../core/errors.ts';
import { writeAnswer } from './answer.ts';
import { formatCandidate, isUsable, makeCandidate, parseCandidate } from './candidate.ts';
import { choosePayload, offeredCodecs } from './choose.ts';
import { MAX_SDP_BYTES, type OfferedMedia, parseOffer } from './offer.ts';

function load(name: string): string {
  return readFileSync(new URL(`../testdata/${name}`, import.meta.url), 'utf8');
}

const watch = load('chromium-watch.sdp');
const HEAD = ['v=0', 'o=- 1 2 IN IP4 127.0.0.1', 's=-', 't=0 0'];
const TRANSPORT = [
  'a=ice-ufrag:abcd',
  'a=ice-pwd:0123456789012345678901',
  `a=fingerprint:sha-256 ${Array(32).fill('AB').join(':')}`,
];
const sdp = (...lines: string[]): string => `${[...HEAD, ...lines].join('\r\n')}\r\n`;

function first(text: string): OfferedMedia {
  const [media] = parseOffer(text).media;
  assert.ok(media);
  return media;
}

describe('offers', () => {
  test('Chromium’s offer is read in full', () => {
    const offer = parseOffer(watch);
    assert.equal(offer.setup, 'actpass');
    assert.equal(offer.fingerprint.algorithm, 'sha-256');
    assert.deepEqual(offer.bundle, ['0', '1']);
    assert.deepEqual(
      offer.media.map((media) => [media.type, media.mid, media.direction]),
      [
        ['video', '0', 'recvonly'],
        ['audio', '1', 'recvonly'],
      ],
    );
    const h264 = offer.media[0]?.codecs.find((codec) => codec.payloadType === 102);
    assert.equal(h264?.parameters.get('profile-level-id'), '42001f');
    assert.ok(h264?.feedback.includes('nack pli'));
    const opus = offer.media[1]?.codecs.find((codec) => codec.name === 'OPUS');
    assert.deepEqual([opus?.clockRateHz, opus?.channels], [48_000, 2]);
  });

  test('a publisher’s offer names the SSRCs that it sends with', () => {
    const media = first(load('chromium-publish.sdp'));
    assert.equal(media.direction, 'sendonly');
    assert.ok(media.ssrcs.length >= 1);
  });

  const rows: { name: string; text: string; want: (media: OfferedMedia) => void }[] = [
    {
      name: 'transport values at the session, none in the section (Firefox)',
      text: sdp(...TRANSPORT, 'm=audio 9 UDP/TLS/RTP/SAVPF 8', 'a=mid:a', 'a=recvonly'),
      want: (media) => assert.equal(media.codecs[0]?.name, 'PCMA'),
    },
    {
      name: 'a direction at the session counts for sections without one',
      text: sdp(...TRANSPORT, 'a=recvonly', 'm=audio 9 UDP/TLS/RTP/SAVPF 0'),
      want: (media) => assert.equal(media.direction, 'recvonly'),
    },
    {
      name: 'lines that end with LF alone',
      text: sdp(...TRANSPORT, 'm=audio 9 UDP/TLS/RTP/SAVPF 0', 'a=mid:x').replaceAll('\r\n', '\n'),
      want: (media) => assert.equal(media.mid, 'x'),
    },
    {
      name: 'a section without mid gets its place as one',
      text: sdp(...TRANSPORT, 'm=audio 9 UDP/TLS/RTP/SAVPF 0'),
      want: (media) => assert.equal(media.mid, '0'),
    },
    {
      name: 'a section that is switched off',
      text: sdp(...TRANSPORT, 'm=audio 0 UDP/TLS/RTP/SAVPF 0'),
      want: (media) => assert.equal(media.disabled, true),
    },
    {
      name: 'payload types that would be taken for RTCP are left out (RFC 5761)',
      text: sdp(...TRANSPORT, 'm=audio 9 UDP/TLS/RTP/SAVPF 72 8', 'a=rtpmap:72 OPUS/48000/2'),
      want: (media) =>
        assert.deepEqual(
          media.codecs.map((codec) => codec.payloadType),
          [8],
        ),
    },
    {
      name: 'feedback for all payload types',
      text: sdp(...TRANSPORT, 'm=video 9 UDP/TLS/RTP/SAVPF 96', 'a=rtpmap:96 VP8/90000', 'a=rtcp-fb:* nack'),
      want: (media) => assert.deepEqual(media.codecs[0]?.feedback, ['nack']),
    },
  ];
  for (const row of rows) test(`read: ${row.name}`, () => row.want(first(row.text)));

  const bad: { name: string; text: string; code: string }[] = [
    { name: 'something else', text: 'hello', code: 'sdp.start' },
    { name: 'nothing', text: '', code: 'sdp.start' },
    { name: 'an offer of more than 64 KiB', text: `v=0\r\n${'a=x\r\n'.repeat(MAX_SDP_BYTES)}`, code: 'sdp.size' },
    { name: 'an offer without ICE', text: sdp('m=audio 9 UDP/TLS/RTP/SAVPF 0'), code: 'sdp.ice' },
    { name: 'an offer without fingerprint', text: sdp(...TRANSPORT.slice(0, 2)), code: 'sdp.fingerprint' },
    {
      name: 'a fingerprint that is too short',
      text: sdp(...TRANSPORT.slice(0, 2), 'a=fingerprint:sha-256 AB:CD'),
      code: 'sdp.fingerprint',
    },
    { name: 'a broken m-line', text: sdp(...TRANSPORT, 'm=audio nine RTP'), code: 'sdp.m' },
    {
      name: 'a mid with other characters',
      text: sdp(...TRANSPORT, 'm=audio 9 RTP/AVP 0', 'a=mid:a b'),
      code: 'sdp.mid',
    },
    {
      name: 'a mid twice',
      text: sdp(...TRANSPORT, 'm=audio 9 RTP/AVP 0', 'a=mid:0', 'm=audio 9 RTP/AVP 0', 'a=mid:0'),
      code: 'sdp.mid',
    },
    {
      name: 'very many sections',
      text: sdp(...TRANSPORT, ...Array<string>(40).fill('m=audio 9 RTP/AVP 0')),
      code: 'sdp.media',
    },
  ];
  for (const row of bad) {
    test(`refused: ${row.name}`, () => {
      assert.throws(
        () => parseOffer(row.text),
        (error) => error instanceof WireError && error.code === row.code,
      );
    });
  }
});

describe('the choice of a payload type', () => {
  const media = first(watch);
  const chosen = (codecString: string): string | undefined =>
    choosePayload(media, 'h264', {
      kind: 'video',
      codec: 'h264',
      clockRateHz: 90_000,
      width: 0,
      height: 0,
      codecString,
      parameterSets: { vps: [], sps: [], pps: [] },
      config: Buffer.alloc(0),
      reorderDepth: 0,
    })?.parameters.get('profile-level-id');

  test('H.264 gets the one of its profile, with fragments allowed', () => {
    assert.equal(chosen('avc1.42E01E'), '42e01f');
    assert.equal(chosen('avc1.42001E'), '42001f');
    assert.equal(chosen('avc1.4D4029'), '4d001f');
  });
  test('High, which Chromium without a graphics card does not offer, gets the nearest usual profile', () => {
    assert.equal(chosen('avc1.640033'), '4d001f');
  });
  test('the order of codecs is ours, and only what can be carried counts', () => {
    assert.deepEqual(offeredCodecs(media), ['h264', 'av1', 'vp9', 'vp8']);
    const audio = parseOffer(watch).media[1];
    assert.ok(audio);
    assert.deepEqual(offeredCodecs(audio), ['opus', 'pcma', 'pcmu', 'g722']);
  });
  test('H.264 without fragments can’t be used', () => {
    const only = sdp(...TRANSPORT, 'm=video 9 UDP/TLS/RTP/SAVPF 96', 'a=rtpmap:96 H264/90000');
    assert.deepEqual(offeredCodecs(first(only)), []);
  });
});

describe('answers', () => {
  const local = {
    iceUfrag: 'mine',
    icePwd: 'mymymymymymymymymymymy',
    fingerprint: { algorithm: 'sha-256', value: 'AA:BB' },
    setup: 'active' as const,
  };

  test('each section of the offer is answered in its place; what can’t be had is inactive', () => {
    const offer = parseOffer(
      `${watch}m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:2\r\na=sctp-port:5000\r\n`,
    );
    const codec = offer.media[0]?.codecs.find((one) => one.payloadType === 102);
    assert.ok(codec);
    const video = { codec, direction: 'sendonly' as const, ssrc: 1234, fmtp: codec.fmtp };
    const candidate = 'candidate:1 1 udp 2130706431 192.0.2.2 8555 typ host';
    const lines = writeAnswer(offer, [video, null, null], local, [candidate], 7).split('\r\n');
    assert.deepEqual(
      lines.filter((line) => line.startsWith('m=')),
      [
        'm=video 9 UDP/TLS/RTP/SAVPF 102',
        'm=audio 9 UDP/TLS/RTP/SAVPF 111',
        'm=application 0 UDP/DTLS/SCTP webrtc-datachannel',
      ],
    );
    assert.deepEqual(
      lines.filter((line) => /^a=(sendonly|recvonly|inactive)$/.test(line)),
      ['a=sendonly', 'a=inactive', 'a=inactive'],
    );
    assert.ok(lines.includes('a=group:BUNDLE 0 1'));
    assert.equal(lines.filter((line) => line === `a=${candidate}`).length, 1);
    assert.ok(lines.includes('a=ssrc:1234 cname:hearthcam'));
    assert.ok(!lines.some((line) => line.includes('transport-cc')), 'what we don’t do is not promised');
  });
});

describe('candidates', () => {
  const rows: [string, boolean][] = [
    ['candidate:1 1 udp 2130706431 192.0.2.7 50000 typ host generation 0 ufrag Ab+/ network-cost 999', true],
    ['a=candidate:1 1 UDP 2130706431 2001:db8::7 50000 typ srflx raddr 0.0.0.0 rport 0', true],
    ['candidate:1 1 udp 1 0e4c2b3a-1111-4222-8333-444455556666.local 50000 typ host', false],
    ['candidate:1 1 tcp 1518280447 192.0.2.7 9 typ host tcptype active', false],
    ['candidate:1 2 udp 1 192.0.2.7 50000 typ host', false],
    ['candidate:1 1 udp 1 192.0.2.7 0 typ host', false],
  ];
  for (const [line, usable] of rows) {
    test(`${usable ? 'used' : 'left out'}: ${line.slice(0, 60)}`, () => {
      const candidate = parseCandidate(line);
      assert.ok(candidate);
      assert.equal(isUsable(candidate), usable);
    });
  }
  for (const line of ['', 'candidate:', 'candidate:1 1 udp 1 192.0.2.7 99999 typ host', 'x'.repeat(100_000)]) {
    test(`not one: ${line.slice(0, 50)}`, () => assert.equal(parseCandidate(line), null));
  }
  test('what we write can be read', () => {
    const candidate = makeCandidate('192.0.2.2', 8555, 'srflx', 3);
    assert.deepEqual(parseCandidate(formatCandidate(candidate)), candidate);
  });
});
