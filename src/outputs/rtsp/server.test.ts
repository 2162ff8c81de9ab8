import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import fc from 'fast-check';
import { type Clip, clipSource, makeClip, testPicture } from '../../../testkit/mp4-source.ts';
import { RawRtspClient, startTestRtspServer } from '../../../testkit/rtsp-server.ts';
import { waitFor } from '../../../testkit/wait.ts';
import { makeRtpView, parseRtcp, readRtp } from '../../wire/rtp/index.ts';
import { parseSdp } from '../../wire/sdp/index.ts';

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 300);

let clip: Clip;
/** So many bytes that a viewer who does not read is full at once. */
let heavy: Clip;
before(async () => {
  const quality = ['-preset', 'ultrafast', '-tune', 'zerolatency', '-pix_fmt', 'yuv420p', '-qp', '5'];
  [clip, heavy] = await Promise.all([
    makeClip(testPicture({ seconds: 4, gop: 50 })),
    makeClip(testPicture({ size: '1280x720', seconds: 1, gop: 10, video: ['-c:v', 'libx264', ...quality] })),
  ]);
});

const start = (config: Record<string, unknown> = {}) => {
  const camera = clipSource('clip', clip);
  return startTestRtspServer({ sources: [camera.module], streams: { cam: ['clip:'], empty: [] }, config }).then(
    (server) => ({ server, camera }),
  );
};

/** Sequence number, time stamp, marker and payload type of a packet. */
function rtp(data: Buffer): { sequence: number; timestamp: number; marker: boolean; payloadType: number } {
  const view = makeRtpView();
  readRtp(data, 0, data.length, view);
  const { sequence, timestamp, marker, payloadType } = view;
  return { sequence, timestamp, marker, payloadType };
}

test('a viewer of a running stream gets the last key frame at once, then live pictures without a gap', async () => {
  const { server, camera } = await start();
  await using _server = server;
  using first = await RawRtspClient.open(`${server.url}/cam`);
  await first.play();
  // Into the midst of a GOP.
  await waitFor(() => first.on(0).filter((packet) => rtp(packet.data).marker).length > 20);
  using second = await RawRtspClient.open(`${server.url}/cam`);
  const startMs = performance.now();
  const played = await second.play();
  await waitFor(() => second.on(0).length > 0);
  const firstMs = (second.on(0)[0]?.atMs ?? 0) - startMs;
  assert.ok(firstMs < 1000, `first picture after ${firstMs} ms`);
  await waitFor(() => second.on(0).filter((packet) => rtp(packet.data).marker).length > 60);
  const packets = second.on(0).map((packet) => rtp(packet.data));
  const info = /seq=(\d+);rtptime=(\d+)/.exec(played.header('rtp-info') ?? '');
  assert.equal(Number(info?.[1]), packets[0]?.sequence, 'RTP-Info names the first packet');
  assert.equal(Number(info?.[2]), packets[0]?.timestamp);
  for (const [index, packet] of packets.entries()) {
    const last = packets[index - 1];
    if (last === undefined) continue;
    assert.equal(packet.sequence, (last.sequence + 1) & 0xffff, `sequence of packet ${index}`);
    const step = (packet.timestamp - last.timestamp) | 0;
    assert.ok(step >= 0 && step < 90_000, `step of ${step} ticks at packet ${index}`);
  }
  const times = [...new Set(packets.map((packet) => packet.timestamp))];
  const joinSpan = ((times[15] ?? 0) - (times[0] ?? 0)) >>> 0;
  assert.ok(joinSpan <= 15 * 90, `the cached pictures lie close together: ${joinSpan} ticks for 16`);
  // Parameter sets come first: STAP-A.
  assert.equal((second.on(0)[0]?.data[12] ?? 0) & 0x1f, 24);
  camera.drop();
});

