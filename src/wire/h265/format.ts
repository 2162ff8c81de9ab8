import { WireError } from '../../core/errors.ts';
import type { VideoFormat } from '../../core/media.ts';
import { lengthSize } from '../h264/format.ts';
import { type H265Sps, parseH265Sps } from './sps.ts';

interface H265Sets {
  readonly vps: readonly Buffer[];
  readonly sps: readonly Buffer[];
  readonly pps: readonly Buffer[];
}

/**
 * The format of an H.265 track from its parameter sets (NAL units without start codes).
 * @throws WireError when one kind is missing or the SPS can't be read
 */
export function makeH265Format(sets: H265Sets, reorderDepth = 0): VideoFormat {
  const main = sets.sps.at(-1);
  if (main === undefined || sets.vps.length === 0 || sets.pps.length === 0) {
    throw new WireError('h265.sets', 'H.265 needs a VPS, an SPS and a PPS', 0);
  }
  const sps = parseH265Sps(main);
  return {
    kind: 'video',
    codec: 'h265',
    clockRateHz: 90_000,
    width: sps.width,
    height: sps.height,
    codecString: h265CodecString(sps),
    parameterSets: { vps: sets.vps, sps: sets.sps, pps: sets.pps },
    config: buildHvcC(sets),
    reorderDepth: Math.max(reorderDepth, sps.reorderFrames),
  };
}

/** ISO/IEC 14496-15 §E.3: `hvc1.1.6.L153.B0`. */
function h265CodecString(sps: H265Sps): string {
  let reversed = 0;
  for (let bit = 0; bit < 32; bit++) {
    if (Math.floor(sps.compatibility / 2 ** bit) % 2 === 1) reversed += 2 ** (31 - bit);
  }
  const parts = [
    'hvc1',
    `${['', 'A', 'B', 'C'][sps.profileSpace] ?? ''}${sps.profileIdc}`,
    reversed.toString(16).toUpperCase(),
    `${sps.tier === 1 ? 'H' : 'L'}${sps.levelIdc}`,
  ];
  let last = sps.constraints.length;
  while (last > 0 && sps.constraints[last - 1] === 0) last--;
  for (const byte of sps.constraints.subarray(0, last)) parts.push(byte.toString(16).toUpperCase());
  return parts.join('.');
}

/** HEVCDecoderConfigurationRecord (ISO/IEC 14496-15 §8.3.3.1) with 4-byte NAL lengths and complete arrays. */
export function buildHvcC(sets: H265Sets): Buffer {
  const main = sets.sps.at(-1);
  if (main === undefined) throw new WireError('h265.sets', 'hvcC needs an SPS', 0);
  const sps = parseH265Sps(main);
  const head = Buffer.alloc(23);
  head[0] = 1;
  head[1] = (sps.profileSpace << 6) | (sps.tier << 5) | sps.profileIdc;
  head.writeUInt32BE(sps.compatibility, 2);
  sps.constraints.copy(head, 6);
  head[12] = sps.levelIdc;
  head.writeUInt16BE(0xf000, 13);
  head[15] = 0xfc;
  head[16] = 0xfc | sps.chromaFormatIdc;
  head[17] = 0xf8 | ((sps.bitDepthLuma - 8) & 7);
  head[18] = 0xf8 | ((sps.bitDepthChroma - 8) & 7);
  head[21] = (sps.temporalLayers << 3) | (sps.temporalIdNested ? 4 : 0) | 3;
  const arrays = [
    { type: 32, nals: sets.vps },
    { type: 33, nals: sets.sps },
    { type: 34, nals: sets.pps },
  ].filter(({ nals }) => nals.length > 0);
  head[22] = arrays.length;
  const parts: Buffer[] = [head];
  for (const { type, nals } of arrays) {
    parts.push(Buffer.from([0x80 | type, nals.length >> 8, nals.length & 0xff]));
    for (const nal of nals) {
      if (nal.length > 0xffff) throw new WireError('h265.sets', `a parameter set of ${nal.length} bytes`, 0);
      parts.push(Buffer.from([nal.length >> 8, nal.length & 0xff]), nal);
    }
  }
  return Buffer.concat(parts);
}

export interface HevcConfig extends H265Sets {
  readonly lengthBytes: 1 | 2 | 3 | 4;
}

/** Reads an HEVCDecoderConfigurationRecord; the parameter sets are copies. @throws WireError */
export function parseHvcC(record: Buffer): HevcConfig {
  if (record.length < 23) {
    throw new WireError('h265.hvcc', `not an hvcC record: ${record.subarray(0, 8).toString('hex')}`, 0);
  }
  const sets = { vps: [] as Buffer[], sps: [] as Buffer[], pps: [] as Buffer[] };
  let at = 23;
  for (let array = record[22] ?? 0; array > 0; array--) {
    if (at + 3 > record.length) throw new WireError('h265.hvcc', 'hvcC record ends too early', at);
    const type = (record[at] ?? 0) & 0x3f;
    const count = record.readUInt16BE(at + 1);
    at += 3;
    for (let index = 0; index < count; index++) {
      if (at + 2 > record.length) throw new WireError('h265.hvcc', 'hvcC record ends too early', at);
      const length = record.readUInt16BE(at);
      at += 2;
      if (at + length > record.length) throw new WireError('h265.hvcc', 'hvcC parameter set is cut off', at);
      const list = type === 32 ? sets.vps : type === 33 ? sets.sps : type === 34 ? sets.pps : undefined;
      if (list !== undefined && length > 0) list.push(Buffer.from(record.subarray(at, at + length)));
      at += length;
    }
  }
  return { lengthBytes: lengthSize(record[21] ?? 3), ...sets };
}
