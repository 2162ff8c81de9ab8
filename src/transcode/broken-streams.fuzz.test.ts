import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { CodedUnit } from '../../testkit/bitstreams.ts';
import { breakUnits, Dice } from '../../testkit/broken-units.ts';
import { collect, makeTestHub } from '../../testkit/hub.ts';
import { clipSource, makeClip, testPicture } from '../../testkit/mp4-source.ts';
import { makeStream } from '../../testkit/pictures.ts';
import { codeSound, tone } from '../../testkit/sound.ts';
import { unitSource } from '../../testkit/unit-source.ts';
import { waitFor } from '../../testkit/wait.ts';
import type { AudioCodec, VideoCodec } from '../core/media.ts';
import { Scope } from '../core/scope.ts';
import type { SourceModule, SourceSink } from '../core/source.ts';
import type { Stream } from '../core/stream.ts';
import { Pipes } from './pipes.ts';
import { createRemaker } from './remaker.ts';
import { DEFAULT_TRANSCODE } from './settings.ts';

/** Broken stretches in all. */
const CASES = Math.min(100_000, Number(process.env['FUZZ_RUNS'] ?? 1_000));
const SEED = 20_260_101;
const VIDEO: readonly VideoCodec[] = ['h264', 'h265', 'av1', 'vp8', 'vp9', 'jpeg'];
const AUDIO: readonly AudioCodec[] = ['aac', 'opus', 'pcma', 'mp3', 'flac'];
/** Units of a broken stretch, and of the good one behind it. */
const BROKEN = 6;
const GOOD = 3;
/** A process that died is there again within this time. */
const BACK_MS = 2_000;
const MAX_SERVER_GROWTH_MB = 250;
const MAX_PROCESS_MB = 600;

/** A camera that sends what it is given, as fast as it is taken. */
class FastCamera {
  readonly module: SourceModule;
  readonly codec: VideoCodec | AudioCodec;
  readonly #units: readonly CodedUnit[];
  readonly #stepMs: number;
  #sink: SourceSink | undefined;
  #timeMs = 0;
  #startMs = 0;

