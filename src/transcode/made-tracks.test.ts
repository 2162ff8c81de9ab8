import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { collect, makeTestHub, type TestHub } from '../../testkit/hub.ts';
import { type Clip, clipSource, makeClip, testPicture } from '../../testkit/mp4-source.ts';
import { waitFor } from '../../testkit/wait.ts';
import { HearthcamError } from '../core/errors.ts';
import type { MediaWant } from '../core/negotiate.ts';
import { Scope } from '../core/scope.ts';
import { Pipes } from './pipes.ts';
import { createRemaker } from './remaker.ts';
import { DEFAULT_TRANSCODE, type TranscodeMode } from './settings.ts';

const H264: MediaWant = { kind: 'video', codecs: ['h264'] };
const JPEG: MediaWant = { kind: 'video', codecs: ['jpeg'] };
const OPUS: MediaWant = { kind: 'audio', codecs: ['opus'] };
const AAC: MediaWant = { kind: 'audio', codecs: ['aac'] };

const X265 = [
  '-c:v',
  'libx265',
  '-preset',
  'ultrafast',
  '-x265-params',
  'log-level=none:bframes=0',
  '-pix_fmt',
  'yuv420p',
];

interface Kit extends TestHub {
  readonly pipes: Pipes;
}

describe('tracks that no source gives', { timeout: 120_000 }, () => {
  let h264: Clip;
  let h265: Clip;
  before(async () => {
    [h264, h265] = await Promise.all([
      makeClip(testPicture({ gop: 50, seconds: 4 })),
      makeClip(testPicture({ gop: 50, seconds: 4, video: X265 })),
    ]);
  });

  const kits: Kit[] = [];
  function start(mode: TranscodeMode = 'auto', maxEncodes = 4): Kit {
    const scope = new Scope('test');
    let pipes: Pipes | undefined;
    const all = makeTestHub({
      sources: [clipSource('avc', h264).module, clipSource('hevc', h265).module],
      streams: { avc: ['avc:'], hevc: ['hevc:'] },
      makeRemaker: (log) => {
        pipes = new Pipes({ log, scope, maxEncodes: () => maxEncodes });
        const settings = { ...DEFAULT_TRANSCODE, mode };
        return createRemaker({ pipes, settings: () => settings, hardwareMakes: () => false });
      },
    });
    if (pipes === undefined) throw new Error('the hub made no remaker');
    const kit: Kit = {
      ...all,
      pipes,
      [Symbol.asyncDispose]: async () => {
        await all[Symbol.asyncDispose]();
        await scope.close();
      },
    };
    kits.push(kit);
    return kit;
  }
  after(() =>
    assert.deepEqual(
      kits.flatMap((kit) => kit.pipes.pids),
      [],
      'no process is left',
    ),
  );

  test('sound that the viewer takes is made beside the untouched picture, and both lie on one time line', async () => {
    await using all = start('audio');
    using direct = await collect(all.hub.require('avc'));
    await direct.wait('video', 5);
    using viewer = await collect(all.hub.require('avc'), [H264, OPUS]);
    const sound = await viewer.wait('audio', 20);
    const pictures = await viewer.wait('video', 20);
    assert.deepEqual(
      viewer.consumer.tracks.map((track) => track.codec),
      ['h264', 'opus'],
    );
    const original = new Set(direct.of('video').map((unit) => unit.data));
    assert.ok(
      pictures.some((unit) => original.has(unit.data)),
      'the very same bytes',
    );
    const steps = sound.slice(1).map((unit, index) => unit.pts - (sound[index]?.pts ?? 0));
    assert.ok(
      steps.every((step) => step === 960),
      `20 ms each, not ${String(steps)}`,
    );
    // What was captured at the same moment has the same time, whichever way it came.
    const last = { video: pictures.at(-1), audio: sound.at(-1) };
    const shift = (last.video?.pts ?? 0) / 90 - (last.audio?.pts ?? 0) / 48;
    const wallShift = (last.video?.wallMs ?? 0) - (last.audio?.wallMs ?? 0);
    assert.ok(Math.abs(shift - wallShift) < 30, `${shift} ms in stream time, ${wallShift} ms by the clock`);
  });

  test('two viewers that need the same share what is made, and it ends with the last', async () => {
    await using all = start();
    const stream = all.hub.require('hevc');
    using one = await collect(stream, [H264, AAC]);
    await one.wait('video', 3);
    using other = await collect(stream, [H264, AAC]);
    using third = await collect(stream, [H264]);
    await other.wait('video', 3);
    const [picture] = await third.wait('video', 3);
    assert.equal(picture?.key, true, 'who joins later starts with a key frame, too');
    assert.equal(all.pipes.encodes, 1);
    assert.equal(all.pipes.pids.length, 1, 'one process, for the sound is the camera’s own');
    for (const viewer of [one, other, third]) viewer[Symbol.dispose]();
    await waitFor(() => all.pipes.encodes === 0 && all.pipes.pids.length === 0, { what: 'the end of the process' });
    await waitFor(() => stream.derived.length === 0 && !stream.running, { what: 'the end of the stream' });
  });

  test('a codec process that is killed is replaced: viewers stay and see the picture again', async () => {
    await using all = start();
    using viewer = await collect(all.hub.require('hevc'), [H264, OPUS]);
    await viewer.wait('video', 10);
    await viewer.wait('audio', 10);
    const pids = all.pipes.pids;
    assert.equal(pids.length, 2);
    const killedMs = performance.now();
    for (const pid of pids) process.kill(pid, 'SIGKILL');
    const before = { video: viewer.of('video').length, audio: viewer.of('audio').length };
    await viewer.wait('video', before.video + 3);
    await viewer.wait('audio', before.audio + 3);
    const tookMs = performance.now() - killedMs;
    assert.ok(tookMs < 4_000, `${Math.round(tookMs)} ms`);
    assert.equal(viewer.ended(), undefined);
    const times = viewer.of('video').map((unit) => unit.dts);
    assert.deepEqual(
      times,
      times.toSorted((a, b) => a - b),
      'times never go back',
    );
    assert.ok(all.log.find('warn', /codec process .*starting it again/).length >= 1);
  });

  test('a process that hangs is replaced', async () => {
    const scope = new Scope('hang');
    const log: { pipes?: Pipes } = {};
    await using all = makeTestHub({
      sources: [clipSource('hevc', h265).module],
      streams: { hevc: ['hevc:'] },
      makeRemaker: (own) => {
        log.pipes = new Pipes({ log: own, scope, maxEncodes: () => 4, hangMs: 1_000 });
        return createRemaker({
          pipes: log.pipes,
          settings: () => ({ ...DEFAULT_TRANSCODE, mode: 'auto' }),
          hardwareMakes: () => false,
        });
      },
    });
    using viewer = await collect(all.hub.require('hevc'), [H264]);
    await viewer.wait('video', 3);
    const [pid] = log.pipes?.pids ?? [];
    assert.ok(pid !== undefined);
    process.kill(pid, 'SIGSTOP');
    const before = viewer.of('video').length;
    await viewer.wait('video', before + 10);
    assert.equal(all.log.find('warn', /gave nothing for/).length, 1);
    await scope.close();
  });

  test('when nothing more may be coded, the viewer is told so, and those who watch go on', async () => {
    await using all = start('auto', 1);
    using viewer = await collect(all.hub.require('hevc'), [H264]);
    await viewer.wait('video', 3);
    const picture = { kind: 'video', codec: 'h264', width: 160 } as const;
    const info = { formatName: 'test', protocol: '', remoteAddr: '' };
    await assert.rejects(all.hub.require('hevc').open({ ...info, wants: [H264], picture }), (error: unknown) => {
      assert.ok(error instanceof HearthcamError);
      assert.deepEqual([error.code, error.status], ['codec.limit', 503]);
      return true;
    });
    await viewer.wait('video', viewer.of('video').length + 5);
  });

  test('a size that can not be made is refused with the reason', async () => {
    await using all = start();
    const picture = { kind: 'video', codec: 'h264', width: 100_000, height: 100_000 } as const;
    const info = { formatName: 'test', protocol: '', remoteAddr: '' };
    await assert.rejects(all.hub.require('avc').open({ ...info, wants: [H264], picture }), (error: unknown) => {
      assert.ok(error instanceof HearthcamError);
      assert.deepEqual([error.code, error.status], ['codec.request', 400]);
      return true;
    });
  });

  test('a picture of another size and rate is made of one that would have done', async () => {
    await using all = start('audio');
    const stream = all.hub.require('avc');
    const consumer = await stream.open({
      ...{ formatName: 'test', protocol: '', remoteAddr: '' },
      wants: [JPEG],
      picture: { kind: 'video', codec: 'jpeg', width: 160, fps: 5 },
    });
    const pictures: Buffer[] = [];
    const leave = consumer.stream.subscribe((units) => pictures.push(...units.map((unit) => unit.data)));
    await waitFor(() => pictures.length >= 5, { what: 'five pictures' });
    leave();
    consumer.close();
    assert.ok(
      pictures.every((jpeg) => jpeg.readUInt16BE(0) === 0xffd8 && jpeg.readUInt16BE(jpeg.length - 2) === 0xffd9),
    );
  });

  test('with the switch off nothing is made, and the reason is given', async () => {
    await using all = start('never');
    await assert.rejects(collect(all.hub.require('hevc'), [H264]), (error: unknown) => {
      assert.ok(error instanceof HearthcamError);
      assert.equal(error.code, 'stream.codecs');
      assert.match(error.hint ?? '', /H\.265.*transcode: auto/);
      return true;
    });
    using viewer = await collect(all.hub.require('avc'), [H264, OPUS]);
    assert.deepEqual(
      viewer.consumer.refused.map((one) => one.kind),
      ['audio'],
    );
    assert.equal(all.pipes.pids.length, 0);
  });
});
