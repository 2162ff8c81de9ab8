import assert from 'node:assert/strict';
import { createDecipheriv, createECDH, createHmac, randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { startTestApp, type TestApp } from '../../testkit/app.ts';
import { cameraEvent, later } from '../../testkit/events.ts';
import { MemoryLog } from '../../testkit/memory-log.ts';
import { waitFor } from '../../testkit/wait.ts';
import { main } from '../cli/main.ts';
import { type EventMessage, eventMessage } from '../core/events.ts';
import { Scope } from '../core/scope.ts';
import { notify } from './module.ts';
import { DeliveryQueue } from './queue.ts';
import { SendError, send } from './send.ts';
import { notifySchema } from './settings.ts';
import { wordsOf } from './targets.ts';

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hearthcam-notify-'));
});
after(() => rm(folder, { recursive: true, force: true }));

interface Received {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** A server of somebody else's that notes what it is sent. */
async function receiver(
  answer: (received: Received, response: ServerResponse) => void = (_received, response) => response.end('{}'),
) {
  const received: Received[] = [];
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const one = { path: request.url ?? '', headers: request.headers, body: Buffer.concat(parts) };
      received.push(one);
      answer(one, response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    received,
    port,
    url: `http://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function start(name: string, section: Readonly<Record<string, unknown>>): Promise<TestApp> {
  return startTestApp({ streams: {}, outputs: [notify], dataDir: join(folder, name), sections: { notify: section } });
}

/** Checked border: what it is not fails the test that looks at it. */
const json = async <T>(url: string): Promise<T> => (await (await fetch(url)).json()) as T;
const parse = (received: Received | undefined) => JSON.parse(received?.body.toString() ?? 'null');

test('a webhook is told of an event as promised, signed, and by the rules', async () => {
  await using hook = await receiver();
  await using app = await start('hook', {
    webhooks: { home: { url: `${hook.url}/hook?key=1`, secret: 'hush', headers: { authorization: 'Bearer abc' } } },
    rules: [{ detections: ['cry'], states: ['started', 'ended'], to: ['home'] }],
  });
  const event = cameraEvent({ startMs: 1_700_000_000_000 });
  for (const one of [
    event,
    cameraEvent({ detection: 'bark' }),
    later(event, 'updated', 5_000),
    later(event, 'ended', 9_000),
  ]) {
    app.app.events.emit(one);
  }
  await waitFor(() => hook.received.length === 2);
  const [first, second] = hook.received;
  assert.equal(first?.path, '/hook?key=1');
  assert.deepEqual(parse(first), JSON.parse(JSON.stringify(eventMessage(event))));
  assert.deepEqual([parse(second).state, parse(second).duration], ['ended', 9]);
  assert.equal(first?.headers['authorization'], 'Bearer abc');
  const [, seconds = '', hex = ''] =
    /^t=(\d+),v1=([0-9a-f]{64})$/.exec(String(first?.headers['x-hearthcam-signature'])) ?? [];
  assert.equal(hex, createHmac('sha256', 'hush').update(`${seconds}.${first?.body.toString()}`).digest('hex'));
  assert.ok(Math.abs(Date.now() / 1_000 - Number(seconds)) < 60);
  // Who is not asked for is not made: nothing was written.
  assert.deepEqual(await readdir(join(folder, 'hook')).catch(() => []), []);
});

test('ntfy is told in words, with priority, token and a link', async () => {
  await using server = await receiver();
  await using app = await start('ntfy', {
    base_url: 'https://home.example/',
    ntfy: { phone: { url: `${server.url}/sub/my-topic`, token: 'tk_1', priority: 5, attach: true } },
  });
  const event = cameraEvent({ camera: 'Kinderzimmer Süd' });
  app.app.events.emit(event);
  await waitFor(() => server.received.length === 1);
  const [sent] = server.received;
  assert.equal(sent?.path, '/sub/');
  assert.equal(sent?.headers['authorization'], 'Bearer tk_1');
  assert.deepEqual(parse(sent), {
    topic: 'my-topic',
    title: 'Kinderzimmer Süd: crying',
    message: 'just now, 90 % sure',
    priority: 5,
    tags: ['baby'],
    click: 'https://home.example/stream.html?src=Kinderzimmer%20S%C3%BCd',
    attach: `https://home.example/api/events/${event.id}/snapshot.jpeg`,
  });
});

