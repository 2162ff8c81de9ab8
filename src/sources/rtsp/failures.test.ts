import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { type FakeHandler, playing, startFakeCamera } from '../../../testkit/fake-rtsp-camera.ts';
import { type RunningSource, runSource } from '../../../testkit/run-source.ts';
import { waitFor } from '../../../testkit/wait.ts';
import { describeError, HearthcamError } from '../../core/errors.ts';
import { parseSourceSpec } from '../../core/source.ts';
import { type AuthKind, ServerAuth } from '../../wire/rtsp/auth.ts';
import { makeRtspSource } from './index.ts';

async function plays(source: RunningSource): Promise<void> {
  let over = false;
  void source.done.then(() => {
    over = true;
  });
  await waitFor(() => over || source.sink.units.length >= 4, { what: 'some pictures' });
  if (over) assert.fail(`the source ended early: ${String(await source.done)}`);
}

async function fails(source: RunningSource, code: string, message: RegExp, hint?: RegExp): Promise<void> {
  const error = await source.done;
  assert.ok(error instanceof HearthcamError, `expected an error, got ${String(error)}`);
  assert.equal(error.code, code, error.message);
  assert.match(error.message, message);
  if (hint !== undefined) assert.match(error.hint ?? '', hint);
}

const hangUp: FakeHandler = (_request, client) => {
  client.socket.destroy();
  return null;
};

const PASSWORD = 'p@ss:word/1';

/** Handlers that want a password for everything. */
function guarded(
  kinds: readonly AuthKind[],
  more: Readonly<Record<string, FakeHandler>> = {},
  nonceLifeMs = 60_000,
): Record<string, FakeHandler> {
  const auth = new ServerAuth({
    realm: 'cam',
    password: (user) => (user === 'admin' ? PASSWORD : undefined),
    kinds,
    nonceLifeMs,
  });
  const handlers: Record<string, FakeHandler> = {};
  for (const method of ['OPTIONS', 'DESCRIBE', 'SETUP', 'PLAY', 'GET_PARAMETER']) {
    handlers[method] = (request, client) => {
      const nowMs = performance.now();
      const verdict = auth.verify(request.headers.get('authorization'), method, request.url, nowMs);
      if (verdict.status !== 'ok') return { status: 401, headers: { 'WWW-Authenticate': auth.challenges(nowMs) } };
      return more[method]?.(request, client) ?? (method === 'PLAY' ? playing()(request, client) : undefined);
    };
  }
  return handlers;
}

for (const kind of ['digest-sha-256', 'digest-md5', 'basic'] as const) {
  test(`a camera that wants ${kind} plays with the right password, and the wrong one is named as the reason`, async () => {
    await using camera = await startFakeCamera({ on: guarded([kind]) });
    {
      await using source = runSource(makeRtspSource(), `rtsp://admin:${PASSWORD}@127.0.0.1:${camera.port}/cam`);
      await plays(source);
      const logins = camera.clients[0]?.requests.filter((one) => one.method !== 'TEARDOWN').length;
      assert.equal(logins, 6, 'one challenge for the whole session');
    }
    {
      await using source = runSource(makeRtspSource(), `rtsp://admin:sesame@127.0.0.1:${camera.port}/cam`);
      await fails(source, 'rtsp.unauthorized', /does not accept this user and password/, /camera account/);
      assert.doesNotMatch(describeError(await source.done) + source.log.text, /sesame/);
    }
    await using source = runSource(makeRtspSource(), camera.url);
    await fails(source, 'rtsp.unauthorized', /asks for user and password/, /user:password@/);
  });
}

test('a camera that hangs up behind a wrong password is reported for the password, not for hanging up', async () => {
  const auth = new ServerAuth({ realm: 'cam', password: () => PASSWORD, kinds: ['digest-sha-256', 'digest-md5'] });
  const refuse: FakeHandler = (request, client) => {
    const answer = { status: 401, headers: { 'WWW-Authenticate': auth.challenges(performance.now()) } };
    if (request.headers.get('authorization') !== undefined) setImmediate(() => client.socket.end());
    return answer;
  };
  for (const handlers of [{ OPTIONS: refuse, DESCRIBE: refuse }, { DESCRIBE: refuse }]) {
    await using camera = await startFakeCamera({ on: handlers });
    await using source = runSource(makeRtspSource(), `rtsp://admin:sesame@127.0.0.1:${camera.port}/cam`);
    await fails(source, 'rtsp.unauthorized', /does not accept this user and password/, /camera account/);
    assert.equal(camera.clients.length, 1);
  }
});

