import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startTestApp, type TestApp } from '../../../testkit/app.ts';
import { type ClipSource, clipSource, makeClip, readClip, testPicture } from '../../../testkit/mp4-source.ts';
import { waitFor } from '../../../testkit/wait.ts';
import type { Rendition } from '../../core/qualities.ts';
import { DEFAULT_TRANSCODE } from '../../transcode/settings.ts';
import { parsePlaylist } from '../../wire/m3u8/parse.ts';
import type { MediaPlaylist } from '../../wire/m3u8/playlist.ts';
import { hls } from './module.ts';

const SMALL: Rendition = {
  name: '180p',
  picture: { kind: 'video', codec: 'h264', height: 180, bitrateKbps: 200, fps: 15 },
};
const LARGER: Rendition = { name: '1080p', picture: { kind: 'video', codec: 'h264', height: 1080 } };
const MIDDLE: Rendition = { name: '270p', picture: { kind: 'video', codec: 'h264', height: 270, bitrateKbps: 400 } };

let app: TestApp;
let camera: ClipSource;

before(async () => {
  const video = [
    ...['-c:v', 'libx264', '-preset', 'ultrafast', '-tune', 'zerolatency', '-pix_fmt', 'yuv420p'],
    ...['-b:v', '1500k', '-minrate', '1500k', '-maxrate', '1500k', '-bufsize', '1500k', '-x264-params', 'nal-hrd=cbr'],
  ];
  const clip = await makeClip(testPicture({ size: '640x360', fps: 25, gop: 50, seconds: 8, video }));
  camera = clipSource('main', clip);
  app = await startTestApp({
    streams: { porch: ['main:1'] },
    renditions: { porch: [LARGER, MIDDLE, SMALL] },
    transcode: { ...DEFAULT_TRANSCODE, maxEncodes: 1 },
    sources: [camera.module],
    outputs: [hls],
  });
});
after(() => app[Symbol.asyncDispose]());

async function get(path: string): Promise<{ status: number; text: string }> {
  const response = await fetch(`${app.url}/api/${path}`);
  return { status: response.status, text: await response.text() };
}

async function master() {
  const { status, text } = await get('stream.m3u8?src=porch');
  assert.equal(status, 200, text);
  const parsed = parsePlaylist(text);
  assert.ok(parsed.kind === 'master');
  return parsed.variants;
}

async function media(uri: string): Promise<MediaPlaylist> {
  const { status, text } = await get(uri);
  assert.equal(status, 200, text);
  const parsed = parsePlaylist(text);
  assert.ok(parsed.kind === 'media');
  return parsed;
}

async function bytes(uri: string): Promise<Buffer> {
  const response = await fetch(`${app.url}/api/hls/${uri}`);
  assert.equal(response.status, 200);
  return Buffer.from(await response.arrayBuffer());
}

/** Encoders that run now. */
const encoders = (): number => app.app.codecProcesses.length;
const made = (): number => app.app.hub.require('porch').derived.length;

test('the multivariant playlist offers the renditions with what they will be, and makes none of them', async () => {
  const variants = await master();
  assert.deepEqual(
    variants.map(({ width, height, codecs }) => [width, height, codecs.join()]),
    [
      [640, 360, variants[0]?.codecs.join()],
      [480, 270, 'avc1.640015,mp4a.40.2'],
      [320, 180, 'avc1.64000C,mp4a.40.2'],
    ],
    'the one that would be larger than the camera’s is left out',
  );
  const [main, middle, small] = variants.map((variant) => variant.bandwidth);
  assert.ok(main !== undefined && middle !== undefined && small !== undefined);
  assert.ok(main > middle && middle > small && small > 200_000 && small < 500_000, [main, middle, small].join());
  assert.equal(made(), 0, 'nothing is made for the playlist');
  const told = app.log.lines.filter((line) => line.message.includes('"1080p"'));
  await master();
  assert.equal(told.length, 1, 'told once');
});

/** Segments that are complete in both playlists, by where they begin. */
function common(one: MediaPlaylist, other: MediaPlaylist) {
  return one.segments.flatMap((segment) => {
    const twin = other.segments.find((each) => each.sequence === segment.sequence);
    return twin === undefined || segment.uri === '' || twin.uri === '' ? [] : [[segment, twin] as const];
  });
}

