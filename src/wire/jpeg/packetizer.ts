import { WireError } from '../../core/errors.ts';
import type { PacketPlan } from '../codecs/packet-plan.ts';
import type { PlannedUnit } from '../codecs/packetize.ts';
import { type JpegInfo, parseJpeg } from './jpeg.ts';

/**
 * RFC 2435. It can carry baseline files of up to 2040×2040 pixels with 4:2:2 or 4:2:0 colour and standard Huffman
 * tables; for others the plan stays empty.
 */
export function planJpeg(unit: PlannedUnit, maxPayloadBytes: number, plan: PacketPlan): void {
  const info = readable(unit.data);
  if (info === null) return;
  const [luma, chroma] = info.components;
  const lumaTable = info.quantTables[luma?.quantTable ?? 0];
  const chromaTable = info.quantTables[chroma?.quantTable ?? 0];
  if (lumaTable === undefined || chromaTable === undefined) return;
  const type = (luma?.sampling === 0x21 ? 0 : 1) | (info.restartInterval > 0 ? 64 : 0);
  for (let at = info.scanStart; at < info.scanEnd; ) {
    const offset = at - info.scanStart;
    plan.prefixByte(0);
    plan.prefixByte((offset >> 16) & 255);
    plan.prefixU16(offset & 0xffff);
    plan.prefixByte(type);
    plan.prefixByte(255);
    plan.prefixByte((info.width + 7) >> 3);
    plan.prefixByte((info.height + 7) >> 3);
    let room = maxPayloadBytes - 8;
    if (info.restartInterval > 0) {
      plan.prefixU16(info.restartInterval);
      plan.prefixU16(0xffff);
      room -= 4;
    }
    if (offset === 0) {
      plan.prefixU16(0);
      plan.prefixU16(128);
      plan.prefixCopy(lumaTable);
      plan.prefixCopy(chromaTable);
      room -= 132;
    }
    const end = Math.min(info.scanEnd, at + room);
    plan.packet(end === info.scanEnd, at, end);
    at = end;
  }
}

/** Whether RFC 2435 can carry this file. */
export function fitsRtpJpeg(data: Buffer): boolean {
  return readable(data) !== null;
}

function readable(data: Buffer): JpegInfo | null {
  try {
    const info = parseJpeg(data);
    const [luma, cb, cr] = info.components;
    const fits =
      info.sof === 0xc0 &&
      info.components.length === 3 &&
      (luma?.sampling === 0x21 || luma?.sampling === 0x22) &&
      cb?.sampling === 0x11 &&
      cr?.sampling === 0x11 &&
      cb.quantTable === cr.quantTable &&
      info.standardHuffman &&
      info.width > 0 &&
      info.height > 0 &&
      info.width <= 2040 &&
      info.height <= 2040 &&
      info.scanEnd > info.scanStart &&
      info.scanEnd - info.scanStart < 2 ** 24;
    return fits ? info : null;
  } catch (error) {
    if (error instanceof WireError) return null;
    throw error;
  }
}