test('a browser is told by its push service, encrypted for it alone; one that has left is forgotten', async () => {
  let status = 201;
  await using service = await receiver((_received, response) => response.writeHead(status).end());
  const section = { push: { services: [service.url], subject: 'mailto:me@example.com' } };
  const ecdh = createECDH('prime256v1');
  const publicKey = ecdh.generateKeys();
  const auth = randomBytes(16);
  const subscription = {
    endpoint: `${service.url}/push/abc`,
    expirationTime: null,
    keys: { p256dh: publicKey.toString('base64url'), auth: auth.toString('base64url') },
  };
  const call = (app: TestApp, method: string, body: unknown) =>
    fetch(`${app.url}/api/push/subscriptions`, { method, body: JSON.stringify(body) });
  let key: string;
  {
    await using app = await start('push', section);
    key = (await json<{ key: string }>(`${app.url}/api/push/key`)).key;
    assert.equal(Buffer.from(key, 'base64url').length, 65);
    assert.equal((await call(app, 'POST', subscription)).status, 201);
    const elsewhere = await call(app, 'POST', { ...subscription, endpoint: 'http://127.0.0.1:1/x' });
    assert.equal(elsewhere.status, 400);
    assert.match(await elsewhere.text(), /no push service that is known/);
    assert.equal((await call(app, 'POST', { ...subscription, keys: { p256dh: 'BAAA', auth: 'x' } })).status, 400);
    assert.equal((await call(app, 'POST', { endpoint: 7 })).status, 400);
    assert.equal((await fetch(`${app.url}/api/push/subscriptions`, { method: 'POST', body: '{' })).status, 400);
  }
  assert.equal((await stat(join(folder, 'push', 'notify', 'push.json'))).mode & 0o077, 0);
  // The key and the browsers outlive a restart.
  await using app = await start('push', section);
  assert.equal((await json<{ key: string }>(`${app.url}/api/push/key`)).key, key);
  app.app.events.emit(cameraEvent());
  await waitFor(() => service.received.length === 1);
  const [sent] = service.received;
  assert.match(String(sent?.headers['authorization']), new RegExp(`^vapid t=[\\w-]+\\.[\\w-]+\\.[\\w-]+, k=${key}$`));
  assert.equal(sent?.headers['content-encoding'], 'aes128gcm');
  const told = JSON.parse(decrypt(sent?.body ?? Buffer.alloc(0), ecdh, publicKey, auth).toString());
  assert.deepEqual([told.title, told.event.detection], ['nursery: crying', 'cry']);
  status = 410;
  app.app.events.emit(cameraEvent());
  await waitFor(
    async () => !(await readFile(join(folder, 'push', 'notify', 'push.json'), 'utf8')).includes('/push/abc'),
  );
  assert.equal((await call(app, 'DELETE', { endpoint: subscription.endpoint })).status, 404);
});

/** As a browser does it (RFC 8291 §3.4), independent of the code that encrypts. */
function decrypt(body: Buffer, ecdh: ReturnType<typeof createECDH>, own: Buffer, auth: Buffer): Buffer {
  const hmac = (key: Buffer, ...data: (Buffer | string)[]): Buffer => {
    const made = createHmac('sha256', key);
    for (const one of data) made.update(one);
    return made.digest();
  };
  const salt = body.subarray(0, 16);
  const sender = body.subarray(21, 86);
  const key = hmac(hmac(auth, ecdh.computeSecret(sender)), 'WebPush: info\0', own, sender, '\u0001');
  const pseudoRandom = hmac(salt, key);
  const content = hmac(pseudoRandom, 'Content-Encoding: aes128gcm\0\u0001').subarray(0, 16);
  const nonce = hmac(pseudoRandom, 'Content-Encoding: nonce\0\u0001').subarray(0, 12);
  const decipher = createDecipheriv('aes-128-gcm', content, nonce);
  decipher.setAuthTag(body.subarray(-16));
  const text = Buffer.concat([decipher.update(body.subarray(86, -16)), decipher.final()]);
  return text.subarray(0, text.lastIndexOf(2));
}

