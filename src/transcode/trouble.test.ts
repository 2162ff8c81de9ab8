import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { CodedUnit } from '../../testkit/bitstreams.ts';
import { collect, makeTestHub } from '../../testkit/hub.ts';
import { MemoryLog } from '../../testkit/memory-log.ts';
import { type Clip, clipSource, makeClip, testPicture } from '../../testkit/mp4-source.ts';
import { makeStream, type TestUnit } from '../../testkit/pictures.ts';
import { waitFor } from '../../testkit/wait.ts';
import { HearthcamError } from '../core/errors.ts';
import type { MediaWant } from '../core/negotiate.ts';
import { Scope } from '../core/scope.ts';
import type { SourceModule, SourceSink } from '../core/source.ts';
import { Pipes } from './pipes.ts';
import { createRemaker } from './remaker.ts';
import { DEFAULT_TRANSCODE } from './settings.ts';
import { Worker, type WorkerClient } from './worker.ts';

const H264: MediaWant = { kind: 'video', codecs: ['h264'] };
const OPUS: MediaWant = { kind: 'audio', codecs: ['opus'] };
const X265 = ['-c:v', 'libx265', '-preset', 'ultrafast', '-x265-params', 'log-level=none:bframes=0:pools=1'];
const INFO = { formatName: 'test', protocol: 'test', remoteAddr: '' };

