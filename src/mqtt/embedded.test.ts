import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import { test } from 'node:test';
import { Aedes } from 'aedes';
import { createWebSocketStream, WebSocketServer } from 'ws';
import { freePort } from '../../testkit/free-port.ts';
import { cameraEvent, startMqttBench } from '../../testkit/mqtt-bench.ts';
import { MqttWatch } from '../../testkit/mqtt-watch.ts';
import { waitFor } from '../../testkit/wait.ts';
import { brokerAddress, mqttConfig } from './config.ts';

test('the broker inside serves programs of this machine, and no other', async () => {
  const port = await freePort();
  await using bench = await startMqttBench({ config: { embedded: { port } } });
  await waitFor(() => bench.log.find('info', /connected to the broker/).length === 1, { what: 'our own connection' });
  await using watch = await MqttWatch.connect(`mqtt://127.0.0.1:${port}`);
  assert.equal(await watch.last('hearthcam/status'), 'online');
  bench.events.emit(cameraEvent());
  await watch.last('hearthcam/nursery/cry');
  await watch.publish('hearthcam/nursery/sensitivity/set', 'low');
  await watch.last('hearthcam/nursery/sensitivity', (payload) => payload === 'low');
  // A client that talks rubbish, and one that goes without a word, are nobody's trouble.
  for (const bytes of ['GET / HTTP/1.1\r\n\r\n', Buffer.alloc(64, 0xff)]) {
    const rude = connect(port, '127.0.0.1');
    rude.on('error', () => undefined);
    await once(rude, 'connect');
    rude.write(bytes);
    rude.resetAndDestroy();
  }
  for (const { address, internal, family } of Object.values(networkInterfaces()).flatMap((list) => list ?? [])) {
    if (internal || family !== 'IPv4') continue;
    const outside = connect({ port, host: address, timeout: 2_000 });
    await assert.rejects(once(outside, 'connect'), /ECONNREFUSED/);
  }
  bench.events.emit(cameraEvent({ id: 'e2', state: 'ended' }));
  await waitFor(() => watch.of('hearthcam/nursery/cry').length === 2, { what: 'the second message' });
});

test('a port that is taken is told, and nothing else is disturbed', async () => {
  const taken = createServer();
  taken.listen(0, '127.0.0.1');
  await once(taken, 'listening');
  const address = taken.address();
  assert.ok(typeof address === 'object' && address !== null);
  await using bench = await startMqttBench({ config: { embedded: { port: address.port } } });
  await waitFor(() => bench.log.find('error', /can't listen on 127.0.0.1.*EADDRINUSE/).length === 1, {
    what: 'the line',
  });
  bench.events.emit(cameraEvent());
  await bench.stop();
  taken.close();
});

test('WebSocket, as brokers behind a web server have it', async (t) => {
  const broker = await Aedes.createBroker();
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', path: '/mqtt', handleProtocols: () => 'mqtt' });
  server.on('connection', (socket) => void broker.handle(createWebSocketStream(socket)));
  await once(server, 'listening');
  t.after(() => {
    broker.close();
    server.close();
  });
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  const url = `ws://127.0.0.1:${address.port}/mqtt`;
  await using watch = await MqttWatch.connect(url);
  await using bench = await startMqttBench({ config: { url } });
  bench.events.emit(cameraEvent());
  await watch.last('hearthcam/nursery/cry');
});

test('where nothing is configured nothing is started', async () => {
  await using bench = await startMqttBench({ config: {} });
  bench.events.emit(cameraEvent());
  assert.deepEqual(bench.log.lines, []);
});

test('the broker is found by its address or its host, and a login in the address is not shown', () => {
  const rows: readonly [config: Record<string, unknown>, url: string | undefined, user?: string, password?: string][] =
    [
      [{}, undefined],
      [{ url: 'mqtt://broker' }, 'mqtt://broker'],
      [{ url: 'mqtts://me:p%40ss:w@broker:8883' }, 'mqtts://broker:8883', 'me', 'p@ss:w'],
      [{ url: 'mqtt://me:a@broker', username: 'you', password: 'b' }, 'mqtt://broker', 'you', 'b'],
      [{ host: 'broker', username: 'you' }, 'mqtt://broker:1883', 'you'],
      [{ host: 'fd00::1', tls: {} }, 'mqtts://[fd00::1]:8883'],
      [{ embedded: true }, 'mqtt://127.0.0.1:1883'],
      [{ embedded: { port: 1999 } }, 'mqtt://127.0.0.1:1999'],
      [{ embedded: true, host: 'broker', port: 1 }, 'mqtt://broker:1'],
    ];
  for (const [config, url, username, password] of rows) {
    const address = brokerAddress(mqttConfig.parse(config));
    assert.deepEqual([address?.url, address?.username, address?.password], [url, username, password]);
  }
  for (const wrong of [
    { url: 'http://broker' },
    { url: 'mqtt://broker:99999' },
    { prefix: 'a/#' },
    { prefix: '/a' },
    { embedded: { port: 0 } },
  ]) {
    assert.equal(mqttConfig.safeParse(wrong).success, false, JSON.stringify(wrong));
  }
});
