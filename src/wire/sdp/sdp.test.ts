import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WireError } from '../../core/errors.ts';
import type { AudioFormat, TrackFormat, VideoFormat } from '../../core/media.ts';
import { buildSdp, sdpEncoding } from './build.ts';
import { aggregateControl, mediaControl } from './control.ts';
import { chooseFormat } from './media.ts';
import { parseSdp } from './parse.ts';

/** `kind codec/clock/channels pt control direction` of each medium, `-` where there is nothing usable. */
function summary(sdp: string): string[] {
  return parseSdp(sdp).media.map((media) => {
    const format = chooseFormat(media);
    const what =
      format === null ? '-' : `${format.codec}/${format.clockRateHz}/${format.channels} ${format.payloadType}`;
    return `${media.kind} ${what} ${media.control ?? '(none)'} ${media.direction}`;
  });
}

const REOLINK = `v=0
o=- 1619813458434609 1 IN IP4 192.168.5.206
s=Session streamed by "preview"
t=0 0
a=control:*
a=range:npt=0-
m=video 0 RTP/AVP 96
c=IN IP4 0.0.0.0
b=AS:500
a=rtpmap:96 H264/90000
a=fmtp:96 packetization-mode=1;profile-level-id=640033;sprop-parameter-sets=Z2QAM6zoAoALWQ==,aO48MA==
a=control:trackID=1
m=audio 0 RTP/AVP 97
a=rtpmap:97 MPEG4-GENERIC/16000
a=fmtp:97 streamtype=5;profile-level-id=15;mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config=1408; profile=1;
a=control:trackID=2
`;

const TAPO = `v=0\r
o=- 14665860 31787219 1 IN IP4 192.168.35.39\r
s=Session streamed by "TP-LINK RTSP Server"\r
t=0 0\r
m=video 0 RTP/AVP 96\r
c=IN IP4 0.0.0.0\r
b=AS:4096\r
a=range:npt=0-\r
a=control:track1\r
a=rtpmap:96 H265/90000\r
a=fmtp:96 profile-space=0;profile-id=1;sprop-vps=QAEMAf//;sprop-sps=QgEBAUAA==;sprop-pps=RAHAc8BBgwk=\r
m=audio 0 RTP/AVP 8\r
a=rtpmap:8 PCMA/8000\r
a=control:track2\r
m=application/tp-link 0 RTP/AVP smart/0/25000\r
a=rtpmap:95 tp-link/25000\r
a=control:track3`;

