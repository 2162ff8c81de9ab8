import assert from 'node:assert/strict';
import { test } from 'node:test';
import { audioFormat, videoFormat } from '../../../testkit/scripted-source.ts';
import type { AccessUnit, AudioFormat, TrackFormat, VideoFormat } from '../../core/media.ts';
import { opusDurationTicks } from './duration.ts';
import { LivePackager, type Packed } from './live.ts';
import { parseMoof } from './moof.ts';
import type { MovieTrack } from './moov.ts';
import { silence } from './silence.ts';
import { readBoxHeader } from './walk.ts';

const video = videoFormat();
const aac = audioFormat({
  codec: 'aac',
  clockRateHz: 16_000,
  sampleRateHz: 16_000,
  codecString: 'mp4a.40.2',
  config: Buffer.from('1408', 'hex'),
});
const noPrefix = { bytes: () => 0, write: () => {} };

interface Seen {
  readonly track: number;
  readonly at: number;
  readonly shown: number;
  readonly bytes: number;
  readonly key: boolean;
}

/** The samples of a fragment as a player finds them. */
function look(data: Buffer): Seen[] {
  const header = readBoxHeader(data);
  assert.equal(header?.type, 'moof');
  const tracks = [1, 2].map(
    (id): MovieTrack => ({
      id,
      kind: id === 1 ? 'video' : 'audio',
      codec: 'aac',
      timescaleHz: 1,
      format: null,
      nal: undefined,
      editTicks: 0,
      defaults: { durationTicks: 0, bytes: 0, flags: 0 },
    }),
  );
  const moof = { type: 'moof', start: 8, end: header?.bytes ?? 0 };
  return parseMoof(data, moof, 0, tracks, new Map()).map((sample) => ({
    track: sample.track.id,
    at: sample.decodeTicks,
    shown: sample.decodeTicks + sample.offsetTicks,
    bytes: sample.bytes,
    key: sample.key,
  }));
}

/** Every sample's end, read from where the track goes on. */
function starts(packs: readonly Packed[], track: number): number[] {
  return packs.flatMap((pack) => look(pack.data)).flatMap((sample) => (sample.track === track ? [sample.at] : []));
}

function unit(format: TrackFormat, trackId: number, ticks: number, key: boolean, bytes = 10): AccessUnit {
  return { trackId, format, pts: ticks, dts: ticks, key, data: Buffer.alloc(bytes), wallMs: 0, arrivedMs: 0 };
}
const picture = (atMs: number, key = false, format: VideoFormat = video): AccessUnit => unit(format, 0, atMs * 90, key);
const sound = (at: number, format: AudioFormat = aac): AccessUnit => unit(format, 1, at, true);

function packager(): LivePackager {
  return new LivePackager(
    [
      { id: 0, format: video },
      { id: 1, format: aac },
    ],
    noPrefix,
  );
}

function pictureOnly(): LivePackager {
  return new LivePackager([{ id: 0, format: video }], noPrefix);
}

test('each picture is a fragment of its own, with the sound that came before it inside', () => {
  const live = packager();
  const packs = [
    ...live.push([picture(0, true)]),
    ...live.push([sound(0), picture(40)]),
    ...live.push([sound(1024), sound(2048), picture(80)]),
  ];
  assert.deepEqual(
    packs.map((pack) => look(pack.data).map((sample) => sample.track)),
    [[1], [1, 2], [1, 2, 2]],
  );
  assert.deepEqual(
    packs.map((pack) => pack.key),
    [true, false, false],
  );
});

test('two pictures in one read are one fragment, but a key frame always begins one', () => {
  const live = pictureOnly();
  live.push([picture(0, true)]);
  assert.equal(live.push([picture(40), picture(80)]).length, 1);
  assert.deepEqual(
    live.push([picture(120), picture(160, true)]).map((pack) => pack.key),
    [false, true],
  );
});

test('a camera with jittery or changing picture rate leaves no hole and no overlap between samples', () => {
  const live = pictureOnly();
  const timesMs = [0, 40, 75, 125, 160, 200, 300, 400, 500, 1500, 1540];
  const packs = timesMs.flatMap((ms, index) => live.push([picture(ms, index === 0)]));
  const seen = packs.flatMap((pack) => look(pack.data));
  // Each picture ends at its own time, one picture's length later than it came: the next begins there.
  const at = starts(packs, 1);
  for (let index = 2; index < timesMs.length; index++) {
    const wanted = ((timesMs[index - 1] ?? 0) + 35) * 90;
    assert.ok(Math.abs((at[index] ?? 0) - wanted) <= 5 * 90, `picture ${index} begins at ${at[index]}`);
  }
  assert.ok(seen.every((sample) => sample.shown === sample.at));
});

