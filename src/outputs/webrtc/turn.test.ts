import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startTestApp } from '../../../testkit/app.ts';
import { blankPage, launchBrowser } from '../../../testkit/browser.ts';
import { clipSource, makeClip, testPicture } from '../../../testkit/mp4-source.ts';
import { startTurnServer } from '../../../testkit/turn-server.ts';
import { waitFor } from '../../../testkit/wait.ts';
import { WebrtcPage } from '../../../testkit/webrtc-page.ts';
import { describeUnsupported, webrtcConfig } from './config.ts';
import { webrtcOutput } from './module.ts';

test('a viewer that is let out through its TURN server only sees the picture', { timeout: 120_000 }, async () => {
  await using turn = await startTurnServer();
  const clip = await makeClip(testPicture({ size: '320x240', gop: 25, seconds: 2, audio: [] }));
  await using app = await startTestApp({
    streams: { cam: ['clip:cam'] },
    sources: [clipSource('clip', clip).module],
    outputs: [webrtcOutput],
  });
  await using browser = await launchBrowser();
  const page = await WebrtcPage.open(await blankPage(browser, app.url));
  const { port, username, credential } = turn;
  const viewer = await page.whepByRelay('cam', {
    urls: [`turn:127.0.0.1:${port}?transport=udp`],
    username,
    credential,
  });
  const report = await waitFor(
    async () => {
      const now = await page.report(viewer);
      return now.framesDecoded >= 20 && now;
    },
    { timeoutMs: 30_000, everyMs: 50, what: 'pictures through the relay' },
  );
  assert.deepEqual([report.width, report.height], [320, 240]);
  const [consumer] = app.app.hub.require('cam').consumers;
  assert.ok(turn.output().includes('peer 127.0.0.1'), 'the relay was used');
  assert.match(consumer?.remoteAddr ?? '', /^127\.0\.0\.1:\d+ (relay|prflx)$/);
});

test('a TURN server in the configuration is said to be of no use, a STUN server is not', () => {
  const urls = ['stun:192.0.2.1:3478', 'turn:192.0.2.1:3478?transport=udp'];
  const config = webrtcConfig.parse({ ice_servers: [{ urls, username: 'a', credential: 'b' }] });
  const told = describeUnsupported(config);
  assert.equal(told.length, 1);
  assert.match(told[0] ?? '', /"turn:192\.0\.2\.1:3478\?transport=udp" is of no use to the server/);
});
