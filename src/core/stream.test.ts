import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ANY_AUDIO, ANY_VIDEO, collect, makeTestHub } from '../../testkit/hub.ts';
import { scriptedSource, videoFormat } from '../../testkit/scripted-source.ts';
import { waitFor } from '../../testkit/wait.ts';
import { HearthcamError } from './errors.ts';
import { retryDelayMs } from './producer.ts';

const AUDIO = { kind: 'audio', codec: 'pcma', clockRateHz: 8_000, format: null } as const;
const VIDEO = { kind: 'video', codec: 'h264', clockRateHz: 90_000, format: null } as const;

async function connection(source: ReturnType<typeof scriptedSource>, index: number) {
  return waitFor(() => source.connections[index], { what: `connection ${index}` });
}

/** A stream "porch" with a viewer; its camera is connected and described. */
async function watched() {
  const source = scriptedSource('cam');
  const test = makeTestHub({ sources: [source.module], streams: { porch: ['cam://1'] } });
  const stream = test.hub.require('porch');
  const opening = collect(stream);
  const first = await connection(source, 0);
  first.describe();
  const viewer = await opening;
  return {
    source,
    stream,
    first,
    viewer,
    async [Symbol.asyncDispose]() {
      viewer[Symbol.dispose]();
      await test[Symbol.asyncDispose]();
    },
  };
}

test('ten viewers of a stream make one connection to the camera, and it ends with the last of them', async () => {
  const source = scriptedSource('cam');
  await using test = makeTestHub({ sources: [source.module], streams: { porch: ['cam://1'] } });
  const stream = test.hub.require('porch');
  const opening = Promise.all(Array.from({ length: 10 }, () => collect(stream)));
  const camera = await connection(source, 0);
  camera.describe();
  const viewers = await opening;
  camera.picture(0, true);
  for (const viewer of viewers) await viewer.wait('video', 1);
  assert.equal(source.connections.length, 1);
  for (const viewer of viewers) viewer[Symbol.dispose]();
  await waitFor(() => camera.request.signal.aborted, { what: 'the camera being let go' });
});

test('a camera that drops is redialled at once; viewers stay and times go on by the length of the gap', async () => {
  await using porch = await watched();
  const { source, first, viewer } = porch;
  first.picture(5_000_000, true);
  first.picture(5_000_050, false);
  await viewer.wait('video', 2);
  first.end();
  const second = await connection(source, 1);
  second.describe();
  second.picture(0, true);
  const units = await viewer.wait('video', 3);
  const [, before, after] = units;
  assert.ok(before !== undefined && after !== undefined);
  assert.equal(before.trackId, after.trackId, 'the track is the same one');
  assert.ok(after.dts > before.dts, 'time never jumps back');
  assert.ok(after.dts - before.dts < 90_000, `gap of ${after.dts - before.dts} ticks`);
  assert.equal(viewer.ended(), undefined);
});

test('nothing that a decoder could not follow is passed on: neither at first nor after a change of coding', async () => {
  await using porch = await watched();
  const { source, first, viewer } = porch;
  first.picture(0, false);
  first.picture(50, true);
  first.end();
  const second = await connection(source, 1);
  second.describe();
  const coding = videoFormat({ config: Buffer.from('other parameter sets') });
  second.sink.unit({ track: 0, format: coding, ticks: 0, key: false, data: Buffer.alloc(1) });
  second.sink.unit({ track: 0, format: coding, ticks: 4500, key: true, data: Buffer.alloc(2) });
  second.sink.flush();
  const units = await viewer.wait('video', 2);
  assert.deepEqual(
    units.map((unit) => unit.key),
    [true, true],
  );
});

test('a camera that comes back in the middle of its GOP is seen at once', async () => {
  await using porch = await watched();
  const { source, first, viewer } = porch;
  first.picture(0, true);
  first.end();
  const second = await connection(source, 1);
  second.describe();
  second.picture(0, false);
  await viewer.wait('video', 2);
});

test('a camera that goes silent is redialled after the stall time', async () => {
  const source = scriptedSource('cam');
  await using test = makeTestHub({
    sources: [source.module],
    streams: { porch: ['cam://1'] },
    timing: { stallMs: 300 },
  });
  const opening = collect(test.hub.require('porch'));
  (await connection(source, 0)).describe();
  using _viewer = await opening;
  await connection(source, 1);
  assert.ok(source.connections[0]?.request.signal.aborted);
  await waitFor(() => test.log.find('warn', /no data for/).length > 0);
});

