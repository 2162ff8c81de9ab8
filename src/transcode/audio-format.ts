import { WireError } from '../core/errors.ts';
import type { AudioFormat } from '../core/media.ts';
import type { AudioTarget, MadeAudioCodec } from '../core/targets.ts';
import { AAC_RATES, buildAudioSpecificConfig, makeAacFormat, parseAudioSpecificConfig } from '../wire/aac/config.ts';
import { makeAudioFormat } from '../wire/codecs/formats.ts';
import { streamInfo } from '../wire/flac/encoder.ts';
import { JobError } from './protocol.ts';

/** How an output is coded; follows from the target and the input's format alone, so both processes know the same. */
export interface AudioPlan {
  readonly codec: MadeAudioCodec;
  readonly format: AudioFormat;
  /** What the encoder is fed with; the format's clock may be another one (Opus, G.722). */
  readonly encoderRateHz: number;
  readonly channels: number;
  /** Samples of a unit at `encoderRateHz`; 0: the encoder says. */
  readonly frameSamples: number;
  /** Bits a second; 0 where the codec has no choice. */
  readonly bitrate: number;
}

interface Kind {
  /** The encoder's rates; absent: any from MIN_RATE_HZ to MAX_RATE_HZ. */
  readonly rates?: readonly number[];
  readonly maxChannels: number;
  /** Without a number of channels in the target: at most so many of the source's. */
  readonly usualChannels: number;
  /** Kilobits a second of one channel; 0 where the codec has no choice. */
  readonly usualKbps: number;
  readonly minKbps: number;
  readonly maxKbps: number;
}

const MIN_RATE_HZ = 4_000;
const MAX_RATE_HZ = 192_000;
/** RFC 3551 §4.2 recommends 20 ms for all of these. */
const UNITS_PER_SECOND = 50;
/** Of a source whose format says nothing that can be. */
const FALLBACK_RATE_HZ = 48_000;

const NO_CHOICE = { usualKbps: 0, minKbps: 0, maxKbps: 0 };
const KINDS: Readonly<Record<MadeAudioCodec, Kind>> = {
  // RFC 6716 §2: what libopus takes in; speech at 32 kb/s mono is beyond reproach (§2.1.1 says 28-40 for fullband speech).
  opus: {
    rates: [8_000, 12_000, 16_000, 24_000, 48_000],
    maxChannels: 2,
    usualChannels: 2,
    usualKbps: 32,
    minKbps: 6,
    maxKbps: 510,
  },
  aac: { rates: AAC_RATES, maxChannels: 2, usualChannels: 2, usualKbps: 64, minKbps: 8, maxKbps: 512 },
  mp3: {
    rates: [8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000],
    maxChannels: 2,
    usualChannels: 2,
    usualKbps: 64,
    minKbps: 8,
    maxKbps: 320,
  },
  g722: { rates: [16_000], maxChannels: 1, usualChannels: 1, ...NO_CHOICE },
  pcma: { maxChannels: 8, usualChannels: 1, ...NO_CHOICE },
  pcmu: { maxChannels: 8, usualChannels: 1, ...NO_CHOICE },
  l16: { maxChannels: 8, usualChannels: 2, ...NO_CHOICE },
  flac: { maxChannels: 8, usualChannels: 2, ...NO_CHOICE },
};

/**
 * The format that the codec process gives for a target, before anything is coded. Null when it can't be made.
 */
export function plannedFormat(target: AudioTarget, input: AudioFormat): AudioFormat | null {
  try {
    return planAudio(target, input).format;
  } catch (error) {
    if (error instanceof JobError) return null;
    throw error;
  }
}

/** @throws JobError `request` when the target can't be made */
export function planAudio(target: AudioTarget, input: AudioFormat): AudioPlan {
  const { codec } = target;
  const kind = KINDS[codec];
  const source = soundOf(input);
  const channels = target.channels ?? Math.min(source.channels, kind.usualChannels);
  if (!Number.isInteger(channels) || channels < 1 || channels > kind.maxChannels) {
    throw refused(codec, `${channels} channels`, kind.maxChannels === 1 ? 'only 1' : `1 to ${kind.maxChannels}`);
  }
  const encoderRateHz = target.sampleRateHz ?? usualRate(codec, kind, source.rateHz);
  if (kind.rates === undefined) {
    if (!Number.isInteger(encoderRateHz) || encoderRateHz < MIN_RATE_HZ || encoderRateHz > MAX_RATE_HZ) {
      throw refused(codec, `${encoderRateHz} Hz`, `${MIN_RATE_HZ} to ${MAX_RATE_HZ} Hz`);
    }
  } else if (!kind.rates.includes(encoderRateHz)) {
    throw refused(codec, `${encoderRateHz} Hz`, `${kind.rates.join(', ')} Hz`);
  }
  const bitrate = bitrateOf(target, kind, channels, encoderRateHz);
  const frameSamples = codec === 'aac' || codec === 'mp3' ? 0 : Math.round(encoderRateHz / UNITS_PER_SECOND);
  const format = formatOf(codec, encoderRateHz, channels, frameSamples);
  return { codec, format, encoderRateHz, channels, frameSamples, bitrate };
}