test('all viewers of one layout get the same bytes', async () => {
  const { server } = await start();
  await using _server = server;
  using one = await RawRtspClient.open(`${server.url}/cam`);
  using two = await RawRtspClient.open(`${server.url}/cam`);
  await one.play();
  await two.play();
  await waitFor(() => two.packets.length > 60);
  const known = new Set(one.packets.map((packet) => `${packet.channel} ${packet.data.toString('hex')}`));
  const live = two.packets.slice(-30).map((packet) => `${packet.channel} ${packet.data.toString('hex')}`);
  await waitFor(() => {
    for (const packet of one.packets.slice(known.size)) known.add(`${packet.channel} ${packet.data.toString('hex')}`);
    return live.every((packet) => known.has(packet));
  });
});

test('channels are as asked, session id and its time-out stay the same', async () => {
  const { server } = await start();
  await using _server = server;
  using client = await RawRtspClient.open(`${server.url}/cam`);
  const described = await client.request('DESCRIBE', '', { Accept: 'application/sdp' });
  assert.equal(described.header('content-base'), `${server.url}/cam/`);
  const sdp = parseSdp(described.body);
  assert.deepEqual(
    sdp.media.map((medium) => [medium.kind, medium.formats[0]?.encoding, medium.control]),
    [
      ['video', 'H264', 'trackID=0'],
      ['audio', 'MPEG4-GENERIC', 'trackID=1'],
    ],
  );
  const video = await client.request('SETUP', '/trackID=0', { Transport: 'RTP/AVP/TCP;unicast;interleaved=6-7' });
  assert.match(video.header('transport') ?? '', /interleaved=6-7/);
  const audio = await client.request('SETUP', '/trackID=1', { Transport: 'RTP/AVP/TCP;unicast' });
  assert.match(audio.header('transport') ?? '', /interleaved=2-3/);
  assert.equal(audio.header('session'), video.header('session'));
  assert.match(video.header('session') ?? '', /^\d{8};timeout=60$/);
  assert.equal((await client.request('PLAY')).header('session'), video.header('session'));
  await waitFor(() => client.on(6).length > 5 && client.on(2).length > 5 && client.on(7).length > 0);
  assert.deepEqual([...new Set(client.packets.map((packet) => packet.channel))].sort(), [2, 3, 6, 7]);
});

for (const { transport, protocol } of [
  { transport: 'RTP/AVP;unicast;client_port=40000-40001', protocol: 'rtsp+udp' },
  { transport: 'RTP/AVP/TCP;unicast;interleaved=0-1', protocol: 'rtsp+tcp' },
]) {
  test(`a viewer who sets up ${transport} is listed as ${protocol}`, async () => {
    const { server } = await start();
    await using _server = server;
    using client = await RawRtspClient.open(`${server.url}/cam`);
    await client.request('DESCRIBE', '', { Accept: 'application/sdp' });
    assert.equal((await client.request('SETUP', '/trackID=0', { Transport: transport })).status, 200);
    assert.deepEqual(
      [...server.hub.require('cam').consumers].map((consumer) => consumer.protocol),
      [protocol],
    );
  });
}

test('sender reports relate both tracks to the same clock', async () => {
  const { server } = await start();
  await using _server = server;
  using client = await RawRtspClient.open(`${server.url}/cam`);
  await client.play();
  await waitFor(() => client.on(1).length > 0 && client.on(3).length > 0 && client.on(2).length > 10);
  for (const channel of [1, 3]) {
    const packet = client.on(channel)[0];
    assert.ok(packet !== undefined);
    const [report, description] = parseRtcp(packet.data);
    assert.ok(report?.kind === 'sr');
    assert.equal(description?.kind, 'sdes');
    const nowS = Date.now() / 1000 + 2_208_988_800;
    assert.ok(Math.abs(report.ntpSeconds - nowS) < 5);
    const near = rtp(client.on(channel - 1).at(-1)?.data ?? Buffer.alloc(12)).timestamp;
    assert.ok(Math.abs((near - report.rtpTimestamp) | 0) < 90_000 * 10);
  }
});

