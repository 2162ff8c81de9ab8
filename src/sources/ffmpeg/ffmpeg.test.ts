import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { ANY_AUDIO, ANY_VIDEO, collect, makeTestHub, type TestHub } from '../../../testkit/hub.ts';
import { type Clip, clipSource, makeClip, testPicture } from '../../../testkit/mp4-source.ts';
import { HearthcamError } from '../../core/errors.ts';
import type { Hub } from '../../core/hub.ts';
import { ownStreamName, withOwnStreams } from '../../core/own-streams.ts';
import { parseSourceSpec, type SourceModule } from '../../core/source.ts';
import { createStreamSource } from '../stream/stream.ts';
import { createFfmpegSource } from './source.ts';
import { parseFfmpegSpec } from './spec.ts';

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

const any = { video: { kind: 'video', codecs: 'any' }, audio: { kind: 'audio', codecs: 'any' } } as const;
const specs = [
  ['ffmpeg:front', 'front', [any.video, any.audio], []],
  ['ffmpeg:rtsp://u:p@cam/1#video=copy#audio=copy#timeout=9', 'rtsp://u:p@cam/1#timeout=9', [any.video, any.audio], []],
  ['ffmpeg:front#audio=opus#query=log_level=debug', 'front', [{ kind: 'audio', codecs: ['opus'] }], []],
  ['ffmpeg:front#audio=pcma/8000#audio=pcmu', 'front', [{ kind: 'audio', codecs: ['pcma', 'pcmu'] }], []],
  ['ffmpeg:front#video=h264#rotate=90', 'front', [{ kind: 'video', codecs: ['h264'] }], ['#rotate']],
  ['ffmpeg:front#video=libsomething', 'front', [{ kind: 'video', codecs: [] }], []],
] as const;
for (const [text, input, wants, remakes] of specs) {
  test(`${text} asks for what it says`, () => {
    const parsed = parseFfmpegSpec(parseSourceSpec(text));
    assert.deepEqual([parsed.input.text, parsed.wants, parsed.remakes], [input, wants, remakes]);
  });
}
test('ffmpeg: alone is refused', () => {
  assert.throws(() => parseFfmpegSpec(parseSourceSpec('ffmpeg:#audio=opus')), HearthcamError);
});

describe('streams made of streams', { timeout: 60_000 }, () => {
  let clip: Clip;
  let dials = 0;
  before(async () => {
    clip = await makeClip(testPicture({ gop: 25, seconds: 2 }));
  });

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
    const ffmpeg = createFfmpegSource({ getHub, modules: [rtsp], ownRtspPorts: ownPorts });
    const held = makeTestHub({ sources: [rtsp, own, ffmpeg], streams });
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

  for (const [name, source, text] of [
    ['a codec that the camera does not send', 'ffmpeg:rtsp://192.0.2.1/1#audio=opus', /audio opus needs transcoding/],
    ['a codec that the stream does not have', 'ffmpeg:other#video=h265', /video h265 needs transcoding/],
    ['a smaller picture', 'ffmpeg:other#video=h264#width=640', /#width needs transcoding/],
    ['a turned picture', 'ffmpeg:other#video=h264#raw=-vf hflip', /#raw needs transcoding/],
    ['a file', 'ffmpeg:file:///tmp/a.mp4', /ffmpeg: of "file:" is not supported/],
    ['a stream that does not exist', 'ffmpeg:nobody', /there is no stream "nobody"/],
  ] as const) {
    test(`${name} is refused in words`, async () => {
      await using all = start({ cam: [source], other: ['rtsp://192.0.2.1/1'] });
      await assert.rejects(collect(all.hub.require('cam')), (error: unknown) => {
        assert.ok(error instanceof HearthcamError);
        assert.match(error.message, text);
        return true;
      });
    });
  }

  test('the Opus source that Home Assistant adds to every camera disturbs nothing, and is told once', async () => {
    await using all = start({
      'camera.front': ['ffmpeg:rtsp://192.0.2.1/1', 'ffmpeg:camera.front#audio=opus#query=log_level=debug'],
    });
    const stream = all.hub.require('camera.front');
    for (let viewers = 0; viewers < 3; viewers++) {
      using viewer = await collect(stream, [ANY_VIDEO, { kind: 'audio', codecs: ['opus', 'pcma'] }]);
      await viewer.wait('video', 3);
      assert.deepEqual(
        viewer.consumer.missing.map((want) => want.kind),
        ['audio'],
      );
    }
    using listener = await collect(stream, [ANY_VIDEO, ANY_AUDIO]);
    await listener.wait('audio', 3);
    assert.equal(dials, 1);
    assert.equal(all.log.find('warn', /opus needs transcoding/).length, 1);
  });

  test('streams in a circle are refused instead of waiting for one another', async () => {
    await using all = start({ a: ['ffmpeg:b'], b: ['rtsp://127.0.0.1:8554/c'], c: ['a'], self: ['self'] });
    for (const name of ['a', 'self']) {
      await assert.rejects(collect(all.hub.require(name)), (error: unknown) => {
        assert.ok(error instanceof HearthcamError);
        assert.equal(error.code, 'source.loop');
        return true;
      });
    }
  });
});