test('a wrong password is not tried with every redial, so that the camera does not lock the account', async () => {
  await using camera = await startFakeCamera({ on: guarded(['digest-md5']) });
  const module = makeRtspSource();
  for (let i = 0; i < 5; i++) {
    await using source = runSource(module, `rtsp://admin:sesame@127.0.0.1:${camera.port}/cam`);
    await fails(source, 'rtsp.unauthorized', /does not accept this user and password/);
  }
  assert.equal(camera.clients.length, 1);
  await using right = runSource(module, `rtsp://admin:${PASSWORD}@127.0.0.1:${camera.port}/cam`);
  await plays(right);
});

test('a nonce that expires in the middle of the session is answered, not a reason to stop', async () => {
  const handlers = guarded(
    ['digest-md5'],
    { SETUP: (request) => ({ headers: { Session: '1;timeout=1', Transport: request.headers.get('transport') } }) },
    400,
  );
  await using camera = await startFakeCamera({ on: handlers });
  await using source = runSource(makeRtspSource(), `rtsp://admin:${PASSWORD}@127.0.0.1:${camera.port}/cam`);
  await plays(source);
  await waitFor(() => camera.log.filter((line) => line.startsWith('GET_PARAMETER')).length >= 4);
  const ended = await Promise.race([source.done, Promise.resolve('running')]);
  assert.equal(ended, 'running');
});

test('a redirect is followed, with the password to the same host', async () => {
  await using camera = await startFakeCamera({ on: guarded(['digest-md5']) });
  await using entrance = await startFakeCamera({
    on: { DESCRIBE: () => ({ status: 302, headers: { Location: camera.url } }) },
  });
  await using source = runSource(makeRtspSource(), `rtsp://admin:${PASSWORD}@127.0.0.1:${entrance.port}/old`);
  await plays(source);
});

test('the password does not follow a redirect to another host', async () => {
  await using camera = await startFakeCamera({ on: guarded(['basic']) });
  const location = `rtsp://localhost:${camera.port}/cam`;
  await using entrance = await startFakeCamera({
    on: { DESCRIBE: () => ({ status: 302, headers: { Location: location } }) },
  });
  await using source = runSource(makeRtspSource(), `rtsp://admin:${PASSWORD}@127.0.0.1:${entrance.port}/old`);
  await fails(source, 'rtsp.unauthorized', /localhost.*asks for user and password/);
  assert.ok(
    camera.clients.every((client) => client.requests.every((one) => one.headers.get('authorization') === undefined)),
  );
});

test('a redirect in a circle ends', async () => {
  let url = '';
  await using camera = await startFakeCamera({ on: { DESCRIBE: () => ({ status: 301, headers: { Location: url } }) } });
  url = camera.url;
  await using source = runSource(makeRtspSource(), camera.url);
  await fails(source, 'rtsp.redirect', /redirects more than 5 times/);
});

