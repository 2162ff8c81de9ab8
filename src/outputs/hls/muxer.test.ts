import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeTestHub } from '../../../testkit/hub.ts';
import { audioFormat, scriptedSource, videoFormat } from '../../../testkit/scripted-source.ts';
import { waitFor } from '../../../testkit/wait.ts';
import type { TrackFormat } from '../../core/media.ts';
import { parsePlaylist } from '../../wire/m3u8/parse.ts';
import { mediaPlaylist } from './media-playlist.ts';
import { HlsMuxer } from './muxer.ts';

const START = { sequence: 0, part: 0, discontinuities: 0, initVersion: 0 };
const video = videoFormat({ config: Buffer.from([1]) });
const aac = audioFormat({
  codec: 'aac',
  clockRateHz: 16_000,
  codecString: 'mp4a.40.2',
  config: Buffer.from('1408', 'hex'),
});

/** A camera that the test drives, with the stream open. Times go on by themselves. */
async function rig(fps = 25) {
  const source = scriptedSource('cam');
  const made = makeTestHub({ sources: [source.module], streams: { porch: ['cam:1'] } });
  const stream = made.hub.require('porch');
  const opening = stream.open({
    formatName: 'hls/fmp4',
    protocol: 'http',
    remoteAddr: '',
    wants: [
      { kind: 'video', codecs: 'any' },
      { kind: 'audio', codecs: 'any' },
    ],
  });
  await waitFor(() => source.connections.length > 0);
  const camera = source.connections[0];
  assert.ok(camera !== undefined);
  camera.describe({
    tracks: [
      { kind: 'video', codec: 'h264', clockRateHz: 90_000, format: video },
      { kind: 'audio', codec: 'aac', clockRateHz: 16_000, format: aac },
    ],
  });
  const consumer = await opening;
  let ms = 0;
  const send = (track: number, format: TrackFormat, ticks: number, key: boolean): void => {
    camera.sink.unit({ track, format, ticks, key, data: Buffer.alloc(500) });
    camera.sink.flush();
  };
  return {
    made,
    stream,
    consumer,
    /** So many pictures, with a key frame every `gop` of them, beginning with one; and their sound. */
    play(pictures: number, gop: number, format = video): void {
      for (let index = 0; index < pictures; index++) {
        send(1, aac, Math.round(ms * 16), true);
        send(0, format, Math.round(ms * 90), index % gop === 0);
        ms += 1000 / fps;
      }
    },
    wait(gapMs: number): void {
      ms += gapMs;
    },
  };
}

function playlistOf(muxer: HlsMuxer, skip = false) {
  const parsed = parsePlaylist(mediaPlaylist(muxer, { id: 'x', skip, reports: [] }));
  assert.ok(parsed.kind === 'media');
  return parsed;
}

for (const fps of [5, 10, 15, 20, 25, 30, 60]) {
  test(`parts at ${fps} pictures a second are no longer than the target and at least 85 % of it`, async () => {
    const { made, stream, consumer, play } = await rig(fps);
    await using _ = made;
    play(1, 50);
    using muxer = new HlsMuxer(stream, consumer.tracks, START);
    play(fps * 6, fps * 2);
    const playlist = playlistOf(muxer);
    const target = playlist.partTargetMs ?? 0;
    assert.ok(target <= 334 || fps < 4, `target ${target} ms`);
    assert.ok((playlist.serverControl?.partHoldBackMs ?? 0) >= 3 * target - 1);
    let checked = 0;
    for (const segment of playlist.segments) {
      for (const [index, part] of segment.parts.entries()) {
        assert.ok(part.durationMs <= target + 0.1, `part of ${part.durationMs} ms, target ${target}`);
        const last = index === segment.parts.length - 1;
        // The first picture's length is not known before the second one.
        if (last || (segment.sequence === 0 && index === 0)) continue;
        assert.ok(part.durationMs >= 0.85 * target - 0.1, `part of ${part.durationMs} ms, target ${target}`);
        checked++;
      }
    }
    assert.ok(checked > 5);
  });
}

test('segments begin with key frames, hold at least a second, and last as long as their parts', async () => {
  const { made, stream, consumer, play } = await rig();
  await using _ = made;
  play(1, 50);
  using muxer = new HlsMuxer(stream, consumer.tracks, START);
  play(100, 10); // a key frame every 0.4 s
  const { segments, targetDurationMs } = playlistOf(muxer);
  assert.ok(segments.length >= 3);
  for (const segment of segments.slice(0, -1)) {
    assert.ok(segment.durationMs >= 1_000 && segment.durationMs < 1_500, `${segment.durationMs} ms`);
    assert.ok(Math.round(segment.durationMs / 1000) <= targetDurationMs / 1000);
    assert.equal(segment.parts[0]?.independent, true);
    const partsMs = segment.parts.reduce((sum, part) => sum + part.durationMs, 0);
    assert.ok(Math.abs(partsMs - segment.durationMs) < 1);
    assert.ok(Math.abs((segment.programDateTimeMs ?? 0) - Date.now()) < 60_000);
  }
});