const answers: [name: string, method: string, path: string, headers: Record<string, string>, status: number][] = [
  ['OPTIONS', 'OPTIONS', '', {}, 200],
  ['GET_PARAMETER as keep-alive', 'GET_PARAMETER', '', {}, 200],
  ['SET_PARAMETER', 'SET_PARAMETER', '', {}, 200],
  ['an unknown method', 'REDIRECT', '', {}, 501],
  ['PLAY before SETUP', 'PLAY', '', {}, 455],
  ['RECORD before ANNOUNCE', 'RECORD', '', {}, 455],
  ['a track that is not there', 'SETUP', '/trackID=7', { Transport: 'RTP/AVP/TCP;interleaved=0-1' }, 400],
  ['multicast', 'SETUP', '/trackID=0', { Transport: 'RTP/AVP;multicast' }, 461],
  ['a foreign session id', 'OPTIONS', '', { Session: '12345' }, 454],
  ['the talk channel', 'DESCRIBE', '', { Require: 'www.onvif.org/ver20/backchannel' }, 551],
  ['a codec that is not there', 'DESCRIBE', '?video=vp9', {}, 404],
  ['an unknown stream', 'DESCRIBE', 'era', {}, 404],
  ['ANNOUNCE to an unknown stream', 'ANNOUNCE', 'era', { 'Content-Type': 'application/sdp' }, 404],
];
for (const [name, method, path, headers, status] of answers) {
  test(`${name} is answered by ${status}`, async () => {
    const { server } = await start();
    await using _server = server;
    using client = await RawRtspClient.open(`${server.url}/cam`);
    assert.equal((await client.request(method, path, headers)).status, status);
    if (status === 404) await waitFor(() => client.closed);
  });
}

test('tracks can be chosen by the query, and SETUP finds them behind it', async () => {
  const { server } = await start();
  await using _server = server;
  using client = await RawRtspClient.open(`${server.url}/cam?audio=aac,pcma`);
  const sdp = parseSdp((await client.request('DESCRIBE')).body);
  assert.deepEqual(
    sdp.media.map((medium) => medium.kind),
    ['audio'],
  );
  assert.equal((await client.request('SETUP', '/trackID=0', { Transport: 'RTP/AVP/TCP;interleaved=0-1' })).status, 200);
  await client.request('PLAY');
  await waitFor(() => client.on(0).length > 5);
});

test('PAUSE stops the packets, PLAY goes on with a key frame', async () => {
  const { server } = await start();
  await using _server = server;
  using client = await RawRtspClient.open(`${server.url}/cam?video`);
  await client.play();
  await waitFor(() => client.on(0).length > 5);
  assert.equal((await client.request('PAUSE')).status, 200);
  const paused = client.packets.length;
  await new Promise((resolve) => setTimeout(resolve, 150));
  assert.equal(client.packets.length, paused);
  assert.equal((await client.request('PLAY')).status, 200);
  await waitFor(() => client.packets.length > paused);
  assert.equal((client.packets[paused]?.data[12] ?? 0) & 0x1f, 24);
});