test('a reordered picture is shown as much after its decoding time as the camera says', () => {
  const live = pictureOnly();
  live.push([picture(0, true)]);
  const [pack] = live.push([{ ...picture(40), pts: 120 * 90 }]);
  const [sample] = look(pack?.data ?? Buffer.alloc(0));
  assert.equal((sample?.shown ?? 0) - (sample?.at ?? 0), 80 * 90);
});

/** Pictures 64 ms apart, each with one AAC frame. */
function run(live: LivePackager, fromMs: number, count: number, key: boolean): Seen[][] {
  return Array.from({ length: count }, (_, index) => {
    const ms = fromMs + index * 64;
    const [pack] = live.push([sound(ms * 16), picture(ms, key && index === 0)]);
    return look(pack?.data ?? Buffer.alloc(0));
  });
}

test('a camera that was away for 10 s leaves no hole: its absence is cut out of the time line', () => {
  const live = packager();
  const before = run(live, 0, 10, true).at(-1);
  const after = run(live, 10_640, 3, true);
  const atMs = (seen: readonly Seen[] | undefined, track: number): number =>
    (seen?.find((sample) => sample.track === track)?.at ?? Number.NaN) / (track === 1 ? 90 : 16);
  for (const track of [1, 2]) {
    const steps = [before, ...after].map((seen) => atMs(seen, track));
    for (let index = 1; index < steps.length; index++) {
      const stepMs = (steps[index] ?? 0) - (steps[index - 1] ?? 0);
      assert.ok(stepMs > 30 && stepMs < 130, `track ${track}: ${steps.join()} ms`);
    }
  }
});

test('a second without picture and sound is cut out too, but one without pictures alone is not', () => {
  const live = packager();
  run(live, 0, 10, true);
  const [back] = run(live, 1_640, 3, true);
  const at = (back?.find((sample) => sample.track === 1)?.at ?? 0) / 90;
  assert.ok(at < 800, `the picture is at ${at} ms`);
  const still = pictureOnly();
  const packs = [0, 40, 80, 1_120, 1_160].flatMap((ms) => still.push([picture(ms, ms === 0)]));
  assert.ok((starts(packs, 1).at(-1) ?? 0) / 90 > 1_100);
});

test('silence of any length costs a bounded number of frames', () => {
  for (const seconds of [0, 1, 3_600]) {
    const frames = silence(aac, 16_000 * seconds);
    assert.ok(frames.length <= 200, `${frames.length} frames`);
    const ticks = frames.reduce((sum, frame) => sum + frame.durationTicks, 0);
    assert.ok(Math.abs(ticks - 16_000 * seconds) <= 512, `${ticks} ticks for ${seconds} s`);
  }
});

test('when only the picture was away, the sound that went on keeps its time', () => {
  const live = packager();
  run(live, 0, 10, true);
  for (let ms = 640; ms < 5_760; ms += 64) live.push([sound(ms * 16)]);
  const [back] = live.push([picture(5_760, true)]);
  const [next] = live.push([sound(5_760 * 16), picture(5_824)]);
  assert.equal(look(back?.data ?? Buffer.alloc(0)).length, 1);
  const seen = look(next?.data ?? Buffer.alloc(0));
  assert.ok(Math.abs((seen[0]?.at ?? 0) / 90 - 5_824) < 100, `picture at ${(seen[0]?.at ?? 0) / 90} ms`);
  assert.ok(Math.abs((seen[1]?.at ?? 0) / 16 - 5_760) < 100, `sound at ${(seen[1]?.at ?? 0) / 16} ms`);
});

test('lost audio packets leave no hole in the sound, or players would drop pictures too', () => {
  const live = packager();
  live.push([picture(0, true), sound(0)]);
  const packs = [
    ...live.push([sound(1024), picture(40)]),
    ...live.push([sound(1024 * 5), picture(300)]),
    ...live.push([sound(1024 * 6), picture(400)]),
  ];
  assert.deepEqual(
    starts(packs, 2),
    [1, 2, 3, 4, 5, 6].map((frame) => frame * 1024),
  );
});

test('audio times that jitter are laid end to end', () => {
  const live = packager();
  live.push([picture(0, true)]);
  const jittery = [0, 1100, 2000, 3100, 4090, 5200];
  const packs = jittery.flatMap((at, index) => live.push([sound(at), picture(64 * (index + 1))]));
  assert.deepEqual(
    starts(packs, 2),
    jittery.map((_, index) => index * 1024),
  );
});

