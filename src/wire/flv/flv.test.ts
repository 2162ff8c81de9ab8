import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WireError } from '../../core/errors.ts';
import { FlvReader, type FlvTag } from './reader.ts';
import { parseAudioTag, parseVideoTag } from './tags.ts';
import { aacPrefix, avcPrefix, flvHeader, hevcPrefix, writeFlvTags } from './writer.ts';

function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(' ', ''), 'hex');
}

const videoRows = [
  {
    name: 'H.264 configuration',
    bytes: '17 00 000000 01640029',
    want: { type: 'config', codec: 'h264', data: hex('01640029') },
  },
  {
    name: 'H.264 key frame',
    bytes: '17 01 000028 00000001 65',
    want: { type: 'frame', codec: 'h264', key: true, compositionMs: 40, data: hex('0000000165') },
  },
  {
    name: 'H.264 picture with a negative composition time',
    bytes: '27 01 ffffd8 41',
    want: { type: 'frame', codec: 'h264', key: false, compositionMs: -40, data: hex('41') },
  },
  {
    name: 'Reolink sends H.265 as codec 12',
    bytes: '1c 01 000000 26',
    want: { type: 'frame', codec: 'h265', key: true, compositionMs: 0, data: hex('26') },
  },
  {
    name: 'enhanced H.265 configuration',
    bytes: '90 68766331 0101',
    want: { type: 'config', codec: 'h265', data: hex('0101') },
  },
  {
    name: 'enhanced H.265 CodedFrames has a composition time',
    bytes: 'a1 68766331 000021 aa',
    want: { type: 'frame', codec: 'h265', key: false, compositionMs: 33, data: hex('aa') },
  },
  {
    name: 'enhanced H.265 CodedFramesX has none',
    bytes: '93 68766331 aa',
    want: { type: 'frame', codec: 'h265', key: true, compositionMs: 0, data: hex('aa') },
  },
  {
    name: 'enhanced AV1 has none either',
    bytes: '91 61763031 0a0b',
    want: { type: 'frame', codec: 'av1', key: true, compositionMs: 0, data: hex('0a0b') },
  },
  { name: 'end of sequence', bytes: '17 02 000000', want: { type: 'end', codec: 'h264' } },
  { name: 'H.263 is named', bytes: '12 00', want: { type: 'other', what: 'video codec id 2' } },
  { name: 'a foreign FourCC is named', bytes: '90 00414243', want: { type: 'other', what: 'video "?ABC"' } },
  {
    name: 'HDR metadata is skipped',
    bytes: '94 68766331 02',
    want: { type: 'other', what: 'enhanced video packet type 4' },
  },
];
for (const row of videoRows) {
  test(`FLV video tag: ${row.name}`, () => assert.deepEqual(parseVideoTag(hex(row.bytes)), row.want));
}

const audioRows = [
  { name: 'AAC configuration', bytes: 'af 00 1408', want: { type: 'config', codec: 'aac', data: hex('1408') } },
  {
    name: 'AAC frame',
    bytes: 'af 01 2110',
    want: { type: 'frame', codec: 'aac', sampleRateHz: 44_100, channels: 2, data: hex('2110') },
  },
  {
    name: 'A-law is 8 kHz whatever the rate bits say',
    bytes: '72 d5d5',
    want: { type: 'frame', codec: 'pcma', sampleRateHz: 8_000, channels: 1, data: hex('d5d5') },
  },
  {
    name: 'µ-law',
    bytes: '82 ff',
    want: { type: 'frame', codec: 'pcmu', sampleRateHz: 8_000, channels: 1, data: hex('ff') },
  },
  {
    name: 'MP3',
    bytes: '2f fffb',
    want: { type: 'frame', codec: 'mp3', sampleRateHz: 44_100, channels: 2, data: hex('fffb') },
  },
  {
    name: 'enhanced Opus',
    bytes: '91 4f707573 fc',
    want: { type: 'frame', codec: 'opus', sampleRateHz: 48_000, channels: 2, data: hex('fc') },
  },
  { name: 'Speex is named', bytes: 'b6 00', want: { type: 'other', what: 'audio format 11' } },
];
for (const row of audioRows) {
  test(`FLV audio tag: ${row.name}`, () => assert.deepEqual(parseAudioTag(hex(row.bytes)), row.want));
}

for (const bytes of ['', '17', '17 01 0000', '90 6876', '91 68766331 00']) {
  test(`FLV video tag cut short is an error: "${bytes}"`, () => {
    assert.throws(() => parseVideoTag(hex(bytes)), WireError);
  });
}

function read(bytes: Buffer, step: number): FlvTag[] {
  const tags: FlvTag[] = [];
  const reader = new FlvReader();
  for (let at = 0; at < bytes.length; at += step) {
    reader.push(bytes.subarray(at, at + step), (tag) => tags.push({ ...tag, data: Buffer.from(tag.data) }));
  }
  return tags;
}

const sample = Buffer.concat([
  flvHeader({ video: true, audio: true }),
  writeFlvTags([
    { kind: 'video', timestampMs: 0, prefix: avcPrefix('config', true, 0), data: hex('01640029') },
    { kind: 'audio', timestampMs: 0, prefix: aacPrefix('config'), data: hex('1408') },
    { kind: 'video', timestampMs: 40, prefix: hevcPrefix('frame', false, -3), data: Buffer.alloc(70_000, 7) },
  ]),
]);

for (const step of [1, 5, 1000, sample.length]) {
  test(`FLV is read the same in pieces of ${step} bytes`, () => {
    const tags = read(sample, step);
    assert.deepEqual(
      tags.map((tag) => [tag.kind, tag.timestampMs, tag.data.length]),
      [
        ['video', 0, 9],
        ['audio', 0, 4],
        ['video', 40, 70_008],
      ],
    );
    assert.deepEqual(parseVideoTag(tags[2]?.data ?? Buffer.alloc(0)), {
      type: 'frame',
      codec: 'h265',
      key: false,
      compositionMs: -3,
      data: Buffer.alloc(70_000, 7),
    });
  });
}

test('the time goes on when its 32 bits are full, and a step back stays a step back', () => {
  const stamps = [2 ** 32 - 20, 2 ** 32 + 20, 2 ** 32 + 60, 2 ** 32 + 10];
  const parts = stamps.map((timestampMs) => ({
    kind: 'audio' as const,
    timestampMs,
    prefix: aacPrefix('frame'),
    data: Buffer.alloc(1),
  }));
  const tags = read(Buffer.concat([flvHeader({ video: false, audio: true }), writeFlvTags(parts)]), 64);
  assert.deepEqual(
    tags.map((tag) => tag.timestampMs),
    stamps,
  );
});

const bad = [
  { name: 'a web page', bytes: Buffer.from('<!DOCTYPE html><html>'), code: 'flv.signature' },
  { name: 'an absurd header length', bytes: hex('464c5601 05 7fffffff 00000000'), code: 'flv.header' },
  {
    name: 'a tag out of step',
    bytes: Buffer.concat([sample.subarray(0, 13), Buffer.alloc(20, 0x55)]),
    code: 'flv.tag',
  },
  {
    name: 'a tag larger than any picture',
    bytes: Buffer.concat([sample.subarray(0, 13), hex('09 ffffff 000000 00 000000')]),
    code: 'flv.large',
  },
];
for (const row of bad) {
  test(`FLV: ${row.name} is refused`, () => {
    assert.throws(
      () => read(row.bytes, 7),
      (error: unknown) => error instanceof WireError && error.code === row.code,
    );
  });
}