function queueOf(url: string, file: string | null, more: { maxAgeMs?: number } = {}) {
  const log = new MemoryLog();
  const scope = new Scope('test');
  const deliver = (message: EventMessage): Promise<void> =>
    send({ url, method: 'POST', headers: {}, body: Buffer.from(JSON.stringify(message)), timeoutMs: 5_000 });
  const queue = new DeliveryQueue({
    target: { name: 'hook', kind: 'webhook', deliver },
    log,
    scope,
    file: () => (file === null ? null : Promise.resolve(file)),
    retryMs: 20,
    ...more,
  });
  return { queue, log, [Symbol.asyncDispose]: () => scope.close() };
}

const message = (more: object = {}): EventMessage => ({ ...eventMessage(cameraEvent()), ...more });

test('what could not be sent is sent again, in order, and said once', async () => {
  let fails = 4;
  await using hook = await receiver((_received, response) => response.writeHead(fails-- > 0 ? 503 : 204).end());
  await using run = queueOf(hook.url, null);
  const sent = [message(), message(), message()];
  for (const one of sent) run.queue.push(one);
  await waitFor(() => hook.received.length === 7);
  assert.deepEqual(
    hook.received.slice(4).map((one) => parse(one).id),
    sent.map(({ id }) => id),
  );
  assert.equal(run.log.find('warn', /hook could not be told: it answers 503/).length, 1);
  await waitFor(() => run.log.find('info', /told again/).length === 1);
  assert.deepEqual([run.queue.status.waiting, run.queue.status.last_error], [0, null]);
});

test('what waits outlives a restart, and says that it is late', async () => {
  const file = join(folder, 'waiting.json');
  const [old, gone] = [message(), message()];
  {
    await using run = queueOf('http://127.0.0.1:1/', file);
    run.queue.push(old);
    await waitFor(async () => (await readFile(file, 'utf8').catch(() => '')).includes(old.id));
  }
  const kept = JSON.parse(await readFile(file, 'utf8'));
  kept[0].atMs -= 60_000;
  kept.push({ message: gone, atMs: Date.now() - 13 * 3_600_000 });
  await writeFile(file, JSON.stringify(kept));
  await using hook = await receiver();
  await using run = queueOf(hook.url, file);
  await run.queue.load();
  const fresh = message();
  run.queue.push(fresh);
  await waitFor(() => hook.received.length === 2);
  assert.deepEqual(
    hook.received.map((one) => [parse(one).id, parse(one).late]),
    [
      [old.id, true],
      [fresh.id, undefined],
    ],
  );
  await waitFor(async () => (await readFile(file, 'utf8').catch(() => 'gone')) === 'gone');
});

test('a wrong address is not tried for ever, and what waits is bounded', async () => {
  await using hook = await receiver((_received, response) => response.writeHead(404).end());
  await using run = queueOf(hook.url, null);
  run.queue.push(message());
  run.queue.push(message());
  await waitFor(() => hook.received.length === 2 && run.queue.status.waiting === 0);
  await using away = queueOf('http://127.0.0.1:1/', null);
  for (let index = 0; index < 500; index++) away.queue.push(message());
  assert.equal(away.queue.status.waiting, 200);
});

test('a redirect is followed on the same host, and to no other', async () => {
  await using other = await receiver();
  await using hook = await receiver((received, response) => {
    const to = { '/same': '/there', '/other': `http://localhost:${other.port}/`, '/round': '/round' }[received.path];
    if (to === undefined) response.end();
    else response.writeHead(307, { location: to }).end();
  });
  const to = (path: string) =>
    send({ url: hook.url + path, method: 'POST', headers: {}, body: Buffer.from('x'), timeoutMs: 5_000 });
  await to('/same');
  assert.deepEqual(
    hook.received.map(({ path, body }) => [path, body.toString()]),
    [
      ['/same', 'x'],
      ['/there', 'x'],
    ],
  );
  await assert.rejects(to('/other'), (error) => error instanceof SendError && error.lasting);
  await assert.rejects(to('/round'), /redirects elsewhere/);
  assert.equal(other.received.length, 0);
});

test('a server that gives no answer costs no more than its time', async () => {
  await using hook = await receiver(() => {});
  const sending = send({
    url: `${hook.url}/secret-path`,
    method: 'POST',
    headers: {},
    body: Buffer.from('x'),
    timeoutMs: 100,
  });
  await assert.rejects(sending, (error: Error) => error.message === 'no answer in 0.1 s');
});

