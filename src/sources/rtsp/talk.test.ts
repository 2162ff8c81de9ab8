import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  BACK_CHANNEL,
  describesTalk,
  FAKE_SDP,
  type FakeCamera,
  type FakeHandler,
  startFakeCamera,
} from '../../../testkit/fake-rtsp-camera.ts';
import { startGstCamera } from '../../../testkit/gst-camera.ts';
import { MemoryLog } from '../../../testkit/memory-log.ts';
import { waitFor } from '../../../testkit/wait.ts';
import type { AudioCodec, AudioFormat } from '../../core/media.ts';
import { parseSourceSpec, type TalkCall, type TalkLine } from '../../core/source.ts';
import { makeAudioFormat } from '../../wire/codecs/formats.ts';
import { makeRtpView, readRtp } from '../../wire/rtp/header.ts';
import { parseRtcp } from '../../wire/rtp/rtcp.ts';
import { makeRtspSource } from './index.ts';

function call(url: string, module = makeRtspSource(), signal = new AbortController().signal): Promise<TalkCall> {
  const talk = module.talk?.({ spec: parseSourceSpec(url), streamName: 'porch', log: new MemoryLog(), signal });
  assert.ok(talk);
  return talk;
}

async function startFirst(made: TalkCall): Promise<TalkLine> {
  const [codec] = made.codecs;
  assert.ok(codec);
  return made.start(codec, true);
}

function unit(codec: Exclude<AudioCodec, 'aac' | 'flac'>, data: Buffer): { format: AudioFormat; data: Buffer } {
  return { format: makeAudioFormat(codec, 8_000, 1), data };
}

interface Heard {
  readonly payloadType: number;
  readonly marker: boolean;
  readonly sequence: number;
  readonly timestamp: number;
  readonly payload: Buffer;
}

function heard(camera: FakeCamera, channel = 0): Heard[] {
  const view = makeRtpView();
  return camera.clients.flatMap(({ frames }) =>
    frames
      .filter((frame) => frame.channel === channel)
      .map(({ packet }) => {
        readRtp(packet, 0, packet.length, view);
        const { payloadType, marker, sequence, timestamp } = view;
        return {
          payloadType,
          marker,
          sequence,
          timestamp,
          payload: packet.subarray(view.payloadStart, view.payloadEnd),
        };
      }),
  );
}

const requestsOf = (camera: FakeCamera, method: string) =>
  camera.clients.flatMap(({ requests }) => requests.filter((request) => request.method === method));

