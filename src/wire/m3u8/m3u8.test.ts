import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WireError } from '../../core/errors.ts';
import { parseAttributes } from './attributes.ts';
import { parsePlaylist } from './parse.ts';
import type { MasterPlaylist, MediaPlaylist } from './playlist.ts';
import { writeMasterPlaylist, writeMediaPlaylist } from './write.ts';

const attributeRows: { text: string; want: Record<string, string> }[] = [
  { text: 'A=1,B="two, three",C=x', want: { A: '1', B: 'two, three', C: 'x' } },
  { text: ' A = 1 , b="" ', want: { A: '1', B: '' } },
  { text: 'A="open, B=2', want: { A: 'open, B=2' } },
  { text: 'rubbish,A=1', want: { A: '1' } },
  { text: 'A=1,,B=2,=3', want: { A: '1', B: '2' } },
  { text: '', want: {} },
];
for (const row of attributeRows) {
  test(`attribute list: ${row.text}`, () => assert.deepEqual(Object.fromEntries(parseAttributes(row.text)), row.want));
}

const media: MediaPlaylist = {
  kind: 'media',
  version: 9,
  targetDurationMs: 4000,
  partTargetMs: 330,
  serverControl: { canBlockReload: true, canSkipUntilMs: 24_000, partHoldBackMs: 990 },
  mediaSequence: 10,
  discontinuitySequence: 2,
  independentSegments: true,
  ended: false,
  skippedSegments: 3,
  segments: [
    {
      sequence: 13,
      uri: 's13.m4s',
      durationMs: 4000,
      map: { uri: 'init.mp4?v=1' },
      discontinuity: false,
      gap: false,
      programDateTimeMs: Date.UTC(2026, 10, 24, 15, 0, 0, 250),
      parts: [],
    },
    {
      sequence: 14,
      uri: 's14.m4s',
      durationMs: 2000,
      byteRange: { bytes: 500, offset: 100 },
      map: { uri: 'init.mp4?v=2', byteRange: { bytes: 90, offset: 0 } },
      key: { method: 'AES-128', uri: 'k', iv: Buffer.alloc(16, 3) },
      discontinuity: true,
      gap: true,
      parts: [
        { uri: 'p1', durationMs: 330, independent: true, gap: false, byteRange: { bytes: 5, offset: undefined } },
      ],
    },
    {
      sequence: 15,
      uri: '',
      durationMs: 660,
      map: { uri: 'init.mp4?v=2', byteRange: { bytes: 90, offset: 0 } },
      key: { method: 'AES-128', uri: 'k', iv: Buffer.alloc(16, 3) },
      discontinuity: false,
      gap: false,
      parts: [
        { uri: 'p2', durationMs: 330, independent: true, gap: false },
        { uri: 'p3', durationMs: 330, independent: false, gap: true },
      ],
    },
  ],
  preloadHint: 'p4',
  renditionReports: [{ uri: 'other.m3u8', lastSequence: 20, lastPart: 1 }],
};

test('a low-latency media playlist reads back as it was written', () => {
  assert.deepEqual(parsePlaylist(writeMediaPlaylist(media)), media);
});

test('a multivariant playlist reads back as it was written', () => {
  const master: MasterPlaylist = {
    kind: 'master',
    independentSegments: true,
    variants: [
      {
        uri: 'hls/playlist.m3u8?id=a',
        bandwidth: 4_000_000,
        averageBandwidth: 3_000_000,
        codecs: ['avc1.640029', 'mp4a.40.2'],
        width: 2560,
        height: 1440,
        frameRate: 20,
        audioGroup: 'a',
      },
      { uri: 'b', bandwidth: 1, codecs: [] },
    ],
    renditions: [{ type: 'AUDIO', groupId: 'a', name: 'sound', uri: 'a.m3u8', isDefault: true }],
  };
  const text = writeMasterPlaylist(master);
  assert.deepEqual(parsePlaylist(text), master);
  assert.match(text, /^#EXTM3U\n#EXT-X-INDEPENDENT-SEGMENTS\n/);
});

const foreign: { name: string; text: string; check: (playlist: MediaPlaylist) => void }[] = [
  {
    name: 'go2rtc, fMP4',
    text: '#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-MAP:URI="init.mp4?id=x"\n#EXTINF:0.500,\nsegment.m4s?id=x&n=7\n#EXTINF:0.500,\nsegment.m4s?id=x&n=8\n',
    check: (playlist) => {
      assert.deepEqual(
        playlist.segments.map((segment) => [segment.sequence, segment.uri, segment.durationMs, segment.map?.uri]),
        [
          [7, 'segment.m4s?id=x&n=7', 500, 'init.mp4?id=x'],
          [8, 'segment.m4s?id=x&n=8', 500, 'init.mp4?id=x'],
        ],
      );
    },
  },
  {
    name: 'CRLF, a byte order mark, a title, comments and unknown tags',
    text: '\uFEFF#EXTM3U\r\n# hello\r\n#EXT-X-TARGETDURATION:10\r\n#EXT-X-NEWS:1\r\n\r\n#EXTINF:9.9,a title, with comma\r\na.ts\r\n#EXT-X-ENDLIST\r\n',
    check: (playlist) => {
      assert.equal(playlist.ended, true);
      assert.deepEqual(
        playlist.segments.map((segment) => [segment.uri, segment.durationMs]),
        [['a.ts', 9900]],
      );
    },
  },
  {
    name: 'an encryption that ends',
    text: '#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-KEY:METHOD=AES-128,URI="k"\n#EXTINF:2,\na\n#EXT-X-KEY:METHOD=NONE\n#EXTINF:2,\nb\n',
    check: (playlist) => {
      assert.deepEqual(
        playlist.segments.map((segment) => segment.key?.method),
        ['AES-128', undefined],
      );
    },
  },
  {
    name: 'numbers that are none',
    text: '#EXTM3U\n#EXT-X-TARGETDURATION:x\n#EXT-X-MEDIA-SEQUENCE:-4\n#EXTINF:abc,\na\n#EXTINF:-1\nb\n',
    check: (playlist) => {
      assert.equal(playlist.mediaSequence, 0);
      assert.deepEqual(
        playlist.segments.map((segment) => segment.durationMs),
        [0, 0],
      );
    },
  },
];
for (const row of foreign) {
  test(`playlist: ${row.name}`, () => {
    const playlist = parsePlaylist(row.text);
    assert.ok(playlist.kind === 'media');
    row.check(playlist);
  });
}

for (const [text, code] of [
  ['<html>not found</html>', 'm3u8.start'],
  ['', 'm3u8.start'],
  ['#EXTM3U\n', 'm3u8.empty'],
  ['#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n', 'm3u8.empty'],
]) {
  test(`a playlist that is none is refused: ${JSON.stringify(text)}`, () => {
    assert.throws(
      () => parsePlaylist(text ?? ''),
      (error) => error instanceof WireError && error.code === code,
    );
  });
}

test('an address with quotes or line breaks can not break out of its place', () => {
  const text = writeMediaPlaylist({ ...media, segments: [], preloadHint: 'x"\n#EXT-X-ENDLIST' });
  const parsed = parsePlaylist(text);
  assert.ok(parsed.kind === 'media');
  assert.equal(parsed.ended, false);
});
