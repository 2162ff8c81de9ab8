import { WireError } from '../../core/errors.ts';
import { AAC_RATES, buildAudioSpecificConfig, parseAudioSpecificConfig } from './config.ts';

/** An ADTS header (ISO/IEC 14496-3 §1.A.2.2). */
export interface AdtsHeader {
  /** 7, or 9 with a CRC. */
  readonly headerBytes: number;
  /** Header and payload. */
  readonly frameBytes: number;
  /** MPEG-4 audio object type. */
  readonly objectType: number;
  readonly sampleRateHz: number;
  /** 0 when the stream describes its channels in band. */
  readonly channels: number;
  /** Raw data blocks in this frame. */
  readonly blocks: number;
}

const ADTS_HEADER_BYTES = 7;

/** Reads a header at `at`; null when there is none (no sync word, impossible values) or fewer than 7 bytes. */
export function readAdtsHeader(data: Uint8Array, at = 0): AdtsHeader | null {
  if (at + ADTS_HEADER_BYTES > data.length) return null;
  const b1 = data[at + 1] ?? 0;
  if (data[at] !== 0xff || (b1 & 0xf6) !== 0xf0) return null;
  const b2 = data[at + 2] ?? 0;
  const b3 = data[at + 3] ?? 0;
  const sampleRateHz = AAC_RATES[(b2 >> 2) & 15];
  const headerBytes = (b1 & 1) === 1 ? 7 : 9;
  const frameBytes = ((b3 & 3) << 11) | ((data[at + 4] ?? 0) << 3) | ((data[at + 5] ?? 0) >> 5);
  if (sampleRateHz === undefined || frameBytes < headerBytes) return null;
  const configuration = ((b2 & 1) << 2) | (b3 >> 6);
  return {
    headerBytes,
    frameBytes,
    objectType: (b2 >> 6) + 1,
    sampleRateHz,
    channels: configuration === 7 ? 8 : configuration,
    blocks: ((data[at + 6] ?? 0) & 3) + 1,
  };
}

/** The AudioSpecificConfig that says the same as the header. @throws WireError for in-band channel descriptions */
export function adtsConfig(header: AdtsHeader): Buffer {
  return buildAudioSpecificConfig(header.sampleRateHz, header.channels, header.objectType);
}

/**
 * Makes ADTS headers for raw frames of one config.
 * @throws WireError when ADTS can't say it (object type above 4, unusual rate)
 */
export function adtsHeaderMaker(config: Buffer): (payloadBytes: number) => Buffer {
  const { objectType, sampleRateHz, channels } = parseAudioSpecificConfig(config);
  const rateIndex = AAC_RATES.indexOf(sampleRateHz);
  const configuration = channels === 8 ? 7 : channels;
  if (objectType < 1 || objectType > 4 || rateIndex < 0 || configuration > 7) {
    throw new WireError('aac.adts', `ADTS can't carry AAC object type ${objectType} at ${sampleRateHz} Hz`, 0);
  }
  return (payloadBytes) => {
    const length = payloadBytes + ADTS_HEADER_BYTES;
    if (length > 0x1fff) throw new WireError('aac.adts', `an AAC frame of ${payloadBytes} bytes is too long`, 0);
    return Buffer.from([
      0xff,
      0xf1,
      ((objectType - 1) << 6) | (rateIndex << 2) | (configuration >> 2),
      ((configuration & 3) << 6) | (length >> 11),
      (length >> 3) & 0xff,
      ((length & 7) << 5) | 0x1f,
      0xfc,
    ]);
  };
}
