import type { VideoFormat } from '../../core/media.ts';
import { makeVideoFormat } from '../codecs/formats.ts';
import { buildVpcC } from '../vp9/format.ts';
import { vp9Level } from '../vp9/vp9.ts';

/** Codec string and `vpcC` (VP Codec ISO Media File Format Binding 1.0); levels are those of VP9, as VP8 has none. */
export function makeVp8Format(width: number, height: number): VideoFormat {
  const level = vp9Level(width, height);
  return makeVideoFormat('vp8', width, height, `vp08.00.${level}.08`, buildVpcC(0, level, 8, 1, false));
}
