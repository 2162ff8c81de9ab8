import { WireError } from '../../core/errors.ts';
import type { VideoFormat } from '../../core/media.ts';
import { BitReader } from '../codecs/bits.ts';
import { makeVideoFormat } from '../codecs/formats.ts';
import { leb128 } from './obu.ts';

/** What a sequence header OBU says (AV1 bitstream specification §5.5). */
export interface Av1Sequence {
  readonly profile: number;
  readonly stillPicture: boolean;
  readonly level: number;
  readonly tier: number;
  readonly bitDepth: number;
  readonly monochrome: boolean;
  readonly subsamplingX: boolean;
  readonly subsamplingY: boolean;
  readonly chromaPosition: number;
  readonly width: number;
  readonly height: number;
}

/** @param payload of the OBU, without header and size. @throws WireError */
export function parseAv1Sequence(payload: Buffer): Av1Sequence {
  const bits = new BitReader(payload, 'AV1 sequence header');
  const profile = bits.u(3);
  const stillPicture = bits.flag();
  const reduced = bits.flag();
  let level = 0;
  let tier = 0;
  if (reduced) {
    level = bits.u(5);
  } else {
    let delayBits = 0;
    let decoderModel = false;
    if (bits.flag()) {
      bits.skip(64);
      if (bits.flag()) bits.ue();
      decoderModel = bits.flag();
      if (decoderModel) {
        delayBits = bits.u(5) + 1;
        bits.skip(42);
      }
    }
    const initialDelay = bits.flag();
    const points = bits.u(5) + 1;
    for (let point = 0; point < points; point++) {
      bits.skip(12);
      const pointLevel = bits.u(5);
      const pointTier = pointLevel > 7 ? bits.u(1) : 0;
      if (point === 0) {
        level = pointLevel;
        tier = pointTier;
      }
      if (decoderModel && bits.flag()) bits.skip(2 * delayBits + 1);
      if (initialDelay && bits.flag()) bits.skip(4);
    }
  }
  const widthBits = bits.u(4) + 1;
  const heightBits = bits.u(4) + 1;
  const width = bits.u(widthBits) + 1;
  const height = bits.u(heightBits) + 1;
  if (!reduced && bits.flag()) bits.skip(7);
  bits.skip(3);
  if (!reduced) {
    bits.skip(4);
    const orderHint = bits.flag();
    if (orderHint) bits.skip(2);
    // seq_choose_screen_content_tools, then seq_choose_integer_mv: a 0 is followed by the value.
    const screenContent = bits.flag() ? 2 : bits.u(1);
    if (screenContent > 0 && !bits.flag()) bits.skip(1);
    if (orderHint) bits.skip(3);
  }
  bits.skip(3);
  return { profile, stillPicture, level, tier, width, height, ...readColour(bits, profile) };
}

/** color_config (§5.5.2). */
function readColour(bits: BitReader, profile: number) {
  const high = bits.flag();
  const bitDepth = profile === 2 && high ? (bits.flag() ? 12 : 10) : high ? 10 : 8;
  const monochrome = profile !== 1 && bits.flag();
  let primaries = 2;
  let transfer = 2;
  let matrix = 2;
  if (bits.flag()) {
    primaries = bits.u(8);
    transfer = bits.u(8);
    matrix = bits.u(8);
  }
  let subsamplingX = true;
  let subsamplingY = true;
  let chromaPosition = 0;
  if (monochrome) {
    bits.skip(1);
  } else if (primaries === 1 && transfer === 13 && matrix === 0) {
    subsamplingX = false;
    subsamplingY = false;
  } else {
    bits.skip(1);
    if (profile === 1) {
      subsamplingX = false;
      subsamplingY = false;
    } else if (profile === 2) {
      subsamplingX = bitDepth === 12 ? bits.flag() : true;
      subsamplingY = bitDepth === 12 && subsamplingX ? bits.flag() : false;
    }
    if (subsamplingX && subsamplingY) chromaPosition = bits.u(2);
  }
  return { bitDepth, monochrome, subsamplingX, subsamplingY, chromaPosition };
}

/**
 * The format of an AV1 track. `codecString` and av1C as in "AV1 Codec ISO Media File Format Binding" §2.3, §5.
 * @param payload of the sequence header OBU, without header and size
 */
export function makeAv1Format(payload: Buffer): VideoFormat {
  const sequence = parseAv1Sequence(payload);
  if (sequence.width > 65_536 || sequence.height > 65_536) {
    throw new WireError('av1.size', `picture of ${sequence.width}x${sequence.height}`, 0);
  }
  const flags =
    (sequence.tier << 7) |
    ((sequence.bitDepth > 8 ? 1 : 0) << 6) |
    ((sequence.bitDepth === 12 ? 1 : 0) << 5) |
    ((sequence.monochrome ? 1 : 0) << 4) |
    ((sequence.subsamplingX ? 1 : 0) << 3) |
    ((sequence.subsamplingY ? 1 : 0) << 2) |
    sequence.chromaPosition;
  const config = Buffer.concat([
    Buffer.from([0x81, (sequence.profile << 5) | sequence.level, flags, 0, 0x0a]),
    leb128(payload.length),
    payload,
  ]);
  const two = (value: number): string => String(value).padStart(2, '0');
  const codecString = `av01.${sequence.profile}.${two(sequence.level)}${sequence.tier === 1 ? 'H' : 'M'}.${two(sequence.bitDepth)}`;
  return makeVideoFormat('av1', sequence.width, sequence.height, codecString, config);
}