test("VLC's dialogue (live555): slash at the end, Range, Session with GET_PARAMETER, TEARDOWN", async () => {
  const { server } = await start();
  await using _server = server;
  using client = await RawRtspClient.open(`${server.url}/cam`);
  const agent = { 'User-Agent': 'LibVLC/3.0.21 (LIVE555 Streaming Media v2016.11.28)' };
  assert.match((await client.request('OPTIONS', '', agent)).header('public') ?? '', /GET_PARAMETER/);
  await client.request('DESCRIBE', '', { ...agent, Accept: 'application/sdp' });
  const setup = await client.request('SETUP', '/trackID=0', {
    ...agent,
    Transport: 'RTP/AVP/TCP;unicast;interleaved=0-1',
  });
  const session = { ...agent, Session: (setup.header('session') ?? '').split(';')[0] ?? '' };
  await client.request('SETUP', '/trackID=1', { ...session, Transport: 'RTP/AVP/TCP;unicast;interleaved=2-3' });
  const played = await client.request('PLAY', '/', { ...session, Range: 'npt=0.000-' });
  assert.equal(played.status, 200);
  assert.match(
    played.header('rtp-info') ?? '',
    /url=rtsp:\/\/127\.0\.0\.1:\d+\/cam\/trackID=0;seq=\d+;rtptime=\d+,url=/,
  );
  await waitFor(() => client.on(0).length > 10 && client.on(2).length > 3);
  assert.equal((await client.request('GET_PARAMETER', '/', session)).status, 200);
  assert.equal((await client.request('TEARDOWN', '/', session)).status, 200);
  assert.equal(server.hub.require('cam').consumers.size, 0);
  assert.equal((await client.request('PAUSE', '/', session)).status, 200, 'GStreamer sends one behind TEARDOWN');
});

test('requests sent in one go are answered in their order', async () => {
  const { server } = await start();
  await using _server = server;
  using client = await RawRtspClient.open(`${server.url}/cam?video`);
  client.send('OPTIONS');
  client.send('DESCRIBE');
  client.send('SETUP', '/trackID=0', { Transport: 'RTP/AVP/TCP;interleaved=0-1' });
  client.send('PLAY');
  await waitFor(() => client.messages.length === 4 && client.packets.length > 0);
  assert.deepEqual(
    client.messages.map((message) => [message.cseq, message.kind === 'response' ? message.status : 0]),
    [
      [1, 200],
      [2, 200],
      [3, 200],
      [4, 200],
    ],
  );
});

test('a camera that drops and returns: viewers stay, numbers and times go on', async () => {
  const { server, camera } = await start();
  await using _server = server;
  using client = await RawRtspClient.open(`${server.url}/cam?video`);
  await client.play();
  await waitFor(() => client.on(0).length > 20);
  camera.drop();
  const before = client.on(0).length;
  await waitFor(() => client.on(0).length > before + 40);
  const packets = client.on(0).map((packet) => rtp(packet.data));
  for (const [index, packet] of packets.entries()) {
    const last = packets[index - 1];
    if (last === undefined) continue;
    assert.equal(packet.sequence, (last.sequence + 1) & 0xffff);
    const step = (packet.timestamp - last.timestamp) | 0;
    assert.ok(step >= 0 && step < 90_000 * 3, `step of ${step} ticks`);
  }
});

test('a viewer that stops reading costs little, is told in the count, and resumes with a key frame', async () => {
  const camera = clipSource('clip', heavy);
  await using server = await startTestRtspServer({
    sources: [camera.module],
    streams: { cam: ['clip:'] },
    limits: { maxQueueBytes: 400_000, maxStuckMs: 60_000 },
  });
  using slow = await RawRtspClient.open(`${server.url}/cam?video`);
  await slow.play();
  await waitFor(() => slow.on(0).length > 5);
  slow.socket.pause();
  const stream = server.hub.require('cam');
  const consumer = [...stream.consumers][0];
  assert.ok(consumer !== undefined);
  await waitFor(() => consumer.unitsDropped > 5, { timeoutMs: 60_000, what: 'pictures left out' });
  const at = slow.packets.length;
  slow.socket.resume();
  const sent = consumer.unitsSent;
  await waitFor(() => consumer.unitsSent > sent + 5, { timeoutMs: 60_000 });
  await waitFor(() => slow.packets.length > at + 100, { timeoutMs: 60_000 });
  // Numbers jump where pictures were left out, and the first packet behind each jump is a key frame's.
  let jumps = 0;
  const packets = slow.on(0);
  for (const [index, packet] of packets.entries()) {
    const last = packets[index - 1];
    if (last === undefined || rtp(packet.data).sequence === ((rtp(last.data).sequence + 1) & 0xffff)) continue;
    jumps++;
    assert.equal((packet.data[12] ?? 0) & 0x1f, 24, 'parameter sets come first');
  }
  assert.ok(jumps > 0);
});

