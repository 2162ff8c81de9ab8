import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { MediaKind } from '../media.ts';
import { Timeline } from './timeline.ts';

const VIDEO = { kind: 'video' as MediaKind, clockRateHz: 90_000 };
const AUDIO = { kind: 'audio' as MediaKind, clockRateHz: 16_000 };
const EPOCH_MS = 1_760_000_000_000;

interface Given {
  readonly track: number;
  readonly atMs: number;
  readonly pts: number;
  readonly dts: number;
  readonly wallMs: number;
  /** When it was captured, by the simulated camera. */
  readonly trueMs: number;
}

/** A simulated camera: true time in, raw ticks and reports out. All times in ms since the start of the test. */
class Camera {
  readonly line: Timeline;
  readonly given: Given[] = [];
  /** Per track: raw ticks at true time 0, clock speed (1 = right), delay from capture to arrival. */
  readonly tracks: { kind: MediaKind; clockRateHz: number; base: number; speed: number; delayMs: number }[];
  ntpErrorMs = 0;

  constructor(tracks: Partial<Camera['tracks'][number]>[], line = new Timeline(), shared = false) {
    this.line = line;
    this.tracks = tracks.map((track) => ({ ...VIDEO, base: 0, speed: 1, delayMs: 0, ...track }));
    line.begin(this.tracks, shared);
  }

  raw(track: number, trueMs: number): number {
    const { base = 0, speed = 1, clockRateHz = 90_000 } = this.tracks[track] ?? {};
    return base + Math.round((trueMs * speed * clockRateHz) / 1000);
  }

  unit(
    track: number,
    trueMs: number,
    options: { jitterMs?: number; ticks?: number; decodeTicks?: number; depth?: number } = {},
  ): Given {
    const atMs = trueMs + (this.tracks[track]?.delayMs ?? 0) + (options.jitterMs ?? 0);
    const ticks = options.ticks ?? this.raw(track, trueMs);
    const { pts, dts, wallMs } = this.line.map(
      track,
      ticks,
      options.decodeTicks,
      options.depth ?? 0,
      5000 + atMs,
      EPOCH_MS + atMs,
    );
    const given = { track, atMs, pts, dts, wallMs, trueMs };
    this.given.push(given);
    return given;
  }

  /** A sender report made at `trueMs`. */
  report(track: number, trueMs: number, change: { ticks?: number; ntpMs?: number } = {}): void {
    const ticks = (change.ticks ?? 0) + this.raw(track, trueMs);
    const ntpMs = EPOCH_MS + trueMs + this.ntpErrorMs + (change.ntpMs ?? 0);
    this.line.sync(track, ticks, ntpMs, 5000 + trueMs, EPOCH_MS + trueMs);
  }

  of(track: number): Given[] {
    return this.given.filter((one) => one.track === track);
  }
  /** Stream time in ms minus true time. */
  error(one: Given): number {
    return (one.pts * 1000) / (this.tracks[one.track]?.clockRateHz ?? 1) - one.trueMs;
  }
}

/** Pictures at 25 a second and frames of 64 ms, interleaved, from `fromMs` to `toMs`. */
function run(
  camera: Camera,
  fromMs: number,
  toMs: number,
  options: { jitter?: () => number; reports?: boolean; reportNoise?: () => number } = {},
): void {
  const { jitter = () => 0, reports = false, reportNoise = () => 0 } = options;
  let audioMs = fromMs;
  let reportMs = fromMs + 700;
  for (let ms = fromMs; ms < toMs; ms += 40) {
    for (; audioMs <= ms && camera.tracks.length > 1; audioMs += 64) camera.unit(1, audioMs, { jitterMs: jitter() });
    camera.unit(0, ms, { jitterMs: jitter() });
    if (!reports || ms < reportMs) continue;
    reportMs += 5000;
    for (const track of camera.tracks.keys()) camera.report(track, ms, { ntpMs: reportNoise() });
  }
}

function assertGoesOn(units: readonly Given[]): void {
  for (let i = 1; i < units.length; i++) {
    const [before, now] = [units[i - 1], units[i]];
    assert.ok(before !== undefined && now !== undefined && now.dts > before.dts, `dts ${before?.dts} then ${now?.dts}`);
    assert.ok(now.pts >= now.dts);
  }
}

