import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { collect } from '../../../testkit/hub.ts';
import { RawRtspClient, startTestRtspServer, type TestRtspServer } from '../../../testkit/rtsp-server.ts';
import { waitFor } from '../../../testkit/wait.ts';
import type { Hub } from '../../core/hub.ts';
import type { SourceModule } from '../../core/source.ts';
import { createProgramSources } from './index.ts';

const FFMPEG =
  'ffmpeg -hide_banner -loglevel error -re -f lavfi -i testsrc2=size=192x108:rate=25 -c:v libx264 -preset ultrafast -tune zerolatency -g 10';
const SESSION = 'v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n';
const SDP = { 'Content-Type': 'application/sdp' };

async function start(
  streams: Readonly<Record<string, readonly string[]>>,
  config: Readonly<Record<string, unknown>> = {},
): Promise<TestRtspServer> {
  const getHub = (): Hub => held.hub;
  const sources: readonly SourceModule[] = createProgramSources({ environment: process.env }, getHub, () => sources);
  const held = await startTestRtspServer({ sources, streams, config });
  return held;
}

describe('exec: with {output}', { timeout: 90_000 }, () => {
  for (const transport of ['tcp', 'udp']) {
    test(`ffmpeg publishes over ${transport}, though the server wants a password from everybody`, async () => {
      await using server = await start(
        { cam: [`exec:${FFMPEG} -rtsp_transport ${transport} -f rtsp {output}`] },
        { username: 'u', password: 'p', local_auth: true },
      );
      using viewer = await collect(server.hub.require('cam'));
      const [first] = await viewer.wait('video', 15);
      assert.equal(first?.key, true);
      assert.equal(server.hub.require('cam').producers[0]?.description?.protocol, `rtsp+${transport}`);
    });
  }

  test('a program that dies is started again with a new address, and viewers stay', async () => {
    await using server = await start({ cam: [`exec:${FFMPEG} -t 1.5 -rtsp_transport tcp -f rtsp {output}`] });
    using viewer = await collect(server.hub.require('cam'));
    await viewer.wait('video', 60);
    assert.equal(viewer.ended(), undefined);
    assert.ok((server.hub.require('cam').producers[0]?.reconnects ?? 0) >= 1);
    assert.match(server.log.text, /exec: ffmpeg ended with code 0/);
  });

  test('without an RTSP server the program is not started, and the reason is told', async () => {
    await using server = await start({ cam: [`exec:${FFMPEG} -f rtsp {output}`] }, { listen: '' });
    await assert.rejects(collect(server.hub.require('cam')), { code: 'publish.off', status: 503 });
  });

  test('an address for a program counts once, only while it is waited for, and gives no other right', async () => {
    await using server = await start({ cam: [] }, { username: 'u', password: 'p', local_auth: true });
    const { expected } = server.hub;
    const taken: string[] = [];
    const target = {
      name: 'cam',
      publish: (_spec: unknown, module: SourceModule) => {
        taken.push(module.name);
        return Promise.resolve();
      },
    };
    const first = expected.expect(target);
    const other = expected.expect(target);
    assert.match(first.url, new RegExp(`^rtsp://127\\.0\\.0\\.1:${server.port}/[0-9a-f]{48}$`));
    assert.notEqual(first.url, other.url);
    using client = await RawRtspClient.open(first.url);
    assert.equal((await client.request('OPTIONS')).status, 200);
    assert.equal((await client.request('DESCRIBE')).status, 404);
    using publisher = await RawRtspClient.open(first.url);
    assert.equal((await publisher.request('ANNOUNCE', '', SDP, SESSION)).status, 200);
    const way = { Transport: 'RTP/AVP/TCP;unicast;interleaved=0-1;mode=record' };
    assert.equal((await publisher.request('SETUP', '/streamid=0', way)).status, 200);
    assert.equal((await publisher.request('RECORD')).status, 200);
    assert.deepEqual(taken, ['rtsp-publish']);
    using second = await RawRtspClient.open(first.url);
    assert.equal((await second.request('ANNOUNCE', '', SDP, SESSION)).status, 401, 'it was used');
    other[Symbol.dispose]();
    using late = await RawRtspClient.open(other.url);
    assert.equal((await late.request('ANNOUNCE', '', SDP, SESSION)).status, 401, 'nobody waits any more');
    using guess = await RawRtspClient.open(`${server.url}/${'0'.repeat(48)}`);
    assert.equal((await guess.request('ANNOUNCE', '', SDP, SESSION)).status, 401);
  });

  test('a server that listens on one address only is reached by its programs there', async () => {
    await using server = await start(
      { cam: [`exec:${FFMPEG} -rtsp_transport tcp -f rtsp {output}`] },
      { listen: '127.0.0.2:0', username: 'u', password: 'p' },
    );
    using viewer = await collect(server.hub.require('cam'));
    await viewer.wait('video', 5);
  });

  test('a program that never publishes is given up in time', async () => {
    await using server = await start({ cam: ["exec:sh -c 'sleep 1000; : {output}'#starttimeout=0.5"] });
    await assert.rejects(collect(server.hub.require('cam')), { code: 'exec.timeout' });
  });

  test('what a program prints while it publishes is not waited for', async () => {
    await using server = await start({
      cam: [`exec:sh -c 'yes & exec ${FFMPEG} -rtsp_transport tcp -f rtsp {output}'`],
    });
    using viewer = await collect(server.hub.require('cam'));
    await viewer.wait('video', 30);
    await waitFor(() => viewer.of('video').length > 40);
  });
});
