import { WireError } from '../../core/errors.ts';
import { BitReader } from '../codecs/bits.ts';

/** What the uncompressed header of a key frame says (VP9 bitstream specification §6.2). */
export interface Vp9Key {
  readonly profile: number;
  readonly bitDepth: number;
  /** As in vpcC: 0 = 4:2:0 (co-sited vertically), 1 = 4:2:0, 2 = 4:2:2, 3 = 4:4:4. */
  readonly chroma: number;
  readonly fullRange: boolean;
  readonly width: number;
  readonly height: number;
}

/** Null for frames that are no key frames and for broken ones. */
export function readVp9Key(frame: Buffer): Vp9Key | null {
  try {
    const bits = new BitReader(frame.subarray(0, 32), 'VP9 frame header');
    if (bits.u(2) !== 2) return null;
    const profile = bits.u(1) + 2 * bits.u(1);
    if (profile === 3) bits.skip(1);
    // show_existing_frame, then frame_type: 0 = key frame
    if (bits.flag() || bits.flag()) return null;
    bits.skip(2);
    if (bits.u(24) !== 0x498342) return null;
    const bitDepth = profile >= 2 ? (bits.flag() ? 12 : 10) : 8;
    const colourSpace = bits.u(3);
    let fullRange = true;
    let chroma = 3;
    if (colourSpace !== 7) {
      fullRange = bits.flag();
      chroma = 1;
      if (profile === 1 || profile === 3) {
        const subX = bits.flag();
        const subY = bits.flag();
        chroma = subX ? (subY ? 1 : 2) : 3;
        bits.skip(1);
      }
    } else if (profile === 1 || profile === 3) {
      bits.skip(1);
    }
    const width = bits.u(16) + 1;
    const height = bits.u(16) + 1;
    return { profile, bitDepth, chroma, fullRange, width, height };
  } catch (error) {
    if (error instanceof WireError) return null;
    throw error;
  }
}

/** Level whose picture size fits (VP9 levels, luma picture size); frame rate is unknown here. */
export function vp9Level(width: number, height: number): number {
  const size = width * height;
  const steps: readonly (readonly [number, number])[] = [
    [36_864, 10],
    [73_728, 11],
    [122_880, 20],
    [245_760, 21],
    [552_960, 30],
    [983_040, 31],
    [2_228_224, 40],
    [8_912_896, 50],
  ];
  return steps.find(([limit]) => size <= limit)?.[1] ?? 60;
}
