import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ServerAddress } from './address.ts';
import { mimeHasAudio, offerCodecs, parseMedia } from './codecs.ts';
import { bestReason, type Reason, reasonFromHttp, reasonFromWs } from './reasons.ts';

const addresses = [
  { server: '', page: 'http://nas:1984/stream.html?src=a', want: 'http://nas:1984/api/ws?src=a+b' },
  {
    server: '',
    page: 'https://ha.example/api/hassio_ingress/x/',
    want: 'https://ha.example/api/hassio_ingress/x/api/ws?src=a+b',
  },
  { server: '/rtc', page: 'http://nas/lovelace', want: 'http://nas/rtc/api/ws?src=a+b' },
  { server: 'http://nas:1984', page: 'https://ha.example/', want: 'http://nas:1984/api/ws?src=a+b' },
  { server: 'wss://nas/rtc/', page: 'https://ha.example/', want: 'https://nas/rtc/api/ws?src=a+b' },
];
for (const { server, page, want } of addresses) {
  test(`server="${server}" on ${page} is found`, () => {
    const address = new ServerAddress(server, page);
    assert.equal(address.http('api/ws', { src: 'a b' }), want);
    assert.equal(address.ws('api/ws', { src: 'a b' }), want.replace(/^http/, 'ws'));
  });
}

test('an address that is none is refused with a reason', () => {
  assert.throws(() => new ServerAddress('javascript:alert(1)', 'http://nas/'), /http/);
  assert.throws(() => new ServerAddress('http://', 'http://nas/'), TypeError);
});

test('H.265 is offered only where the browser plays it', () => {
  const chromium = (mime: string): boolean => !/hvc1|av01|vp09/.test(mime);
  const all = { video: true, audio: true };
  assert.equal(offerCodecs(all, chromium), 'avc1.640029,avc1.64002A,avc1.640033,mp4a.40.2,mp4a.40.5,flac,opus');
  assert.match(
    offerCodecs(all, () => true),
    /hvc1\.1\.6\.L153\.B0/,
  );
  assert.equal(offerCodecs(parseMedia('audio'), chromium), 'mp4a.40.2,mp4a.40.5,flac,opus');
  assert.equal(offerCodecs(parseMedia('video'), chromium, true), 'avc1.640029,avc1.64002A,avc1.640033,changetype');
});

const media = [
  { text: null, want: { video: true, audio: true } },
  { text: 'video,audio', want: { video: true, audio: true } },
  { text: 'video+audio+microphone', want: { video: true, audio: true } },
  { text: 'video', want: { video: true, audio: false } },
  { text: 'microphone', want: { video: true, audio: true } },
];
for (const { text, want } of media) test(`media="${text}"`, () => assert.deepEqual(parseMedia(text), want));

test('sound is known from the MIME type', () => {
  assert.equal(mimeHasAudio('video/mp4; codecs="avc1.42001E,flac"'), true);
  assert.equal(mimeHasAudio('video/mp4; codecs="hvc1.1.6.L153.B0"'), false);
  assert.equal(mimeHasAudio('video/mp4'), false);
});

const ws: { value: unknown; want: string }[] = [
  { value: 'mse: streams: dial tcp 192.0.2.7:554: refused', want: 'dial tcp 192.0.2.7:554: refused' },
  { value: 'webrtc/offer: stream not found', want: 'stream not found' },
  { value: 'mse: camera "porch" does not answer', want: 'camera "porch" does not answer' },
  { value: '', want: 'the server gave no reason' },
  { value: { odd: 1 }, want: 'the server gave no reason' },
];
for (const { value, want } of ws) {
  test(`an error message over the socket is shown as "${want}"`, () => assert.equal(reasonFromWs(value).text, want));
}

const http = [
  { status: 404, body: 'stream not found\n', want: 'stream not found' },
  {
    status: 500,
    body: 'streams: codecs not matched: video:JPEG => video:H264',
    want: 'codecs not matched: video:JPEG => video:H264',
  },
  { status: 502, body: '<html><h1>Bad gateway</h1></html>', want: 'the server answered with status 502' },
  { status: 401, body: 'Unauthorized', want: 'the server asks for a user name and password' },
  {
    status: 504,
    body: '{"error":{"code":"x","message":"no answer","hint":"is it on?"}}',
    want: 'no answer (is it on?)',
  },
  { status: 400, body: '{"error":"bad"}', want: 'bad' },
  { status: 500, body: '{"error":7}', want: '{"error":7}' },
  { status: 500, body: '{', want: '{' },
];
for (const { status, body, want } of http) {
  test(`status ${status} with "${body.trim().slice(0, 30)}" is shown as "${want}"`, () => {
    assert.equal(reasonFromHttp(status, body).text, want);
  });
}

const places = [
  { status: 404, body: 'stream not found\n', everywhere: true },
  { status: 404, body: '404 page not found\n', everywhere: false },
  { status: 504, body: 'no answer from 192.0.2.7:554\n', everywhere: true },
  { status: 502, body: '<html><h1>Bad gateway</h1></html>', everywhere: false },
  { status: 500, body: 'streams: codecs not matched: video:H265 => video:H264', everywhere: false },
  { status: 503, body: 'the WebRTC process did not answer', everywhere: false },
];
for (const { status, body, everywhere } of places) {
  test(`status ${status} with "${body.trim().slice(0, 30)}" ${everywhere ? 'ends' : 'goes on with'} the round`, () => {
    assert.equal(reasonFromHttp(status, body).everywhere === true, everywhere);
  });
}

test('what the server says beats what is only guessed', () => {
  const guess: Reason = { kind: 'timeout', text: 'no picture within 8 s' };
  const word: Reason = { kind: 'server', text: 'camera off' };
  const lost: Reason = { kind: 'network', text: 'the server can’t be reached' };
  assert.equal(bestReason([lost, guess, word])?.text, 'camera off');
  assert.equal(bestReason([lost, guess])?.text, 'no picture within 8 s');
  assert.equal(bestReason([]), null);
});
