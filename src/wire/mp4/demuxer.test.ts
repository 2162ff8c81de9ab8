import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeClip, readClip, testPicture } from '../../../testkit/mp4-source.ts';
import { WireError } from '../../core/errors.ts';
import { box, fullBox, u32, zeros } from './box.ts';
import { type DemuxedTrack, type DemuxedUnit, Mp4Demuxer } from './demuxer.ts';
import { fragment } from './fragment.ts';
import { initSegment } from './init.ts';

interface Read {
  readonly tracks: (readonly DemuxedTrack[])[];
  readonly units: DemuxedUnit[];
  readonly problems: string[];
}

function read(pieces: readonly Buffer[]): Read {
  const out: Read = { tracks: [], units: [], problems: [] };
  const demuxer = new Mp4Demuxer({
    tracks: (tracks) => out.tracks.push(tracks),
    unit: (unit) => out.units.push(unit),
    problem: (problem) => out.problems.push(problem.code),
  });
  for (const piece of pieces) demuxer.push(piece);
  return out;
}

function cut(bytes: Buffer, size: number): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.subarray(at, at + size));
  return pieces;
}

const clip = await makeClip(testPicture({ seconds: 1, size: '64x64' }));
const [video, audio] = clip.tracks.map((track) => track.format);
assert.ok(video?.kind === 'video' && audio?.kind === 'audio');
const init = initSegment([
  { id: 7, format: video },
  { id: 9, format: audio },
]);
const sampleOf = (unit: DemuxedUnit) => ({ data: unit.data, durationTicks: 3600, offsetTicks: 0, key: unit.key });
const pictures = clip.units.filter((unit) => unit.track === 0);
const frames = clip.units.filter((unit) => unit.track === 1);
const both = fragment(1, [
  { trackId: 7, decodeTicks: 90_000, samples: pictures.slice(0, 5).map(sampleOf) },
  { trackId: 9, decodeTicks: 16_000, samples: frames.slice(0, 3).map(sampleOf) },
]);
const whole = Buffer.concat([init, both, both]);

for (const size of [1, 7, 100, 1500, 65_536]) {
  test(`the same units come out when the bytes arrive ${size} at a time`, () => {
    const out = read(cut(whole, size));
    assert.equal(out.tracks.length, 1);
    assert.equal(out.units.length, 16);
    assert.deepEqual(
      out.units.slice(0, 8).map((unit) => [unit.track, unit.decodeTicks, unit.key]),
      [
        [0, 90_000, true],
        [0, 93_600, false],
        [0, 97_200, false],
        [0, 100_800, false],
        [0, 104_400, false],
        [1, 16_000, true],
        [1, 19_600, true],
        [1, 23_200, true],
      ],
    );
    assert.ok(out.units.slice(0, 5).every((unit, index) => unit.data.equals(pictures[index]?.data ?? zeros(0))));
    assert.deepEqual(out.problems, []);
  });
}

test('boxes that say nothing to us are passed over', () => {
  const noise = [box('styp', zeros(12)), box('sidx', zeros(40)), box('emsg', zeros(99)), box('abcd', zeros(5000))];
  const out = read(cut(Buffer.concat([init, ...noise, both, ...noise, both]), 333));
  assert.equal(out.units.length, 16);
});

test('a new init segment in mid-stream gives new tracks', () => {
  const out = read([init, both, initSegment([{ id: 3, format: audio }]), both]);
  assert.deepEqual(
    out.tracks.map((tracks) => tracks.map((track) => track.kind)),
    [['video', 'audio'], ['audio']],
  );
  assert.equal(out.units.length, 8, 'tracks that are gone give nothing');
});

test('a track of a kind that we do not carry is left out, the others play', () => {
  const text = box(
    'trak',
    fullBox('tkhd', 0, 3, u32(0, 0, 5), zeros(60)),
    box(
      'mdia',
      fullBox('mdhd', 0, 0, u32(0, 0, 1000, 0, 0)),
      box('minf', box('stbl', fullBox('stsd', 0, 0, u32(1), box('wvtt', zeros(8))))),
    ),
  );
  const moov = init.subarray(init.indexOf('moov') - 4);
  const patched = Buffer.concat([box('moov', moov.subarray(8), text)]);
  const out = read([patched, both]);
  assert.equal(out.tracks[0]?.length, 2);
  assert.equal(out.units.length, 8);
});

test('data offsets without default-base-is-moof and without data offset follow one another (old ffmpeg, cameras)', async () => {
  const old = await makeClip([...testPicture({ seconds: 1, size: '64x64' }), '-movflags', 'frag_keyframe+empty_moov']);
  assert.ok(old.units.length > 30);
});

test('a picture whose NAL lengths are wrong is left out and told of', () => {
  const broken = Buffer.from(both);
  const at = broken.indexOf('mdat') + 4;
  broken.writeUInt32BE(0x7fff_ffff, at);
  const out = read([init, broken, both]);
  assert.deepEqual(out.problems, ['nal.length']);
  assert.equal(out.units.length, 15);
});

test('segments one behind the other: restart() forgets what was half read', () => {
  const out: DemuxedUnit[] = [];
  const demuxer = new Mp4Demuxer({ tracks: () => {}, unit: (unit) => out.push(unit) });
  demuxer.push(init);
  demuxer.push(both.subarray(0, both.length - 10));
  demuxer.restart();
  demuxer.push(both);
  assert.equal(out.length, 7 + 8);
});

const refused = [
  { name: 'no MP4 at all', bytes: Buffer.from('HTTP/1.1 404 Not Found\r\n\r\n'), code: 'mp4.start' },
  { name: 'a box shorter than its header', bytes: Buffer.concat([init, u32(4), Buffer.from('moof')]), code: 'mp4.box' },
  { name: 'a moof of 2 GiB', bytes: Buffer.concat([init, u32(0x7fff_ffff), Buffer.from('moof')]), code: 'mp4.large' },
  {
    name: 'a run of four billion samples without sizes',
    bytes: Buffer.concat([
      init,
      box('moof', box('traf', fullBox('tfhd', 0, 0, u32(7)), fullBox('trun', 0, 0, u32(0xffff_ffff)))),
    ]),
    code: 'mp4.samples',
  },
  {
    name: 'a sample of one gigabyte',
    bytes: Buffer.concat([
      init,
      box('moof', box('traf', fullBox('tfhd', 0, 0, u32(7)), fullBox('trun', 0, 0x200, u32(1, 1 << 30)))),
    ]),
    code: 'mp4.sample',
  },
];
for (const row of refused) {
  test(`${row.name} is refused with a reason`, () => {
    assert.throws(
      () => read([row.bytes]),
      (error) => error instanceof WireError && error.code === row.code,
    );
  });
}

test('what ffmpeg writes with one fragment for each GOP is read alike', async () => {
  const perFrame = await makeClip(testPicture({ seconds: 2, gop: 10 }));
  assert.equal(perFrame.units.filter((unit) => unit.key && unit.track === 0).length, 5);
  assert.ok(readClip(whole).units.length === 16);
});
