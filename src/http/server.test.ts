import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { MemoryLog } from '../../testkit/memory-log.ts';
import { waitFor } from '../../testkit/wait.ts';
import { ownerPolicy } from '../access/policy.ts';
import { HearthcamError } from '../core/errors.ts';
import { readBody } from '../core/http-body.ts';
import { Scope } from '../core/scope.ts';
import { isHomeHost, originMatches } from './peer.ts';
import { type HttpOptions, HttpServer, parseListen } from './server.ts';

interface Reply {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  text: string;
}

async function start(over: Partial<HttpOptions> = {}) {
  const log = new MemoryLog();
  const scope = new Scope('test');
  const server = new HttpServer(
    {
      listen: '127.0.0.1:0',
      tlsListen: '',
      tlsCert: '',
      tlsKey: '',
      unixListen: '',
      basePath: '',
      origin: '',
      allowPaths: [],
      hosts: [],
      webRoot: '/nonexistent',
      username: '',
      password: '',
      localAuth: false,
      ...over,
    },
    ownerPolicy(),
    log,
    scope,
  );
  server.route({ methods: ['GET', 'HEAD'], path: '/api', right: 'view', handler: () => ({ version: '1' }) });
  server.route({
    methods: ['POST'],
    path: '/api/body',
    right: 'configure',
    handler: (request) => readBody(request.raw, 1000),
  });
  server.route({
    methods: ['GET'],
    path: '/api/broken',
    right: 'view',
    handler: () => {
      throw new HearthcamError('test.gone', 'the camera "porch" is away', { status: 504, hint: 'is it on?' });
    },
  });
  server.message({
    type: 'echo',
    right: 'view',
    handler: (session, value) => session.send('echo', value),
  });
  server.message({ type: 'fails', right: 'view', handler: () => Promise.reject(new Error('no such thing')) });
  await server.listen();
  const port = server.addresses[0]?.port ?? 0;
  const ask = (method: string, path: string, headers: Record<string, string> = {}, body?: string): Promise<Reply> =>
    new Promise((resolve, reject) => {
      const request = httpRequest({ host: '127.0.0.1', port, method, path, headers }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }));
      });
      request.on('error', reject);
      request.end(body);
    });
  return { server, log, port, ask, [Symbol.asyncDispose]: () => scope.close() };
}

const OWNER = { username: 'owner', password: 'secret', localAuth: true };
const basic = (pair: string): Record<string, string> => ({
  authorization: `Basic ${Buffer.from(pair).toString('base64')}`,
});

test('says where it listens in the line that Home Assistant waits for', async () => {
  await using http = await start();
  assert.match(http.log.text, new RegExp(`listen addr=127.0.0.1:${http.port}`));
});

test('credentials are asked for when set, in the realm that clients know', async () => {
  await using http = await start(OWNER);
  const refused = await http.ask('GET', '/api');
  assert.equal(refused.status, 401);
  assert.equal(refused.headers['www-authenticate'], 'Basic realm="go2rtc"');
  assert.equal((await http.ask('GET', '/api', basic('owner:wrong'))).status, 401);
  assert.equal((await http.ask('GET', '/api', basic('owner:secret'))).status, 200);
  assert.equal((await http.ask('GET', '/nothing')).status, 401, 'nor is it told what exists');
});

test('loopback needs no credentials, unless a proxy forwards somebody else', async () => {
  await using http = await start({ ...OWNER, localAuth: false });
  assert.equal((await http.ask('GET', '/api')).status, 200);
  assert.equal((await http.ask('GET', '/api', { 'x-forwarded-for': '192.0.2.7' })).status, 401);
});

test('a page elsewhere can neither change things nor rebind its name to this server', async () => {
  await using http = await start();
  assert.equal((await http.ask('POST', '/api/body', { origin: 'http://evil.example' }, 'x')).status, 403);
  assert.equal((await http.ask('POST', '/api/body', { origin: `http://127.0.0.1:${http.port}` }, 'x')).status, 200);
  assert.equal((await http.ask('GET', '/api', { host: 'rebound.example.com' })).status, 403);
  assert.equal((await http.ask('GET', '/api', { host: 'hearthcam.local:1984' })).status, 200);
});

