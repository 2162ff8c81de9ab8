import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EncoderMaker } from '../../process/video-codecs.ts';
import { softwareDecoder } from '../../process/video-decoder.ts';
import { softwareEncoder } from '../../process/video-encoder.ts';
import { JobError } from '../../protocol.ts';
import { type TriedMakers, tryKind } from './try-kind.ts';

/** A device that works: the processor. */
const GOOD: TriedMakers = {
  open: () => {},
  decoder: softwareDecoder,
  encoder: softwareEncoder,
  isHardware: () => true,
};

/** Codes each picture as the first one. */
const STUCK: EncoderMaker = {
  name: 'stuck',
  open: (target, kind, fps) => {
    const encoder = softwareEncoder.open(target, kind, fps);
    let first: Parameters<typeof encoder.encode>[0] | undefined;
    return {
      encode: (picture, pts, key) => {
        first ??= picture;
        return encoder.encode(first, pts, key);
      },
      [Symbol.dispose]: () => encoder[Symbol.dispose](),
    };
  },
};

const all = ['h264', 'h265'];
const rows: readonly {
  name: string;
  change: Partial<TriedMakers>;
  decode: readonly string[];
  encode: readonly string[];
  error?: RegExp;
}[] = [
  { name: 'one that works is found to decode and code both', change: {}, decode: all, encode: all },
  {
    name: 'one that gives other pictures than it should is not used for coding',
    change: { encoder: STUCK },
    decode: all,
    encode: [],
    error: /coding h264: what comes out does not look like what went in; coding h265: /,
  },
  {
    name: 'one whose pictures come from the processor does not decode',
    change: { isHardware: () => false },
    decode: [],
    encode: all,
    error: /decoding h264: the device does not decode it; decoding h265: /,
  },
  {
    name: 'one that codes H.264 alone is used for that',
    change: {
      encoder: {
        name: 'old',
        open: (target, kind, fps) => {
          if (target.codec === 'h265') throw new JobError('request', 'no entry point');
          return softwareEncoder.open(target, kind, fps);
        },
      },
    },
    decode: all,
    encode: ['h264'],
    error: /^coding h265: no entry point$/,
  },
  {
    name: 'one that can not be opened has the reason and what to install',
    change: {
      open: () => {
        throw new JobError('request', "VAAPI can't be opened: Input/output error");
      },
    },
    decode: [],
    encode: [],
    error: /^VAAPI can't be opened: Input\/output error/,
  },
];
for (const { name, change, decode, encode, error } of rows) {
  test(`a device is tried with real pictures: ${name}`, async () => {
    const partial: string[] = [];
    const report = await tryKind(
      'vaapi',
      '/dev/dri/renderD128',
      (one) => partial.push([...one.decode, ...one.encode].join()),
      { ...GOOD, ...change },
    );
    assert.deepEqual([report.decode, report.encode], [decode, encode]);
    if (error === undefined) assert.equal(report.error, undefined);
    else assert.match(report.error ?? '', error);
    assert.equal(partial.length, decode.length + encode.length);
    if (change.open !== undefined) assert.match(report.hint ?? '', /intel-media-va-driver/);
  });
}
