import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { ANY_VIDEO, collect, makeTestHub, type TestHub } from '../../../testkit/hub.ts';
import { MemoryLog } from '../../../testkit/memory-log.ts';
import { type Clip, clipSource, makeClip, testPicture } from '../../../testkit/mp4-source.ts';
import { HearthcamError } from '../../core/errors.ts';
import type { Hub } from '../../core/hub.ts';
import { ownStreamName, withOwnStreams } from '../../core/own-streams.ts';
import { Scope } from '../../core/scope.ts';
import { parseSourceSpec, type SourceModule } from '../../core/source.ts';
import { Pipes } from '../../transcode/pipes.ts';
import { createRemaker } from '../../transcode/remaker.ts';
import { DEFAULT_TRANSCODE } from '../../transcode/settings.ts';
import { createStreamSource } from '../stream/stream.ts';
import { createFfmpegSource } from './source.ts';

const OWN_PORT = 8554;

const addresses = [
  ['rtsp://127.0.0.1:8554/front', 'front'],
  ['rtsp://localhost:8554/front?video&audio', 'front'],
  ['RTSP://[::1]:8554/front/', 'front'],
  ['rtsp://user:pass@127.0.0.1:8554/generic_a%2Fb', 'generic_a%2Fb'],
  ['rtsp://127.0.0.1:554/front', null],
  ['rtsp://192.0.2.1:8554/front', null],
  ['rtsp://127.0.0.1:8554/', null],
  ['http://127.0.0.1:8554/front', null],
  ['rtsp://', null],
] as const;
for (const [url, want] of addresses) {
  test(`${url} is ${want === null ? 'no stream of ours' : `our stream ${want}`}`, () => {
    assert.equal(ownStreamName(url, [OWN_PORT]), want);
  });
}

