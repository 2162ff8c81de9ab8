import { WireError } from '../../core/errors.ts';
import { BitReader } from '../codecs/bits.ts';
import { unescapeRbsp } from '../codecs/nal.ts';

/** NAL unit types (ISO/IEC 14496-10 table 7-1). */
export const H264_NAL = { slice: 1, partitionA: 2, idr: 5, sei: 6, sps: 7, pps: 8, aud: 9 } as const;

export interface H264SliceStart {
  readonly firstMb: number;
  /** I or SI: needs no other picture. */
  readonly intra: boolean;
}

/** The first fields of a slice header (§7.3.3). `head` holds at least the first 16 bytes of the NAL unit, or all. */
export function readH264SliceStart(head: Buffer): H264SliceStart | null {
  try {
    const bits = new BitReader(unescapeRbsp(head), 'H.264 slice');
    bits.skip(8);
    const firstMb = bits.ue();
    const type = bits.ue() % 5;
    return { firstMb, intra: type === 2 || type === 4 };
  } catch (error) {
    if (error instanceof WireError) return null;
    throw error;
  }
}

/** Whether an SEI NAL unit holds a recovery point with recovery_frame_cnt 0 (§D.1.8): decoding may start here. */
export function hasExactRecoveryPoint(nal: Buffer): boolean {
  const sei = unescapeRbsp(nal);
  let at = 1;
  while (at + 2 < sei.length) {
    let type = 0;
    while (sei[at] === 0xff) {
      type += 255;
      at++;
    }
    type += sei[at++] ?? 0;
    let size = 0;
    while (sei[at] === 0xff) {
      size += 255;
      at++;
    }
    size += sei[at++] ?? 0;
    if (type === 6) return size > 0 && ((sei[at] ?? 0) & 0x80) !== 0;
    at += size;
  }
  return false;
}
