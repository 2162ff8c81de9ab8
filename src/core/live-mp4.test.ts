import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { ANY_VIDEO, makeTestHub } from '../../testkit/hub.ts';
import { scriptedSource } from '../../testkit/scripted-source.ts';
import { socketPair } from '../../testkit/socket-pair.ts';
import { waitFor } from '../../testkit/wait.ts';
import { buildAvcC } from '../wire/h264/format.ts';
import { Mp4Demuxer } from '../wire/mp4/demuxer.ts';
import type { Consumer } from './consumer.ts';
import { LiveMp4 } from './live-mp4.ts';
import type { VideoFormat } from './media.ts';
import { knownFormats } from './mp4-tracks.ts';

// 640×480, from x264.
const sps = Buffer.from('6742c01ed900a03da1000003000100000300328f162e48', 'hex');
const pps = Buffer.from('68cb83cb20', 'hex');
const format: VideoFormat = {
  kind: 'video',
  codec: 'h264',
  clockRateHz: 90_000,
  width: 640,
  height: 480,
  codecString: 'avc1.42C01E',
  parameterSets: { vps: [], sps: [sps], pps: [pps] },
  config: buildAvcC([sps], [pps]),
  reorderDepth: 0,
};

/** One slice NAL unit of a picture. */
function slice(key: boolean, bytes: number): Buffer {
  const data = Buffer.alloc(4 + bytes, 0x55);
  data.writeUInt32BE(bytes, 0);
  data[4] = key ? 0x65 : 0x41;
  data[5] = key ? 0x88 : 0x9a;
  return data;
}

async function rig() {
  const source = scriptedSource('cam');
  const made = makeTestHub({ sources: [source.module], streams: { porch: ['cam:1'] } });
  const stream = made.hub.require('porch');
  const opening = stream.open({ formatName: 'mp4', protocol: 'test', remoteAddr: '', wants: [ANY_VIDEO] });
  await waitFor(() => source.connections.length > 0);
  const camera = source.connections[0];
  assert.ok(camera !== undefined);
  camera.describe({ tracks: [{ kind: 'video', codec: 'h264', clockRateHz: 90_000, format }] });
  const consumer = await opening;
  let ms = 0;
  const picture = (key: boolean, bytes = 1_000): void => {
    camera.sink.unit({ track: 0, format, ticks: ms * 90, key, data: slice(key, bytes) });
    camera.sink.flush();
    ms += 40;
  };
  return { made, stream, consumer, picture };
}

function player() {
  const units: { ticks: number; decodeTicks: number; key: boolean }[] = [];
  const demuxer = new Mp4Demuxer({
    tracks: () => {},
    unit: ({ ticks, decodeTicks, key }) => units.push({ ticks, decodeTicks, key }),
  });
  return { units, take: (bytes: Buffer) => demuxer.push(bytes) };
}

function add(live: LiveMp4, consumer: Consumer, socket: Socket, maxQueueBytes = 1 << 22) {
  return live.add({
    socket,
    consumer,
    framing: 'bare',
    atOnce: true,
    limits: { maxQueueBytes, maxStuckMs: 10_000 },
    onStuck: () => assert.fail('closed'),
  });
}

test('a viewer who joins in mid-GOP has the newest picture at once, its time near 0', async () => {
  const { made, stream, consumer, picture } = await rig();
  await using _ = made;
  const { near, far, close } = await socketPair();
  try {
    for (let count = 0; count < 50; count++) picture(count === 0);
    using live = new LiveMp4(stream, consumer.tracks);
    add(live, consumer, near);
    picture(false);
    const { units, take } = player();
    far.on('data', take);
    await waitFor(() => units.length === 51, { what: '51 pictures' });
    assert.equal(units[0]?.key, true);
    assert.equal(units[0]?.ticks, 0);
    assert.ok(units.every((unit, index) => index === 0 || unit.ticks > (units[index - 1]?.ticks ?? 0)));
    assert.ok(Math.abs((units[50]?.ticks ?? 0) - 9_000) < 10, 'the whole GOP takes a tenth of a second');
    assert.equal(consumer.unitsSent, 51);
  } finally {
    close();
  }
});