test('a viewer that takes nothing for long is closed, the other ones go on', async () => {
  const camera = clipSource('clip', heavy);
  await using server = await startTestRtspServer({
    sources: [camera.module],
    streams: { cam: ['clip:'] },
    limits: { maxQueueBytes: 400_000, maxStuckMs: 300 },
  });
  using slow = await RawRtspClient.open(`${server.url}/cam?video`);
  using good = await RawRtspClient.open(`${server.url}/cam?video`);
  await slow.play();
  await good.play();
  slow.socket.pause();
  const stream = server.hub.require('cam');
  await waitFor(() => stream.consumers.size === 1, { timeoutMs: 60_000, what: 'the stuck viewer to be closed' });
  assert.match(server.log.text, /took nothing for long: closed/);
  const packets = good.on(0).map((packet) => rtp(packet.data));
  for (const [index, packet] of packets.entries()) {
    const last = packets[index - 1];
    if (last !== undefined) assert.equal(packet.sequence, (last.sequence + 1) & 0xffff);
  }
});

test('a GOP too large to keep: the key frame alone, then live from the next one', async () => {
  const camera = clipSource('clip', clip);
  await using server = await startTestRtspServer({
    sources: [camera.module],
    streams: { cam: ['clip:'] },
    hub: { maxGopBytes: 20_000 },
  });
  using first = await RawRtspClient.open(`${server.url}/cam?video`);
  await first.play();
  const stream = server.hub.require('cam');
  await waitFor(() => !stream.gop().complete);
  using second = await RawRtspClient.open(`${server.url}/cam?video`);
  await second.play();
  await waitFor(() => new Set(second.on(0).map((packet) => rtp(packet.data).timestamp)).size >= 3, {
    timeoutMs: 20_000,
  });
  const starts = second.on(0).filter((packet) => ((packet.data[12] ?? 0) & 0x1f) === 24);
  assert.ok(starts.length >= 2, 'the second picture is a key frame too');
  const second2 = second.on(0).indexOf(starts[1] ?? starts[0] ?? { channel: 0, data: Buffer.alloc(0), atMs: 0 });
  const times = new Set(
    second
      .on(0)
      .slice(0, second2)
      .map((packet) => rtp(packet.data).timestamp),
  );
  assert.equal(times.size, 1);
});

test('what a client sends that is no RTSP ends its connection and nothing else', async () => {
  const { server } = await start();
  await using _server = server;
  using good = await RawRtspClient.open(`${server.url}/cam?video`);
  await good.play();
  for (const bytes of [
    'GET / HTTP/1.1\r\n\r\n',
    '\u0000\u0001\u0002\u0003'.repeat(100),
    `DESCRIBE ${'x'.repeat(20_000)}`,
  ]) {
    using bad = await RawRtspClient.open(`${server.url}/cam`);
    bad.socket.write(bytes);
    await waitFor(() => bad.closed, { what: `close after ${JSON.stringify(bytes.slice(0, 20))}` });
  }
  const at = good.packets.length;
  await waitFor(() => good.packets.length > at + 10);
});

test('a request that fails again and again is one line in the log', async () => {
  const { server } = await start();
  await using _server = server;
  using client = await RawRtspClient.open(`${server.url}/cam`);
  for (let count = 0; count < 20; count++) assert.equal((await client.request('PLAY')).status, 455);
  assert.equal(server.log.find('warn', /PLAY/).length, 1);
});

const ANNOUNCED = [
  'v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n',
  'a=fmtp:96 packetization-mode=1;sprop-parameter-sets=Z0LAHtoCgPaEAAADAAQAAAMACjxYuoA=,aO48gA==\r\n',
  'a=control:streamid=0\r\n',
].join('');

