import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  FAKE_IDR,
  FAKE_P,
  FAKE_PPS,
  FAKE_SDP,
  FAKE_SPS,
  type FakeHandler,
  playing,
  rtp,
  sendMedia,
  startFakeCamera,
} from '../../../testkit/fake-rtsp-camera.ts';
import { RecordingSink, type RunningSource, runSource } from '../../../testkit/run-source.ts';
import { waitFor } from '../../../testkit/wait.ts';
import { unixMsToNtp, writeBye, writeSenderReport } from '../../wire/rtp/rtcp.ts';
import { makeRtspSource } from './index.ts';

function units(source: RunningSource, kind: string): number {
  return source.sink.units.filter((unit) => unit.format.kind === kind).length;
}

async function bothPlay(source: RunningSource, count = 4): Promise<void> {
  let over = false;
  void source.done.then(() => {
    over = true;
  });
  await waitFor(() => over || (units(source, 'video') >= count && units(source, 'audio') >= count), {
    what: `${count} units of each kind`,
  });
  if (over) assert.fail(`the source ended early: ${String(await source.done)}`);
}

test('a camera plays, and only the tracks that the stream takes are set up', async () => {
  await using camera = await startFakeCamera({ on: { PLAY: playing() } });
  const sink = new RecordingSink();
  sink.takes = (kind) => kind === 'video';
  await using source = runSource(makeRtspSource(), camera.url, sink);
  await waitFor(() => units(source, 'video') >= 4);
  assert.deepEqual(camera.log, ['OPTIONS /cam', 'DESCRIBE /cam', 'SETUP /cam/trackID=1', 'PLAY /cam/']);
  const [description] = sink.descriptions;
  assert.deepEqual(
    description?.tracks.map((track) => [track.kind, track.codec, track.clockRateHz, track.format !== null]),
    [
      ['video', 'h264', 90_000, true],
      ['audio', 'pcma', 8000, true],
    ],
  );
  assert.equal(description?.protocol, 'rtsp+tcp');
  assert.match(description?.remoteAddr ?? '', /^127\.0\.0\.1:\d+$/);
  assert.equal(units(source, 'audio'), 0);
  assert.ok(sink.bytes > 0 && sink.flushes > 0);
  assert.deepEqual(
    sink.units.slice(0, 2).map((unit) => [unit.ticks, unit.key]),
    [
      [0, true],
      [3000, false],
    ],
  );
});

test('metadata tracks are never set up', async () => {
  await using camera = await startFakeCamera({ on: { PLAY: playing() } });
  await using source = runSource(makeRtspSource(), camera.url);
  await bothPlay(source);
  assert.ok(!camera.log.some((line) => line.includes('trackID=3')));
});

