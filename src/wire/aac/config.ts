import { WireError } from '../../core/errors.ts';
import type { AudioFormat } from '../../core/media.ts';
import { BitReader, BitWriter } from '../codecs/bits.ts';

/** Table 1.18 of ISO/IEC 14496-3. */
export const AAC_RATES: readonly number[] = [
  96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350,
];
/** Channels by channelConfiguration (table 1.19); 0 = described elsewhere. */
const CHANNELS: readonly number[] = [0, 1, 2, 3, 4, 5, 6, 8, 0, 0, 0, 7, 8, 0, 8];

/** AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1). */
export interface AacConfig {
  /** Of the core codec: 2 = AAC-LC, 23 = ER AAC-LD, 39 = ER AAC-ELD, … */
  readonly objectType: number;
  /** Of the core codec; with SBR the decoder puts out more. */
  readonly sampleRateHz: number;
  /** Of the core codec; with PS the decoder puts out two. */
  readonly channels: number;
  /** Explicitly signalled; null when the stream may still carry SBR unannounced. */
  readonly sbr: { readonly sampleRateHz: number; readonly ps: boolean } | null;
  /** Samples of a frame at `sampleRateHz`. */
  readonly frameSamples: number;
  /** Length of the config in bits; bytes may follow. */
  readonly bits: number;
}

/** @throws WireError when the bytes are not an AudioSpecificConfig that can be used. */
export function parseAudioSpecificConfig(config: Buffer): AacConfig {
  return readAudioSpecificConfig(new BitReader(config, 'AudioSpecificConfig'), true);
}

/**
 * Reads a config in the midst of other bits (LATM).
 * @param mayScan a backward compatible SBR extension may follow at the end (needs a known end)
 */
export function readAudioSpecificConfig(bits: BitReader, mayScan: boolean): AacConfig {
  const from = bits.bitPosition;
  let objectType = readObjectType(bits);
  const sampleRateHz = readRate(bits);
  const channelConfiguration = bits.u(4);
  let sbr: AacConfig['sbr'] = null;
  if (objectType === 5 || objectType === 29) {
    const ps = objectType === 29;
    sbr = { sampleRateHz: readRate(bits), ps };
    objectType = readObjectType(bits);
    if (objectType === 22) bits.skip(4);
  }
  let frameSamples = 1024;
  let channels = CHANNELS[channelConfiguration] ?? 0;
  if (GENERAL_AUDIO.has(objectType)) {
    const short = bits.flag();
    if (objectType === 23) frameSamples = short ? 480 : 512;
    else if (objectType === 3) frameSamples = short ? 240 : 256;
    else frameSamples = short ? 960 : 1024;
    if (bits.flag()) bits.skip(14);
    const extension = bits.flag();
    if (channelConfiguration === 0) channels = readProgramConfig(bits, from);
    if (objectType === 6 || objectType === 20) bits.skip(3);
    if (extension) {
      if (objectType === 22) bits.skip(16);
      if (objectType === 17 || objectType === 19 || objectType === 20 || objectType === 23) bits.skip(3);
      bits.skip(1);
    }
  } else if (objectType === 39) {
    frameSamples = bits.flag() ? 480 : 512;
  }
  if (channels === 0) throw new WireError('aac.channels', `channel configuration ${channelConfiguration}`, 1);
  const length = bits.bitPosition - from;
  if (mayScan && sbr === null && objectType !== 39) sbr = scanExtension(bits);
  return { objectType, sampleRateHz, channels, sbr, frameSamples, bits: length };
}

const GENERAL_AUDIO: ReadonlySet<number> = new Set([1, 2, 3, 4, 6, 7, 17, 19, 20, 21, 22, 23]);

function readObjectType(bits: BitReader): number {
  const type = bits.u(5);
  return type === 31 ? 32 + bits.u(6) : type;
}

function readRate(bits: BitReader): number {
  const index = bits.u(4);
  const rate = index === 15 ? bits.u(24) : AAC_RATES[index];
  if (rate === undefined || rate < 1000 || rate > 192_000) {
    throw new WireError('aac.rate', `AAC sampling rate index ${index} (${rate ?? 'reserved'})`, 0);
  }
  return rate;
}

/** The backward compatible signalling (§1.6.5.2 case 2): syncExtensionType 0x2b7 behind the config. */
function scanExtension(bits: BitReader): AacConfig['sbr'] {
  if (bits.bitsLeft < 16 || bits.u(11) !== 0x2b7) return null;
  if (readObjectType(bits) !== 5 || !bits.flag()) return null;
  const sampleRateHz = readRate(bits);
  const ps = bits.bitsLeft >= 12 && bits.u(11) === 0x548 && bits.flag();
  return { sampleRateHz, ps };
}

/** program_config_element (§4.4.1.1); returns the number of channels. */
function readProgramConfig(bits: BitReader, from: number): number {
  bits.skip(10);
  const front = bits.u(4);
  const side = bits.u(4);
  const back = bits.u(4);
  const lfe = bits.u(2);
  const associated = bits.u(3);
  const coupling = bits.u(4);
  if (bits.flag()) bits.skip(4);
  if (bits.flag()) bits.skip(4);
  if (bits.flag()) bits.skip(3);
  let channels = lfe;
  for (let element = 0; element < front + side + back; element++) {
    channels += bits.flag() ? 2 : 1;
    bits.skip(4);
  }
  bits.skip(4 * lfe + 4 * associated + 5 * coupling);
  // The comment starts on a byte border counted from the config's own start (§4.5.1.2).
  bits.skip((8 - ((bits.bitPosition - from) % 8)) % 8);
  bits.skip(8 * bits.u(8));
  return channels;
}

/**
 * A config with the fewest bytes: 2 for the usual rates, 5 for odd ones.
 * @throws WireError for more channels than a channelConfiguration can say
 */
export function buildAudioSpecificConfig(sampleRateHz: number, channels: number, objectType = 2): Buffer {
  const configuration = channels === 8 ? 7 : channels;
  if (!Number.isInteger(channels) || channels < 1 || channels > 8 || channels === 7) {
    throw new WireError('aac.channels', `AAC with ${channels} channels`, 0);
  }
  const bits = new BitWriter();
  if (objectType < 31) bits.u(objectType, 5);
  else bits.u(31, 5).u(objectType - 32, 6);
  const index = AAC_RATES.indexOf(sampleRateHz);
  if (index >= 0) bits.u(index, 4);
  else bits.u(15, 4).u(sampleRateHz, 24);
  return bits.u(configuration, 4).u(0, 3).finish();
}

/**
 * The format of an AAC track.
 * @param config AudioSpecificConfig; kept as it is
 * @param clockRateHz ticks per second of the track, where it is not the sampling rate of the core codec
 */
export function makeAacFormat(config: Buffer, clockRateHz?: number): AudioFormat {
  const parsed = parseAudioSpecificConfig(config);
  const shownType = parsed.sbr === null ? parsed.objectType : parsed.sbr.ps ? 29 : 5;
  return {
    kind: 'audio',
    codec: 'aac',
    clockRateHz: clockRateHz ?? parsed.sampleRateHz,
    sampleRateHz: parsed.sampleRateHz,
    channels: parsed.channels,
    codecString: `mp4a.40.${shownType}`,
    config,
  };
}