  constructor(codec: VideoCodec | AudioCodec, units: readonly CodedUnit[], stepMs: number) {
    this.codec = codec;
    this.#units = units;
    this.#stepMs = stepMs;
    this.module = { name: codec, schemes: [codec], run: ({ signal }, sink) => this.#run(signal, sink) };
  }

  get isVideo(): boolean {
    return this.#units[0]?.format.kind === 'video';
  }
  /** How far its clock is ahead of the wall's. */
  get aheadMs(): number {
    return this.#timeMs - (performance.now() - this.#startMs);
  }

  good(): readonly CodedUnit[] {
    return this.#units.slice(0, GOOD);
  }
  broken(dice: Dice): readonly CodedUnit[] {
    return breakUnits(this.#units.slice(0, BROKEN), dice);
  }

  send(units: readonly CodedUnit[]): void {
    for (const { format, key, data } of units) {
      this.#timeMs += this.#stepMs;
      this.#sink?.alive(data.length);
      const ticks = Math.round((this.#timeMs * format.clockRateHz) / 1000);
      this.#sink?.unit({ track: 0, format, ticks, decodeTicks: ticks, key, data });
      this.#sink?.flush();
    }
  }

  #run(signal: AbortSignal, sink: SourceSink): Promise<void> {
    const [first] = this.#units;
    assert.ok(first !== undefined);
    const { format } = first;
    sink.describe({
      tracks: [{ kind: format.kind, codec: format.codec, clockRateHz: format.clockRateHz, format }],
      formatName: 'test',
      protocol: 'test',
      remoteAddr: '192.0.2.1:80',
      sharedClock: true,
    });
    this.#sink = sink;
    this.#startMs = performance.now();
    this.#timeMs = 0;
    const beat = setInterval(() => sink.alive(0), 500);
    return new Promise((resolve) =>
      signal.addEventListener(
        'abort',
        () => {
          clearInterval(beat);
          resolve();
        },
        { once: true },
      ),
    );
  }
}

async function makeCameras(): Promise<FastCamera[]> {
  const sound = tone(48_000, 2, 0.4, 440);
  const low = tone(8_000, 1, 0.4, 440);
  const picture = 'testsrc2=s=128x96:r=25';
  return Promise.all([
    ...VIDEO.map(async (codec) => {
      const bFrames = codec === 'h264' ? 1 : 0;
      return new FastCamera(codec, await makeStream(codec, { picture, pictures: BROKEN, gop: BROKEN, bFrames }), 10);
    }),
    ...AUDIO.map(async (codec) => {
      const { format, units } = await codeSound(codec, codec === 'pcma' ? low : sound);
      return new FastCamera(
        codec,
        units.map(({ data }) => ({ format, key: true, data })),
        codec === 'opus' || codec === 'pcma' ? 20 : 22,
      );
    }),
  ]);
}

/** Opens what has to be made of a camera; counts what comes. */
async function watch(stream: Stream, camera: FastCamera): Promise<{ made: () => number; close: () => void }> {
  let made = 0;
  const consumer = await stream.open({
    ...{ formatName: 'test', protocol: 'test', remoteAddr: '' },
    ...(camera.isVideo
      ? {
          wants: [{ kind: 'video', codecs: ['h264'] }],
          picture: { kind: 'video', codec: 'h264', width: 64, height: 48 },
        }
      : { wants: [{ kind: 'audio', codecs: [camera.codec === 'opus' ? 'aac' : 'opus'] }] }),
  });
  const leave = consumer.stream.subscribe(
    (units) => {
      made += units.length;
    },
    { immediate: true },
  );
  return {
    made: () => made,
    close: () => {
      leave();
      consumer.close();
    },
  };
}

function residentMb(pid: number): number {
  try {
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;
  } catch {
    return 0;
  }
}

/** The differences between times that are not the usual one. */
function unusualSteps(units: readonly { pts: number }[], usual: number): number[] {
  return units
    .slice(1)
    .map((unit, index) => unit.pts - (units[index]?.pts ?? 0))
    .filter((step) => step !== usual);
}

test(`${CASES} broken stretches of real streams end nothing but a codec process, and disturb nobody else`, async (t) => {
  await using scope = new Scope('test');
  let pipes: Pipes | undefined;
  const [cameras, plain, hevc] = await Promise.all([
    makeCameras(),
    makeClip(testPicture({ size: '160x120', seconds: 2 })),
    makeStream('h265', { picture: 'testsrc2=s=160x120:r=25', pictures: 50 }),
  ]);
  await using all = makeTestHub({
    sources: [...cameras.map((camera) => camera.module), clipSource('plain', plain).module, unitSource('hevc', hevc)],
    streams: Object.fromEntries(
      [...cameras.map(({ codec }) => codec), 'plain', 'hevc'].map((name) => [name, [`${name}:`]]),
    ),
    makeRemaker: (log) => {
      pipes = new Pipes({ log, scope, maxEncodes: () => 100 });
      const settings = { ...DEFAULT_TRANSCODE, mode: 'auto' as const };
      return createRemaker({ pipes, settings: () => settings, hardwareMakes: () => false });
    },
  });
  assert.ok(pipes !== undefined);
  const made = pipes;
  using passed = await collect(all.hub.require('plain'));
  using healthy = await collect(all.hub.require('hevc'), [{ kind: 'video', codecs: ['h264'] }]);
  // It shares a process with all the broken sounds; pictures have one each.
  using sound = await collect(all.hub.require('plain'), [{ kind: 'audio', codecs: ['opus'] }]);
  const viewers = await Promise.all(cameras.map((camera) => watch(all.hub.require(camera.codec), camera)));
  const more = (than: readonly number[]): boolean => {
    for (const camera of cameras) if (camera.aheadMs < 1_000) camera.send(camera.good());
    return viewers.every((viewer, index) => viewer.made() > (than[index] ?? 0));
  };
  await waitFor(() => more([]), { everyMs: 100, what: 'the first pictures', timeoutMs: 30_000 });
  await sound.wait('audio', 5);
  await healthy.wait('video', 5);
  const processes = made.pids.length;
  const serverMb = residentMb(process.pid);

  let deaths = 0;
  let longestMs = 0;
  let largestMb = 0;
  let known = [...made.pids];
  let missingSinceMs: number | undefined;
  scope.every(50, () => {
    const { pids } = made;
    const nowMs = performance.now();
    deaths += known.filter((pid) => !pids.includes(pid)).length;
    if (pids.length < processes) missingSinceMs ??= nowMs;
    else missingSinceMs = undefined;
    if (missingSinceMs !== undefined) longestMs = Math.max(longestMs, nowMs - missingSinceMs);
    known = [...pids];
    largestMb = Math.max(largestMb, ...pids.map(residentMb));
  });

  const startMs = performance.now();
  let fed = 0;
  await Promise.all(
    cameras.map(async (camera, index) => {
      for (let number = index; number < CASES; number += cameras.length) {
        const dice = new Dice(SEED + number);
        camera.send([...camera.broken(dice), ...camera.good()]);
        fed++;
        const free = (): boolean =>
          made.waitingUnits < 30 && made.pids.length >= processes && (camera.isVideo || camera.aheadMs < 2_000);
        await waitFor(free, { what: `room behind case ${number} (${camera.codec})`, timeoutMs: 60_000 });
      }
    }),
  );
  const tookMs = performance.now() - startMs;
  const before = viewers.map((viewer) => viewer.made());
  await waitFor(() => more(before), {
    everyMs: 100,
    what: 'good pictures and sounds behind the broken ones',
    timeoutMs: 30_000,
  });
  for (const viewer of viewers) viewer.close();

  assert.equal(fed, CASES);
  const growthMb = residentMb(process.pid) - serverMb;
  t.diagnostic(
    `${fed} cases in ${(tookMs / 1000).toFixed(1)} s, ${deaths} deaths, back after ${Math.round(longestMs)} ms at most, ` +
      `largest process ${Math.round(largestMb)} MB, server ${Math.round(growthMb)} MB more`,
  );
  assert.ok(longestMs < BACK_MS, `a process was away for ${Math.round(longestMs)} ms`);
  assert.ok(largestMb < MAX_PROCESS_MB, `${largestMb} MB`);
  assert.ok(growthMb < MAX_SERVER_GROWTH_MB, `${growthMb} MB`);
  const pictures = plain.units.filter((unit) => plain.tracks[unit.track]?.kind === 'video').map(({ data }) => data);
  const order = passed.of('video').map(({ data }) => pictures.indexOf(data));
  const next = (at: number): number => (at + 1) % pictures.length;
  assert.ok(
    order.every((at, index) => at >= 0 && (index === 0 || at === next(order[index - 1] ?? 0))),
    'what is passed on is untouched',
  );
  // All this computes as fast as it can, on a machine that may have more to do: what that costs is told in the log.
  const slow = all.log.find('warn', /picture of "hevc" is transcoded too slowly/);
  if (slow.length > 0) t.diagnostic(`the machine was too slow: ${unusualSteps(healthy.of('video'), 3600)}`);
  else assert.deepEqual(unusualSteps(healthy.of('video'), 3600), [], 'no picture of the healthy camera is lost');
  const gaps = unusualSteps(sound.of('audio'), 960);
  const slowSound = all.log.find('warn', /sound of "plain" is transcoded too slowly/).length > 0;
  assert.ok(slowSound || gaps.length <= deaths, `gaps of sound: ${gaps}`);
  assert.ok(
    gaps.every((gap) => gap < 48 * BACK_MS),
    `gaps of sound: ${gaps}`,
  );
  assert.equal(passed.ended() ?? healthy.ended() ?? sound.ended(), undefined);
  assert.deepEqual(
    all.log.find('error', /./).map(({ message }) => message),
    [],
  );
  await scope.close();
  assert.deepEqual(made.pids, []);
});