describe('the back channel of an RTSP camera', () => {
  test('is asked for as ONVIF says, set up alone, and gets even packets with reports', async () => {
    await using camera = await startFakeCamera({ on: { DESCRIBE: describesTalk() } });
    await using made = await call(camera.url);
    assert.deepEqual(made.codecs, [{ codec: 'pcma', clockRateHz: 8_000, sampleRateHz: 8_000, channels: 1 }]);
    assert.deepEqual(camera.log, ['OPTIONS /cam', 'DESCRIBE /cam'], 'to ask changes nothing');
    const line = await startFirst(made);
    assert.deepEqual(camera.log.slice(2), ['SETUP /cam/trackID=5', 'PLAY /cam/']);
    for (const method of ['DESCRIBE', 'SETUP', 'PLAY']) {
      assert.equal(requestsOf(camera, method)[0]?.headers.get('require'), BACK_CHANNEL, method);
    }
    for (let i = 0; i < 5; i++) line.push(unit('pcma', Buffer.alloc(160, 0x20 + i)));
    await waitFor(() => heard(camera).length >= 8, { what: 'packets' });
    const packets = heard(camera);
    assert.deepEqual(
      packets.slice(0, 6).map(({ payload }) => payload[0]),
      [0x20, 0x21, 0x22, 0x23, 0x24, 0xd5],
    );
    const [first] = packets;
    assert.ok(first);
    for (const [index, packet] of packets.entries()) {
      assert.equal(packet.payloadType, 8);
      assert.equal(packet.payload.length, 160);
      assert.equal(packet.marker, index === 0);
      assert.equal(packet.sequence, (first.sequence + index) & 0xffff);
      assert.equal(packet.timestamp, (first.timestamp + index * 160) % 2 ** 32);
    }
    const report = camera.clients[0]?.frames.find((frame) => frame.channel === 1);
    assert.ok(report);
    assert.equal(parseRtcp(report.packet)[0]?.kind, 'sr');
    await made[Symbol.asyncDispose]();
    await waitFor(() => camera.log.at(-1) === 'TEARDOWN /cam/', { what: 'the goodbye' });
  });

  test('goes by UDP where the source does', async () => {
    await using camera = await startGstCamera({ audio: 'pcma', talk: 'pcmu', transport: 'udp' });
    await using made = await call(`${camera.url}#transport=udp#backchannel=all`);
    const line = await startFirst(made);
    const timer = setInterval(() => line.push(unit('pcmu', Buffer.alloc(160, 0x20))), 20);
    await waitFor(async () => (await camera.heard()).length > 1_600, {
      timeoutMs: 20_000,
      what: 'what a real server hears',
    });
    clearInterval(timer);
  });

  test('of a real server (GStreamer’s ONVIF) hears what is said, by TCP', async () => {
    await using camera = await startGstCamera({ audio: 'aac', talk: 'pcma' });
    await using made = await call(`${camera.url}#backchannel=all`);
    assert.deepEqual(
      made.codecs.map(({ codec, clockRateHz }) => [codec, clockRateHz]),
      [['pcma', 8_000]],
    );
    const line = await startFirst(made);
    const timer = setInterval(() => line.push(unit('pcma', Buffer.alloc(160, 0x20))), 20);
    await waitFor(async () => (await camera.heard()).length > 1_600, {
      timeoutMs: 20_000,
      what: 'what a real server hears',
    });
    clearInterval(timer);
  });

  test('of Reolink gets packets of 1024 samples, all marked', async () => {
    const pcmu = ['m=audio 0 RTP/AVP 0', 'a=rtpmap:0 PCMU/8000', 'a=sendonly', 'a=control:track3'];
    const tool = ['a=tool:BC Streaming Media v202210012022.10.01'];
    await using camera = await startFakeCamera({ on: { DESCRIBE: describesTalk(pcmu, tool) } });
    await using made = await call(camera.url);
    const line = await startFirst(made);
    const timer = setInterval(() => line.push(unit('pcmu', Buffer.alloc(160, 0x20))), 20);
    await waitFor(() => heard(camera).length >= 2, { what: 'two packets' });
    clearInterval(timer);
    for (const { payload, marker, payloadType } of heard(camera)) {
      assert.deepEqual([payload.length, marker, payloadType], [1024, true, 0]);
    }
  });

  const forms: { name: string; lines: string[]; codecs: string[] }[] = [
    { name: 'G.711 in both laws', lines: ['m=audio 0 RTP/AVP 0 8'], codecs: ['pcmu/8000', 'pcma/8000'] },
    { name: 'PCMU at 16 kHz', lines: ['m=audio 0 RTP/AVP 97', 'a=rtpmap:97 PCMU/16000'], codecs: ['pcmu/16000'] },
    {
      name: 'AAC',
      lines: ['m=audio 0 RTP/AVP 98', 'a=rtpmap:98 MPEG4-GENERIC/16000', 'a=fmtp:98 mode=AAC-hbr;config=1408'],
      codecs: ['aac/16000'],
    },
    { name: 'Opus', lines: ['m=audio 0 RTP/AVP 99', 'a=rtpmap:99 opus/48000/2'], codecs: ['opus/48000'] },
    { name: 'G.722', lines: ['m=audio 0 RTP/AVP 9'], codecs: ['g722/8000'] },
    { name: 'nothing that is known', lines: ['m=audio 0 RTP/AVP 18'], codecs: [] },
  ];
  for (const { name, lines, codecs } of forms) {
    test(`is understood: ${name}`, async () => {
      const media = [...lines, 'a=sendonly', 'a=control:trackID=5'];
      await using camera = await startFakeCamera({ on: { DESCRIBE: describesTalk(media) } });
      await using made = await call(camera.url);
      assert.deepEqual(
        made.codecs.map(({ codec, clockRateHz }) => `${codec}/${clockRateHz}`),
        codecs,
      );
    });
  }

  test('takes AAC as RFC 3640 has it', async () => {
    const aac = [...(forms[2]?.lines ?? []), 'a=sendonly', 'a=control:trackID=5'];
    await using camera = await startFakeCamera({ on: { DESCRIBE: describesTalk(aac) } });
    await using made = await call(camera.url);
    const line = await startFirst(made);
    const frame = Buffer.alloc(300, 7);
    line.push(unit('pcma', frame));
    line.push(unit('pcma', frame));
    await waitFor(() => heard(camera).length === 2, { what: 'both frames' });
    const [one, two] = heard(camera);
    assert.ok(one && two);
    assert.equal(one.payload.subarray(0, 4).toString('hex'), `0010${(300 << 3).toString(16).padStart(4, '0')}`);
    assert.deepEqual(one.payload.subarray(4), frame);
    assert.equal(two.timestamp - one.timestamp, 1024);
    assert.equal(one.marker, true);
  });

  const silent: { name: string; on: Readonly<Record<string, FakeHandler>> }[] = [
    { name: 'says 551 as it should', on: { DESCRIBE: () => ({ status: 551 }) } },
    { name: 'says 400', on: { DESCRIBE: () => ({ status: 400 }) } },
    { name: 'doesn’t mind the question', on: {} },
    {
      name: 'hangs up',
      on: {
        DESCRIBE: (_request, client) => {
          client.socket.destroy();
          return null;
        },
      },
    },
    {
      name: 'marks its own tracks sendonly (go2rtc#771)',
      on: {
        DESCRIBE: () => ({ body: FAKE_SDP.replace(/a=control:trackID/g, 'a=sendonly\r\na=control:trackID') }),
      },
    },
  ];
  for (const { name, on } of silent) {
    test(`is none for a camera that ${name}`, async () => {
      await using camera = await startFakeCamera({ on });
      await using made = await call(camera.url);
      assert.deepEqual(made.codecs, []);
      assert.ok(!camera.log.some((entry) => entry.startsWith('SETUP')));
    });
  }

  test('is never asked for with #backchannel=0', async () => {
    await using camera = await startFakeCamera({ on: { DESCRIBE: describesTalk() } });
    await using made = await call(`${camera.url}#backchannel=0`);
    assert.deepEqual(made.codecs, []);
    assert.equal(camera.clients.length, 0);
  });

  test('plays together with the camera’s own sound where it does not play alone', async () => {
    await using camera = await startFakeCamera({
      on: {
        DESCRIBE: describesTalk(),
        PLAY: (_request, client) =>
          client.requests.filter(({ method }) => method === 'SETUP').length < 2 ? { status: 455 } : undefined,
      },
    });
    await using made = await call(camera.url);
    const line = await startFirst(made);
    line.push(unit('pcma', Buffer.alloc(160, 0x20)));
    await waitFor(() => heard(camera).length > 0, { what: 'a packet' });
    assert.deepEqual(
      camera.log.filter((entry) => entry.startsWith('SETUP')),
      ['SETUP /cam/trackID=5', 'SETUP /cam/trackID=1'],
    );
  });

  test('is set up together with the picture and the sound where the owner says so', async () => {
    await using camera = await startFakeCamera({ on: { DESCRIBE: describesTalk() } });
    await using made = await call(`${camera.url}#backchannel=all`);
    await startFirst(made);
    assert.deepEqual(
      camera.log.filter((entry) => entry.startsWith('SETUP')),
      ['SETUP /cam/trackID=1', 'SETUP /cam/trackID=2', 'SETUP /cam/trackID=5'],
    );
  });

  test('is refused with the camera’s own words when somebody else has it', async () => {
    await using camera = await startFakeCamera({ on: { DESCRIBE: describesTalk(), SETUP: () => ({ status: 453 }) } });
    await using made = await call(camera.url);
    await assert.rejects(startFirst(made), /453/);
  });

  test('a camera that drops out is noticed', async () => {
    await using camera = await startFakeCamera({ on: { DESCRIBE: describesTalk() } });
    await using made = await call(camera.url);
    const line = await startFirst(made);
    camera.clients[0]?.socket.destroy();
    await assert.rejects(line.ended, { code: 'rtsp.closed' });
  });
});