test('a rendition is made from its first request on, in step with the stream: numbers, times and key frames', async () => {
  const [main, , small] = await master();
  assert.ok(main !== undefined && small !== undefined);
  await media(small.uri);
  assert.equal(made(), 1);
  const pairs = await waitFor(
    async () => {
      const found = common(await media(main.uri), await media(small.uri));
      return found.length >= 3 ? found : undefined;
    },
    { timeoutMs: 40_000, everyMs: 200, what: 'three segments of both' },
  );
  const firstTicks = async (segment: (typeof pairs)[0][0]) => {
    const [init, body] = [await bytes(segment.map?.uri ?? ''), await bytes(segment.uri)];
    const { tracks, units } = readClip(Buffer.concat([init, body]));
    const picture = units.find((unit) => tracks[unit.track]?.kind === 'video');
    assert.equal(picture?.key, true, 'begins with a key frame');
    const format = tracks.find((track) => track.kind === 'video')?.format;
    return { ms: (picture?.decodeTicks ?? 0) / 90, height: format?.kind === 'video' ? format.height : 0 };
  };
  // The first ones may be cut short where the rendition began.
  for (const [segment, twin] of pairs.slice(-2)) {
    const apartMs = (segment.programDateTimeMs ?? 0) - (twin.programDateTimeMs ?? 1e9);
    assert.ok(Math.abs(apartMs) < 60, `the same segment begins ${apartMs} ms apart`);
    assert.ok(Math.abs(segment.durationMs - twin.durationMs) < 100, `${segment.durationMs} and ${twin.durationMs} ms`);
    const [of, ofTwin] = await Promise.all([firstTicks(segment), firstTicks(twin)]);
    assert.ok(Math.abs(of.ms - ofTwin.ms) < 100, `first picture at ${of.ms} and ${ofTwin.ms} ms`);
    assert.deepEqual([of.height, ofTwin.height], [360, 180]);
  }
  const report = (await media(main.uri)).renditionReports.find((one) => small.uri.endsWith(one.uri));
  assert.ok(report !== undefined, 'the stream reports where the rendition stands');
});

test('at the limit of encodes a further rendition is 503 with the reason, and the others go on', async () => {
  const [main, middle, small] = await master();
  assert.ok(main !== undefined && middle !== undefined && small !== undefined);
  await media(small.uri);
  const { status, text } = await get(middle.uri);
  assert.equal(status, 503, text);
  assert.match(text, /1 video is coded already, which is the limit/);
  assert.match(text, /max_encodes/);
  await media(small.uri);
  await media(main.uri);
});

test('a rendition that nobody asks for any more is made no longer', async () => {
  await waitFor(() => made() === 0 && encoders() === 0, { timeoutMs: 40_000, what: 'the encoder to end' });
});

test('a viewer without H.265 gets the renditions of an H.265 camera, where nothing else is made', async () => {
  const video = [
    '-c:v',
    'libx265',
    '-preset',
    'ultrafast',
    '-x265-params',
    'log-level=none:bframes=0',
    '-tag:v',
    'hvc1',
  ];
  const clip = await makeClip(testPicture({ size: '640x360', fps: 25, gop: 50, seconds: 4, video }));
  await using other = await startTestApp({
    streams: { yard: ['hevc:1'] },
    renditions: { yard: [SMALL] },
    sources: [clipSource('hevc', clip).module],
    outputs: [hls],
  });
  const ask = async (query: string) => {
    const response = await fetch(`${other.url}/api/stream.m3u8?src=yard${query}`);
    const parsed = parsePlaylist(await response.text());
    assert.ok(parsed.kind === 'master');
    return parsed.variants.map(({ width, codecs }) => [width, codecs[0]?.slice(0, 4)]);
  };
  assert.deepEqual(await ask('&video=h264&audio=aac'), [[320, 'avc1']]);
  assert.deepEqual(await ask(''), [
    [640, 'hvc1'],
    [320, 'avc1'],
  ]);
});
