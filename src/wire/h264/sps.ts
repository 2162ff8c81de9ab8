import { WireError } from '../../core/errors.ts';
import { BitReader } from '../codecs/bits.ts';
import { unescapeRbsp } from '../codecs/nal.ts';

/** What a sequence parameter set says (ISO/IEC 14496-10 §7.3.2.1.1). */
export interface H264Sps {
  readonly profileIdc: number;
  /** constraint_set0_flag … constraint_set5_flag and two zero bits, as in the byte behind profile_idc. */
  readonly constraints: number;
  readonly levelIdc: number;
  readonly id: number;
  readonly chromaFormatIdc: number;
  readonly bitDepthLuma: number;
  readonly bitDepthChroma: number;
  /** Pixels after cropping. */
  readonly width: number;
  readonly height: number;
  /** From bitstream_restriction, or 0 where the profile excludes reordering; null when the stream doesn't say. */
  readonly reorderFrames: number | null;
  /** From VUI timing with fixed frame rate or not; null when absent. */
  readonly framesPerSecond: number | null;
}

/** Profiles whose SPS carries chroma format and bit depths (§7.3.2.1.1). */
const HIGH_PROFILES: ReadonlySet<number> = new Set([100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135]);

/** @throws WireError when the NAL unit is not an SPS or its picture size can't be read. */
export function parseH264Sps(nal: Buffer): H264Sps {
  if (nal.length < 4 || ((nal[0] ?? 0) & 0x1f) !== 7) {
    throw new WireError('h264.sps', `not an SPS: ${nal.subarray(0, 16).toString('hex')}`, 0);
  }
  const bits = new BitReader(unescapeRbsp(nal), 'H.264 SPS');
  bits.skip(8);
  const profileIdc = bits.u(8);
  const constraints = bits.u(8);
  const levelIdc = bits.u(8);
  const id = bits.ue();
  if (id > 31) throw new WireError('h264.sps', `SPS id ${id} is above 31`, 4);
  let chromaFormatIdc = 1;
  let bitDepthLuma = 8;
  let bitDepthChroma = 8;
  let separateColours = false;
  if (HIGH_PROFILES.has(profileIdc)) {
    chromaFormatIdc = bits.ue();
    if (chromaFormatIdc > 3) throw new WireError('h264.sps', `chroma format ${chromaFormatIdc} is above 3`, 4);
    if (chromaFormatIdc === 3) separateColours = bits.flag();
    bitDepthLuma = 8 + bits.ue();
    bitDepthChroma = 8 + bits.ue();
    if (bitDepthLuma > 14 || bitDepthChroma > 14) throw new WireError('h264.sps', 'bit depth above 14', 4);
    bits.skip(1);
    if (bits.flag()) skipScalingLists(bits, chromaFormatIdc === 3 ? 12 : 8);
  }
  bits.ue();
  const pocType = bits.ue();
  if (pocType === 0) {
    bits.ue();
  } else if (pocType === 1) {
    bits.skip(1);
    bits.se();
    bits.se();
    const cycle = bits.ue();
    if (cycle > 255) throw new WireError('h264.sps', `${cycle} reference frames in a POC cycle`, 4);
    for (let at = 0; at < cycle; at++) bits.se();
  }
  bits.ue();
  bits.skip(1);
  const widthInMbs = bits.ue() + 1;
  const mapUnits = bits.ue() + 1;
  const frameMbsOnly = bits.flag();
  if (!frameMbsOnly) bits.skip(1);
  bits.skip(1);
  const heightInMbs = mapUnits * (frameMbsOnly ? 1 : 2);
  if (widthInMbs > 1024 || heightInMbs > 1024) {
    throw new WireError('h264.sps', `picture of ${widthInMbs * 16}x${heightInMbs * 16}`, 4);
  }
  let width = widthInMbs * 16;
  let height = heightInMbs * 16;
  if (bits.flag()) {
    const subWidth = !separateColours && (chromaFormatIdc === 1 || chromaFormatIdc === 2) ? 2 : 1;
    const subHeight = (!separateColours && chromaFormatIdc === 1 ? 2 : 1) * (frameMbsOnly ? 1 : 2);
    width -= (bits.ue() + bits.ue()) * subWidth;
    height -= (bits.ue() + bits.ue()) * subHeight;
    if (width <= 0 || height <= 0) throw new WireError('h264.sps', 'cropping leaves no picture', 4);
  }
  const vui = readVui(bits);
  return {
    profileIdc,
    constraints,
    levelIdc,
    id,
    chromaFormatIdc,
    bitDepthLuma,
    bitDepthChroma,
    width,
    height,
    reorderFrames: vui.reorderFrames ?? (excludesReordering(profileIdc, constraints, pocType) ? 0 : null),
    framesPerSecond: vui.framesPerSecond,
  };
}

