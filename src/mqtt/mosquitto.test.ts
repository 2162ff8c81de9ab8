import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { chmod, writeFile } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { freePort } from '../../testkit/free-port.ts';
import { MemoryLog } from '../../testkit/memory-log.ts';
import { Mosquitto } from '../../testkit/mosquitto.ts';
import { cameraEvent, startMqttBench, TestEars } from '../../testkit/mqtt-bench.ts';
import { MqttWatch } from '../../testkit/mqtt-watch.ts';
import { waitFor } from '../../testkit/wait.ts';
import { Scope } from '../core/scope.ts';

const connectedLines = /connected to the broker/;

describe('with Mosquitto', { timeout: 120_000 }, () => {
  test('a cry is told on its topics, in order, with the promised names', async () => {
    await using broker = await Mosquitto.start();
    await using watch = await MqttWatch.connect(broker.url);
    await using bench = await startMqttBench({ config: { url: broker.url } });
    await watch.last('hearthcam/status', (payload) => payload === 'online');
    const { events } = bench;
    events.emit(cameraEvent());
    events.emit(cameraEvent({ state: 'updated', durationMs: 5_000, confidence: 0.95 }));
    events.emit(cameraEvent({ state: 'ended', durationMs: 12_340, confidence: 0.95, meanConfidence: 0.777 }));
    events.emit(cameraEvent({ id: 's1', detection: 'smoke_alarm' }));
    await waitFor(() => watch.of('hearthcam/nursery/sound/smoke_alarm').length === 1, { what: 'the alarm' });
    const told = watch.of('hearthcam/nursery/cry');
    const common = { id: 'e1', camera: 'nursery', detection: 'cry', timestamp: '2026-11-24T03:00:00.000Z' };
    assert.deepEqual(
      told.map(({ payload }) => JSON.parse(payload)),
      [
        { ...common, state: 'started', confidence: 0.91, duration: 0 },
        { ...common, state: 'updated', confidence: 0.95, duration: 5 },
        {
          ...{ ...common, state: 'ended', confidence: 0.95, duration: 12.34 },
          ...{ peak_confidence: 0.95, mean_confidence: 0.78 },
          ...{ clip: '/api/events/e1/clip.mp4', snapshot: '/api/events/e1/snapshot.jpeg' },
        },
      ],
    );
    assert.ok(told.every(({ retained, qos }) => !retained && qos === 1));
    assert.deepEqual(
      watch.of('hearthcam/events').map(({ payload }) => [JSON.parse(payload).id, JSON.parse(payload).state]),
      [
        ['e1', 'started'],
        ['e1', 'updated'],
        ['e1', 'ended'],
        ['s1', 'started'],
      ],
    );
    assert.deepEqual(
      watch.of('hearthcam/nursery/event').map(({ payload }) => JSON.parse(payload).event_type),
      ['cry_started', 'cry_ended', 'smoke_alarm_started'],
    );
  });

  test('what is retained says how it is now, and the last will when the server is gone', async () => {
    await using broker = await Mosquitto.start();
    await using bench = await startMqttBench({ config: { url: broker.url }, cameras: { door: ['door'] } });
    await using watch = await MqttWatch.connect(broker.url);
    await watch.last('hearthcam/door/state');
    bench.events.emit(cameraEvent({ startMs: Date.now() }));
    const state = JSON.parse(await watch.last('hearthcam/nursery/state', (text) => text.includes('"ON"')));
    assert.equal(state.cry_confidence, 91);
    assert.equal(state.cries_today, 1);
    bench.events.emit(cameraEvent({ state: 'ended', startMs: Date.now() - 90_000, durationMs: 90_000 }));
    await watch.last('hearthcam/nursery/state', (text) => text.includes('"OFF"'));
    await using late = await MqttWatch.connect(broker.url);
    await waitFor(() => late.of('hearthcam/nursery/state').length > 0, { what: 'what is retained' });
    assert.ok(late.seen.every(({ retained }) => retained));
    const said = Object.fromEntries(late.seen.map(({ topic, payload }) => [topic, payload]));
    assert.equal(said['hearthcam/status'], 'online');
    assert.equal(said['hearthcam/nursery/available'], 'online');
    assert.equal(said['hearthcam/nursery/listening'], 'ON');
    assert.equal(said['hearthcam/nursery/sensitivity'], 'balanced');
    const { last_cry, minutes_cried_today, ...rest } = JSON.parse(said['hearthcam/nursery/state'] ?? '');
    assert.ok(Date.now() - Date.parse(last_cry) < 60_000);
    assert.ok(minutes_cried_today <= 1.5);
    assert.deepEqual(rest, { crying: 'OFF', cry_confidence: 0, cries_today: 1, stream: 'offline', bit_rate: 0 });
    assert.deepEqual(JSON.parse(said['hearthcam/door/state'] ?? ''), { stream: 'offline', bit_rate: 0 });
    bench.ears.change('nursery', { available: false, reason: 'the camera is away' });
    await watch.last('hearthcam/nursery/available', (payload) => payload === 'offline');
    await bench.stop();
    await watch.last('hearthcam/status', (payload) => payload === 'offline');
  });

  test('the loudness is told when it changes, at most once a second, and is not retained', async () => {
    await using broker = await Mosquitto.start();
    await using watch = await MqttWatch.connect(broker.url);
    await using bench = await startMqttBench({ config: { url: broker.url } });
    await watch.last('hearthcam/status', (payload) => payload === 'online');
    const level = (dba: number) => bench.events.emitLevel({ camera: 'nursery', atMs: 0, dbfs: -40.04, dba });
    for (const dba of [-50.26, -30, -20]) level(dba);
    await watch.last('hearthcam/nursery/level');
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    level(-50);
    level(-44);
    await watch.last('hearthcam/nursery/level', (text) => text.includes('-44'));
    assert.deepEqual(
      watch.of('hearthcam/nursery/level').map(({ payload }) => JSON.parse(payload)),
      [-50.3, -44].map((dba) => ({ camera: 'nursery', timestamp: '1970-01-01T00:00:00.000Z', dbfs: -40, dba })),
    );
  });

  test('a broker that is restarted in the middle loses no event, and they come in order', async () => {
    const lines = ['allow_anonymous true', 'persistence true', 'persistence_location %DIR%/', 'max_queued_messages 0'];
    await using broker = await Mosquitto.start({ lines });
    await using bench = await startMqttBench({ config: { url: broker.url } });
    // The broker keeps for it what comes before it is back.
    await using watch = await MqttWatch.connect(broker.url, 'hearthcam/events', { clientId: 'watch', clean: false });
    const ids = Array.from({ length: 90 }, (_, index) => `e${String(index).padStart(2, '0')}`);
    const stopped: Promise<void>[] = [];
    for (const [index, id] of ids.entries()) {
      bench.events.emit(cameraEvent({ id }));
      // In mid-flight: what was emitted last is on its way, and the rest finds no broker.
      if (index === 30) stopped.push(broker.kill('SIGTERM'));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await Promise.all(stopped);
    await broker.run();
    const seen = (): readonly string[] => [...new Set(watch.seen.map(({ payload }) => JSON.parse(payload).id))];
    await waitFor(() => seen().includes('e89'), { what: 'the last event', timeoutMs: 30_000 });
    assert.deepEqual(seen(), ids);
    assert.equal(bench.log.find('info', connectedLines).length, 2, bench.log.text);
  });

  test('what happened while there was no broker is told when it is there, marked late', async () => {
    await using broker = await Mosquitto.start();
    const first = await startMqttBench({ config: { url: broker.url } });
    await waitFor(() => first.log.find('info', connectedLines).length === 1, { what: 'a connection' });
    await broker.kill();
    await waitFor(() => first.log.find('warn', /is lost/).length === 1, { what: 'the loss' });
    first.events.emit(cameraEvent({ id: 'a' }));
    first.events.emit(cameraEvent({ id: 'a', state: 'updated' }));
    first.events.emit(cameraEvent({ id: 'a', state: 'ended' }));
    // The server is restarted, too.
    await first.stop();
    const path = join(first.dataDir, 'mqtt', 'outbox.jsonl');
    const text = execFileSync('cat', [path], { encoding: 'utf8' });
    await writeFile(path, text.replaceAll(/\\"at\\":\d+/g, '\\"at\\":1000'));
    await broker.run();
    await using watch = await MqttWatch.connect(broker.url, 'hearthcam/events');
    await using second = await startMqttBench({ config: { url: broker.url }, dataDir: first.dataDir });
    second.events.emit(cameraEvent({ id: 'b' }));
    await waitFor(() => watch.seen.length === 3, { what: 'three messages' });
    assert.deepEqual(
      watch.seen.map(({ payload }) => JSON.parse(payload)).map(({ id, state, late }) => [id, state, late]),
      [
        ['a', 'started', true],
        ['a', 'ended', true],
        ['b', 'started', undefined],
      ],
    );
    await first[Symbol.asyncDispose]();
  });

  test('a wrong password is told with what to do, and a right one later is enough', async () => {
    await using broker = await Mosquitto.start({
      lines: ['allow_anonymous false', 'password_file %DIR%/users'],
      files: { users: '' },
    });
    execFileSync('mosquitto_passwd', ['-b', join(broker.directory, 'users'), 'camera', 'right']);
    await broker.kill();
    await chmod(join(broker.directory, 'users'), 0o600);
    await broker.run();
    const url = broker.url.replace('//', '//camera:wrong@');
    await using bench = await startMqttBench({ config: { url } });
    await waitFor(() => bench.log.find('warn', /refuses the login.*see mqtt.username/).length === 1, {
      what: 'the refusal',
    });
    assert.ok(!bench.log.text.includes('wrong'), bench.log.text);
    bench.events.emit(cameraEvent());
    await bench.stop();
    await using watch = await MqttWatch.connect(broker.url, '#', { username: 'camera', password: 'right' });
    const login = { host: '127.0.0.1', port: broker.port, username: 'camera', password: 'right' };
    await using second = await startMqttBench({ config: login, dataDir: bench.dataDir });
    await watch.last('hearthcam/nursery/cry');
    assert.equal(second.log.find('warn', /./).length, 0, second.log.text);
  });

  test('rights of the broker that keep Home Assistant’s topics from us leave the rest', async () => {
    const acl = 'topic readwrite hearthcam/#\n';
    await using broker = await Mosquitto.start({
      lines: ['allow_anonymous true', 'acl_file %DIR%/acl'],
      files: { acl },
    });
    await using watch = await MqttWatch.connect(broker.url, 'hearthcam/#');
    await using bench = await startMqttBench({ config: { url: broker.url } });
    bench.events.emit(cameraEvent());
    await watch.last('hearthcam/nursery/cry');
    assert.ok(watch.seen.every(({ topic }) => topic.startsWith('hearthcam/')));
  });

  test('TLS with a certificate for each side', async () => {
    const lines = [
      ...['allow_anonymous false', 'require_certificate true', 'use_identity_as_username true'],
      ...['cafile %DIR%/ca.pem', 'certfile %DIR%/server.pem', 'keyfile %DIR%/server.key'],
    ];
    await using broker = await Mosquitto.start();
    await broker.kill();
    const at = (name: string): string => join(broker.directory, name);
    const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: 'pipe' });
    openssl(
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'],
      ...['-subj', '/CN=test CA', '-keyout', at('ca.key'), '-out', at('ca.pem')],
    );
    for (const name of ['server', 'client']) {
      openssl(
        ...['req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', `/CN=${name}`],
        ...['-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', at(`${name}.key`), '-out', at(`${name}.csr`)],
      );
      openssl(
        ...['x509', '-req', '-in', at(`${name}.csr`), '-CA', at('ca.pem'), '-CAkey', at('ca.key'), '-CAcreateserial'],
        ...['-copy_extensions', 'copy', '-days', '2', '-out', at(`${name}.pem`)],
      );
    }
    const config = [`listener ${broker.port} 127.0.0.1`, 'user root', ...lines].join('\n');
    await writeFile(at('mosquitto.conf'), config.replaceAll('%DIR%', broker.directory));
    await broker.run();
    const tls = { ca: at('ca.pem'), cert: at('client.pem'), key: at('client.key') };
    await using bench = await startMqttBench({ config: { host: '127.0.0.1', port: broker.port, tls } });
    await waitFor(() => bench.log.find('info', /connected to the broker mqtts:/).length === 1, {
      what: bench.log.text,
    });
    const url = `mqtts://127.0.0.1:${broker.port}`;
    const rows = [
      { tls: { ca: tls.ca }, reason: /can't be reached|hung up|is lost/ },
      { tls: { cert: tls.cert, key: tls.key }, reason: /self-signed|unable to/ },
      { tls: { ...tls, ca: at('nothing.pem') }, reason: /mqtt\.tls\.ca: the file ".*nothing\.pem" can't be read/ },
    ];
    for (const row of rows) {
      await using refused = await startMqttBench({ config: { url, tls: row.tls } });
      await waitFor(() => refused.log.find('warn', row.reason).length > 0, { what: `${row.reason}` });
      assert.equal(refused.log.find('info', connectedLines).length, 0);
    }
  });

  test('the bundled program finds its packages, too', async () => {
    await using broker = await Mosquitto.start();
    await build({
      ...{ bundle: true, platform: 'node', format: 'esm', splitting: true, logLevel: 'silent' },
      entryPoints: ['broker', 'connection'].map((name) => join(import.meta.dirname, `${name}.ts`)),
      outdir: broker.directory,
      outExtension: { '.js': '.mjs' },
      banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
    });
    // Checked border: these are built from the modules that the types are of.
    const load = (name: string): Promise<unknown> => import(pathToFileURL(join(broker.directory, `${name}.mjs`)).href);
    const { Connection } = (await load('connection')) as typeof import('./connection.ts');
    const { startBroker } = (await load('broker')) as typeof import('./broker.ts');
    const log = new MemoryLog();
    await using scope = new Scope('bundle');
    const port = await freePort();
    await startBroker(port, log, scope);
    for (const url of [broker.url, `mqtt://127.0.0.1:${port}`]) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const address = { url, username: undefined, password: undefined, clientId: undefined, tls: {} };
      const will = { topic: 'status', payload: 'offline' };
      const own = { address, log, scope, will, subscriptions: [], onMessage: () => undefined };
      const connection = new Connection({ ...own, onSession: () => resolve() });
      scope.defer(() => connection.close('offline'));
      void connection.run();
      await promise;
    }
  });

  test('switches on …/set are obeyed, rubbish there costs one line of the log', async () => {
    await using broker = await Mosquitto.start();
    await using watch = await MqttWatch.connect(broker.url);
    await watch.publish('hearthcam/nursery/listening/set', 'OFF', true);
    await using bench = await startMqttBench({ config: { url: broker.url } });
    await waitFor(() => bench.log.find('warn', /retained message .* is not obeyed/).length === 1, { what: 'the line' });
    assert.equal(bench.ears.statuses.get('nursery')?.listening, true);
    await watch.publish('hearthcam/nursery/listening/set', 'OFF');
    await watch.last('hearthcam/nursery/listening', (payload) => payload === 'OFF');
    await watch.last('hearthcam/nursery/available', (payload) => payload === 'offline');
    await watch.publish('hearthcam/nursery/listening/set', 'on');
    await watch.last('hearthcam/nursery/available', (payload) => payload === 'online');
    const rubbish: readonly [topic: string, payload: string | Buffer][] = [
      ['nursery/listening/set', 'MAYBE'],
      ['nursery/sensitivity/set', '{"sensitivity":"high"}'],
      ['nursery/snapshot/set', Buffer.alloc(300_000, 7)],
      ['nobody/listening/set', 'ON'],
      ['%/snapshot/set', 'PRESS'],
      ['nursery/sensitivity/set', ''],
      ['nursery/listening/set', Buffer.from([0xff, 0xfe, 0x1b, 0x5b, 0x32, 0x4a])],
    ];
    for (const [topic, payload] of rubbish) await watch.publish(`hearthcam/${topic}`, payload);
    await watch.publish('hearthcam/nursery/sensitivity/set', 'high');
    await watch.last('hearthcam/nursery/sensitivity', (payload) => payload === 'high');
    assert.equal(bench.ears.statuses.get('nursery')?.listening, true);
    assert.equal(bench.log.find('warn', /./).length, 1, bench.log.text);
  });

  test('a snapshot is taken when a cry begins, and when the button is pressed', async () => {
    await using broker = await Mosquitto.start();
    await using watch = await MqttWatch.connect(broker.url);
    let taken = 0;
    const still = (): Promise<Buffer> => Promise.resolve(Buffer.from([0xff, 0xd8, ++taken]));
    await using bench = await startMqttBench({ config: { url: broker.url }, stills: { still } });
    await watch.last('hearthcam/nursery/state');
    bench.events.emit(cameraEvent());
    const show = async (connection: number): Promise<void> => {
      const camera = await waitFor(() => bench.source.connections[connection], { what: 'the camera to be connected' });
      camera.describe();
      camera.picture(0, true);
    };
    await show(0);
    await waitFor(() => watch.of('hearthcam/nursery/snapshot').length === 1, { what: 'a snapshot' });
    await waitFor(() => !bench.running, { what: 'the camera to be left' });
    await watch.publish('hearthcam/nursery/snapshot/set', 'PRESS');
    await show(1);
    const second = await waitFor(() => watch.of('hearthcam/nursery/snapshot')[1], { what: 'a second snapshot' });
    assert.deepEqual(second.bytes, Buffer.from([0xff, 0xd8, 2]));
  });

  test('what is retained is told again after a restart of the broker, and when Home Assistant was born', async () => {
    await using broker = await Mosquitto.start();
    await using watch = await MqttWatch.connect(broker.url);
    await using bench = await startMqttBench({ config: { url: broker.url } });
    const topics = ['homeassistant/device/hearthcam_nursery/config', 'hearthcam/nursery/state', 'hearthcam/status'];
    const times = (count: number) =>
      waitFor(() => topics.every((topic) => watch.of(topic).length >= count), { what: `all ${count} times` });
    await times(1);
    await watch.publish('homeassistant/status', 'online');
    await times(2);
    const again = watch.seen.map(({ topic }) => topic);
    assert.ok(again.lastIndexOf(topics[0] ?? '') < again.lastIndexOf(topics[1] ?? ''), 'devices come first');
    await broker.kill();
    await broker.run();
    await waitFor(() => bench.log.find('info', /again$/).length === 1, { what: 'the second connection' });
    await using late = await MqttWatch.connect(broker.url);
    await waitFor(() => topics.every((topic) => late.of(topic).length > 0), { what: 'what is retained' });
  });

  test('a camera that is removed is taken from Home Assistant, also while the server is off', async () => {
    await using broker = await Mosquitto.start();
    await using watch = await MqttWatch.connect(broker.url);
    await watch.publish('homeassistant/device/other/config', '{"origin":{"name":"Other"}}', true);
    const ears = new TestEars('nursery', 'attic/2');
    const first = await startMqttBench({
      config: { url: broker.url },
      ears,
      cameras: { door: ['door'], nursery: ['nursery'] },
    });
    const config = (id: string): string => `homeassistant/device/hearthcam_${id}/config`;
    const attic = watch.seen.length;
    await watch.last(config('door'));
    const odd = await waitFor(
      () => watch.seen.find(({ topic }) => /device\/hearthcam_attic_2_\w{6}\/config$/.test(topic)),
      {
        what: `the camera with an odd name after ${attic}`,
      },
    );
    await watch.last('hearthcam/attic%2F2/state');
    delete first.cameras['door'];
    await watch.last(config('door'), (payload) => payload === '');
    await watch.last('hearthcam/door/state', (payload) => payload === '');
    // Nothing listens to it any more: those of its entities go, in two steps, and the rest stays.
    ears.statuses.delete('nursery');
    const isWithout = (text: string): boolean => text !== '' && JSON.parse(text).components.crying === undefined;
    await watch.last(config('nursery'), isWithout);
    const steps = watch.of(config('nursery')).map(({ payload }) => JSON.parse(payload).components.crying);
    assert.deepEqual(steps.slice(-2), [{ platform: 'binary_sensor' }, undefined]);
    await watch.last('hearthcam/nursery/listening', (payload) => payload === '');
    await first.stop();
    await using second = await startMqttBench({ config: { url: broker.url }, dataDir: first.dataDir });
    await watch.last(odd.topic, (payload) => payload === '');
    await watch.last('hearthcam/attic%2F2/state', (payload) => payload === '');
    await using late = await MqttWatch.connect(broker.url, 'homeassistant/#');
    await waitFor(() => late.seen.length === 2, { what: 'two devices' });
    assert.deepEqual(late.seen.map(({ topic }) => topic).sort(), [
      config('nursery'),
      config('other').replace('hearthcam_', ''),
    ]);
    assert.ok(second.log.find('warn', /./).length === 0, second.log.text);
    await first[Symbol.asyncDispose]();
  });
});