function refused(codec: MadeAudioCodec, what: string, possible: string): JobError {
  return new JobError('request', `${codec} with ${what} can't be made, possible: ${possible}`);
}

/** What the decoder gives; for AAC the configuration tells more than the format (SBR doubles the rate, PS the channels). */
function soundOf(input: AudioFormat): { rateHz: number; channels: number } {
  let { sampleRateHz: rateHz, channels } = input;
  if (input.codec === 'opus') rateHz = 48_000;
  if (input.codec === 'g722') rateHz = 16_000;
  if (input.codec === 'aac' && input.config.length > 0) {
    try {
      const { sbr } = parseAudioSpecificConfig(input.config);
      if (sbr !== null) rateHz = sbr.sampleRateHz;
      if (sbr?.ps === true) channels = 2;
    } catch (error) {
      // A damaged configuration: the format was made of something else, and so will the decoder be.
      if (!(error instanceof WireError)) throw error;
    }
  }
  if (!Number.isInteger(rateHz) || rateHz < MIN_RATE_HZ || rateHz > MAX_RATE_HZ) rateHz = FALLBACK_RATE_HZ;
  if (!Number.isInteger(channels) || channels < 1 || channels > 8) channels = 1;
  return { rateHz, channels };
}

function usualRate(codec: MadeAudioCodec, kind: Kind, sourceHz: number): number {
  switch (codec) {
    case 'opus':
      // libopus resamples for itself, and knows then that nothing is to be coded above: the least that loses nothing.
      return kind.rates?.find((rate) => rate >= sourceHz) ?? 48_000;
    case 'aac':
    case 'mp3':
      // A frame has 1024 (1152) samples whatever the rate, and as many are looked ahead: 256 ms at 8 kHz, 43 ms at 48 kHz.
      // Below 32 kHz browsers also have to guess whether SBR is in it.
      return sourceHz === 44_100 ? 44_100 : 48_000;
    case 'g722':
      return 16_000;
    case 'pcma':
    case 'pcmu':
      return 8_000;
    case 'l16':
    case 'flac':
      return sourceHz;
    default:
      return codec satisfies never;
  }
}

function bitrateOf(target: AudioTarget, kind: Kind, channels: number, rateHz: number): number {
  const kbps = target.bitrateKbps ?? kind.usualKbps * channels;
  if (kind.usualKbps === 0) {
    if (!Number.isFinite(kbps) || kbps < 0) throw refused(target.codec, `${kbps} kb/s`, 'any, for it decides nothing');
    return 0;
  }
  // ISO/IEC 14496-3 §4.5.3.3: an AAC frame has 6144 bits a channel at most.
  const mostKbps =
    target.codec === 'aac' ? Math.min(kind.maxKbps, Math.floor((6.144 * channels * rateHz) / 1024)) : kind.maxKbps;
  if (!Number.isFinite(kbps) || kbps < kind.minKbps || kbps > mostKbps) {
    // A low rate of samples makes the usual bit rate too high.
    if (target.bitrateKbps === undefined) return mostKbps * 1000;
    throw refused(target.codec, `${kbps} kb/s`, `${kind.minKbps} to ${mostKbps} kb/s`);
  }
  return Math.round(kbps * 1000);
}

function formatOf(codec: MadeAudioCodec, rateHz: number, channels: number, frameSamples: number): AudioFormat {
  switch (codec) {
    case 'aac':
      return makeAacFormat(buildAudioSpecificConfig(rateHz, channels));
    case 'flac': {
      const config = Buffer.from(streamInfo(rateHz, channels));
      // RFC 9639 §8.2: equal for a stream of blocks of one size.
      config.writeUInt16BE(frameSamples, 0);
      config.writeUInt16BE(frameSamples, 2);
      return {
        kind: 'audio',
        codec,
        clockRateHz: rateHz,
        sampleRateHz: rateHz,
        channels,
        codecString: 'flac',
        config,
      };
    }
    case 'g722':
      // RFC 3551 §4.5.2: the clock counts 8000 although there are 16000 samples a second.
      return makeAudioFormat(codec, rateHz, channels, 8_000);
    default:
      return makeAudioFormat(codec, rateHz, channels);
  }
}