const refusals: {
  name: string;
  on: Readonly<Record<string, FakeHandler>>;
  code: string;
  message: RegExp;
  hint?: RegExp;
}[] = [
  {
    name: 'does not know the path',
    on: { DESCRIBE: () => ({ status: 404 }) },
    code: 'rtsp.path',
    message: /answered 404 Not Found to DESCRIBE/,
    hint: /stream1.*h264Preview_01_main/,
  },
  {
    name: 'has too many viewers',
    on: { DESCRIBE: () => ({ status: 453 }) },
    code: 'rtsp.refused',
    message: /453/,
    hint: /no more viewers/,
  },
  {
    name: 'describes nothing usable',
    on: { DESCRIBE: () => ({ body: 'v=0\r\nm=video 0 RTP/AVP 98\r\na=rtpmap:98 MP4V-ES/90000\r\n' }) },
    code: 'rtsp.media',
    message: /video MP4V-ES/,
    hint: /H\.264/,
  },
  {
    name: 'describes itself in HTML',
    on: { DESCRIBE: () => ({ body: '<html>' }) },
    code: 'sdp.empty',
    message: /no session description/,
  },
  {
    name: 'refuses both transports',
    on: { SETUP: () => ({ status: 461 }) },
    code: 'rtsp.setup.refused',
    message: /TCP: 461 Unsupported Transport, UDP: 461 Unsupported Transport/,
    hint: /RTSP over TCP/,
  },
  {
    name: 'refuses to play',
    on: { PLAY: () => ({ status: 455 }) },
    code: 'rtsp.refused',
    message: /answered 455 .* to PLAY/,
  },
  {
    name: 'hangs up at DESCRIBE',
    on: { DESCRIBE: hangUp },
    code: 'rtsp.closed',
    message: /closed the connection/,
  },
];
for (const row of refusals) {
  test(`a camera that ${row.name} is reported with ${row.code}`, async () => {
    await using camera = await startFakeCamera({ on: row.on });
    await using source = runSource(makeRtspSource(), camera.url);
    await fails(source, row.code, row.message, row.hint);
  });
}

test('a camera that takes only UDP is asked again for UDP, and silence there is explained', async () => {
  await using camera = await startFakeCamera({
    on: {
      SETUP: (request) => {
        const transport = request.headers.get('transport') ?? '';
        if (transport.includes('TCP')) return { status: 461 };
        return { headers: { Session: '1', Transport: `${transport};server_port=9-10` } };
      },
    },
  });
  await using source = runSource(makeRtspSource(), `${camera.url}#timeout=0.5`);
  await fails(source, 'rtsp.udp.silent', /sends nothing by UDP/, /firewall/);
  assert.equal(source.sink.descriptions.at(-1)?.protocol, 'rtsp+udp');
});