function lives(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

class FakePipe implements WorkerClient {
  waitingUnits: number;
  starts = 0;
  suspected = 0;
  readonly progress: number[] = [];
  unavailable: HearthcamError | undefined;
  onStarted: () => void = () => {};

  constructor(waitingUnits = 0) {
    this.waitingUnits = waitingUnits;
  }
  onStart(): void {
    this.starts++;
    this.onStarted();
  }
  onReport(report: { type: string; units?: number }): void {
    if (report.type === 'progress') this.progress.push(report.units ?? 0);
  }
  onUnavailable(error: HearthcamError): void {
    this.unavailable = error;
  }
  onSuspect(): void {
    this.suspected++;
  }
}

describe('a codec process', { timeout: 60_000 }, () => {
  async function withWorker(work: (worker: Worker, log: MemoryLog) => Promise<void>, maxRssBytes = 2e9): Promise<void> {
    const log = new MemoryLog();
    const worker = new Worker({ name: 'codec process (test)', log, maxRssBytes });
    try {
      await work(worker, log);
    } finally {
      await worker.close();
    }
  }

  test('that dies each time is started again ever more slowly, told a few times, and its pipe is suspected', () =>
    withWorker(async (worker, log) => {
      const bad = new FakePipe(3);
      const innocent = new FakePipe();
      const diedMs: number[] = [];
      bad.onStarted = () => {
        if (worker.pid !== undefined) process.kill(worker.pid, 'SIGKILL');
        diedMs.push(performance.now());
      };
      worker.add(1, innocent);
      worker.add(2, bad);
      await waitFor(() => bad.starts >= 6, { what: 'six starts' });
      assert.ok((diedMs[5] ?? 0) - (diedMs[4] ?? 0) > 1_000, 'later starts wait');
      assert.ok((diedMs[1] ?? 0) - (diedMs[0] ?? 0) < 1_000, 'the first does not');
      assert.equal(log.find('warn', /starting it again/).length, 3);
      assert.equal(log.find('error', /4 times in a row/).length, 1);
      assert.ok(bad.suspected >= 1);
      assert.equal(innocent.suspected, 0);
    }));

  test('that can not even be started is tried again, and ends nothing', () =>
    withWorker(async (worker, log) => {
      const node = process.execPath;
      process.execPath = '/nowhere/node';
      try {
        worker.add(1, new FakePipe());
        await waitFor(() => log.find('warn', /starting it again/).length >= 2, { what: 'two tries' });
      } finally {
        process.execPath = node;
      }
      await waitFor(() => worker.pid !== undefined, { what: 'the process' });
    }));

  test('that was let go is gone when its worker is closed', () =>
    withWorker(async (worker) => {
      worker.add(1, new FakePipe());
      const { pid } = worker;
      assert.ok(pid !== undefined);
      process.kill(pid, 'SIGSTOP');
      worker.remove(1);
      assert.equal(worker.pid, undefined);
      await worker.close();
      assert.ok(!lives(pid));
    }));

  test('that holds more memory than it may is replaced, with the reason', () =>
    withWorker(async (worker, log) => {
      const pipe = new FakePipe();
      worker.add(1, pipe);
      await waitFor(() => pipe.starts >= 2, { what: 'another process' });
      assert.match(log.text, /holds \d+ MB, more than 10 MB; starting it again/);
    }, 10e6));

  test('that has a long queue to work through says so on its way', async () => {
    // Small units that take long: one read of the socket brings all of them.
    const units = await makeStream('h264', { picture: 'color=s=3840x2160:r=25', pictures: 10, gop: 10 });
    await withWorker(async (worker) => {
      const pipe = new FakePipe(1);
      worker.add(1, pipe);
      const [first, ...others] = units;
      assert.ok(first !== undefined);
      const all = 600;
      worker.burst(() => {
        worker.send({ type: 'input', pipe: 1, format: first.format });
        const target = { kind: 'video', codec: 'h264', width: 320 } as const;
        worker.send({ type: 'output', pipe: 1, out: 1, target, afterPts: Number.MAX_SAFE_INTEGER });
        for (let at = 0; at < all; at++) {
          const { key, data } = at === 0 ? first : (others[at % others.length] ?? first);
          worker.send({ type: 'unit', pipe: 1, pts: at * 3600, dts: at * 3600, key, data });
        }
      });
      await waitFor(() => pipe.progress.at(-1) === all, { what: 'all units', timeoutMs: 50_000 });
      assert.ok(pipe.progress.length >= 3, `only ${pipe.progress} told`);
    });
  });
});

/** A camera that sends a unit when it is told to, and can become another one. */
function manualCamera(scheme: string, units: readonly (TestUnit | CodedUnit)[], stepMs: number) {
  let sink: SourceSink | undefined;
  let sent = 0;
  let current = units;
  const describe = (known: boolean): void => {
    const { format } = current[0] ?? assert.fail('no units');
    const { kind, codec, clockRateHz } = format;
    sink?.describe({
      ...{
        tracks: [{ kind, codec, clockRateHz, format: known ? format : null }],
        formatName: 'test',
        protocol: 'test',
      },
      ...{ remoteAddr: '', sharedClock: true },
    });
  };
  const module: SourceModule = {
    name: scheme,
    schemes: [scheme],
    run: ({ signal }, given) => {
      sink = given;
      describe(true);
      const beat = setInterval(() => given.alive(0), 500);
      return new Promise((resolve) => {
        const end = (): void => {
          clearInterval(beat);
          resolve();
        };
        signal.addEventListener('abort', end, { once: true });
      });
    },
  };
  const send = (count: number): void => {
    for (; count > 0; count--, sent++) {
      const { format, key, data } = current[sent % current.length] ?? assert.fail('no units');
      const ticks = Math.round((sent * stepMs * format.clockRateHz) / 1000);
      sink?.unit({ track: 0, format, ticks, decodeTicks: ticks, key, data });
      sink?.flush();
    }
  };
  /** Says that it has another codec from now on; what exactly, only its first unit will tell. */
  const become = (next: readonly (TestUnit | CodedUnit)[]): void => {
    current = next;
    sent = Math.ceil(sent / next.length) * next.length;
    describe(false);
  };
  return { module, send, become };
}

describe('tracks that are made', { timeout: 120_000 }, () => {
  let h264: Clip;
  let h265: Clip;
  let silent: Clip;
  before(async () => {
    const short = { size: '160x120', gop: 25, seconds: 1 };
    [h264, h265, silent] = await Promise.all([
      makeClip(testPicture(short)),
      makeClip(testPicture({ ...short, video: X265 })),
      makeClip(testPicture({ ...short, audio: [] })),
    ]);
  });

  const left: Pipes[] = [];
  function start(sources: readonly SourceModule[], options: { maxEncodes?: number; lingerMs?: number } = {}) {
    const { maxEncodes = 4, lingerMs = 50 } = options;
    const scope = new Scope('test');
    const made: { pipes?: Pipes } = {};
    const all = makeTestHub({
      sources,
      lingerMs,
      streams: Object.fromEntries(sources.map(({ name }) => [name, [`${name}:`]])),
      makeRemaker: (log) => {
        made.pipes = new Pipes({ log, scope, maxEncodes: () => maxEncodes });
        const settings = { ...DEFAULT_TRANSCODE, mode: 'auto' as const };
        return createRemaker({ pipes: made.pipes, settings: () => settings, hardwareMakes: () => false });
      },
    });
    const { pipes } = made;
    if (pipes === undefined) throw new Error('the hub made no remaker');
    left.push(pipes);
    return {
      ...all,
      pipes,
      [Symbol.asyncDispose]: async () => {
        await all[Symbol.asyncDispose]();
        await scope.close();
      },
    };
  }
  after(() =>
    assert.deepEqual(
      left.flatMap((pipes) => pipes.pids),
      [],
    ),
  );

  test('on a machine that is too slow have gaps up to key frames, which is said once', async () => {
    const units = await makeStream('h265', { picture: 'testsrc2=s=160x120:r=25', pictures: 20, gop: 10 });
    const camera = manualCamera('slow', units, 10);
    await using all = start([camera.module]);
    const opening = collect(all.hub.require('slow'), [H264]);
    const first = setInterval(() => camera.send(1), 20);
    using viewer = await opening;
    await viewer.wait('video', 5);
    clearInterval(first);
    await waitFor(() => all.pipes.waitingUnits === 0);
    const [pid = 0] = all.pipes.pids;
    for (let round = 0; round < 3; round++) {
      process.kill(pid, 'SIGSTOP');
      camera.send(150);
      assert.ok(all.pipes.waitingUnits <= 60, `${all.pipes.waitingUnits} wait`);
      process.kill(pid, 'SIGCONT');
      await waitFor(() => all.pipes.waitingUnits === 0);
      const before = viewer.of('video').length;
      camera.send(20);
      await viewer.wait('video', before + 10);
    }
    const pictures = viewer.of('video');
    const gaps = pictures.slice(1).filter((unit, index) => unit.pts - (pictures[index]?.pts ?? 0) > 1_800);
    assert.ok(gaps.length >= 3, 'gaps');
    assert.ok(
      gaps.every((unit) => unit.key),
      'a decoder can go on behind each',
    );
    assert.equal(all.log.find('warn', /too slowly/).length, 1);
    assert.deepEqual(all.pipes.pids, [pid]);
  });

  test('of sound that ends the process get one of their own, and other sounds are left in peace', async () => {
    const camera = clipSource('fine', h264);
    const poison = clipSource('poison', h264);
    await using all = start([camera.module, poison.module]);
    using fine = await collect(all.hub.require('fine'), [OPUS]);
    await fine.wait('audio', 5);
    using bad = await collect(all.hub.require('poison'), [OPUS]);
    await bad.wait('audio', 5);
    // Killed while a unit of the one camera waits, and none of the other: as if it had been that unit.
    const stop = all.hub.require('poison').subscribe(
      (units) => {
        if (all.pipes.pids.length !== 1 || !units.some(({ format }) => format.kind === 'audio')) return;
        for (const pid of all.pipes.pids) process.kill(pid, 'SIGKILL');
      },
      { immediate: true },
    );
    await waitFor(() => all.log.find('warn', /may be what ends the process/).length > 0, { what: 'the suspicion' });
    stop();
    await waitFor(() => all.log.find('warn', /aac of "poison" may be/).length === 1, { what: 'the right one' });
    for (const viewer of [fine, bad]) await viewer.wait('audio', viewer.of('audio').length + 20);
    assert.equal(fine.ended() ?? bad.ended(), undefined);
  });

  test('go on when the camera changes its codec, for viewers who take what it is made into', async () => {
    const camera = clipSource('cam', h265);
    const other = clipSource('other', h265);
    await using all = start([camera.module, other.module], { maxEncodes: 1 });
    using viewer = await collect(all.hub.require('cam'), [H264]);
    await viewer.wait('video', 10);
    camera.clip = h264;
    await waitFor(() => all.pipes.encodes === 0, { what: 'nothing to be made any more' });
    await viewer.wait('video', viewer.of('video').length + 10);
    camera.clip = h265;
    await waitFor(() => all.pipes.encodes === 1, { what: 'made pictures' });
    await viewer.wait('video', viewer.of('video').length + 10);
    assert.equal(viewer.ended(), undefined);
    const times = viewer.of('video').map((unit) => unit.dts);
    assert.deepEqual(
      times,
      times.toSorted((a, b) => a - b),
    );
  });

  test('end for viewers who can not go on with what the camera sends now, so that they choose anew', async () => {
    const camera = clipSource('cam', h264);
    await using all = start([camera.module]);
    using viewer = await collect(all.hub.require('cam'), [H264, OPUS]);
    await viewer.wait('audio', 5);
    camera.clip = silent;
    const reason = await waitFor(() => viewer.ended(), { what: 'the end' });
    assert.ok(reason instanceof HearthcamError);
    assert.equal(reason.code, 'stream.changed');
    using again = await collect(all.hub.require('cam'), [H264, OPUS]);
    await again.wait('video', 5);
  });

  test('keep their place while the camera changes from one codec to another that has to be made into something', async () => {
    const picture = { picture: 'testsrc2=s=160x120:r=25', pictures: 10, gop: 5 };
    const [hevc, vp8] = await Promise.all([makeStream('h265', picture), makeStream('vp8', picture)]);
    const camera = manualCamera('cam', hevc, 40);
    await using all = start([camera.module, clipSource('other', h265).module], { maxEncodes: 1 });
    const opening = collect(all.hub.require('cam'), [H264]);
    const beat = setInterval(() => camera.send(1), 40);
    using viewer = await opening;
    await viewer.wait('video', 5);
    clearInterval(beat);
    using lurker = await collect(all.hub.require('other'));
    await lurker.wait('video', 1);
    camera.become(vp8);
    await waitFor(() => all.pipes.encodes === 0, { what: 'the end of the first' });
    for (let tries = 0; tries < 5; tries++) {
      await assert.rejects(
        all.hub.require('other').open({ ...INFO, wants: [H264] }),
        (error: unknown) => error instanceof HearthcamError && error.code === 'codec.limit',
      );
    }
    const before = viewer.of('video').length;
    const on = setInterval(() => camera.send(1), 40);
    await viewer.wait('video', before + 5).finally(() => clearInterval(on));
    assert.equal(viewer.ended(), undefined);
  });

  test('take the place of those that nobody watches any more', async () => {
    await using all = start([clipSource('one', h265).module, clipSource('other', h265).module], {
      maxEncodes: 1,
      lingerMs: 60_000,
    });
    const viewer = await collect(all.hub.require('one'), [H264]);
    await viewer.wait('video', 3);
    await assert.rejects(
      all.hub.require('other').open({ ...INFO, wants: [H264] }),
      (error: unknown) => error instanceof HearthcamError && error.code === 'codec.limit',
    );
    viewer[Symbol.dispose]();
    using next = await collect(all.hub.require('other'), [H264]);
    await next.wait('video', 3);
    assert.equal(all.pipes.encodes, 1);
    await waitFor(() => all.pipes.pids.length === 1, { what: 'the end of the first process' });
  });
});
