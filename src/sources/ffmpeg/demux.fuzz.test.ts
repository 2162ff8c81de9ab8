import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { WireError } from '../../core/errors.ts';
import type { Codec } from '../../core/media.ts';
import { AUDIO_CODECS, VIDEO_CODECS } from '../../core/wants.ts';
import { encodeFromDemuxer, type FromDemuxer, parseFromDemuxer, parseOpen } from './demux-protocol.ts';
import { isVideoCodec, makeUnitReader } from './demuxed-units.ts';

const runs = Number(process.env['FUZZ_RUNS'] ?? 300);

const bytes = fc.uint8Array({ maxLength: 200 }).map((some) => Buffer.from(some));
/** With beginnings that the readers look for: avcC and hvcC, av1C, start codes, ADTS, JPEG. */
const likely = fc
  .tuple(
    fc.constantFrom('', '01', '01640029ffe1', '81000c00', '00000001', '0000000165', 'fff150', 'ffd8ffc0', '0a0b'),
    bytes,
  )
  .map(([begin, rest]) => Buffer.concat([Buffer.from(begin, 'hex'), rest]));
const codecs = fc.constantFrom<Codec>(...VIDEO_CODECS, ...AUDIO_CODECS);

test('whatever a file holds, a packet is a unit, nothing, or a damaged configuration', () => {
  fc.assert(
    fc.property(codecs, likely, fc.array(likely, { maxLength: 6 }), (codec, config, packets) => {
      try {
        const video = isVideoCodec(codec);
        const track = { codec, clockRateHz: 8000, sampleRateHz: video ? 0 : 8000, channels: video ? 0 : 1, config };
        const reader = makeUnitReader(track, () => {});
        for (const packet of packets) {
          const unit = reader.read(packet, true);
          assert.ok(unit === null || (unit.data.length > 0 && unit.format.codec === codec));
        }
      } catch (error) {
        if (!(error instanceof WireError)) throw error;
      }
    }),
    { numRuns: runs },
  );
});

test('messages of the reading process come out as they went in, and others give a WireError', () => {
  const messages: readonly FromDemuxer[] = [
    {
      type: 'tracks',
      formatName: 'mov',
      made: ['its sound is ac3'],
      tracks: [
        { codec: 'h264', clockRateHz: 90_000, sampleRateHz: 0, channels: 0, config: Buffer.from('a1') },
        { codec: 'l16', clockRateHz: 48_000, sampleRateHz: 48_000, channels: 2, config: Buffer.from('') },
      ],
    },
    { type: 'unit', track: 1, pts: -5, dts: -6, key: true, data: Buffer.from('x') },
    { type: 'waiting' },
    { type: 'end' },
    { type: 'failed', fault: 'media', message: 'no' },
    { type: 'unavailable', message: 'no' },
  ];
  for (const message of messages) {
    const { header, payload = Buffer.alloc(0) } = encodeFromDemuxer(message);
    assert.deepEqual(parseFromDemuxer({ header: JSON.parse(JSON.stringify(header)), payload }), message);
  }
  fc.assert(
    fc.property(
      fc.constantFrom(...messages),
      fc.dictionary(fc.string(), fc.jsonValue()),
      bytes,
      (message, over, payload) => {
        for (const header of [over, { ...encodeFromDemuxer(message).header, ...over }, null]) {
          for (const parse of [parseFromDemuxer, parseOpen]) {
            try {
              parse({ header, payload });
            } catch (error) {
              if (!(error instanceof WireError)) throw error;
            }
          }
        }
      },
    ),
    { numRuns: runs },
  );
});
