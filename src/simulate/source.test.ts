import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, test } from 'node:test';
import { type Collector, collect, makeTestHub } from '../../testkit/hub.ts';
import { MemoryLog } from '../../testkit/memory-log.ts';
import { toAnnexB } from '../../testkit/nal.ts';
import { waitFor } from '../../testkit/wait.ts';
import { type AccessUnit, isVideo } from '../core/media.ts';
import { type FrameMark, readFrameMark } from './mark.ts';
import { PictureMaker } from './picture-maker.ts';
import type { StreamPlan } from './protocol.ts';
import { simulatedSource } from './source.ts';

const base: StreamPlan = {
  scene: 'nursery',
  title: 'test',
  codec: 'h264',
  width: 640,
  height: 360,
  fps: 15,
  gop: 15,
  bitRateKbps: 0,
  bFrames: 0,
  audio: 'aac',
};
const plans = new Map<string, StreamPlan>([
  ['h264', base],
  ['h265', { ...base, codec: 'h265', audio: 'opus' }],
  ['b-frames', { ...base, bFrames: 2, audio: 'pcma' }],
  ['busy', { ...base, bitRateKbps: 1500, audio: 'none' }],
]);
const maker = new PictureMaker(new MemoryLog());
after(() => maker[Symbol.asyncDispose]());
const source = simulatedSource(plans, maker);

function watch(name: string) {
  const {
    hub,
    log,
    [Symbol.asyncDispose]: close,
  } = makeTestHub({ sources: [source.module], streams: { it: [`simulate:${name}`] } });
  return { stream: hub.require('it'), log, [Symbol.asyncDispose]: close };
}

/** Decodes with another program, and reads the marks of all pictures in the order of display. */
function marks(units: readonly AccessUnit[], width = 640, height = 360): (FrameMark | null)[] {
  const [first] = units;
  assert.ok(first?.key && isVideo(first.format));
  const { vps, sps, pps } = first.format.parameterSets;
  const sets = [...vps, ...sps, ...pps].flatMap((set) => [Buffer.from([0, 0, 0, 1]), set]);
  const input = Buffer.concat([...sets, ...units.map((unit) => toAnnexB(unit.data))]);
  const demuxer = first.format.codec === 'h264' ? 'h264' : 'hevc';
  const raw = execFileSync(
    'ffmpeg',
    ['-v', 'error', '-f', demuxer, '-i', '-', '-fps_mode', 'passthrough', '-f', 'rawvideo', '-pix_fmt', 'gray', '-'],
    { input, maxBuffer: 1e9 },
  );
  const size = width * height;
  return Array.from({ length: raw.length / size }, (_, index) =>
    readFrameMark({ data: raw.subarray(index * size, (index + 1) * size), width, height, format: 'gray' }),
  );
}

async function pictures(viewer: Collector, count: number): Promise<AccessUnit[]> {
  return (await viewer.wait('video', count, 30_000)).slice(0, count);
}

for (const name of ['h264', 'h265', 'b-frames'] as const) {
  test(`${name}: pictures come in order, at the times that are written on them, with a key frame a second`, async () => {
    await using camera = watch(name);
    using viewer = await collect(camera.stream);
    const units = await pictures(viewer, 31);
    assert.deepEqual(
      units.map((unit, index) => (unit.key ? index : -1)).filter((index) => index >= 0),
      [0, 15, 30],
    );
    const twoGops = units.slice(0, 30);
    const shown = twoGops.toSorted((one, other) => one.pts - other.pts);
    const read = marks(twoGops);
    assert.equal(read.length, 30);
    for (const [index, mark] of read.entries()) {
      assert.equal(mark?.counter, index);
      const wallMs = shown[index]?.wallMs ?? 0;
      assert.ok(Math.abs(wallMs - mark.capturedAtMs) < 2, `picture ${index}: ${wallMs} is not ${mark.capturedAtMs}`);
    }
    const { format } = units[0] ?? {};
    assert.ok(format !== undefined && isVideo(format));
    assert.equal(format.reorderDepth > 0, name === 'b-frames');
    assert.deepEqual([format.width, format.height], [640, 360]);
  });
}

test('sound: the beep begins where a second begins, on the same time line as the picture', async () => {
  await using camera = watch('b-frames');
  using viewer = await collect(camera.stream);
  await viewer.wait('audio', 120, 30_000);
  // A-law samples of 8 kHz: loud ones differ from silence (0xd5) in more than the sign bit.
  const loud = viewer
    .of('audio')
    .flatMap((unit) =>
      [...unit.data].flatMap((sample, index) => (((sample ^ 0xd5) & 0x7f) > 0x40 ? [unit.wallMs + index / 8] : [])),
    );
  assert.ok(loud.length > 200, `${loud.length} loud samples`);
  for (const atMs of loud) assert.ok(atMs % 1000 < 122, `sound ${atMs % 1000} ms after the second`);
  assert.ok(Math.min(...loud.map((atMs) => atMs % 1000)) < 25);
});

test('a bit rate that is asked for is used', async () => {
  await using camera = watch('busy');
  using viewer = await collect(camera.stream);
  const units = (await pictures(viewer, 60)).slice(15);
  const kbps = (units.reduce((sum, unit) => sum + unit.data.length, 0) * 8) / 3 / 1000;
  assert.ok(kbps > 1000 && kbps < 2100, `${kbps} kbit/s`);
});

test('the size can be changed in mid-stream: the next picture is a key frame of the new size', async () => {
  await using camera = watch('h264');
  using viewer = await collect(camera.stream);
  await pictures(viewer, 5);
  source.resize('h264', 320, 240);
  const isNew = (unit: AccessUnit): boolean => isVideo(unit.format) && unit.format.width === 320;
  const at = await waitFor(() => {
    const index = viewer.of('video').findIndex(isNew);
    return index < 0 ? undefined : index;
  });
  await pictures(viewer, at + 5);
  const units = viewer.of('video');
  assert.ok(units[at]?.key);
  assert.ok(units.slice(at).every(isNew));
  assert.deepEqual(marks(units.slice(at), 320, 240).at(0)?.counter, at);
  source.resize('h264', 640, 360);
});

test('a picture maker that is killed comes back, and viewers see the picture again', async () => {
  await using camera = watch('h264');
  using viewer = await collect(camera.stream);
  await pictures(viewer, 3);
  const pid = maker.pid;
  assert.ok(pid !== undefined);
  process.kill(pid, 'SIGKILL');
  await waitFor(() => maker.pid !== pid && maker.pid !== undefined, { what: 'a new picture maker' });
  await pictures(viewer, viewer.of('video').length + 5);
});

test('nothing is made while nobody watches', async () => {
  const made: string[] = [];
  const session = maker.start(base, { onMessage: ({ type }) => void made.push(type), onGone: () => {} });
  await waitFor(() => made.includes('video'), { what: 'the first picture' });
  session.close();
  const { length } = made;
  await using camera = watch('busy');
  using viewer = await collect(camera.stream);
  await pictures(viewer, 10);
  assert.equal(made.length, length);
});

test('an unknown simulated stream is refused when it is configured', () => {
  assert.throws(() => makeTestHub({ sources: [source.module], streams: { it: ['simulate:attic'] } }), {
    code: 'simulate.unknown',
  });
});
