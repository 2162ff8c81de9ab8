import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Codec, Track } from './media.ts';
import { describeMismatch, type MediaWant, negotiate } from './negotiate.ts';
import { wantsFromQuery } from './wants.ts';

function track(id: number, codec: Codec): Track {
  const kind = codec === 'h264' || codec === 'h265' || codec === 'jpeg' ? 'video' : 'audio';
  return { id, kind, codec, format: null, bytes: 0, units: 0 };
}

const camera = [track(0, 'h264'), track(1, 'pcma'), track(2, 'aac')];

const rows: { name: string; query: string; want: number[]; missing: number }[] = [
  { name: 'first video and first audio', query: 'video&audio', want: [0, 1], missing: 0 },
  { name: 'video alone', query: 'video', want: [0], missing: 0 },
  {
    name: 'a codec list takes the first track that fits',
    query: 'video=h264,h265&audio=aac',
    want: [0, 2],
    missing: 0,
  },
  { name: 'all audio', query: 'audio=all', want: [1, 2], missing: 0 },
  { name: 'two audio tracks by repetition', query: 'audio=pcma&audio=aac', want: [1, 2], missing: 0 },
  { name: 'copy takes what there is', query: 'video=copy&audio=copy', want: [0, 1], missing: 0 },
  { name: 'a codec that is not there is missing', query: 'video&audio=opus', want: [0], missing: 1 },
  { name: 'mp4 means H.264/H.265 with AAC', query: 'mp4', want: [0, 2], missing: 0 },
  { name: 'codec with rate', query: 'audio=pcma/8000', want: [1], missing: 0 },
  { name: 'an unknown codec name fits nothing', query: 'audio=constructor', want: [], missing: 1 },
];
for (const row of rows) {
  test(`tracks for ?${row.query}: ${row.name}`, () => {
    const result = negotiate(camera, wantsFromQuery(new URLSearchParams(row.query)));
    assert.deepEqual(
      result.tracks.map((one) => one.id),
      row.want,
    );
    assert.equal(result.missing.length, row.missing);
  });
}

test('a mismatch is told in the words that clients show', () => {
  const wants: MediaWant[] = [
    { kind: 'video', codecs: ['h264', 'h265'] },
    { kind: 'audio', codecs: ['aac'] },
  ];
  assert.equal(
    describeMismatch([track(0, 'jpeg')], wants),
    'streams: codecs not matched: video:JPEG => video:H264, video:H265, audio:AAC',
  );
});