/** Pseudo-random numbers in 0…1 that are the same on each run. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    return state / 2 ** 31;
  };
}

test('a stream begins at 0 whatever the camera says the time is', () => {
  const camera = new Camera([{ base: 3_999_999_999 }, { ...AUDIO, base: 12_345 }]);
  assert.equal(camera.unit(0, 0).pts, 0);
  assert.equal(camera.unit(1, 10).pts, 160);
});

for (const [rate, step] of [
  [44_100, 1024],
  [16_000, 1024],
  [8000, 160],
  [48_000, 960],
  [90_000, 3003],
] as const) {
  test(`steps of ${step} ticks at ${rate} Hz come through exactly, however the network jitters`, () => {
    const camera = new Camera([{ kind: 'audio', clockRateHz: rate, base: 2 ** 32 - 50_000 }]);
    const jitter = random(rate);
    for (let i = 0; i < 3000; i++) {
      camera.unit(0, (i * step * 1000) / rate, { jitterMs: jitter() * 400, ticks: 2 ** 32 - 50_000 + i * step });
      if (i % 500 === 0) camera.report(0, (i * step * 1000) / rate);
    }
    assert.ok(camera.given.every((one, i) => one.pts === i * step && one.dts === i * step));
  });
}

test('a network that stalls for four seconds and then delivers all at once changes nothing', () => {
  const camera = new Camera([{}, AUDIO]);
  run(camera, 0, 3000);
  const [video, audio] = [camera.of(0).at(-1), camera.of(1).at(-1)];
  for (let i = 1; i <= 100; i++) camera.unit(0, (video?.trueMs ?? 0) + i * 40, { jitterMs: 4000 - i * 40 });
  for (let i = 1; i <= 60; i++) camera.unit(1, (audio?.trueMs ?? 0) + i * 64, { jitterMs: 4000 - i * 64 });
  for (const one of camera.given) assert.ok(Math.abs(camera.error(one)) < 1, JSON.stringify(one));
});

test('after a reconnect time goes on by the length of the gap, with another clock of the camera', () => {
  const first = new Camera([{ base: 1000 }, { ...AUDIO, base: 5 }]);
  run(first, 0, 5000);
  const second = new Camera([{ base: 77_000_000 }, { ...AUDIO, base: 4_000_000_000 }], first.line);
  run(second, 12_000, 15_000);
  assertGoesOn([...first.of(0), ...second.of(0)]);
  assertGoesOn([...first.of(1), ...second.of(1)]);
  for (const one of second.given) assert.ok(Math.abs(second.error(one)) < 65, 'in step with true time across the gap');
});

test('after a day with a camera clock that is slow, a reconnect still adds just the gap', () => {
  const first = new Camera([{ speed: 1 - 100e-6 }]);
  for (let ms = 0; ms < 86_400_000; ms += 5000) first.unit(0, ms);
  const last = first.given.at(-1);
  const second = new Camera([{}], first.line);
  const next = second.unit(0, 86_400_000 - 5000 + 2000);
  assert.ok(
    last !== undefined && Math.abs((next.pts - last.pts) / 90 - 2000) < 5,
    `${(next.pts - (last?.pts ?? 0)) / 90} ms`,
  );
});

test('a reconnect within a moment never goes back, also to a codec with another clock', () => {
  const first = new Camera([{}, AUDIO]);
  run(first, 0, 2000);
  first.unit(1, 2500, { jitterMs: -600 });
  const second = new Camera([{ ...AUDIO, clockRateHz: 8000 }], first.line);
  const last = first.of(1).at(-1);
  const next = second.unit(0, 1950);
  assert.ok(next.pts / 8000 > (last?.pts ?? 0) / 16_000);
});

for (const [name, change] of [
  ['an hour ahead', 3_600_000],
  ['an hour back', -3_600_000],
  ['two seconds back', -2000],
  ['to zero', -5_000_000],
] as const) {
  test(`a camera whose clock jumps ${name} goes on by the time that has passed`, () => {
    const camera = new Camera([{ base: 450_000_000 }, { ...AUDIO, base: 80_000_000 }]);
    run(camera, 0, 4000);
    for (const track of camera.tracks) track.base += (change * track.clockRateHz) / 1000;
    run(camera, 4000, 8000);
    assertGoesOn(camera.of(0));
    assertGoesOn(camera.of(1));
    for (const one of camera.given) assert.ok(Math.abs(camera.error(one)) < 70, JSON.stringify(one));
  });
}

test('on a clock that picture and sound share, they stay in step over a jump to the tick', () => {
  const camera = new Camera([{}, { ...AUDIO, delayMs: 0 }], new Timeline(), true);
  run(camera, 0, 4000);
  for (const track of camera.tracks) track.base += 7200 * track.clockRateHz;
  // The sound still has two frames of before when the picture has jumped.
  camera.unit(0, 4000, { jitterMs: 150 });
  for (const ms of [4032 - 7_200_000, 4096 - 7_200_000]) camera.unit(1, ms, { jitterMs: 7_200_000 });
  for (let ms = 4160; ms < 6000; ms += 64) {
    camera.unit(1, ms);
    camera.unit(0, ms);
  }
  assertGoesOn(camera.of(0));
  assertGoesOn(camera.of(1));
  const [video, audio] = [camera.of(0).at(-1), camera.of(1).at(-1)];
  assert.ok(video !== undefined && audio !== undefined);
  assert.ok(Math.abs(camera.error(video) - camera.error(audio)) < 0.1);
});

test('a file that is played in a circle on a shared clock goes on evenly each time', () => {
  const camera = new Camera([{}, AUDIO], new Timeline(), true);
  for (let round = 0; round < 5; round++) {
    run(camera, round * 10_000, (round + 1) * 10_000);
    for (const track of camera.tracks) track.base -= 10 * track.clockRateHz;
  }
  assertGoesOn(camera.of(0));
  assertGoesOn(camera.of(1));
  for (const one of camera.given) assert.ok(Math.abs(camera.error(one)) < 70);
});

test('sender reports bring picture and sound in step within milliseconds, and nothing goes back for it', () => {
  for (const [videoDelayMs, audioDelayMs] of [
    [0, 350],
    [400, 20],
    [1500, 0],
  ] as const) {
    const camera = new Camera([
      { base: 123_456, delayMs: videoDelayMs },
      { ...AUDIO, base: 4_100_000_000, delayMs: audioDelayMs },
    ]);
    run(camera, 0, 20_000, { reports: true });
    assertGoesOn(camera.of(0));
    assertGoesOn(camera.of(1));
    const [video, audio] = [camera.of(0).at(-1), camera.of(1).at(-1)];
    assert.ok(video !== undefined && audio !== undefined);
    const lipSyncMs = camera.error(video) - camera.error(audio);
    assert.ok(Math.abs(lipSyncMs) < 5, `${lipSyncMs} ms`);
  }
});

test('reports that come before the first picture count too', () => {
  const camera = new Camera([{ delayMs: 300 }, { ...AUDIO, base: 99 }]);
  camera.report(0, 0);
  camera.report(1, 0);
  run(camera, 10, 500);
  const [video, audio] = [camera.of(0).at(-1), camera.of(1).at(-1)];
  assert.ok(video !== undefined && audio !== undefined && Math.abs(camera.error(video) - camera.error(audio)) < 5);
});

const garbage: [string, (camera: Camera, atMs: number) => void][] = [
  ['RTP times of another stream', (camera, atMs) => camera.report(1, atMs, { ticks: 900_000_000 })],
  ['RTP times of zero', (camera, atMs) => camera.line.sync(1, 0, EPOCH_MS + atMs, 5000 + atMs, EPOCH_MS + atMs)],
  [
    'a clock that is off by minutes for one of the tracks',
    (camera, atMs) => camera.report(1, atMs, { ntpMs: 120_000 }),
  ],
  [
    'numbers that are none',
    (camera, atMs) => camera.line.sync(1, Number.NaN, Number.NaN, 5000 + atMs, EPOCH_MS + atMs),
  ],
  ['a track that does not exist', (camera, atMs) => camera.line.sync(7, 0, 0, 5000 + atMs, EPOCH_MS + atMs)],
];
for (const [name, spoil] of garbage) {
  test(`reports with ${name} do no harm`, () => {
    const camera = new Camera([{}, { ...AUDIO, base: 300_000_000 }]);
    for (let ms = 0; ms < 30_000; ms += 5000) {
      run(camera, ms, ms + 5000);
      camera.report(0, ms + 5000);
      spoil(camera, ms + 5000);
    }
    for (const one of camera.given) assert.ok(Math.abs(camera.error(one)) < 70, JSON.stringify(one));
  });
}

test('a single report that is off by a second is left out; when the camera sets its clock, it is followed', () => {
  const camera = new Camera([{}, AUDIO]);
  run(camera, 0, 20_000, { reports: true });
  camera.report(0, 20_000, { ntpMs: 1000 });
  run(camera, 20_000, 40_000, { reports: true });
  camera.ntpErrorMs = 2000;
  run(camera, 40_000, 80_000, { reports: true });
  assertGoesOn(camera.of(0));
  for (const one of camera.given) assert.ok(Math.abs(camera.error(one)) < 70, JSON.stringify(one));
});

test('reports that jitter move nothing for an hour', () => {
  const camera = new Camera([{}, AUDIO]);
  const noise = random(4);
  run(camera, 0, 3_600_000, { reports: true, reportNoise: () => (noise() - 0.5) * 40 });
  for (const track of [0, 1]) {
    const units = camera.of(track).filter((one) => one.trueMs > 20_000);
    const errors = units.map((one) => camera.error(one));
    assert.ok(Math.max(...errors.slice(-10)) - Math.min(...errors.slice(0, 10)) < 40, 'no ratchet');
    assert.ok(errors.every((error) => Math.abs(error) < 100));
  }
});

test('a sound card that runs fast is followed by small steps, and lip sync holds for hours', () => {
  const camera = new Camera([{}, { ...AUDIO, speed: 1 + 100e-6 }]);
  for (let hour = 0; hour < 2; hour++) run(camera, hour * 3_600_000, (hour + 1) * 3_600_000, { reports: true });
  const audio = camera.of(1).filter((_one, i) => i % 100 === 0);
  const video = camera.of(0);
  let at = 0;
  for (const one of audio) {
    while ((video[at]?.trueMs ?? Number.POSITIVE_INFINITY) < one.trueMs) at++;
    const picture = video[at];
    if (picture === undefined || one.trueMs < 1000) continue;
    const lipSyncMs = camera.error(picture) - camera.error(one);
    assert.ok(Math.abs(lipSyncMs) < 50, `${lipSyncMs} ms after ${one.trueMs / 1000} s`);
  }
  assertGoesOn(video);
  assertGoesOn(camera.of(1));
});

test('without reports, a camera whose sound is slow by a percent stays in step within a quarter of a second', () => {
  const camera = new Camera([{}, { ...AUDIO, speed: 0.99 }]);
  const jitter = random(9);
  run(camera, 0, 600_000, { jitter: () => jitter() * 60 });
  assertGoesOn(camera.of(1));
  for (const one of camera.of(1)) assert.ok(Math.abs(camera.error(one)) < 450, `${camera.error(one)} at ${one.trueMs}`);
});

test('without reports, a picture that begins with a burst of the past does not leave the sound behind', () => {
  const camera = new Camera([{}, AUDIO]);
  for (let ms = -2000; ms < 0; ms += 40) camera.unit(0, ms, { jitterMs: -ms });
  run(camera, 0, 10_000);
  const [video, audio] = [camera.of(0).at(-1), camera.of(1).at(-1)];
  assert.ok(video !== undefined && audio !== undefined && Math.abs(camera.error(video) - camera.error(audio)) < 100);
  assertGoesOn(camera.of(1));
});

test('pictures out of order get decoding times that go up and are never after the presentation', () => {
  for (const [depth, order] of [
    [1, [0, 3, 1, 2]],
    [2, [0, 4, 2, 1, 3]],
    [0, [0, 1, 2, 3]],
  ] as const) {
    const camera = new Camera([{}]);
    const size = Math.max(...order);
    for (let gop = 0; gop < 50; gop++) {
      for (const place of order) {
        if (gop > 0 && place === 0) continue;
        const picture = gop * size + place;
        camera.unit(0, picture * 40, { depth, ticks: picture * 3600 });
      }
    }
    assertGoesOn(camera.given);
    const expected = camera.given.map((one) => Math.round(one.trueMs * 90));
    // The very first pictures have no room for a decoding time before them.
    assert.deepEqual(
      camera.given.slice(4).map((one) => one.pts),
      expected.slice(4),
      `depth ${depth}`,
    );
  }
});

test('decoding times of a container are kept, with the presentation where the container has it', () => {
  const camera = new Camera([{}, AUDIO], new Timeline(), true);
  for (let i = 0; i < 100; i++) {
    const decodeTicks = 50_000 + i * 3600;
    const one = camera.unit(0, i * 40, { decodeTicks, ticks: decodeTicks + (i % 3) * 3600 });
    assert.deepEqual([one.dts, one.pts], [i * 3600, i * 3600 + (i % 3) * 3600]);
  }
});

test('wall time is that of the camera where it is right, that of the arrival where it is not, and changes slowly', () => {
  const right = new Camera([{ delayMs: 200 }, { ...AUDIO, delayMs: 200 }]);
  right.ntpErrorMs = -40;
  run(right, 0, 120_000, { reports: true });
  const last = right.given.at(-1);
  assert.ok(last !== undefined && Math.abs(last.wallMs - (EPOCH_MS + last.trueMs - 40)) < 5, 'the camera is believed');
  const wrong = new Camera([{ delayMs: 200 }]);
  wrong.ntpErrorMs = 7_200_000;
  run(wrong, 0, 60_000, { reports: true });
  for (const one of wrong.given) assert.ok(Math.abs(one.wallMs - (EPOCH_MS + one.atMs)) < 5, 'its arrival');
  for (const camera of [right, wrong]) {
    const units = camera.of(0);
    for (let i = 1; i < units.length; i++) {
      const step = (units[i]?.wallMs ?? 0) - (units[i - 1]?.wallMs ?? 0);
      assert.ok(step > 30 && step < 50, `${step} ms for a picture of 40 ms`);
    }
  }
});

test('wall time follows a computer clock that is set while it runs', () => {
  const camera = new Camera([{}]);
  for (let ms = 0; ms < 60_000; ms += 40) camera.unit(0, ms);
  const { wallMs } = camera.line.map(0, camera.raw(0, 60_000), undefined, 0, 65_000, EPOCH_MS + 60_000 + 3_600_000);
  assert.ok(Math.abs(wallMs - (EPOCH_MS + 60_000 + 3_600_000)) < 5);
});

test('whatever comes, times are whole numbers, go up, and are never undefined', () => {
  const event = fc.record({
    track: fc.nat(1),
    ticks: fc.oneof(fc.integer({ min: 0, max: 2 ** 33 }), fc.integer({ min: 0, max: 100_000 })),
    decode: fc.option(fc.integer({ min: -100_000, max: 100_000 }), { nil: undefined }),
    depth: fc.nat(4),
    passedMs: fc.oneof(fc.nat(50), fc.nat(20_000)),
    wallStepMs: fc.oneof(fc.constant(0), fc.integer({ min: -1e9, max: 1e9 })),
    what: fc.constantFrom('unit', 'unit', 'unit', 'report', 'begin'),
    shared: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(event, { maxLength: 80, size: 'max' }), (events) => {
      const line = new Timeline();
      line.begin([VIDEO, AUDIO], false);
      let nowMs = 0;
      let wallMs = EPOCH_MS;
      const last = [-1, -1];
      for (const one of events) {
        nowMs += one.passedMs;
        wallMs += one.passedMs + one.wallStepMs;
        if (one.what === 'begin') {
          line.begin([VIDEO, AUDIO], one.shared);
        } else if (one.what === 'report') {
          line.sync(one.track, one.ticks, wallMs + one.wallStepMs, nowMs, wallMs);
        } else {
          const decode = one.decode === undefined ? undefined : one.ticks + one.decode;
          const out = line.map(one.track, one.ticks, decode, one.depth, nowMs, wallMs);
          assert.ok(
            Number.isSafeInteger(out.pts) && Number.isSafeInteger(out.dts) && Number.isFinite(out.wallMs),
            JSON.stringify(out),
          );
          assert.ok(out.pts >= out.dts && out.dts > (last[one.track] ?? 0), JSON.stringify(out));
          last[one.track] = out.dts;
        }
      }
    }),
    { numRuns: Number(process.env['FUZZ_RUNS'] ?? 300) },
  );
});