const rows: { name: string; sdp: string; want: string[] }[] = [
  {
    name: 'Reolink (live555)',
    sdp: REOLINK,
    want: ['video h264/90000/0 96 trackID=1 sendrecv', 'audio aac/16000/0 97 trackID=2 sendrecv'],
  },
  {
    name: 'Tapo with its application track and no line end at the end',
    sdp: TAPO,
    want: [
      'video h265/90000/0 96 track1 sendrecv',
      'audio pcma/8000/1 8 track2 sendrecv',
      'application/tp-link - track3 sendrecv',
    ],
  },
  {
    name: 'only an m= line and no v= (langhuihui)',
    sdp: 'm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:trackID=0\r\n',
    want: ['video h264/90000/0 96 trackID=0 sendrecv'],
  },
  {
    name: 'broken o= and c= lines (VCP IPC)',
    sdp: 'v=0\no=- 1001 1 IN\ns=VCP IPC Realtime stream\nm=video 0 RTP/AVP 105\nc=IN\na=control:rtsp://192.168.0.60/media/video1/video\na=rtpmap:105 H264/90000\na=recvonly\n',
    want: ['video h264/90000/0 105 rtsp://192.168.0.60/media/video1/video recvonly'],
  },
  {
    name: 'Dahua with a talk track of twenty formats',
    sdp: 'v=0\nm=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\na=control:trackID=0\na=recvonly\nm=audio 0 RTP/AVP 116 97 0 8\na=control:trackID=5\na=rtpmap:116 MPEG4-GENERIC/64000\na=rtpmap:97 X-OWN/1\na=sendonly\n',
    want: ['video h264/90000/0 96 trackID=0 recvonly', 'audio aac/64000/0 116 trackID=5 sendonly'],
  },
  {
    name: 'static payload types without rtpmap',
    sdp: 'v=0\nm=audio 0 RTP/AVP 0\nm=audio 0 RTP/AVP 8\nm=video 0 RTP/AVP 26\nm=audio 0 RTP/AVP 10\nm=audio 0 RTP/AVP 14\n',
    want: [
      'audio pcmu/8000/1 0 (none) sendrecv',
      'audio pcma/8000/1 8 (none) sendrecv',
      'video jpeg/90000/0 26 (none) sendrecv',
      'audio l16/44100/2 10 (none) sendrecv',
      'audio mp3/90000/1 14 (none) sendrecv',
    ],
  },
  {
    name: 'another payload type in the rtpmap than in the m= line',
    sdp: 'v=0\nm=video 0 RTP/AVP 35\na=rtpmap:96 H264/90000\n',
    want: ['video h264/90000/0 96 (none) sendrecv'],
  },
  {
    name: 'Opus with a wrong clock',
    sdp: 'v=0\nm=audio 0 RTP/AVP 97\na=rtpmap:97 opus/16000/1\n',
    want: ['audio opus/48000/1 97 (none) sendrecv'],
  },
  {
    name: 'video with a clock that nobody uses, blanks, and a port count',
    sdp: 'v=0\nm=video 0/2  RTP/AVP  96 \na=rtpmap: 96 H264/0 \na= control : a \n',
    want: ['video h264/90000/0 96 a sendrecv'],
  },
  {
    name: 'G.722 and L16 with channels',
    sdp: 'v=0\nm=audio 0 RTP/AVP 9\nm=audio 0 RTP/AVP 99\na=rtpmap:99 L16/48000/2\n',
    want: ['audio g722/8000/1 9 (none) sendrecv', 'audio l16/48000/2 99 (none) sendrecv'],
  },
  { name: 'no media at all', sdp: 'v=0\r\ns=x\r\n', want: [] },
  {
    name: 'a codec that nobody knows',
    sdp: 'v=0\nm=video 0 RTP/AVP 98\na=rtpmap:98 MP4V-ES/90000\n',
    want: ['video - (none) sendrecv'],
  },
];
for (const row of rows) {
  test(`the SDP of ${row.name} is understood`, () => assert.deepEqual(summary(row.sdp), row.want));
}

test('fmtp keeps base64 with = signs, tolerates blanks and a trailing semicolon', () => {
  const [video, audio] = parseSdp(REOLINK).media;
  assert.equal(video?.formats[0]?.fmtp.get('sprop-parameter-sets'), 'Z2QAM6zoAoALWQ==,aO48MA==');
  assert.equal(audio?.formats[0]?.fmtp.get('config'), '1408');
  assert.equal(audio?.formats[0]?.fmtp.get('profile'), '1');
  assert.equal(video?.bandwidthKbps, 500);
});

test('an fmtp of the video below the audio is found (AlexxIT/WebRTC#419)', () => {
  const sdp =
    'v=0\nm=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\nm=audio 0 RTP/AVP 8\na=fmtp:96 packetization-mode=1\n';
  assert.equal(parseSdp(sdp).media[0]?.formats[0]?.fmtp.get('packetization-mode'), '1');
});

test('what is no session description is refused', () => {
  for (const text of ['', '<html>', 'x'.repeat(300_000)]) assert.throws(() => parseSdp(text), WireError);
});

const URL = 'rtsp://cam/live?channel=1';
const controls: { name: string; base?: string; location?: string; session?: string; control?: string; want: string }[] =
  [
    { name: 'relative, against the request', control: 'trackID=0', want: 'rtsp://cam/live?channel=1/trackID=0' },
    { name: 'relative, against Content-Base', base: 'rtsp://cam/x/', control: 'track1', want: 'rtsp://cam/x/track1' },
    {
      name: 'Content-Base without a slash (Tapo)',
      base: 'rtsp://cam/stream1',
      control: 'track1',
      want: 'rtsp://cam/stream1/track1',
    },
    { name: 'Content-Location where there is no base', location: 'rtsp://cam/y', control: 'a', want: 'rtsp://cam/y/a' },
    { name: 'absolute', base: 'rtsp://cam/x/', control: 'rtsp://10.0.0.1/t', want: 'rtsp://10.0.0.1/t' },
    { name: 'missing', want: URL },
    { name: 'missing, with a base', base: 'rtsp://cam/x/', want: 'rtsp://cam/x/' },
    { name: 'a star', base: 'rtsp://cam/x/', control: '*', want: 'rtsp://cam/x/' },
    { name: 'a slash on both sides', base: 'rtsp://cam/x/', control: '/track1', want: 'rtsp://cam/x/track1' },
    { name: 'a query alone', base: 'rtsp://cam/x', control: '?track=1', want: 'rtsp://cam/x?track=1' },
    { name: 'a base that is no URL', base: '/', control: 'track1', want: 'rtsp://cam/live?channel=1/track1' },
    {
      name: 'rtsp:// twice (go2rtc#830)',
      base: 'rtsp://rtsp://cam:554/s/',
      control: 'track1',
      want: 'rtsp://cam:554/s/track1',
    },
    {
      name: 'below the absolute URL of the session',
      session: 'rtsp://cam/agg/',
      control: 'track1',
      want: 'rtsp://cam/agg/track1',
    },
    {
      name: 'a session that has a star',
      base: 'rtsp://cam/x/',
      session: '*',
      control: 'track1',
      want: 'rtsp://cam/x/track1',
    },
  ];