test('a broker that disappears in mid-message, or talks rubbish, is tried again, and nothing is lost', {
  timeout: 60_000,
}, async (t) => {
  const sockets = new Set<Socket>();
  let connections = 0;
  const received: Buffer[] = [];
  const server = createServer((socket) => {
    sockets.add(socket);
    const number = ++connections;
    socket.on('error', () => undefined);
    socket.on('data', (data) => {
      received.push(data);
      // CONNACK, then half a PUBLISH; no greeting at all; bytes that are no MQTT; then nothing but silence.
      if (number === 1) socket.write(Buffer.from([0x20, 2, 0, 0, 0x30, 200, 0, 3]), () => socket.destroy());
      else if (number === 2) socket.end();
      else if (number === 3) socket.write('HTTP/1.1 400 Bad Request\r\n\r\n');
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  const close = (): void => {
    for (const socket of sockets) socket.destroy();
    server.close();
  };
  t.after(close);
  await using bench = await startMqttBench({ config: { host: '127.0.0.1', port: address.port } });
  bench.events.emit(cameraEvent());
  await waitFor(() => connections >= 4, { what: `four attempts\n${bench.log.text}` });
  await bench.stop();
  close();
  await using broker = await Mosquitto.start();
  await using watch = await MqttWatch.connect(broker.url);
  await using second = await startMqttBench({ config: { url: broker.url }, dataDir: bench.dataDir });
  await watch.last('hearthcam/nursery/cry');
  assert.match(bench.log.text, /can't be reached/);
  assert.equal(second.log.find('error', /./).length, 0);
});
