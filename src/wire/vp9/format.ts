import type { VideoFormat } from '../../core/media.ts';
import { makeVideoFormat } from '../codecs/formats.ts';
import { type Vp9Key, vp9Level } from './vp9.ts';

/** Payload of vpcC behind version and flags (VP Codec ISO Media File Format Binding §2.2). */
export function buildVpcC(
  profile: number,
  level: number,
  bitDepth: number,
  chroma: number,
  fullRange: boolean,
): Buffer {
  // Colour: 2 = unspecified; no codec initialisation data.
  return Buffer.from([profile, level, (bitDepth << 4) | (chroma << 1) | (fullRange ? 1 : 0), 2, 2, 2, 0, 0]);
}

/** Codec string and `vpcC` (VP Codec ISO Media File Format Binding 1.0) of a key frame. */
export function makeVp9Format(key: Vp9Key): VideoFormat {
  const level = vp9Level(key.width, key.height);
  const two = (value: number): string => String(value).padStart(2, '0');
  return makeVideoFormat(
    'vp9',
    key.width,
    key.height,
    `vp09.${two(key.profile)}.${two(level)}.${two(key.bitDepth)}`,
    buildVpcC(key.profile, level, key.bitDepth, key.chroma, key.fullRange),
  );
}