test('api.origin "*" opens the API to pages of any origin', async () => {
  await using http = await start({ origin: '*' });
  const reply = await http.ask('OPTIONS', '/api', { origin: 'http://card.example' });
  assert.equal(reply.status, 200);
  assert.equal(reply.text, '');
  assert.equal(reply.headers['access-control-allow-origin'], '*');
  assert.equal(reply.headers['access-control-allow-methods'], 'GET, POST, PUT, DELETE, OPTIONS');
});

test('errors are plain text with what to do, or JSON for who asks for it', async () => {
  await using http = await start();
  const text = await http.ask('GET', '/api/broken');
  assert.equal(text.status, 504);
  assert.equal(text.headers['content-type'], 'text/plain; charset=utf-8');
  assert.equal(text.headers['x-content-type-options'], 'nosniff');
  assert.equal(text.text, 'the camera "porch" is away (is it on?)\n');
  const json = await http.ask('GET', '/api/broken', { accept: 'application/json' });
  assert.deepEqual(JSON.parse(json.text), {
    error: { code: 'test.gone', message: 'the camera "porch" is away', hint: 'is it on?' },
  });
  const unknown = await http.ask('GET', '/api/nothing');
  assert.deepEqual([unknown.status, unknown.text], [404, '404 page not found\n']);
  assert.equal((await http.ask('POST', '/api/body', {}, 'x'.repeat(2000))).status, 413);
});

test('allow_paths hides everything else; base_path moves the API', async () => {
  await using limited = await start({ allowPaths: ['/api'] });
  assert.equal((await limited.ask('GET', '/api?x=1')).status, 200);
  assert.equal((await limited.ask('GET', '/api/broken')).status, 404);
  await using moved = await start({ basePath: '/rtc' });
  assert.equal((await moved.ask('GET', '/rtc/api')).status, 200);
  assert.equal((await moved.ask('GET', '/api')).status, 404);
  const redirect = await moved.ask('GET', '/rtc');
  assert.deepEqual([redirect.status, redirect.headers['location']], [307, '/rtc/']);
});

test('base_path moves the WebSocket too, and keeps the query of a redirect', async () => {
  await using server = await start({ basePath: '/rtc' });
  const redirect = await server.ask('GET', '/rtc?src=a');
  assert.deepEqual([redirect.status, redirect.headers['location']], [307, '/rtc/?src=a']);
  assert.equal((await server.ask('GET', '/rtcx/api')).status, 404);
  for (const [path, status] of [
    ['/rtc/api/ws', 'open'],
    ['/api/ws', 'Unexpected server response: 404'],
  ] as const) {
    const socket = new WebSocket(`ws://127.0.0.1:${server.port}${path}`);
    const seen = await new Promise<string>((resolve) => {
      socket.once('open', () => resolve('open'));
      socket.once('error', (error) => resolve(error.message));
    });
    socket.terminate();
    assert.equal(seen, status, path);
  }
});

test('OPTIONS is answered for every path that exists', async () => {
  await using server = await start();
  const known = await server.ask('OPTIONS', '/api');
  assert.deepEqual([known.status, known.text], [200, '']);
  assert.equal((await server.ask('OPTIONS', '/api/nothing')).status, 404);
});