test('nobody at the port, somebody else at the port, and somebody who is silent are told apart', async () => {
  const { port, [Symbol.asyncDispose]: stop } = await startFakeCamera();
  await stop();
  await using nobody = runSource(makeRtspSource(), `rtsp://127.0.0.1:${port}/`);
  await fails(nobody, 'rtsp.connect', /refused the connection/, /RTSP switched on/);
  const server = net.createServer((socket) => {
    socket.on('error', () => {});
    socket.write('HTTP/1.1 400 Bad Request\r\n\r\n');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const url = `rtsp://127.0.0.1:${typeof address === 'object' ? address?.port : 0}/`;
  await using web = runSource(makeRtspSource(), `${url}#timeout=0.3`);
  await fails(web, 'rtsp.timeout', /no answer to OPTIONS within 0\.3 s; it sent \d+ bytes that are not RTSP/, /port/);
  server.close();
  await using silent = await startFakeCamera({ on: { DESCRIBE: () => null } });
  await using source = runSource(makeRtspSource(), `${silent.url}#timeout=0.3`);
  await fails(source, 'rtsp.timeout', /no answer to DESCRIBE/);
});

test('a camera that hangs up at OPTIONS is asked without it, at once and from then on', async () => {
  await using camera = await startFakeCamera({
    on: { OPTIONS: hangUp, PLAY: playing() },
  });
  const module = makeRtspSource();
  for (let i = 0; i < 2; i++) {
    await using source = runSource(module, camera.url);
    await plays(source);
  }
  assert.equal(camera.log.filter((line) => line.startsWith('OPTIONS')).length, 1);
});

/** SETUP with a session that wants to be kept alive every half second. */
const shortSession: FakeHandler = (request) => ({
  headers: { Session: '1;timeout=1', Transport: request.headers.get('transport') ?? '' },
});

test('a session is kept alive in the way that the camera offers, at half of its time-out', async () => {
  const rows: [string, string][] = [
    ['OPTIONS, DESCRIBE, GET_PARAMETER', 'GET_PARAMETER'],
    ['OPTIONS, DESCRIBE', 'OPTIONS'],
  ];
  for (const [offer, method] of rows) {
    await using camera = await startFakeCamera({
      on: { OPTIONS: () => ({ headers: { Public: offer } }), SETUP: shortSession, PLAY: playing() },
    });
    await using source = runSource(makeRtspSource(), camera.url);
    await plays(source);
    const kept = (): number =>
      camera.log.slice(camera.log.indexOf('PLAY /cam/')).filter((line) => line.startsWith(method)).length;
    await waitFor(() => kept() >= 2);
    const sessions = camera.clients[0]?.requests
      .filter((one) => one.method === method)
      .map((one) => one.headers.get('session'));
    assert.equal(sessions?.at(-1), '1');
  }
});

test('a camera that hangs up at the keep-alive is kept alive in another way on the next connection', async () => {
  await using camera = await startFakeCamera({
    on: {
      SETUP: shortSession,
      PLAY: playing(),
      GET_PARAMETER: hangUp,
    },
  });
  const module = makeRtspSource();
  {
    await using source = runSource(module, camera.url);
    await fails(source, 'rtsp.closed', /closed the connection/);
    assert.match(source.log.text, /hung up at GET_PARAMETER/);
  }
  await using source = runSource(module, camera.url);
  await plays(source);
  const before = camera.log.length;
  await waitFor(() => camera.log.slice(before).filter((line) => line.startsWith('OPTIONS')).length >= 2);
});

test('a camera that forgets the session (454) or the password (401) ends the connection with that reason, to be dialled again', async () => {
  for (const [status, code] of [
    [454, 'rtsp.refused'],
    [401, 'rtsp.unauthorized'],
  ] as const) {
    await using camera = await startFakeCamera({
      on: { SETUP: shortSession, PLAY: playing(), GET_PARAMETER: () => ({ status }) },
    });
    await using source = runSource(makeRtspSource(), camera.url);
    await fails(source, code, status === 454 ? /454 Session Not Found to GET_PARAMETER/ : /asks for user and password/);
  }
});

test('a self-signed certificate is refused by rtsps with the advice to use rtspx, which plays', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'hearthcam-'));
  try {
    execFileSync(
      'openssl',
      [
        ...[
          'req',
          '-x509',
          '-newkey',
          'ec',
          '-pkeyopt',
          'ec_paramgen_curve:prime256v1',
          '-nodes',
          '-days',
          '2',
          '-subj',
          '/CN=camera',
        ],
        ...['-keyout', join(dir, 'key.pem'), '-out', join(dir, 'cert.pem')],
      ],
      { stdio: 'ignore' },
    );
    const pem = (name: string): string => readFileSync(join(dir, name), 'utf8');
    await using camera = await startFakeCamera({
      tls: { key: pem('key.pem'), cert: pem('cert.pem') },
      on: { PLAY: playing() },
    });
    await using verified = runSource(makeRtspSource(), `rtsps://127.0.0.1:${camera.port}/cam`);
    await fails(verified, 'rtsp.connect', /certificate that cannot be verified/, /rtspx:\/\//);
    await using unverified = runSource(makeRtspSource(), `rtspx://127.0.0.1:${camera.port}/cam`);
    await plays(unverified);
    assert.ok(camera.clients.at(-1)?.requests.every((one) => one.url.startsWith('rtsps://')));
    await using plain = await startFakeCamera();
    await using wrong = runSource(makeRtspSource(), `rtspx://127.0.0.1:${plain.port}/cam`);
    await fails(wrong, 'rtsp.connect', /TLS|broke the connection/);
  } finally {
    rmSync(dir, { recursive: true });
  }
});

const specs: [string, RegExp | null][] = [
  ['rtsp://192.0.2.1/stream1', null],
  ['rtsp://u:p@cam.lan:8554/a?b=c#transport=udp#timeout=10#media=video#backchannel=0', null],
  ['rtsp://', /not an RTSP address/],
  ['rtsp://u:secret@:99/x', /not an RTSP address: rtsp:\/\/\*\*\*@/],
  ['rtsp://cam:99999/', /not an RTSP address/],
  ['rtsp://cam/#transport=ws://x', /transport "ws:\/\/x" is not supported/],
  ['rtsp://cam/#timeout=soon', /no number of seconds/],
];
for (const [text, message] of specs) {
  test(`the source ${text} is ${message === null ? 'accepted' : 'refused before it is stored'}`, () => {
    const check = (): void => makeRtspSource().validate?.(parseSourceSpec(text));
    if (message === null) check();
    else
      assert.throws(
        check,
        (error) => error instanceof HearthcamError && error.status === 400 && message.test(error.message),
      );
  });
}