describe('streams made of streams', { timeout: 120_000 }, () => {
  let clip: Clip;
  let dials = 0;
  const scope = new Scope('test');
  const pipes = new Pipes({ log: new MemoryLog(), scope, maxEncodes: () => 4 });
  // Only what the sources themselves say is made.
  const settings = { ...DEFAULT_TRANSCODE, mode: 'never' } as const;
  const remaker = createRemaker({ pipes, settings: () => settings, hardwareMakes: () => false });
  before(async () => {
    clip = await makeClip(testPicture({ gop: 25, seconds: 2 }));
  });
  after(() => scope.close());

  function start(streams: Readonly<Record<string, readonly string[]>>): TestHub {
    dials = 0;
    const camera = clipSource('rtsp', clip).module;
    const counted: SourceModule = {
      ...camera,
      run: (request, sink) => {
        dials++;
        return camera.run(request, sink);
      },
    };
    const getHub = (): Hub => held.hub;
    const ownPorts = (): readonly number[] => [OWN_PORT];
    const own = createStreamSource(getHub, ownPorts);
    const rtsp = withOwnStreams(counted, own, getHub, ownPorts);
    const ffmpeg = createFfmpegSource({ getHub, modules: [rtsp], ownRtspPorts: ownPorts, getRemaker: () => remaker });
    const held = makeTestHub({ sources: [rtsp, own, ffmpeg], streams, makeRemaker: () => remaker });
    return held;
  }

  for (const source of [
    'cam',
    'ffmpeg:cam',
    'ffmpeg:cam?video#video=copy#audio=copy',
    'ffmpeg:rtsp://127.0.0.1:8554/cam',
    'rtsp://localhost:8554/cam',
  ]) {
    test(`${source} shows the stream cam with the one connection that it has`, async () => {
      await using all = start({ cam: ['rtsp://192.0.2.1/1'], copy: [source] });
      using direct = await collect(all.hub.require('cam'));
      await direct.wait('video', 10);
      using viewer = await collect(all.hub.require('copy'));
      const units = await viewer.wait('video', 10);
      await viewer.wait('audio', 5);
      assert.equal(dials, 1);
      assert.equal(units[0]?.key, true);
      const original = new Set(direct.of('video').map((unit) => unit.data));
      assert.ok(
        units.slice(0, 5).every((unit) => original.has(unit.data)),
        'the very same bytes',
      );
    });
  }

  test('ffmpeg:rtsp://… goes to the camera, with the tracks that are asked for', async () => {
    await using all = start({ cam: ['ffmpeg:rtsp://192.0.2.1/1#audio=aac#query=log_level=debug'] });
    using viewer = await collect(all.hub.require('cam'));
    assert.deepEqual(
      viewer.consumer.tracks.map((track) => track.codec),
      ['aac'],
    );
    await viewer.wait('audio', 5);
    assert.equal(viewer.of('video').length, 0);
  });

  for (const source of ['ffmpeg:rtsp://192.0.2.1/1', 'ffmpeg:other', 'ffmpeg:rtsp://127.0.0.1:8554/other']) {
    test(`${source}#video=copy#audio=opus keeps the picture as it is and makes the sound`, async () => {
      await using all = start({ cam: [`${source}#video=copy#audio=opus`], other: ['rtsp://192.0.2.1/1'] });
      using viewer = await collect(all.hub.require('cam'));
      assert.deepEqual(
        viewer.consumer.tracks.map((track) => track.codec),
        ['h264', 'opus'],
      );
      await viewer.wait('audio', 10);
      await viewer.wait('video', 10);
      assert.deepEqual([...all.hub.streams.keys()], ['cam', 'other'], 'nothing else is in the list');
      assert.equal(dials, 1);
    });
  }

  test('a picture is made smaller, turned and mirrored as Home Assistant writes it', async () => {
    const source = 'ffmpeg:rtsp://192.0.2.1/1#video=h264#audio=copy#width=160#fps=5#rotate=90#raw=-vf hflip';
    await using all = start({ cam: [source] });
    using viewer = await collect(all.hub.require('cam'));
    const [unit] = await viewer.wait('video', 3);
    assert.ok(unit?.format.kind === 'video');
    assert.deepEqual([unit.format.codec, unit.format.width, unit.format.height], ['h264', 120, 160]);
    const [sound] = await viewer.wait('audio', 3);
    assert.equal(sound?.format.codec, 'aac');
  });

  test('what the camera sends already is not made again', async () => {
    await using all = start({ cam: ['ffmpeg:rtsp://192.0.2.1/1#video=h264#hardware#audio=copy#audio=aac/16000'] });
    using viewer = await collect(all.hub.require('cam'));
    await viewer.wait('audio', 5);
    await viewer.wait('video', 5);
    assert.deepEqual(
      all.hub.require('cam').tracks.map((track) => track.codec),
      ['h264', 'aac'],
    );
    assert.deepEqual(pipes.pids, [], 'no process was started');
  });

  test('a camera without a microphone gives its picture to a source that asks for sound too', async () => {
    await using all = start({
      cam: ['ffmpeg:mute#video=copy#audio=opus'],
      mute: ['ffmpeg:rtsp://192.0.2.1/1#video=copy'],
    });
    using viewer = await collect(all.hub.require('cam'));
    await viewer.wait('video', 5);
    assert.deepEqual(
      viewer.consumer.tracks.map((track) => track.codec),
      ['h264'],
    );
  });

  for (const [name, source, code, text] of [
    ['sound of a silent camera', 'ffmpeg:mute#audio=opus', 'source.ffmpeg', /the input has no audio/],
    ['a stream that does not exist', 'ffmpeg:nobody', 'source.unknown', /there is no stream "nobody"/],
    ['a stream of nothing', 'ffmpeg:nobody#audio=opus', 'source.unknown', /there is no stream "nobody"/],
    ['a stream made of itself alone', 'ffmpeg:cam#audio=opus', 'source.loop', /fed by itself/],
    ['a copy of itself alone', 'ffmpeg:cam', 'source.loop', /fed by itself/],
    ['itself by its address', 'ffmpeg:rtsp://127.0.0.1:8554/cam#audio=opus', 'source.loop', /fed by itself/],
  ] as const) {
    test(`${name} is refused in words`, async () => {
      await using all = start({ cam: [source], mute: ['ffmpeg:rtsp://192.0.2.1/1#video=copy'] });
      await assert.rejects(collect(all.hub.require('cam')), (error: unknown) => {
        assert.ok(error instanceof HearthcamError);
        assert.equal(error.code, code);
        assert.match(error.message, text);
        return true;
      });
    });
  }

  test('a source that can not be is refused before it is stored', async () => {
    await using all = start({});
    for (const source of ['ffmpeg:gopher://x/1', 'ffmpeg:other#video=h264#width=0', 'ffmpeg:device?video=0']) {
      assert.throws(() => all.hub.set('cam', [source]), { code: 'source.ffmpeg', status: 400 });
    }
    assert.equal(all.hub.get('cam'), undefined);
  });

  test('hardware that was found not to work is refused with the reason', () => {
    const getHub = (): Hub => assert.fail('nothing is run');
    const hardwareProblem = (kind: string): string | null => (kind === 'vaapi' ? 'there is no /dev/dri' : null);
    const module = createFfmpegSource({ getHub, modules: [], ownRtspPorts: () => [], hardwareProblem });
    module.validate?.(parseSourceSpec('ffmpeg:cam#video=h264#hardware=qsv'));
    module.validate?.(parseSourceSpec('ffmpeg:cam#video=copy#hardware=vaapi'));
    assert.throws(() => module.validate?.(parseSourceSpec('ffmpeg:cam#video=h264#hardware=vaapi')), {
      status: 400,
      message: 'ffmpeg: #hardware=vaapi: there is no /dev/dri',
    });
  });

  for (const self of ['ffmpeg:camera.front', 'ffmpeg:rtsp://127.0.0.1:8554/camera.front']) {
    test(`${self}#audio=opus, as Home Assistant adds it, is made only for who asks for it`, async () => {
      await using all = start({
        'camera.front': ['ffmpeg:rtsp://192.0.2.1/1', `${self}#audio=opus#query=log_level=debug`],
      });
      const stream = all.hub.require('camera.front');
      using watcher = await collect(stream);
      await watcher.wait('audio', 3);
      assert.equal(watcher.consumer.tracks[1]?.codec, 'aac');
      assert.deepEqual(pipes.pids, [], 'no process was started');
      using viewer = await collect(stream, [ANY_VIDEO, { kind: 'audio', codecs: ['opus', 'pcma'] }]);
      await viewer.wait('video', 3);
      const [sound] = await viewer.wait('audio', 3);
      assert.equal(sound?.format.codec, 'opus');
      assert.equal(dials, 1);
      assert.equal(all.log.find('warn', /./).length, 0);
    });
  }

  test('a camera that is away is told once, not by its source and by the source of that', async () => {
    const away = clipSource('rtsp', clip);
    away.refuse = true;
    const getHub = (): Hub => held.hub;
    const ffmpeg = createFfmpegSource({
      getHub,
      modules: [away.module],
      ownRtspPorts: () => [],
      getRemaker: () => remaker,
    });
    await using held = makeTestHub({
      sources: [ffmpeg],
      streams: { cam: ['ffmpeg:rtsp://192.0.2.1/1#video=copy#audio=opus'] },
    });
    await assert.rejects(collect(held.hub.require('cam')), /connection refused/);
    assert.equal(held.log.find('warn', /connection refused/).length, 1);
    away.refuse = false;
    using viewer = await collect(held.hub.require('cam'));
    await viewer.wait('audio', 3);
    away.drop();
    const soFar = viewer.of('audio').length;
    await viewer.wait('audio', soFar + 20);
    assert.equal(viewer.ended(), undefined, 'the viewer stays');
  });

  test('streams in a circle are refused instead of waiting for one another', async () => {
    await using all = start({ a: ['ffmpeg:b#audio=opus'], b: ['rtsp://127.0.0.1:8554/c'], c: ['a'], self: ['self'] });
    for (const name of ['a', 'self']) {
      await assert.rejects(collect(all.hub.require(name)), (error: unknown) => {
        assert.ok(error instanceof HearthcamError);
        assert.equal(error.code, 'source.loop');
        return true;
      });
    }
  });
});