test('the socket that a killed program left behind is replaced, and that of a running one is not', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'hearthcam-unix-'));
  const path = join(folder, 'api.sock');
  try {
    // Listens and is gone without a word.
    execFileSync(
      process.execPath,
      [
        '-e',
        `require('node:net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`,
      ],
      { stdio: 'ignore' },
    );
  } catch {
    assert.ok(existsSync(path), 'the socket is still there');
  }
  try {
    await using server = await start({ listen: '', unixListen: path });
    assert.ok(server.log.text.includes(`listen addr=${path}`), server.log.text);
    await assert.rejects(start({ listen: '', unixListen: path }), /can't listen on .*api\.sock/);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

test('files of the page are served by name, and no path leaves the folder', async () => {
  const root = await mkdtemp(join(tmpdir(), 'hearthcam-web-'));
  try {
    await writeFile(join(root, 'index.html'), '<h1>hello</h1>');
    await using http = await start({ webRoot: root });
    const page = await http.ask('GET', '/');
    assert.deepEqual([page.status, page.text], [200, '<h1>hello</h1>']);
    assert.equal((await http.ask('HEAD', '/')).status, 200);
    const etag = String(page.headers['etag']);
    assert.equal((await http.ask('GET', '/', { 'if-none-match': etag })).status, 304);
    for (const path of ['/../etc/passwd', '/..%2fetc%2fpasswd', '/%2e%2e/index.html', '//etc/passwd']) {
      assert.equal((await http.ask('GET', path)).status, 404, path);
    }
  } finally {
    await rm(root, { recursive: true });
  }
});

test('a WebSocket answers what it knows, ignores what it does not, and says what failed', async () => {
  await using http = await start();
  const socket = new WebSocket(`ws://127.0.0.1:${http.port}/api/ws?src=porch`);
  const received: string[] = [];
  let closed = 0;
  socket.on('message', (data) => received.push(String(data)));
  socket.on('close', (code) => {
    closed = code;
  });
  await waitFor(() => socket.readyState === WebSocket.OPEN);
  socket.send('{"type":"unknown"}');
  socket.send('{"type":"fails"}');
  socket.send('{"type":"echo","value":[1]}');
  await waitFor(() => received.length === 2);
  assert.deepEqual(received.sort(), [
    '{"type":"echo","value":[1]}\n',
    '{"type":"error","value":"fails: no such thing"}\n',
  ]);
  socket.send('not json');
  await waitFor(() => closed !== 0);
});

test('a WebSocket of another origin is refused', async () => {
  await using http = await start();
  const status = await new Promise<number>((resolve) => {
    const socket = new WebSocket(`ws://127.0.0.1:${http.port}/api/ws?src=x`, { origin: 'http://evil.example' });
    socket.on('unexpected-response', (_request, response) => resolve(response.statusCode ?? 0));
    socket.on('error', () => {});
  });
  assert.equal(status, 403);
});

test('a closed server leaves no connection open', async () => {
  const http = await start();
  const socket = new WebSocket(`ws://127.0.0.1:${http.port}/api/ws?src=x`);
  await waitFor(() => socket.readyState === WebSocket.OPEN);
  await http[Symbol.asyncDispose]();
  await waitFor(() => socket.readyState === WebSocket.CLOSED);
});

/** Sends bytes as they are; resolves with what came back when the server closes the connection. */
function sendRaw(port: number, bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
    let text = '';
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      text += chunk;
    });
    socket.setTimeout(20_000, () => socket.destroy(new Error('the server left the connection open')));
    socket.on('error', (error: NodeJS.ErrnoException) => (error.code === 'ECONNRESET' ? resolve(text) : reject(error)));
    socket.on('close', () => resolve(text));
  });
}

for (const path of ['//', 'http://[', '/%zz']) {
  test(`an upgrade of "${path}" is answered and closed`, async () => {
    await using http = await start();
    const head = `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n`;
    assert.match(await sendRaw(http.port, `${head}\r\n`), /^HTTP\/1\.1 40[04] /);
  });
}

test('a path that can not be decoded is told like any other error', async () => {
  await using http = await start();
  const reply = await http.ask('GET', '/%zz');
  assert.deepEqual([reply.status, reply.headers['content-type']], [400, 'text/plain; charset=utf-8']);
});

test('a failure that repeats is one line in the log', async () => {
  await using http = await start();
  for (let count = 0; count < 20; count++) await http.ask('GET', '/api/broken');
  assert.equal(http.log.text.split('the camera "porch" is away').length - 1, 1);
});