async function publish(url: string): Promise<RawRtspClient> {
  const client = await RawRtspClient.open(url);
  await client.request('ANNOUNCE', '', { 'Content-Type': 'application/sdp' }, ANNOUNCED);
  await client.request('SETUP', '/streamid=0', { Transport: 'RTP/AVP/TCP;unicast;interleaved=0-1;mode=record' });
  assert.equal((await client.request('RECORD')).status, 200);
  return client;
}

test('a publisher that falls silent is closed after its time-out', async () => {
  const { server } = await start();
  await using _server = server;
  using client = await publish(`${server.url}/empty?timeout=1`);
  assert.equal(server.hub.require('empty').producers.length, 1);
  await waitFor(() => client.closed && server.hub.require('empty').producers.length === 0);
});

test('a publisher that comes back takes over from its lost connection', async () => {
  const { server } = await start();
  await using _server = server;
  using lost = await publish(`${server.url}/empty`);
  using back = await publish(`${server.url}/empty`);
  await waitFor(() => lost.closed);
  const { producers } = server.hub.require('empty');
  assert.deepEqual(
    producers.map((producer) => [producer.state, producer.spec.text]),
    [['running', `rtsp://127.0.0.1:${back.localPort}/ (published)`]],
  );
});

test('an announced session without usable media is answered by 415, a broken one by 400', async () => {
  const { server } = await start();
  await using _server = server;
  using client = await RawRtspClient.open(`${server.url}/empty`);
  const sdp = 'v=0\r\nm=application 0 RTP/AVP 107\r\na=rtpmap:107 vnd.onvif.metadata/90000\r\n';
  assert.equal((await client.request('ANNOUNCE', '', {}, sdp)).status, 415);
  assert.equal((await client.request('ANNOUNCE', '', {}, 'nonsense')).status, 400);
});

test('no sequence of requests stops the server', async () => {
  const { server } = await start();
  await using _server = server;
  const methods = ['OPTIONS', 'DESCRIBE', 'SETUP', 'PLAY', 'PAUSE', 'ANNOUNCE', 'RECORD', 'GET_PARAMETER', 'TEARDOWN'];
  const request = fc.record({
    method: fc.constantFrom(...methods),
    path: fc.constantFrom('', '/trackID=0', '/trackID=1', '?video', '/streamid=0', '?audio=%zz', '?pkt_size=-1'),
    transport: fc.constantFrom(
      'RTP/AVP/TCP;unicast;interleaved=0-1',
      'RTP/AVP/TCP;interleaved=2-3',
      'RTP/AVP;client_port=40000-40001',
      'RTP/AVP;client_port=99999-1,RTP/AVP/TCP',
      'RAW/RAW/UDP',
      '',
    ),
    body: fc.constantFrom('', ANNOUNCED, 'v=0\r\nm=video 0 RTP/AVP 26\r\n'),
    junk: fc.uint8Array({ maxLength: 12 }),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom('cam', 'empty', 'none'),
      fc.array(request, { maxLength: 8 }),
      async (name, list) => {
        using client = await RawRtspClient.open(`${server.url}/${name}`);
        for (const { method, path, transport, body, junk } of list) {
          client.send(method, path, { Transport: transport }, body);
          // An interleaved frame in between.
          client.socket.write(Buffer.concat([Buffer.from([0x24, 0, 0, junk.length]), junk]));
        }
        client.socket.end();
        await waitFor(() => client.closed, { timeoutMs: 30_000 });
      },
    ),
    { numRuns: Math.ceil(RUNS / 6) },
  );
  assert.deepEqual(server.log.find('error', /./), []);
  using good = await RawRtspClient.open(`${server.url}/cam?video`);
  await good.play();
  await waitFor(() => good.on(0).length > 3);
});

test('closing the server closes its viewers', async () => {
  const { server } = await start();
  using client = await RawRtspClient.open(`${server.url}/cam`);
  await client.play();
  await server[Symbol.asyncDispose]();
  await waitFor(() => client.closed);
});