test('a viewer who comes before the first key frame starts with it', async () => {
  const { made, stream, consumer, picture } = await rig();
  await using _ = made;
  const { near, far, close } = await socketPair();
  try {
    using live = new LiveMp4(stream, consumer.tracks);
    add(live, consumer, near);
    const { units, take } = player();
    far.on('data', take);
    picture(false);
    picture(true);
    picture(false);
    await waitFor(() => units.length === 2);
    assert.deepEqual(
      units.map((unit) => [unit.key, unit.ticks > -10 && unit.ticks < 4_000]),
      [
        [true, true],
        [false, true],
      ],
    );
  } finally {
    close();
  }
});

test('a viewer who stops reading loses pictures, goes on with a key frame without a hole, and costs others nothing', async () => {
  const { made, stream, consumer, picture } = await rig();
  await using _ = made;
  const slow = await socketPair();
  const quick = await socketPair();
  try {
    slow.far.pause();
    const [late, good] = [player(), player()];
    quick.far.on('data', good.take);
    picture(true);
    using live = new LiveMp4(stream, consumer.tracks);
    add(live, consumer, quick.near);
    add(live, consumer, slow.near, 500_000);
    const total = 400;
    for (let count = 1; count < total; count++) {
      picture(count % 25 === 0, 50_000);
      if (count % 50 === 0) await waitFor(() => quick.near.writableLength === 0);
    }
    assert.ok(slow.near.writableLength < 700_000, `${slow.near.writableLength} bytes wait for the slow one`);
    assert.ok(consumer.unitsDropped > 50, `${consumer.unitsDropped} left out`);
    await waitFor(() => good.units.length === total, { what: 'the quick one to get all' });
    slow.far.on('data', late.take).resume();
    await waitFor(() => slow.near.writableLength === 0);
    const before = late.units.length;
    for (let count = 0; count < 60; count++) picture(count === 30);
    await waitFor(() => late.units.length >= before + 30);
    const resumed = late.units.findIndex((unit, index) => index > 0 && unit.key && index >= before);
    assert.ok(resumed > 0);
    assert.equal(late.units.length, resumed + 30, 'nothing between the stop and the key frame');
    const holeTicks = (late.units[resumed]?.ticks ?? 0) - (late.units[resumed - 1]?.ticks ?? 0);
    assert.ok(holeTicks > 0 && holeTicks <= 2 * 3_600, `a hole of ${holeTicks / 90} ms`);
  } finally {
    slow.close();
    quick.close();
  }
});

test('a chunked response is well-formed HTTP', async () => {
  const { made, stream, consumer, picture } = await rig();
  await using _ = made;
  const { near, far, close } = await socketPair();
  try {
    picture(true);
    picture(false);
    using live = new LiveMp4(stream, consumer.tracks);
    live.add({ socket: near, consumer, framing: 'chunked', atOnce: true, onStuck: () => {} });
    picture(false);
    near.end('0\r\n\r\n');
    const parts: Buffer[] = [];
    far.on('data', (part) => parts.push(part));
    await once(far, 'close');
    const all = Buffer.concat(parts);
    const { units, take } = player();
    let at = 0;
    for (;;) {
      const line = all.indexOf('\r\n', at);
      const bytes = Number.parseInt(all.toString('latin1', at, line), 16);
      if (bytes === 0) break;
      take(all.subarray(line + 2, line + 2 + bytes));
      assert.equal(all.toString('latin1', line + 2 + bytes, line + 4 + bytes), '\r\n');
      at = line + 4 + bytes;
    }
    assert.equal(units.length, 3);
  } finally {
    close();
  }
});

test('a camera that never sends its parameters gives a clear error instead of waiting for ever', async () => {
  const source = scriptedSource('cam');
  await using made = makeTestHub({ sources: [source.module], streams: { porch: ['cam:1'] } });
  const stream = made.hub.require('porch');
  const opening = stream.open({ formatName: 'mp4', protocol: 'test', remoteAddr: '', wants: [ANY_VIDEO] });
  await waitFor(() => source.connections.length > 0);
  source.connections[0]?.describe();
  const consumer = await opening;
  const { signal } = new AbortController();
  await assert.rejects(knownFormats(stream, consumer.tracks, signal, { videoMs: 20, audioMs: 5 }), {
    status: 504,
    message: /"porch" has sent no key frame/,
  });
  const waiting = knownFormats(stream, consumer.tracks, signal);
  source.connections[0]?.picture(0, true);
  assert.deepEqual(await waiting, consumer.tracks);
});
