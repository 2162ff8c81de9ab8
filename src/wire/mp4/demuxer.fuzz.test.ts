import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { makeClip, testPicture } from '../../../testkit/mp4-source.ts';
import { WireError } from '../../core/errors.ts';
import { Mp4Demuxer } from './demuxer.ts';
import { fragment } from './fragment.ts';
import { initSegment } from './init.ts';

const numRuns = Number(process.env['FUZZ_RUNS'] ?? 300);

/** Reads the bytes in pieces; only a WireError may come out. */
function survive(bytes: Buffer, pieceBytes: number): void {
  let units = 0;
  const demuxer = new Mp4Demuxer({
    tracks: () => {},
    unit: (unit) => {
      units++;
      assert.ok(unit.data.length <= bytes.length);
      assert.ok(Number.isSafeInteger(unit.ticks));
    },
  });
  try {
    for (let at = 0; at < bytes.length; at += pieceBytes) demuxer.push(bytes.subarray(at, at + pieceBytes));
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
  }
  assert.ok(units <= bytes.length);
}

async function corpus(video: readonly string[], audio: readonly string[]): Promise<Buffer> {
  const clip = await makeClip(testPicture({ seconds: 1, size: '64x64', fps: 5, video, audio }));
  const formats = clip.tracks.map((track) => track.format).filter((format) => format !== null);
  return Buffer.concat([
    initSegment(formats.map((format, index) => ({ id: index + 1, format, startTicks: 5 }))),
    ...clip.units.slice(0, 6).map((unit, index) =>
      fragment(index, [
        {
          trackId: unit.track + 1,
          decodeTicks: index * 1000,
          samples: [{ data: unit.data, durationTicks: 1000, offsetTicks: 0, key: unit.key }],
        },
      ]),
    ),
  ]);
}

const files = await Promise.all([
  corpus(['-c:v', 'libx264', '-preset', 'ultrafast', '-pix_fmt', 'yuv420p'], ['-c:a', 'aac']),
  corpus(['-c:v', 'libx265', '-x265-params', 'log-level=none', '-tag:v', 'hvc1'], ['-c:a', 'libopus']),
  corpus(['-c:v', 'libvpx-vp9', '-deadline', 'realtime', '-cpu-used', '8'], ['-c:a', 'flac', '-strict', '-2']),
]);

test('random bytes never crash the MP4 reader', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2000 }), fc.integer({ min: 1, max: 500 }), (bytes, piece) => {
      survive(Buffer.from(bytes), piece);
      // As if it had begun well.
      survive(Buffer.concat([files[0] ?? Buffer.alloc(0), Buffer.from(bytes)]), 4096);
    }),
    { numRuns },
  );
});

test('real files with damaged bytes never crash the MP4 reader', () => {
  const change = fc.record({ at: fc.nat(), value: fc.integer({ min: 0, max: 255 }) });
  fc.assert(
    fc.property(
      fc.constantFrom(...files),
      fc.array(change, { minLength: 1, maxLength: 20 }),
      fc.integer({ min: 50, max: 5000 }),
      fc.boolean(),
      (file, changes, piece, early) => {
        const bytes = Buffer.from(file);
        // Most of the structure is in the first bytes.
        for (const { at, value } of changes) bytes[at % (early ? Math.min(1500, bytes.length) : bytes.length)] = value;
        survive(bytes, piece);
      },
    ),
    { numRuns },
  );
});

test('real files that are cut off or have bytes missing never crash the MP4 reader', () => {
  fc.assert(
    fc.property(fc.constantFrom(...files), fc.nat(), fc.nat({ max: 300 }), (file, at, bytes) => {
      const from = at % file.length;
      survive(Buffer.concat([file.subarray(0, from), file.subarray(from + bytes)]), 700);
      survive(file.subarray(0, from), 700);
    }),
    { numRuns },
  );
});