for (const row of controls) {
  test(`a=control ${row.name} leads to ${row.want}`, () => {
    const base = { contentBase: row.base, contentLocation: row.location, requestUrl: URL };
    assert.equal(mediaControl(base, row.session, row.control), row.want);
  });
}

test('PLAY goes to the session control, else to the base', () => {
  const base = { contentBase: 'rtsp://cam/x/', contentLocation: undefined, requestUrl: URL };
  assert.equal(aggregateControl(base, '*'), 'rtsp://cam/x/');
  assert.equal(aggregateControl(base, undefined), 'rtsp://cam/x/');
  assert.equal(aggregateControl(base, 'rtsp://cam/agg'), 'rtsp://cam/agg');
});

const video: VideoFormat = {
  kind: 'video',
  codec: 'h264',
  clockRateHz: 90_000,
  width: 640,
  height: 360,
  codecString: 'avc1.640033',
  parameterSets: { vps: [], sps: [Buffer.from('67640033ace8', 'hex')], pps: [Buffer.from('68ee3c30', 'hex')] },
  config: Buffer.alloc(0),
  reorderDepth: 0,
};
const audio: AudioFormat = {
  kind: 'audio',
  codec: 'aac',
  clockRateHz: 16_000,
  sampleRateHz: 16_000,
  channels: 1,
  codecString: 'mp4a.40.2',
  config: Buffer.from('1408', 'hex'),
};

test('what we describe to clients is read back the same', () => {
  const formats: TrackFormat[] = [
    video,
    { ...video, codec: 'h265', parameterSets: { ...video.parameterSets, vps: [Buffer.from('4001', 'hex')] } },
    { ...video, codec: 'jpeg' },
    { ...video, codec: 'vp8' },
    audio,
    { ...audio, codec: 'opus', clockRateHz: 48_000, sampleRateHz: 48_000, channels: 2 },
    { ...audio, codec: 'pcma', clockRateHz: 8000, sampleRateHz: 8000 },
    { ...audio, codec: 'pcmu', clockRateHz: 8000, sampleRateHz: 8000 },
    { ...audio, codec: 'l16', clockRateHz: 44_100, sampleRateHz: 44_100, channels: 2 },
  ];
  const tracks = formats.map((format, index) => {
    const encoding = sdpEncoding(format);
    assert.ok(encoding !== null);
    const payloadType = encoding.staticPayloadType ?? 96 + index;
    return { ...encoding, kind: format.kind, payloadType, control: `trackID=${index}` };
  });
  const text = buildSdp({ name: 'nursery', sessionId: 7, tracks });
  const { media, control } = parseSdp(text);
  assert.equal(control, '*');
  for (const [index, format] of formats.entries()) {
    const one = media[index];
    assert.ok(one !== undefined);
    const found = chooseFormat(one);
    assert.equal(found?.codec, format.codec);
    assert.equal(found?.clockRateHz, format.clockRateHz);
    assert.equal(one.control, `trackID=${index}`);
  }
  assert.equal(media[0]?.formats[0]?.fmtp.get('sprop-parameter-sets'), 'Z2QAM6zo,aO48MA==');
  assert.equal(media[0]?.formats[0]?.fmtp.get('profile-level-id'), '640033');
  assert.equal(media[4]?.formats[0]?.fmtp.get('config'), '1408');
  assert.equal(media[6]?.formats[0]?.payloadType, 8);
});

test('a name with a line break does not get into the SDP', () => {
  assert.throws(() => buildSdp({ name: 'a\r\na=evil', sessionId: 1, tracks: [] }), WireError);
});

test('FLAC has no RTP payload format', () => assert.equal(sdpEncoding({ ...audio, codec: 'flac' }), null));