test('a microphone that falls silent is filled with silence, so that the picture goes on', () => {
  const live = packager();
  const packs: Packed[] = [];
  for (let ms = 0; ms <= 3_000; ms += 40) packs.push(...live.push([picture(ms, ms === 0)]));
  const at = starts(packs, 2);
  assert.ok(at.length >= 3, `${at.length} silent samples`);
  assert.ok((at.at(-1) ?? 0) / 16 > 2_000);
  // A frame for each frame's time: what is decoded lasts as long as the times say.
  assert.deepEqual(
    at,
    at.map((_, index) => index * 1024),
  );
  // The sound that comes back is where it belongs.
  const [pack] = live.push([sound(3_040 * 16), picture(3_040)]);
  const back = look(pack?.data ?? Buffer.alloc(0)).find((sample) => sample.track === 2);
  assert.ok(Math.abs((back?.at ?? 0) / 16 - 3_040) < 800);
});

test('a new resolution asks for a new init segment with its key frame, and drops what can not be decoded', () => {
  const live = pictureOnly();
  live.push([picture(0, true)]);
  const larger = videoFormat({ width: 1280, height: 720, config: Buffer.from([1, 2]) });
  assert.deepEqual(live.push([picture(40, false, larger)]), []);
  const [pack] = live.push([picture(80, true, larger)]);
  assert.equal(pack?.newInit, true);
  assert.deepEqual(
    live.push([picture(120, false, larger)]).map((next) => next.newInit),
    [false],
  );
  assert.ok(live.formats[0] === larger);
});

test('the same parameter sets in a new object change nothing', () => {
  const live = pictureOnly();
  live.push([picture(0, true)]);
  const [pack] = live.push([picture(40, true, videoFormat())]);
  assert.equal(pack?.newInit, false);
});

test('a viewer who joins gets the GOP pressed into a tenth of a second that ends where the next fragment begins', () => {
  const live = packager();
  const gop: AccessUnit[] = [];
  for (let ms = 0; ms < 6_400; ms += 64) {
    const units = [sound(ms * 16), picture(ms, ms === 0)];
    live.push(units);
    gop.push(...units);
  }
  const burst = live.join(gop.slice(1), { complete: true, pressed: true });
  assert.ok(burst !== null);
  const [next] = live.push([sound(6_400 * 16), picture(6_400)]);
  const [head, rest] = burst.messages.map((message) => look(Buffer.concat(message)));
  assert.equal(head?.length, 1, 'the key frame comes alone');
  assert.equal(head?.[0]?.key, true);
  const pictures = [...(head ?? []), ...(rest ?? [])].filter((sample) => sample.track === 1);
  assert.equal(pictures.length, 100);
  assert.equal(pictures[0]?.at, burst.startTicks);
  assert.equal((next?.startTicks ?? 0) - burst.startTicks, 9_000);
  for (let index = 1; index < pictures.length; index++) {
    const step = (pictures[index]?.at ?? 0) - (pictures[index - 1]?.at ?? 0);
    assert.ok(step >= 1 && step <= 6_000, `step ${step}`);
  }
  const audio = (rest ?? []).filter((sample) => sample.track === 2);
  const nextAudio = look(next?.data ?? Buffer.alloc(0)).find((sample) => sample.track === 2);
  assert.ok(audio.length >= 1 && audio.length <= 4);
  assert.equal((audio.at(-1)?.at ?? 0) + 1024, nextAudio?.at, 'the sound goes on without a seam');
});

test('a recording gets the GOP with the time it took', () => {
  const live = pictureOnly();
  const gop: AccessUnit[] = [];
  for (let ms = 0; ms <= 960; ms += 40) {
    gop.push(picture(ms, ms === 0));
    live.push(gop.slice(-1));
  }
  const burst = live.join(gop, { complete: true, pressed: false });
  const [next] = live.push([picture(1_000)]);
  assert.equal((next?.startTicks ?? 0) - (burst?.startTicks ?? 0), 1_000 * 90);
});

test('of a GOP that outgrew the cache the key frame alone is given', () => {
  const live = pictureOnly();
  for (let ms = 0; ms <= 960; ms += 40) live.push([picture(ms, ms === 0)]);
  const burst = live.join([picture(0, true)], { complete: false, pressed: true });
  assert.equal(burst?.messages.length, 1);
  assert.equal(live.join([], { complete: true, pressed: true }), null);
  assert.equal(live.join([picture(0, true)], { complete: true, pressed: true }), null, 'it does not reach the end');
});

for (const row of [
  { name: '20 ms CELT', packet: 'fc', want: 960 },
  { name: '60 ms SILK', packet: '18', want: 2880 },
  { name: 'two frames of 10 ms hybrid', packet: '61', want: 960 },
  { name: 'three frames of 2.5 ms', packet: 'e303', want: 360 },
  { name: 'more than 120 ms is cut', packet: '1b3f', want: 5760 },
]) {
  test(`Opus packet duration: ${row.name}`, () =>
    assert.equal(opusDurationTicks(Buffer.from(row.packet, 'hex')), row.want));
}