test('each target can be tried', async () => {
  await using hook = await receiver((received, response) =>
    response.writeHead(received.path === '/good' ? 200 : 500).end(),
  );
  await using app = await start('try', {
    webhooks: { good: { url: `${hook.url}/good` }, bad: { url: `${hook.url}/bad` } },
  });
  const post = (to: string) => fetch(`${app.url}/api/notify/test?to=${to}`, { method: 'POST' });
  assert.equal((await post('good')).status, 200);
  assert.equal(parse(hook.received[0]).camera, 'test');
  const bad = await post('bad');
  assert.equal(bad.status, 502);
  assert.match(await bad.text(), /it answers 500/);
  const nobody = await post('nobody');
  assert.equal(nobody.status, 404);
  assert.match(await nobody.text(), /there are: good, bad, push/);
  const list = await json<readonly { name: string }[]>(`${app.url}/api/notify`);
  assert.deepEqual(
    list.map((one) => one.name),
    ['good', 'bad', 'push'],
  );
});

test('a name that is taken costs its second owner alone', async () => {
  await using hook = await receiver();
  const ntfyTopics = { a: { url: `${hook.url}/%` }, push: { url: `${hook.url}/x` } };
  await using app = await start('names', { webhooks: { a: { url: `${hook.url}/a` } }, ntfy: ntfyTopics });
  const list = await json<readonly { name: string; kind: string }[]>(`${app.url}/api/notify`);
  assert.deepEqual(
    list.map(({ name, kind }) => `${name} ${kind}`),
    ['a webhook', 'push push'],
  );
  assert.equal(app.log.find('warn', /ntfy "a" is left out: webhook has that name already/).length, 1);
});

test('the configuration says what is wrong with it', () => {
  const wrong = (section: object) => notifySchema.safeParse(section).error?.issues[0]?.message ?? 'nothing';
  assert.match(wrong({ rules: [{ quiet_hours: 'night' }] }), /are no hours: write/);
  assert.match(wrong({ rules: [{ rate_limit: 'often' }] }), /is no limit: write/);
  assert.match(wrong({ time_zone: 'Mars/Olympus' }), /name of a time zone/);
  assert.match(wrong({ webhooks: { a: { url: 'ftp://x' } } }), /must be an address/);
  assert.equal(
    wrong({ rules: [{ quiet_hours: ['22:00-06:00'], rate_limit: '1/5m', to: ['x'] }], time_zone: 'Europe/Berlin' }),
    'nothing',
  );
});

test('words for people', () => {
  assert.deepEqual(wordsOf(message({ detection: 'smoke_alarm', duration: 0 })), {
    title: 'nursery: smoke alarm',
    body: 'just now, 90 % sure',
  });
  assert.equal(wordsOf(message({ state: 'updated', duration: 25 })).body, 'for 25 seconds now, 90 % sure');
  assert.equal(
    wordsOf(message({ state: 'ended', duration: 240, late: true })).body,
    'ended after 4 minutes (told late)',
  );
  assert.equal(wordsOf(message(), '{detection} in {camera}!').title, 'crying in nursery!');
});

test('`hearthcam notify test` tells a target of the configuration, and says what went wrong', async () => {
  await using hook = await receiver((received, response) =>
    response.writeHead(received.path === '/good' ? 200 : 403).end(),
  );
  const output: string[] = [];
  const stream = { write: (text: string) => output.push(text) };
  const run = (...words: string[]) => {
    const config = `notify: {webhooks: {good: {url: "${hook.url}/good"}, bad: {url: "${hook.url}/bad"}}}`;
    return main(['notify', ...words, '-c', `{${config}}`], { stdout: stream, stderr: stream, env: {}, cwd: folder });
  };
  assert.equal(await run('test', 'good'), 0);
  assert.equal(await run('test', 'bad'), 1);
  assert.equal(await run('test', 'nobody'), 1);
  assert.equal(await run('good'), 2);
  assert.equal(parse(hook.received[0]).camera, 'test');
  const text = output.join('');
  assert.match(text, /good was told\n/);
  assert.match(text, /it answers 403/);
  assert.match(text, /there are: good, bad, push/);
  assert.match(text, /hearthcam notify test NAME/);
});
