import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeAudioFormat, makeVideoFormat } from '../../wire/codecs/formats.ts';
import type { SourceSink } from '../source.ts';
import { TrackSet } from './track-set.ts';

const picture = makeVideoFormat('jpeg', 16, 16);
const sound = makeAudioFormat('pcma', 8_000, 1);
const unit = (format: typeof picture | typeof sound, ticks: number) => ({
  format,
  ticks,
  key: true,
  data: Buffer.alloc(1),
});

function setup() {
  const said: string[] = [];
  const sink: SourceSink = {
    describe: ({ tracks }) => {
      said.push(`tracks ${tracks.map((track) => track.codec).join('+')}`);
      return tracks.map(() => true);
    },
    unit: ({ track, ticks }) => said.push(`${track}@${ticks}`),
    flush: () => {},
    alive: () => {},
    sync: () => {},
  };
  return { said, tracks: new TrackSet(sink, { formatName: '', protocol: '', remoteAddr: '' }) };
}

test('tracks are described together when all are known, pictures first, with the units that came meanwhile', () => {
  const { said, tracks } = setup();
  tracks.hope(['video', 'audio']);
  const audio = tracks.add('audio', 'pcma');
  tracks.unit(audio, unit(sound, 1));
  tracks.settle(0);
  const video = tracks.add('video', 'jpeg');
  tracks.settle(10);
  assert.deepEqual(said, []);
  tracks.unit(video, unit(picture, 2));
  tracks.settle(20);
  tracks.unit(audio, unit(sound, 3));
  assert.deepEqual(said, ['tracks jpeg+pcma', '1@1', '0@2', '1@3']);
});

test('sound that is promised and does not come keeps the picture waiting for no more than a second and a half', () => {
  const { said, tracks } = setup();
  tracks.hope(['video', 'audio']);
  const video = tracks.add('video', 'jpeg');
  for (const nowMs of [0, 1_400, 1_500]) {
    tracks.unit(video, unit(picture, nowMs));
    tracks.settle(nowMs);
    assert.equal(said.length, nowMs < 1_500 ? 0 : 4);
  }
});

test('a track that turns up late is added behind the others, which keep their places', () => {
  const { said, tracks } = setup();
  const audio = tracks.add('audio', 'pcma', sound);
  tracks.settle(0);
  const video = tracks.add('video', 'jpeg');
  tracks.unit(video, unit(picture, 5));
  tracks.settle(10);
  tracks.unit(audio, unit(sound, 6));
  assert.deepEqual(said, ['tracks pcma', 'tracks pcma+jpeg', '1@5', '0@6']);
});

test('a camera that changes its codec is connected to anew', () => {
  const { tracks } = setup();
  tracks.add('video', 'h264', { ...picture, codec: 'h264' });
  assert.throws(() => tracks.add('video', 'h265'), /changed from h264 to h265/);
});
