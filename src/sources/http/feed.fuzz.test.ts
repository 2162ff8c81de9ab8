import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { hevcFlv } from '../../../testkit/hevc-flv.ts';
import { MemoryLog } from '../../../testkit/memory-log.ts';
import { Problems } from '../../core/containers/input.ts';
import { HearthcamError } from '../../core/errors.ts';
import type { SourceSink, SourceUnit } from '../../core/source.ts';
import { Body } from './body.ts';

const runs = Math.ceil(Number(process.env['FUZZ_RUNS'] ?? 300) / 3);
const run = promisify(execFile);

/** Feeds a body in pieces; gives the units that came out. Fails on anything but a reason in our own words. */
function drive(bytes: Buffer, step: number): number {
  let units = 0;
  let tracks = -1;
  const sink: SourceSink = {
    describe: (description) => {
      tracks = description.tracks.length;
      return description.tracks.map(() => true);
    },
    unit: (unit: SourceUnit) => {
      assert.ok(unit.track >= 0 && unit.track < tracks, 'a unit of a described track');
      assert.ok(Number.isFinite(unit.ticks), 'a time');
      assert.ok(unit.data.length > 0, 'bytes');
      units++;
    },
    flush: () => {},
    alive: () => {},
    sync: () => {},
  };
  let nowMs = 0;
  try {
    const body = new Body('', 'test', '', {
      sink,
      about: { protocol: 'http', remoteAddr: '' },
      problems: new Problems(new MemoryLog(), 'test'),
      nowMs: () => nowMs++,
    });
    for (let at = 0; at < bytes.length; at += step) body.push(bytes.subarray(at, at + step));
    body.end();
  } catch (error) {
    if (!(error instanceof HearthcamError)) throw error;
  }
  return units;
}

describe('a camera that sends damaged media', () => {
  const seeds = new Map<string, Buffer>();
  before(async () => {
    const make = async (...args: string[]): Promise<Buffer> => {
      const input = ['-f', 'lavfi', '-i', 'testsrc2=s=64x48:r=25:d=0.5', '-f', 'lavfi', '-i', 'sine=r=16000:d=0.5'];
      const codec = ['-c:v', 'libx264', '-g', '5', '-pix_fmt', 'yuv420p', '-c:a', 'aac', '-ac', '1'];
      const { stdout } = await run('ffmpeg', ['-v', 'error', ...input, ...codec, ...args, '-'], { encoding: 'buffer' });
      return stdout;
    };
    const hevc = ['-map', '0:v', '-c:v', 'libx265', '-x265-params', 'log-level=none:keyint=5', '-f', 'hevc'];
    seeds.set('FLV', await make('-f', 'flv'));
    seeds.set('MPEG-TS', await make('-f', 'mpegts'));
    seeds.set('MPEG-TS with LATM', await make('-mpegts_flags', 'latm', '-f', 'mpegts'));
    seeds.set('MP4', await make('-movflags', 'frag_keyframe+empty_moov+default_base_moof', '-f', 'mp4'));
    seeds.set('H.264', await make('-map', '0:v', '-f', 'h264'));
    seeds.set('H.265 in FLV', hevcFlv(await make(...hevc), 'enhanced'));
    seeds.set('MJPEG', await make('-map', '0:v', '-c:v', 'mjpeg', '-f', 'mpjpeg'));
    seeds.set('AAC', await make('-map', '1:a', '-f', 'adts'));
  });

  const names = ['FLV', 'MPEG-TS', 'MPEG-TS with LATM', 'MP4', 'H.264', 'H.265 in FLV', 'MJPEG', 'AAC'];
  for (const name of names) {
    test(`${name}: changed, missing and repeated bytes give units or a reason`, () => {
      const seed = seeds.get(name) ?? assert.fail();
      assert.ok(drive(seed, 1000) > 5, 'undamaged it gives units');
      const place = fc.nat(seed.length - 1);
      fc.assert(
        fc.property(
          fc.array(fc.tuple(place, fc.nat(255)), { maxLength: 12 }),
          fc.array(fc.tuple(fc.boolean(), place, fc.nat(300)), { maxLength: 3 }),
          fc.integer({ min: 50, max: 5000 }),
          (changes, cuts, step) => {
            let bytes: Buffer = Buffer.from(seed);
            for (const [at, value] of changes) bytes[at] = value;
            for (const [repeat, at, length] of cuts) {
              const end = repeat ? at : at + length;
              bytes = Buffer.concat([bytes.subarray(0, repeat ? at + length : at), bytes.subarray(end)]);
            }
            drive(bytes, step);
          },
        ),
        { numRuns: runs },
      );
    });
  }
});