test('the cached GOP is there as parts before anything new comes', async () => {
  const { made, stream, consumer, play } = await rig();
  await using _ = made;
  play(40, 50);
  using muxer = new HlsMuxer(stream, consumer.tracks, START);
  const { segments } = playlistOf(muxer);
  assert.equal(segments.length, 1);
  assert.equal(segments[0]?.uri, '');
  assert.ok((segments[0]?.parts.length ?? 0) >= 4);
  assert.equal(segments[0]?.parts[0]?.independent, true);
  assert.ok(muxer.has(0, 0) && !muxer.has(0, 30) && !muxer.has(0, undefined) && !muxer.has(1, 0));
});

test('the window stays bounded, and a delta update leaves out what lies before the skip boundary', async () => {
  const { made, stream, consumer, play } = await rig();
  await using _ = made;
  play(1, 50);
  using muxer = new HlsMuxer(stream, consumer.tracks, START);
  play(50 * 40, 50);
  const whole = playlistOf(muxer);
  assert.ok(whole.segments.length >= 8 && whole.segments.length <= 11, `${whole.segments.length} segments`);
  assert.ok(whole.mediaSequence > 25);
  const delta = playlistOf(muxer, true);
  assert.ok(delta.skippedSegments >= 1, 'something is left out');
  assert.equal(delta.mediaSequence, whole.mediaSequence);
  assert.deepEqual(
    delta.segments.map((segment) => segment.sequence),
    whole.segments.slice(delta.skippedSegments).map((segment) => segment.sequence),
  );
  const leftMs = delta.segments.reduce((sum, segment) => sum + segment.durationMs, 0);
  assert.ok(leftMs >= (whole.serverControl?.canSkipUntilMs ?? 0));
  // Parts are listed for the last segments only.
  assert.equal(whole.segments[0]?.parts.length, 0);
  assert.ok((whole.segments.at(-2)?.parts.length ?? 0) > 0);
});

test('a part behind the last one of a segment is the first one of the next', async () => {
  const { made, stream, consumer, play } = await rig();
  await using _ = made;
  play(1, 50);
  using muxer = new HlsMuxer(stream, consumer.tracks, START);
  play(50, 50);
  const count = muxer.window.find(0)?.parts.length ?? 0;
  play(1, 50);
  assert.equal(muxer.window.find(0)?.closed, true);
  assert.equal(muxer.has(0, undefined), true);
  assert.equal(muxer.has(0, count + 5), false, 'segment 1 has no part yet');
  play(10, 50);
  assert.equal(muxer.has(0, count + 5), muxer.has(1, 0));
});

test('a new resolution: a discontinuity with an init segment of its own', async () => {
  const { made, stream, consumer, play } = await rig();
  await using _ = made;
  play(1, 50);
  using muxer = new HlsMuxer(stream, consumer.tracks, START);
  play(60, 50);
  const larger = videoFormat({ width: 1920, height: 1080, config: Buffer.from([2]) });
  play(60, 50, larger);
  const { segments } = playlistOf(muxer);
  const changed = segments.findIndex((segment) => segment.discontinuity);
  assert.ok(changed > 0);
  assert.deepEqual(
    segments.map((segment) => segment.map?.uri),
    segments.map((_, index) => `init.mp4?id=x&v=${index < changed ? 0 : 1}`),
  );
  assert.ok(muxer.init(0)?.length !== undefined && muxer.init(1)?.length !== undefined);
  assert.equal(muxer.init(2), undefined);
  assert.equal(muxer.facts().width, 1920);
  play(50 * 40, 50, larger);
  const later = playlistOf(muxer);
  assert.equal(later.discontinuitySequence, 1, 'counted on when it has left the window');
  assert.equal(muxer.init(0), undefined, 'nobody can ask for it any more');
});

test('a muxer that follows an earlier one goes on counting and tells of the break', async () => {
  const { made, stream, consumer, play } = await rig();
  await using _ = made;
  play(1, 50);
  const first = new HlsMuxer(stream, consumer.tracks, START);
  play(120, 50);
  const next = { ...first.window.after(), initVersion: first.initVersion + 1 };
  first[Symbol.dispose]();
  using second = new HlsMuxer(stream, consumer.tracks, next);
  play(60, 50);
  const { segments, mediaSequence } = playlistOf(second);
  assert.equal(mediaSequence, 3);
  assert.equal(segments[0]?.discontinuity, true);
  assert.equal(segments[0]?.map?.uri, 'init.mp4?id=x&v=1');
  assert.ok(first.window.findPart(next.part) === undefined && second.window.findPart(next.part) !== undefined);
});

test('waiting for a part ends with it, with the time, or with the muxer', async () => {
  const { made, stream, consumer, play } = await rig();
  await using _ = made;
  play(1, 50);
  const muxer = new HlsMuxer(stream, consumer.tracks, START);
  const part = muxer.wait(() => muxer.has(0, 1), 10_000);
  const late = muxer.wait(() => muxer.has(9, 1), 5);
  const cut = muxer.wait(() => muxer.has(9, 1), 10_000);
  play(25, 50);
  assert.equal(await part, true);
  assert.equal(await late, false);
  muxer[Symbol.dispose]();
  assert.equal(await cut, false);
  assert.equal(muxer.waiting, 0);
});
