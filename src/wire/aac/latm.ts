import { WireError } from '../../core/errors.ts';
import { BitReader, BitWriter } from '../codecs/bits.ts';
import { readAudioSpecificConfig } from './config.ts';

/** StreamMuxConfig (ISO/IEC 14496-3 §1.7.3.1) of one program with one layer, all that RFC 6416 streams use. */
export interface LatmConfig {
  /** AudioSpecificConfig, re-aligned to bytes. */
  readonly config: Buffer;
  /** Frames in each AudioMuxElement. */
  readonly subFrames: number;
  /** Bits behind the payloads of an element. */
  readonly otherBits: number;
}

/** @throws WireError for several programs or layers, and for frame length types of other codecs. */
export function readStreamMuxConfig(bits: BitReader): LatmConfig {
  const version = bits.u(1);
  if (version === 1 && bits.flag()) throw new WireError('latm.version', 'LATM audioMuxVersionA 1', 0);
  if (version === 1) latmValue(bits);
  if (!bits.flag()) throw new WireError('latm.framing', 'LATM without allStreamsSameTimeFraming', 0);
  const subFrames = bits.u(6) + 1;
  if (bits.u(4) !== 0 || bits.u(3) !== 0) throw new WireError('latm.layers', 'LATM with several programs or layers', 0);
  const config = version === 0 ? copyConfig(bits) : copyBits(bits, latmValue(bits));
  // GStreamer's rtpmp4apay ends its config here; frames of variable length are what everybody means.
  if (bits.bitsLeft < 3 + 8 + 1 + 1) return { config, subFrames, otherBits: 0 };
  const lengthType = bits.u(3);
  if (lengthType !== 0) throw new WireError('latm.length', `LATM frame length type ${lengthType}`, 0);
  bits.skip(8);
  let otherBits = 0;
  if (bits.flag()) {
    if (version === 1) {
      otherBits = latmValue(bits);
    } else {
      let more = true;
      while (more) {
        more = bits.flag();
        otherBits = otherBits * 256 + bits.u(8);
        if (otherBits > 1_000_000) throw new WireError('latm.other', 'LATM otherData is too long', 0);
      }
    }
  }
  if (bits.flag()) bits.skip(8);
  return { config, subFrames, otherBits };
}

function latmValue(bits: BitReader): number {
  const bytes = bits.u(2) + 1;
  return bits.u(8 * bytes);
}

function copyBits(bits: BitReader, count: number): Buffer {
  if (count > bits.bitsLeft || count < 16) throw new WireError('latm.config', `LATM config of ${count} bits`, 0);
  const out = new BitWriter();
  for (let left = count; left > 0; left -= Math.min(left, 32)) out.u(bits.u(Math.min(left, 32)), Math.min(left, 32));
  return out.finish();
}

function copyConfig(bits: BitReader): Buffer {
  const ahead = bits.fork();
  let length = readAudioSpecificConfig(ahead, false).bits;
  // The backward compatible signalling of SBR (§1.6.5.2) has no place here without a length, but FFmpeg's encoder
  // writes it and GStreamer passes it on.
  if (ahead.bitsLeft >= 17 && ahead.u(11) === 0x2b7) {
    ahead.skip(5);
    const rateBits = ahead.flag() && ahead.bitsLeft >= 4 ? 4 : 0;
    length += 17 + (rateBits > 0 && ahead.u(4) === 15 ? 28 : rateBits);
  }
  return copyBits(bits, length);
}

/**
 * Takes an AudioMuxElement apart (§1.7.3.1).
 * @param inBand muxConfigPresent: each element says whether the config repeats
 * @returns raw frames and the config in force; no frames while no config is known
 */
export function readAudioMuxElement(
  element: Buffer,
  known: LatmConfig | null,
  inBand: boolean,
): { config: LatmConfig | null; frames: Buffer[] } {
  const bits = new BitReader(element, 'AudioMuxElement');
  let config = known;
  if (inBand && !bits.flag()) config = readStreamMuxConfig(bits);
  const frames: Buffer[] = [];
  if (config === null) return { config, frames };
  for (let frame = 0; frame < config.subFrames; frame++) {
    let size = 0;
    let byte = 255;
    while (byte === 255) {
      byte = bits.u(8);
      size += byte;
    }
    frames.push(bits.bytes(size));
  }
  return { config, frames };
}

/** A LOAS AudioSyncStream header (§1.7.2): 0x2b7 and the length of the element behind; null when there is none. */
export function readLoasHeader(data: Uint8Array, at = 0): { elementBytes: number } | null {
  if (at + 3 > data.length) return null;
  const word = ((data[at] ?? 0) << 16) | ((data[at + 1] ?? 0) << 8) | (data[at + 2] ?? 0);
  return word >> 13 === 0x2b7 ? { elementBytes: word & 0x1fff } : null;
}
