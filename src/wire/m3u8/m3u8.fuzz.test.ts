import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { WireError } from '../../core/errors.ts';
import { parsePlaylist } from './parse.ts';

const numRuns = Number(process.env['FUZZ_RUNS'] ?? 300);

function survive(text: string): void {
  const startMs = performance.now();
  try {
    const playlist = parsePlaylist(text);
    const count = playlist.kind === 'media' ? playlist.segments.length : playlist.variants.length;
    assert.ok(count <= text.length);
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
  }
  assert.ok(performance.now() - startMs < 2_000, `took too long: ${text.slice(0, 200)}`);
}

const tags = [
  '#EXTINF:2.000,',
  '#EXT-X-VERSION:9',
  '#EXT-X-TARGETDURATION:2',
  '#EXT-X-MEDIA-SEQUENCE:12',
  '#EXT-X-PART:DURATION=0.3,URI="p",INDEPENDENT=YES',
  '#EXT-X-PART-INF:PART-TARGET=0.33',
  '#EXT-X-MAP:URI="init.mp4",BYTERANGE="5@3"',
  '#EXT-X-KEY:METHOD=AES-128,URI="k",IV=0x00',
  '#EXT-X-BYTERANGE:5@100',
  '#EXT-X-SKIP:SKIPPED-SEGMENTS=99999999',
  '#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=24.0',
  '#EXT-X-PROGRAM-DATE-TIME:2026-11-24T15:00:00.000Z',
  '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="x"',
  '#EXT-X-RENDITION-REPORT:URI="x",LAST-MSN=4',
  '#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS="a,b",RESOLUTION=1x1',
  '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="n"',
  '#EXT-X-DISCONTINUITY',
  'segment.m4s',
];

test('random text never crashes the playlist reader', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 500, unit: 'binary' }), (text) => {
      survive(text);
      survive(`#EXTM3U\n${text}`);
    }),
    { numRuns },
  );
});

test('damaged playlists never crash the playlist reader', () => {
  const line = fc.oneof(
    fc.constantFrom(...tags),
    fc
      .tuple(fc.constantFrom(...tags), fc.nat({ max: 60 }), fc.string({ maxLength: 10 }))
      .map(([tag, at, extra]) => tag.slice(0, at) + extra + tag.slice(at)),
  );
  fc.assert(
    fc.property(fc.array(line, { maxLength: 60 }), (lines) => survive(`#EXTM3U\n${lines.join('\n')}`)),
    { numRuns },
  );
});

test('a megabyte of one character after an attribute is read in linear time', () => {
  for (const filler of [' ', '=', ',', '"', 'A', 'A=', '\t']) {
    survive(`#EXTM3U\n#EXT-X-STREAM-INF:A=${filler.repeat(1_000_000 / filler.length)}"\nx`);
    survive(`#EXTM3U\n#EXT-X-PART:${filler.repeat(1_000_000 / filler.length)}`);
  }
});