test('a camera that sends without end what is no video is left', async () => {
  const source = scriptedSource('cam');
  await using test = makeTestHub({
    sources: [source.module],
    streams: { porch: ['cam://1'] },
    timing: { connectMs: 400 },
  });
  const opening = collect(test.hub.require('porch'));
  const noise = await connection(source, 0);
  const sending = setInterval(() => noise.sink.alive(1000), 50);
  try {
    await assert.rejects(opening, /no video in what came within/);
    assert.ok(noise.request.signal.aborted);
  } finally {
    clearInterval(sending);
  }
});

test('who asks for a camera that refuses is told why, and the next one is not told an old reason', async () => {
  let refusing = true;
  const source = scriptedSource('cam', {
    refuse: (dial) => (refusing ? new HearthcamError('test', `refused ${dial}`) : undefined),
  });
  await using test = makeTestHub({ sources: [source.module], streams: { porch: ['cam://1'] }, lingerMs: 5_000 });
  await assert.rejects(collect(test.hub.require('porch')), /refused 1/);
  refusing = false;
  const opening = collect(test.hub.require('porch'));
  const camera = await connection(source, 0);
  camera.describe();
  (await opening)[Symbol.dispose]();
});

test('a second source gives the audio that the first one lacks, and is not asked for video', async () => {
  const main = scriptedSource('main');
  const mic = scriptedSource('mic');
  await using test = makeTestHub({
    sources: [main.module, mic.module],
    streams: { porch: ['main://1', 'mic://1'] },
  });
  const opening = collect(test.hub.require('porch'));
  const camera = await connection(main, 0);
  camera.describe();
  const microphone = await connection(mic, 0);
  microphone.describe({ tracks: [VIDEO, AUDIO] });
  assert.deepEqual(microphone.taken, [false, true]);
  using viewer = await opening;
  camera.picture(0, true);
  await viewer.wait('video', 1);
  await new Promise((resolve) => setTimeout(resolve, 300));
  camera.picture(300, false);
  microphone.audio(1, 77_000);
  const pictures = await viewer.wait('video', 2);
  const [sound] = await viewer.wait('audio', 1);
  const offMs = (sound?.pts ?? 0) / 8 - (pictures[1]?.pts ?? 0) / 90;
  assert.ok(Math.abs(offMs) < 100, `sound that arrives with a picture is ${offMs} ms away from it`);
});

test('a source that is not needed is never opened', async () => {
  const main = scriptedSource('main');
  const spare = scriptedSource('spare');
  await using test = makeTestHub({
    sources: [main.module, spare.module],
    streams: { porch: ['main://1', 'spare://1'] },
  });
  const opening = collect(test.hub.require('porch'));
  (await connection(main, 0)).describe({ tracks: [VIDEO, AUDIO] });
  (await opening)[Symbol.dispose]();
  assert.equal(spare.connections.length, 0);
});

test('when the first source is dead the second one gives the picture', async () => {
  const main = scriptedSource('main', { refuse: () => new Error('dead') });
  const spare = scriptedSource('spare');
  await using test = makeTestHub({
    sources: [main.module, spare.module],
    streams: { porch: ['main://1', 'spare://1'] },
  });
  const opening = collect(test.hub.require('porch'), [ANY_VIDEO]);
  (await connection(spare, 0)).describe();
  using viewer = await opening;
  spare.connections[0]?.picture(0, true);
  await viewer.wait('video', 1);
});

test('the same sources again disturb nobody; changed sources move the viewers over', async () => {
  const source = scriptedSource('cam');
  await using test = makeTestHub({ sources: [source.module], streams: { porch: ['cam://old'] } });
  const opening = collect(test.hub.require('porch'), [ANY_VIDEO]);
  const old = await connection(source, 0);
  old.describe();
  using viewer = await opening;
  old.picture(0, true);
  await viewer.wait('video', 1);
  test.hub.set('porch', ['cam://old']);
  assert.equal(old.request.signal.aborted, false);
  test.hub.set('porch', ['cam://new']);
  await waitFor(() => old.request.signal.aborted);
  const next = await connection(source, 1);
  assert.equal(next.request.spec.url, 'cam://new');
  next.describe();
  next.picture(0, true);
  const [before, after] = await viewer.wait('video', 2);
  assert.ok(before !== undefined && after !== undefined && after.dts > before.dts, 'time goes on with the new source');
  assert.equal(viewer.ended(), undefined);
});