const quirks: { name: string; sdp?: string; on: Readonly<Record<string, FakeHandler>> }[] = [
  {
    name: 'sends garbage between its frames',
    on: {
      PLAY: (_request, client) => {
        setImmediate(() => {
          for (let i = 0; i < 6; i++) {
            sendMedia(client, 1, { from: i });
            client.socket.write(Buffer.from([0, 0, 0x24, 0xff, 0x52, 0x0d]));
          }
        });
        return undefined;
      },
    },
  },
  {
    name: 'uses other channels than it was asked for, and says so',
    on: {
      SETUP: (request) => {
        const channels = request.url.endsWith('1') ? '10-11' : '4-5';
        return { headers: { Session: '1', Transport: `RTP/AVP/TCP;unicast;interleaved=${channels}` } };
      },
      PLAY: playing(5, { video: 10, audio: 4 }),
    },
  },
  {
    name: 'uses other channels than it says',
    on: { PLAY: playing(5, { video: 2, audio: 0 }) },
  },
  { name: 'uses one channel for all', on: { PLAY: playing(5, { video: 0, audio: 0 }) } },
  {
    name: 'gives one channel number and a blank in its ssrc',
    on: {
      SETUP: (request) => {
        const first = request.url.endsWith('1') ? 0 : 2;
        return { headers: { Session: '1', Transport: `RTP/AVP/TCP;unicast;interleaved=${first};ssrc= 7` } };
      },
      PLAY: playing(),
    },
  },
  {
    name: 'says RTP/AVP but means interleaved (Escam Q6)',
    on: {
      SETUP: (request) => ({
        headers: {
          Session: '1',
          Transport: `RTP/AVP;unicast;interleaved=${request.url.endsWith('1') ? '0-1' : '2-3'}`,
        },
      }),
      PLAY: playing(),
    },
  },
  { name: 'gives no Transport and no Session in its answers', on: { SETUP: () => ({}), PLAY: playing() } },
  {
    name: 'leaves CSeq out of every answer',
    on: {
      OPTIONS: () => ({ noCseq: true }),
      DESCRIBE: () => ({ noCseq: true, body: FAKE_SDP }),
      SETUP: (request) => ({ noCseq: true, headers: { Transport: request.headers.get('transport') } }),
      PLAY: (request, client) => {
        playing()(request, client);
        return { noCseq: true };
      },
    },
  },
  {
    name: 'does not know OPTIONS',
    on: { OPTIONS: () => ({ status: 501 }), PLAY: playing() },
  },
  {
    name: 'never answers PLAY but plays',
    on: {
      PLAY: (_request, client) => {
        sendMedia(client, 6);
        return null;
      },
    },
  },
  {
    name: 'wants a PLAY for each track',
    on: {
      PLAY: (request, client) => {
        if (!request.url.includes('trackID')) return { status: 459 };
        if (request.url.endsWith('2')) setImmediate(() => sendMedia(client, 5));
        return undefined;
      },
    },
  },
  {
    name: 'has no a=control',
    sdp: FAKE_SDP.replaceAll(/a=control:.*\r\n/g, ''),
    on: {
      SETUP: (request, client) => {
        const channels = client.requests.filter((one) => one.method === 'SETUP').length === 1 ? '0-1' : '2-3';
        assert.match(request.url, /\/cam\/$/);
        return { headers: { Session: '1', Transport: `RTP/AVP/TCP;unicast;interleaved=${channels}` } };
      },
      PLAY: playing(),
    },
  },
  {
    name: 'has its parameter sets only in band',
    sdp: FAKE_SDP.replace(/a=fmtp.*\r\n/, ''),
    on: {
      PLAY: (_request, client) => {
        setImmediate(() => {
          client.frame(0, rtp({ sequence: 65_534, timestamp: 0, marker: false, payload: FAKE_SPS }));
          client.frame(0, rtp({ sequence: 65_535, timestamp: 0, marker: false, payload: FAKE_PPS }));
          sendMedia(client, 6);
        });
        return undefined;
      },
    },
  },
  {
    name: 'lists a payload type in the SDP that its packets do not have',
    sdp: FAKE_SDP.replaceAll('96', '97'),
    on: { PLAY: playing() },
  },
  {
    name: 'asks back in the middle',
    on: {
      PLAY: (_request, client) => {
        client.socket.write('OPTIONS * RTSP/1.0\r\nCSeq: 77\r\n\r\n');
        setImmediate(() => sendMedia(client, 6));
        return undefined;
      },
    },
  },
];
for (const row of quirks) {
  test(`a camera that ${row.name} plays picture and sound`, async () => {
    await using camera = await startFakeCamera({ on: row.on, ...(row.sdp === undefined ? {} : { sdp: row.sdp }) });
    await using source = runSource(makeRtspSource(), camera.url);
    await bothPlay(source);
    const video = source.sink.units.filter((unit) => unit.format.kind === 'video');
    assert.ok(video.every((unit) => unit.track === 0 && unit.format.codec === 'h264'));
    assert.equal(video[0]?.key, true);
    assert.ok(video[0]?.format.kind === 'video' && video[0].format.width === 2560, 'the format is known');
  });
}

test('a camera that refuses to set its audio up plays the picture, and viewers are told that there is no sound', async () => {
  await using camera = await startFakeCamera({
    on: { SETUP: (request) => (request.url.endsWith('2') ? { status: 500 } : undefined), PLAY: playing() },
  });
  const module = makeRtspSource();
  {
    await using source = runSource(module, camera.url);
    await waitFor(() => units(source, 'video') >= 4);
    assert.deepEqual(
      source.sink.descriptions.map((one) => one.tracks.length),
      [2, 1],
    );
    assert.match(source.log.text, /warn .*"porch" refuses its audio/);
  }
  await using again = runSource(module, camera.url);
  await waitFor(() => units(again, 'video') >= 4);
  assert.deepEqual(
    again.sink.descriptions.map((one) => one.tracks.length),
    [1],
    'the next time it is not offered',
  );
});

test('a camera that changes its resolution in the middle goes on with the new format', async () => {
  const sps = Buffer.from('6742c00cda0507ec05a830303528000003000800000300f478a155', 'hex');
  const pps = Buffer.from('68ce3c80', 'hex');
  await using camera = await startFakeCamera({
    on: {
      PLAY: (_request, client) => {
        setImmediate(() => {
          sendMedia(client, 3);
          client.frame(0, rtp({ sequence: 3, timestamp: 9000, marker: false, payload: sps }));
          client.frame(0, rtp({ sequence: 4, timestamp: 9000, marker: false, payload: pps }));
          client.frame(0, rtp({ sequence: 5, timestamp: 9000, payload: FAKE_IDR }));
          client.frame(0, rtp({ sequence: 6, timestamp: 12_000, payload: FAKE_P }));
        });
        return undefined;
      },
    },
  });
  await using source = runSource(makeRtspSource(), camera.url);
  await waitFor(() => units(source, 'video') >= 5);
  const widths = source.sink.units.flatMap((unit) => (unit.format.kind === 'video' ? [unit.format.width] : []));
  assert.deepEqual(widths, [2560, 2560, 2560, 320, 320]);
  const formats = new Set(source.sink.units.filter((unit) => unit.track === 0).map((unit) => unit.format));
  assert.equal(formats.size, 2, 'one format object for each');
});