/**
 * Baseline has no B slices; POC type 2 means output order is decoding order (§8.2.1.3); constraint_set3 with an
 * intra profile means that max_num_reorder_frames is inferred to be 0 (§E.2.1).
 */
function excludesReordering(profileIdc: number, constraints: number, pocType: number): boolean {
  if (profileIdc === 66 || pocType === 2) return true;
  return (constraints & 0x10) !== 0 && [44, 86, 100, 110, 122, 244].includes(profileIdc);
}

function skipScalingLists(bits: BitReader, count: number): void {
  for (let list = 0; list < count; list++) {
    if (!bits.flag()) continue;
    const size = list < 6 ? 16 : 64;
    let last = 8;
    let next = 8;
    for (let at = 0; at < size; at++) {
      if (next !== 0) next = (last + bits.se() + 256) % 256;
      if (next !== 0) last = next;
    }
  }
}

/**
 * VUI (§E.1.1), as far as it is of use here. Several cameras cut it short or fill it with rubbish while the picture
 * size before it is right, so trouble in it means "not said".
 */
function readVui(bits: BitReader): { reorderFrames: number | null; framesPerSecond: number | null } {
  let framesPerSecond: number | null = null;
  try {
    if (!bits.flag()) return { reorderFrames: null, framesPerSecond };
    if (bits.flag() && bits.u(8) === 255) bits.skip(32);
    if (bits.flag()) bits.skip(1);
    if (bits.flag()) {
      bits.skip(4);
      if (bits.flag()) bits.skip(24);
    }
    if (bits.flag()) {
      bits.ue();
      bits.ue();
    }
    if (bits.flag()) {
      const unitsInTick = bits.u(32);
      const timeScale = bits.u(32);
      bits.skip(1);
      if (unitsInTick > 0 && timeScale > 0) framesPerSecond = timeScale / (2 * unitsInTick);
    }
    const nalHrd = bits.flag();
    if (nalHrd) skipHrd(bits);
    const vclHrd = bits.flag();
    if (vclHrd) skipHrd(bits);
    if (nalHrd || vclHrd) bits.skip(1);
    bits.skip(1);
    if (!bits.flag()) return { reorderFrames: null, framesPerSecond };
    bits.skip(1);
    for (let at = 0; at < 4; at++) bits.ue();
    const reorderFrames = bits.ue();
    const buffered = bits.ue();
    const sane = reorderFrames <= 16 && reorderFrames <= buffered;
    return { reorderFrames: sane ? reorderFrames : null, framesPerSecond };
  } catch (error) {
    if (error instanceof WireError) return { reorderFrames: null, framesPerSecond };
    throw error;
  }
}

function skipHrd(bits: BitReader): void {
  const count = bits.ue() + 1;
  if (count > 32) throw new WireError('h264.hrd', `HRD with ${count} schedules`, 0);
  bits.skip(8);
  for (let at = 0; at < count; at++) {
    bits.ue();
    bits.ue();
    bits.skip(1);
  }
  bits.skip(20);
}
