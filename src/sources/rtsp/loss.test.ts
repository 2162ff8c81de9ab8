import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import { test } from 'node:test';
import {
  FAKE_IDR,
  FAKE_P,
  type FakeClient,
  type FakeHandler,
  rtp,
  startFakeCamera,
} from '../../../testkit/fake-rtsp-camera.ts';
import { runSource } from '../../../testkit/run-source.ts';
import { waitFor } from '../../../testkit/wait.ts';
import { parseRtcp } from '../../wire/rtp/rtcp.ts';
import { parseTransport } from '../../wire/rtsp/transport.ts';
import { makeRtspSource } from './index.ts';

const picture = (sequence: number): Buffer =>
  rtp({ sequence, timestamp: sequence * 3000, payload: sequence === 0 ? FAKE_IDR : FAKE_P });

test('UDP packets that come out of order are put in order, lost ones are counted and named with the consequence', async () => {
  const sender = dgram.createSocket('udp4');
  const received: Buffer[] = [];
  sender.on('message', (message) => received.push(message));
  await new Promise<void>((resolve) => sender.bind(0, '127.0.0.1', resolve));
  const stranger = dgram.createSocket('udp4');
  await new Promise<void>((resolve) => stranger.bind(0, '127.0.0.2', resolve));
  let port = 0;
  const setup: FakeHandler = (request) => {
    const asked = parseTransport(request.headers.get('transport') ?? '')[0];
    port = asked?.clientPort?.[0] ?? 0;
    const own = sender.address().port;
    return {
      headers: { Session: '1', Transport: `RTP/AVP;unicast;client_port=${port}-${port + 1};server_port=${own}-${own}` },
    };
  };
  const play: FakeHandler = () => {
    setImmediate(() => {
      // From another address than the camera's: never taken.
      stranger.send(picture(3), port, '127.0.0.1');
      // 3 is missing; 6 comes before 5.
      for (const sequence of [0, 1, 2, 4, 6, 5, 7]) sender.send(picture(sequence), port, '127.0.0.1');
    });
    return undefined;
  };
  try {
    const sdp =
      'v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 sprop-parameter-sets=Z2QAM6zoAoALWQ==,aO48MA==\r\na=control:t1\r\n';
    await using camera = await startFakeCamera({ sdp, on: { SETUP: setup, PLAY: play } });
    await using source = runSource(makeRtspSource({ reportMs: 100 }), `${camera.url}#transport=udp`);
    await waitFor(() => source.sink.units.length >= 7);
    assert.deepEqual(
      source.sink.units.map((unit) => unit.ticks / 3000),
      [0, 1, 2, 4, 5, 6, 7],
    );
    await waitFor(() =>
      /warn .*"porch": 1 packets of its video are missing .*lost by UDP.*next key frame/.test(source.log.text),
    );
    await waitFor(() =>
      received.some((packet) => {
        const [report] = packet.length > 12 ? parseRtcp(packet) : [];
        return report?.kind === 'rr' && report.reports[0]?.packetsLost === 1 && report.reports[0].ssrc === 7;
      }),
    );
    assert.ok(
      received.some((packet) => packet.length === 12),
      'the way back was opened',
    );
  } finally {
    sender.close();
    stranger.close();
  }
});

test('packets that the camera leaves out over TCP are counted too, and reports go back on its channel', async () => {
  const client = Promise.withResolvers<FakeClient>();
  await using camera = await startFakeCamera({
    on: {
      PLAY: (_request, one) => {
        client.resolve(one);
        setImmediate(() => {
          for (const sequence of [0, 1, 5, 6, 6, 7]) one.frame(0, picture(sequence));
        });
        return undefined;
      },
    },
  });
  await using source = runSource(makeRtspSource({ reportMs: 100 }), camera.url);
  const { frames } = await client.promise;
  await waitFor(() => /3 packets of its video are missing .*camera left them out/.test(source.log.text));
  await waitFor(() => frames.some((frame) => frame.channel === 1));
  const [report, cname] = parseRtcp(frames.find((frame) => frame.channel === 1)?.packet ?? Buffer.alloc(0));
  assert.ok(report?.kind === 'rr' && report.reports[0]?.highestSequence === 7);
  assert.equal(cname?.kind, 'sdes');
  assert.deepEqual(
    source.sink.units.map((unit) => unit.ticks / 3000),
    [0, 1, 5, 6, 7],
    'the packet sent twice counts once',
  );
});

test('broken packets are left out with one line in the log, and the stream goes on', async () => {
  await using camera = await startFakeCamera({
    on: {
      PLAY: (_request, client) => {
        setImmediate(() => {
          client.frame(0, picture(0));
          for (let i = 0; i < 50; i++) client.frame(0, Buffer.from('4060', 'hex'));
          client.frame(1, Buffer.from('80c8ffff00000000', 'hex'));
          client.frame(0, picture(1));
        });
        return undefined;
      },
    },
  });
  await using source = runSource(makeRtspSource(), camera.url);
  await waitFor(() => source.sink.units.length >= 2);
  assert.equal(source.log.lines.filter((line) => line.level === 'warn').length, 2, source.log.text);
});