test('packets of a dead session of old live555 are told from those of ours', async () => {
  await using camera = await startFakeCamera({
    on: {
      SETUP: (request) => ({
        headers: {
          Session: '1',
          Transport: `${request.headers.get('transport')};ssrc=${request.url.endsWith('1') ? '7' : '8'}`,
        },
      }),
      PLAY: (_request, client) => {
        setImmediate(() => {
          sendMedia(client, 1);
          for (let i = 1; i < 6; i++) {
            client.frame(0, rtp({ sequence: 30_000 + i, timestamp: 5_000_000 + i, ssrc: 99, payload: FAKE_IDR }));
            sendMedia(client, 1, { from: i });
          }
        });
        return undefined;
      },
    },
  });
  await using source = runSource(makeRtspSource(), camera.url);
  await bothPlay(source, 5);
  const ticks = source.sink.units.filter((unit) => unit.track === 0).map((unit) => unit.ticks);
  assert.deepEqual(ticks.slice(0, 5), [0, 3000, 6000, 9000, 12_000]);
});

test('sender reports say when the pictures were taken', async () => {
  const wallMs = 1_750_000_000_250;
  const { seconds, fraction } = unixMsToNtp(wallMs);
  await using camera = await startFakeCamera({
    on: {
      PLAY: (_request, client) => {
        setImmediate(() => {
          const info = {
            ssrc: 7,
            ntpSeconds: seconds,
            ntpFraction: fraction,
            rtpTimestamp: 9000,
            packetCount: 0,
            octetCount: 0,
          };
          client.frame(1, writeSenderReport(info));
          sendMedia(client, 5);
          // On the wrong channel: the SSRC tells.
          client.frame(1, writeSenderReport({ ...info, ssrc: 8, rtpTimestamp: 800 }));
        });
        return undefined;
      },
    },
  });
  await using source = runSource(makeRtspSource(), camera.url);
  await waitFor(() => source.sink.syncs.length >= 2);
  assert.deepEqual(
    source.sink.syncs.map(({ track, ticks, ntpMs }) => [track, ticks, Math.round(ntpMs)]),
    [
      [0, 9000, wallMs],
      [1, 800, wallMs],
    ],
  );
});

test('a camera that says goodbye for all its tracks ends the connection in order', async () => {
  await using camera = await startFakeCamera({
    on: {
      PLAY: (_request, client) => {
        setImmediate(() => {
          sendMedia(client, 3);
          client.frame(1, writeBye([7, 8]));
        });
        return undefined;
      },
    },
  });
  await using source = runSource(makeRtspSource(), camera.url);
  assert.equal(await source.done, undefined);
  assert.ok(camera.log.at(-1)?.startsWith('TEARDOWN'));
});

test('a source that is stopped says TEARDOWN and is gone at once, also when the camera is stuck', async () => {
  for (const stuck of [false, true]) {
    await using camera = await startFakeCamera({ on: { PLAY: playing(), ...(stuck ? { TEARDOWN: () => null } : {}) } });
    await using source = runSource(makeRtspSource(), camera.url);
    await bothPlay(source);
    const startMs = performance.now();
    source.abort();
    await source.done;
    assert.ok(performance.now() - startMs < 1000, 'bounded even on a busy machine');
    await waitFor(() => camera.log.at(-1) === 'TEARDOWN /cam/');
    await waitFor(
      () => camera.clients[0]?.socket.destroyed === true || camera.clients[0]?.socket.readableEnded === true,
    );
  }
});

test('a source can be stopped in each phase of connecting', async () => {
  for (const method of ['OPTIONS', 'DESCRIBE', 'SETUP', 'PLAY']) {
    await using camera = await startFakeCamera({ on: { [method]: () => null } });
    await using source = runSource(makeRtspSource(), camera.url);
    await waitFor(() => camera.log.some((line) => line.startsWith(method)));
    source.abort();
    assert.match(String(await source.done), /aborted by the test/);
  }
});

test('an error in an output ends the connection with that error, not the process', async () => {
  await using camera = await startFakeCamera({ on: { PLAY: playing() } });
  const sink = new RecordingSink();
  sink.onUnit = () => {
    throw new RangeError('a bug');
  };
  await using source = runSource(makeRtspSource(), camera.url, sink);
  assert.ok((await source.done) instanceof RangeError);
});