test('a client that sends hundreds of requests without waiting for answers is closed', async () => {
  await using http = await start();
  const answers = await sendRaw(http.port, 'GET /api HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(500));
  assert.ok(answers.split('HTTP/1.1 200').length - 1 < 100);
  assert.equal((await http.ask('GET', '/api')).status, 200);
});

for (const [name, head] of [
  ['nothing at all', ''],
  ['a head that never ends', 'GET /api HTTP/1.1\r\nHost: a\r\n'],
] as const) {
  test(`a client that sends ${name} is closed`, async () => {
    await using http = await start({ headTimeoutMs: 500 });
    await sendRaw(http.port, head);
  });
}

for (const path of ['/api/body', '/api/broken', '/api/nothing']) {
  test(`a body without end ends with the answer (${path})`, async () => {
    await using http = await start();
    const socket = connect(http.port, '127.0.0.1');
    socket.on('error', () => {}).resume();
    socket.write(`POST ${path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n`);
    const sending = setInterval(() => socket.write(`1000\r\n${'x'.repeat(4096)}\r\n`), 5);
    try {
      await waitFor(() => socket.destroyed, { what: 'the connection to be closed' });
    } finally {
      clearInterval(sending);
      socket.destroy();
    }
  });
}

test('a body that a handler takes may go on for longer than a head may take', async () => {
  await using http = await start({ headTimeoutMs: 300 });
  const socket = connect(http.port, '127.0.0.1');
  let answer = '';
  socket.on('data', (chunk) => {
    answer += chunk.toString();
  });
  socket.write('POST /api/body HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\n');
  for (let count = 0; count < 12; count++) {
    await sleep(100);
    socket.write('x');
  }
  await waitFor(() => answer.includes('200 OK') && answer.endsWith('xxxxxxxxxxxx'));
  socket.destroy();
});

test('a client that floods the WebSocket is closed, and what a page sends is not', async () => {
  await using http = await start();
  const socket = new WebSocket(`ws://127.0.0.1:${http.port}/api/ws?src=porch`);
  let answers = 0;
  socket.on('message', () => answers++);
  socket.on('error', () => {});
  await waitFor(() => socket.readyState === WebSocket.OPEN);
  for (let count = 0; count < 100; count++) socket.send('{"type":"echo"}');
  await waitFor(() => answers === 100);
  for (let count = 0; count < 5_000; count++) socket.send('{"type":"echo"}');
  await waitFor(() => socket.readyState === WebSocket.CLOSED);
  assert.ok(answers < 1_000, `${answers} answers`);
});

test('a client that floods the WebSocket with pings is closed', async () => {
  await using http = await start();
  const socket = new WebSocket(`ws://127.0.0.1:${http.port}/api/ws?src=porch`);
  socket.on('error', () => {});
  await waitFor(() => socket.readyState === WebSocket.OPEN);
  for (let count = 0; count < 5_000; count++) socket.ping();
  await waitFor(() => socket.readyState === WebSocket.CLOSED);
});

const listenRows: [string, unknown][] = [
  [':1984', { port: 1984 }],
  ['127.0.0.1:1984', { host: '127.0.0.1', port: 1984 }],
  ['[::1]:80', { host: '::1', port: 80 }],
  ['8080', { port: 8080 }],
];
for (const [text, want] of listenRows) {
  test(`listen address ${text}`, () => assert.deepEqual(parseListen(text), want));
}
for (const text of ['', 'abc', ':70000', '1.2.3.4', 'a:b:1']) {
  test(`listen address "${text}" is refused`, () => assert.throws(() => parseListen(text), /is not an address/));
}

test('an Origin with a port matches a Host without, not the reverse', () => {
  assert.equal(originMatches('http://cam:8123', 'cam'), true);
  assert.equal(originMatches('http://cam', 'cam:1984'), false);
  assert.equal(originMatches(undefined, 'cam'), true);
  assert.equal(originMatches('null', 'cam'), false);
});

test('names that only a home can have are let in without a password', () => {
  for (const host of ['localhost:1984', '192.0.2.5:1984', '[fe80::1]:80', 'nas', 'cam.fritz.box', 'go2rtc:1984']) {
    assert.equal(isHomeHost(host, []), true, host);
  }
  assert.equal(isHomeHost('attacker.example', []), false);
  assert.equal(isHomeHost('cams.example.org', ['cams.example.org']), true);
});
