import { WireError } from '../../core/errors.ts';
import { BitReader } from '../codecs/bits.ts';
import { unescapeRbsp } from '../codecs/nal.ts';

/** What a sequence parameter set says (ISO/IEC 23008-2 §7.3.2.2.1). */
export interface H265Sps {
  readonly id: number;
  readonly profileSpace: number;
  readonly tier: number;
  readonly profileIdc: number;
  /** general_profile_compatibility_flag[0…31], flag 0 in the highest bit. */
  readonly compatibility: number;
  /** The 48 bits behind the compatibility flags, 6 bytes. */
  readonly constraints: Buffer;
  readonly levelIdc: number;
  readonly chromaFormatIdc: number;
  readonly bitDepthLuma: number;
  readonly bitDepthChroma: number;
  readonly temporalLayers: number;
  readonly temporalIdNested: boolean;
  /** Pixels after the conformance window. */
  readonly width: number;
  readonly height: number;
  /** sps_max_num_reorder_pics of the highest layer. */
  readonly reorderFrames: number;
}

/** @throws WireError when the NAL unit is not an SPS or can't be read up to the picture size and reordering. */
export function parseH265Sps(nal: Buffer): H265Sps {
  if (nal.length < 15 || (((nal[0] ?? 0) >> 1) & 0x3f) !== 33) {
    throw new WireError('h265.sps', `not an SPS: ${nal.subarray(0, 16).toString('hex')}`, 0);
  }
  const bits = new BitReader(unescapeRbsp(nal), 'H.265 SPS');
  bits.skip(16 + 4);
  const subLayers = bits.u(3);
  if (subLayers > 6) throw new WireError('h265.sps', `${subLayers + 1} temporal layers`, 2);
  const temporalIdNested = bits.flag();
  const profileSpace = bits.u(2);
  const tier = bits.u(1);
  const profileIdc = bits.u(5);
  const compatibility = bits.u(32);
  const constraints = bits.bytes(6);
  const levelIdc = bits.u(8);
  skipSubLayerProfiles(bits, subLayers);
  const id = bits.ue();
  if (id > 15) throw new WireError('h265.sps', `SPS id ${id} is above 15`, 15);
  const chromaFormatIdc = bits.ue();
  if (chromaFormatIdc > 3) throw new WireError('h265.sps', `chroma format ${chromaFormatIdc}`, 15);
  const separateColours = chromaFormatIdc === 3 && bits.flag();
  let width = bits.ue();
  let height = bits.ue();
  if (bits.flag()) {
    const subWidth = !separateColours && (chromaFormatIdc === 1 || chromaFormatIdc === 2) ? 2 : 1;
    const subHeight = !separateColours && chromaFormatIdc === 1 ? 2 : 1;
    width -= (bits.ue() + bits.ue()) * subWidth;
    height -= (bits.ue() + bits.ue()) * subHeight;
  }
  if (width <= 0 || height <= 0 || width > 16_384 || height > 16_384) {
    throw new WireError('h265.sps', `picture of ${width}x${height}`, 15);
  }
  const bitDepthLuma = 8 + bits.ue();
  const bitDepthChroma = 8 + bits.ue();
  if (bitDepthLuma > 16 || bitDepthChroma > 16) throw new WireError('h265.sps', 'bit depth above 16', 15);
  bits.ue();
  let reorderFrames = 0;
  const allLayers = bits.flag();
  for (let layer = allLayers ? 0 : subLayers; layer <= subLayers; layer++) {
    bits.ue();
    reorderFrames = bits.ue();
    bits.ue();
  }
  if (reorderFrames > 16) throw new WireError('h265.sps', `${reorderFrames} pictures of reordering`, 15);
  return {
    id,
    profileSpace,
    tier,
    profileIdc,
    compatibility,
    constraints,
    levelIdc,
    chromaFormatIdc,
    bitDepthLuma,
    bitDepthChroma,
    temporalLayers: subLayers + 1,
    temporalIdNested,
    width,
    height,
    reorderFrames,
  };
}

/** profile_tier_level (§7.3.3) of the sub-layers. */
function skipSubLayerProfiles(bits: BitReader, subLayers: number): void {
  const present: { profile: boolean; level: boolean }[] = [];
  for (let layer = 0; layer < subLayers; layer++) present.push({ profile: bits.flag(), level: bits.flag() });
  if (subLayers > 0) bits.skip(2 * (8 - subLayers));
  for (const { profile, level } of present) bits.skip((profile ? 88 : 0) + (level ? 8 : 0));
}