test('a camera that comes back with another codec ends its viewers with the reason, so that they ask again', async () => {
  const source = scriptedSource('cam');
  await using test = makeTestHub({ sources: [source.module], streams: { porch: ['cam://1'] } });
  const opening = collect(test.hub.require('porch'), [ANY_VIDEO]);
  const first = await connection(source, 0);
  first.describe();
  using viewer = await opening;
  first.end();
  const second = await connection(source, 1);
  second.describe({ tracks: [{ ...VIDEO, codec: 'h265' }] });
  assert.match(viewer.ended()?.message ?? '', /changed its codecs/);
});

test('removing a stream tells its viewers', async () => {
  const source = scriptedSource('cam');
  await using test = makeTestHub({ sources: [source.module], streams: { porch: ['cam://1'] } });
  const opening = collect(test.hub.require('porch'), [ANY_VIDEO]);
  (await connection(source, 0)).describe();
  using viewer = await opening;
  await test.hub.remove('porch');
  assert.match(viewer.ended()?.message ?? '', /was removed/);
  assert.throws(() => test.hub.require('porch'), /stream not found/);
});

test('codecs that nobody has are refused in the words of the contract', async () => {
  const source = scriptedSource('cam');
  await using test = makeTestHub({ sources: [source.module], streams: { porch: ['cam://1'] } });
  const opening = collect(test.hub.require('porch'), [{ kind: 'audio', codecs: ['aac'] }]);
  (await connection(source, 0)).describe({ tracks: [VIDEO, AUDIO] });
  await assert.rejects(opening, /codecs not matched: video:H264, audio:PCMA => audio:AAC/);
});

test('a packager is made once for all who share it and ends with its last user', async () => {
  const source = scriptedSource('cam');
  await using test = makeTestHub({ sources: [source.module], streams: { porch: ['cam://1'] } });
  const stream = test.hub.require('porch');
  let made = 0;
  let disposed = 0;
  const make = () => {
    made++;
    return { [Symbol.dispose]: () => void disposed++ };
  };
  const one = stream.share('mse', make);
  const two = stream.share('mse', make);
  assert.equal(one.value, two.value);
  one.release();
  one.release();
  assert.equal(disposed, 0, 'released twice by one user is released once');
  two.release();
  assert.deepEqual([made, disposed], [1, 1]);
});

test('an unknown scheme is refused with the schemes there are', async () => {
  await using test = makeTestHub({ sources: [scriptedSource('cam').module] });
  assert.throws(
    () => test.hub.set('porch', ['nope://1']),
    (error) =>
      error instanceof HearthcamError && error.status === 400 && error.message === 'streams: source not supported',
  );
});

test('a consumer whose wait is aborted leaves nothing behind', async () => {
  const source = scriptedSource('cam');
  await using test = makeTestHub({ sources: [source.module], streams: { porch: ['cam://1'] } });
  const stream = test.hub.require('porch');
  const abort = new AbortController();
  const opening = stream.open({
    formatName: 'test',
    protocol: '',
    remoteAddr: '',
    wants: [ANY_VIDEO, ANY_AUDIO],
    signal: abort.signal,
  });
  await connection(source, 0);
  abort.abort(new Error('viewer gone'));
  await assert.rejects(opening, /viewer gone/);
  assert.equal(stream.consumers.size, 0);
});

test('delays between tries: every 250 ms for 5 s, then growing to at most 10 s', () => {
  assert.equal(retryDelayMs(0, 0), 250);
  assert.equal(retryDelayMs(4_999, 1), 250);
  assert.ok(retryDelayMs(6_000, 1) > 250);
  assert.ok(retryDelayMs(3_600_000, 1) <= 10_000);
  assert.ok(retryDelayMs(3_600_000, 0) >= 7_000, 'jittered, but not to nothing');
});
