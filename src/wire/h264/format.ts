import { WireError } from '../../core/errors.ts';
import type { VideoFormat } from '../../core/media.ts';
import { parseH264Sps } from './sps.ts';

/**
 * The format of an H.264 track from its parameter sets (NAL units without start codes). With several SPS the last one
 * gives size and profile.
 * @param reorderDepth as learnt from the stream; what the SPS says counts when it is larger
 * @throws WireError when there is no SPS or PPS, or the SPS can't be read
 */
export function makeH264Format(
  sets: { readonly sps: readonly Buffer[]; readonly pps: readonly Buffer[] },
  reorderDepth = 0,
): VideoFormat {
  const main = sets.sps.at(-1);
  if (main === undefined || sets.pps.length === 0) {
    throw new WireError('h264.sets', 'H.264 needs an SPS and a PPS', 0);
  }
  const sps = parseH264Sps(main);
  return {
    kind: 'video',
    codec: 'h264',
    clockRateHz: 90_000,
    width: sps.width,
    height: sps.height,
    codecString: `avc1.${main.subarray(1, 4).toString('hex').toUpperCase()}`,
    parameterSets: { vps: [], sps: sets.sps, pps: sets.pps },
    config: buildAvcC(sets.sps, sets.pps),
    reorderDepth: Math.max(reorderDepth, sps.reorderFrames ?? 0),
  };
}

/** AVCDecoderConfigurationRecord (ISO/IEC 14496-15 §5.3.3.1) with 4-byte NAL lengths. */
export function buildAvcC(sps: readonly Buffer[], pps: readonly Buffer[]): Buffer {
  const main = sps.at(-1);
  if (main === undefined) throw new WireError('h264.sets', 'avcC needs an SPS', 0);
  const { profileIdc, constraints, levelIdc, chromaFormatIdc, bitDepthLuma, bitDepthChroma } = parseH264Sps(main);
  const parts: Buffer[] = [Buffer.from([1, profileIdc, constraints, levelIdc, 0xff, 0xe0 | Math.min(sps.length, 31)])];
  for (const nal of sps.slice(-31)) parts.push(u16(nal.length), nal);
  const somePps = pps.slice(-255);
  parts.push(Buffer.from([somePps.length]));
  for (const nal of somePps) parts.push(u16(nal.length), nal);
  if (profileIdc === 100 || profileIdc === 110 || profileIdc === 122 || profileIdc === 144) {
    parts.push(Buffer.from([0xfc | chromaFormatIdc, 0xf8 | (bitDepthLuma - 8), 0xf8 | (bitDepthChroma - 8), 0]));
  }
  return Buffer.concat(parts);
}

export interface AvcConfig {
  readonly lengthBytes: 1 | 2 | 3 | 4;
  readonly sps: readonly Buffer[];
  readonly pps: readonly Buffer[];
}

/** Reads an AVCDecoderConfigurationRecord; the parameter sets are copies. @throws WireError */
export function parseAvcC(record: Buffer): AvcConfig {
  if (record.length < 7 || record[0] !== 1) {
    throw new WireError('h264.avcc', `not an avcC record: ${record.subarray(0, 8).toString('hex')}`, 0);
  }
  const lengthBytes = lengthSize(record[4] ?? 0);
  let at = 5;
  const readSets = (count: number): Buffer[] => {
    const sets: Buffer[] = [];
    for (let index = 0; index < count; index++) {
      if (at + 2 > record.length) throw new WireError('h264.avcc', 'avcC record ends too early', at);
      const length = record.readUInt16BE(at);
      at += 2;
      if (at + length > record.length) throw new WireError('h264.avcc', 'avcC parameter set is cut off', at);
      if (length > 0) sets.push(Buffer.from(record.subarray(at, at + length)));
      at += length;
    }
    return sets;
  };
  const sps = readSets((record[at++] ?? 0) & 0x1f);
  if (at >= record.length) throw new WireError('h264.avcc', 'avcC record ends before its PPS', at);
  const pps = readSets(record[at++] ?? 0);
  return { lengthBytes, sps, pps };
}

/** lengthSizeMinusOne in the low two bits. */
export function lengthSize(byte: number): 1 | 2 | 3 | 4 {
  switch (byte & 3) {
    case 0:
      return 1;
    case 1:
      return 2;
    case 2:
      return 3;
    default:
      return 4;
  }
}

function u16(value: number): Buffer {
  if (value > 0xffff) throw new WireError('h264.sets', `a parameter set of ${value} bytes`, 0);
  return Buffer.from([value >> 8, value & 0xff]);
}
