import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseWsAddress } from '../../compat/ws-address.ts';
import { isLoopback, linksFor, parseServerInfo } from './links.ts';
import { parseStreams } from './streams.ts';

test('a running stream shows codecs, picture size and viewers', () => {
  const [stream] = parseStreams({
    nursery: {
      producers: [
        {
          url: 'rtsp://192.0.2.9/stream1',
          medias: ['video, recvonly, H264', 'audio, recvonly, PCMA/8000'],
          receivers: [
            { codec: { codec_name: 'h264', codec_type: 'video', width: 2560, height: 1440 } },
            { codec: { codec_name: 'pcm_alaw', codec_type: 'audio', sample_rate: 8000 } },
          ],
        },
        { url: 'ffmpeg:nursery#audio=opus' },
      ],
      consumers: [{ format_name: 'mse/fmp4' }, { format_name: 'preload' }, { format_name: 'rtsp' }],
    },
  });
  assert.deepEqual(stream, {
    name: 'nursery',
    state: 'live',
    reason: '',
    facts: ['H.264', '2560×1440', 'G.711 A'],
    viewers: 2,
  });
});

const states = [
  { name: 'nobody asked yet', value: { producers: [{ url: 'rtsp://x' }], consumers: null }, state: 'idle', reason: '' },
  { name: 'no source', value: { producers: null, consumers: null }, state: 'idle', reason: '' },
  {
    name: 'the camera is off',
    value: { producers: [{ url: 'rtsp://x', error: 'does not answer' }], consumers: [] },
    state: 'error',
    reason: 'does not answer',
  },
  {
    name: 'the camera went away a moment ago',
    value: { producers: [{ url: 'rtsp://x', medias: ['video, recvonly, H264'], receivers: [{}], error: 'ended' }] },
    state: 'error',
    reason: 'ended',
  },
  {
    name: 'the first source plays, the second can’t',
    value: {
      producers: [
        { url: 'rtsp://x', medias: ['video, recvonly, H264'] },
        { url: 'ffmpeg:x', error: 'no' },
      ],
    },
    state: 'live',
    reason: '',
  },
  { name: 'a newer server’s answer', value: 7, state: 'idle', reason: '' },
];
for (const { name, value, state, reason } of states) {
  test(`a stream is shown as ${state}: ${name}`, () => {
    const [stream] = parseStreams({ porch: value });
    assert.equal(stream?.state, state);
    assert.equal(stream?.reason, reason);
  });
}

test('an answer that is no list of streams gives an empty page', () => {
  for (const value of [null, 7, 'x', []]) assert.deepEqual(parseStreams(value), []);
});

test('addresses name the host as the browser reached it and the RTSP port', () => {
  const info = parseServerInfo({ rtsp: { listen: ':8554' } }, 'nas.local');
  const links = linksFor(
    'front door',
    info,
    (path, query) => `http://nas.local:1984/${path}?${new URLSearchParams(query)}`,
  );
  assert.equal(links[0]?.urls[0], 'rtsp://nas.local:8554/front%20door');
  assert.ok(links.some((link) => link.urls[0] === 'http://nas.local:1984/api/stream.m3u8?src=front+door'));
});

test('without an RTSP server there is no RTSP address', () => {
  for (const value of [null, {}, { rtsp: {} }, { rtsp: { listen: '' } }]) {
    const info = parseServerInfo(value, 'nas');
    assert.equal(info.rtspPort, null);
    assert.ok(linksFor('a', info, (path) => path).every((link) => link.title !== 'RTSP'));
  }
});

test('an IPv6 host is written in brackets', () => {
  const info = parseServerInfo({ rtsp: { listen: '[::1]:8554' } }, '::1');
  assert.equal(linksFor('a', info, (path) => path)[0]?.urls[0], 'rtsp://[::1]:8554/a');
});

for (const [host, want] of [
  ['localhost', true],
  ['127.0.0.1', true],
  ['[::1]', true],
  ['192.168.1.5', false],
  ['nas', false],
] as const) {
  test(`${host} is ${want ? '' : 'not '}reached by this machine only`, () => assert.equal(isLoopback(host), want));
}

const sockets = [
  { address: 'api/ws?src=cam', want: { server: 'http://nas:1984/', src: 'cam' } },
  { address: '/rtc/api/ws?src=cam', want: { server: 'http://nas:1984/rtc/', src: 'cam' } },
  { address: 'wss://host/api/ws?src=a%20b', want: { server: 'https://host/', src: 'a b' } },
  { address: 'cam', want: null },
  { address: 'api/ws', want: null },
];
for (const { address, want } of sockets) {
  test(`video-rtc src="${address}"`, () =>
    assert.deepEqual(parseWsAddress(address, 'http://nas:1984/page.html'), want));
}
