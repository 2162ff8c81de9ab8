import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startTestApp } from '../../../testkit/app.ts';
import { blankPage, launchBrowser } from '../../../testkit/browser.ts';
import { clipSource, makeClip, testPicture } from '../../../testkit/mp4-source.ts';
import { startTurnServer } from '../../../testkit/turn-server.ts';
import { waitFor } from '../../../testkit/wait.ts';
import { WebrtcPage } from '../../../testkit/webrtc-page.ts';
import { describeTaken, describeUnsupported, parseCandidateAddress, webrtcConfig } from './config.ts';
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

test('viewers who can not reach the server see the picture through the TURN server of the configuration', {
  timeout: 120_000,
}, async () => {
  await using turn = await startTurnServer();
  const clip = await makeClip(testPicture({ size: '320x240', gop: 25, seconds: 2, audio: [] }));
  const { port, username, credential } = turn;
  await using app = await startTestApp({
    streams: { cam: ['clip:cam'] },
    sources: [clipSource('clip', clip).module],
    outputs: [webrtcOutput],
    sections: { webrtc: { ice_servers: [{ urls: `turn:127.0.0.1:${port}?transport=udp`, username, credential }] } },
  });
  await using browser = await launchBrowser();
  const page = await WebrtcPage.open(await blankPage(browser, app.url));
  await page.page.exposeFunction('onlyRelay', async (offer: string) => {
    // The server is told an address where nobody is, and the viewer only the relay's.
    const body = `${offer}a=candidate:1 1 udp 2113937151 127.0.0.1 9 typ host\r\n`;
    const headers = { 'content-type': 'application/sdp' };
    // On a busy machine an answer may come before the relay has been heard of.
    const answer = await waitFor(
      async () => {
        const response = await fetch(`${app.url}/api/webrtc?src=cam`, { method: 'POST', headers, body });
        const sdp = await response.text();
        return sdp.includes(' typ relay') && sdp;
      },
      { timeoutMs: 20_000, what: 'an answer that names the relay' },
    );
    return answer.replace(/^a=candidate:(?!.* typ relay).*\r\n/gm, '');
  });
  // Two of them: each has a port of its own.
  for (const viewer of [
    await page.whep('cam', ['video'], 'onlyRelay'),
    await page.whep('cam', ['video'], 'onlyRelay'),
  ]) {
    await waitFor(async () => (await page.report(viewer)).framesDecoded >= 20, {
      timeoutMs: 30_000,
      everyMs: 50,
      what: 'pictures through the relay',
    });
  }
  assert.ok(turn.output().includes('peer 127.0.0.1'), 'the relay was used');
});

const SERVERS = [{ urls: ['stun:192.0.2.1:3478', 'turn:192.0.2.1:3478'], username: 'a', credential: 'b' }];
for (const [what, config, told] of [
  ['a TURN server', { ice_servers: SERVERS }, []],
  [
    'a TURN server besides candidates',
    { ice_servers: SERVERS, candidates: ['192.0.2.1:8555'] },
    [/"turn:192\.0\.2\.1:3478" is not used, as webrtc\.candidates say how viewers get in/],
  ],
  ['TURN over TLS', { ice_servers: [{ urls: 'turns:192.0.2.1:5349' }] }, [/not used: only TURN over UDP/]],
  ['TURN over TCP', { ice_servers: [{ urls: 'turn:192.0.2.1?transport=tcp' }] }, [/not used: only TURN over UDP/]],
  ['another kind of server', { ice_servers: [{ urls: 'http://192.0.2.1' }] }, [/is no stun: or turn: URL/]],
  ['candidates without a port', { candidates: ['192.0.2.1', 'cam.example', 'stun', '[2001:db8::1]'] }, []],
  [
    'a candidate over TCP',
    { candidates: ['192.0.2.1:8555/tcp'] },
    [/"192\.0\.2\.1:8555\/tcp" is left out: media over TCP/],
  ],
  [
    'candidates that are none',
    { candidates: [':8555', 'host:port', '192.0.2.1:0', '192.0.2.1:99999', ''] },
    Array.from({ length: 5 }, () => /^webrtc\.candidates: ".*" is left out: expected host:port or stun:port$/),
  ],
] as const) {
  test(`in the configuration, ${what} ${told.length === 0 ? 'is taken without a word' : 'is remarked upon'}`, () => {
    const warnings = describeUnsupported(webrtcConfig.parse(config));
    assert.equal(warnings.length, told.length, warnings.join('\n'));
    told.forEach((pattern, index) => {
      assert.match(warnings[index] ?? '', pattern);
    });
  });
}

for (const [text, host, port] of [
  ['192.0.2.1:8555', '192.0.2.1', 8555],
  ['192.0.2.1', '192.0.2.1', undefined],
  ['cam.example:8555/udp', 'cam.example', 8555],
  ['[2001:db8::1]:8555', '2001:db8::1', 8555],
  ['2001:db8::1', '2001:db8::1', undefined],
  ['2001:db8::8555', '2001:db8::8555', undefined],
  ['stun:8555', 'stun', 8555],
  ['stun', 'stun', undefined],
] as const) {
  test(`the candidate "${text}" is read`, () => {
    assert.deepEqual(parseCandidateAddress(text), { host, port });
  });
}

test('Home Assistant’s ":18555/tcp" is taken as UDP, with one line that asks nothing of anybody', () => {
  const config = webrtcConfig.parse({ listen: ':18555/tcp', ice_servers: [] });
  assert.deepEqual(describeUnsupported(config), []);
  assert.deepEqual(describeTaken(config), [
    'webrtc.listen: ":18555/tcp" is taken as UDP port 18555, as media goes by UDP; nothing to do',
  ]);
});
