import { test } from 'node:test';
import fc from 'fast-check';
import { WireError } from '../../core/errors.ts';
import { FlvReader } from './reader.ts';
import { parseAudioTag, parseVideoTag } from './tags.ts';
import { aacPrefix, avcPrefix, flvHeader, hevcPrefix, writeFlvTags } from './writer.ts';

const runs = Number(process.env['FUZZ_RUNS'] ?? 300);
const seed = Buffer.concat([
  flvHeader({ video: true, audio: true }),
  writeFlvTags([
    { kind: 'video', timestampMs: 0, prefix: avcPrefix('config', true, 0), data: Buffer.from('01640029ffe1', 'hex') },
    { kind: 'audio', timestampMs: 0, prefix: aacPrefix('config'), data: Buffer.from('1408', 'hex') },
    { kind: 'video', timestampMs: 40, prefix: hevcPrefix('frame', true, 0), data: Buffer.alloc(90, 7) },
  ]),
]);

function drive(bytes: Buffer, step: number): void {
  const reader = new FlvReader();
  try {
    for (let at = 0; at < bytes.length; at += step) {
      reader.push(bytes.subarray(at, at + step), (tag) => {
        if (tag.kind === 'video') parseVideoTag(tag.data);
        if (tag.kind === 'audio') parseAudioTag(tag.data);
      });
    }
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
  }
}

test('FLV: random bytes give a WireError at worst', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 400 }),
      fc.integer({ min: 1, max: 64 }),
      fc.boolean(),
      (bytes, step, headed) => {
        drive(Buffer.concat([headed ? seed.subarray(0, 13) : Buffer.alloc(0), bytes]), step);
      },
    ),
    { numRuns: runs },
  );
});

test('FLV: a real stream with changed bytes gives a WireError at worst', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(seed.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 }),
      fc.integer({ min: 1, max: 64 }),
      (changes, step) => {
        const bytes = Buffer.from(seed);
        for (const [at, value] of changes) bytes[at] = value;
        drive(bytes, step);
      },
    ),
    { numRuns: runs },
  );
});
