import type { AccessUnit, AudioCodec, AudioFormat, TrackFormat } from '../../core/media.ts';
import { decodeAlaw, decodeUlaw } from '../g711/g711.ts';
import { decodeL16 } from '../l16/l16.ts';
import { encodeFlacFrame, MAX_BLOCK_SAMPLES, MIN_BLOCK_SAMPLES, streamInfo } from './encoder.ts';

const PCM: ReadonlySet<AudioCodec> = new Set<AudioCodec>(['pcma', 'pcmu', 'l16']);

/** RFC 9639 has 36 bits for the number, but FFmpeg (and so Chromium) refuses its 7-byte form; in MP4 nobody needs it. */
const SAMPLE_NUMBERS = 2 ** 31;

/** Whether a track has to become FLAC to go into MP4. */
export function isPcm(format: TrackFormat): format is AudioFormat {
  return format.kind === 'audio' && PCM.has(format.codec);
}

/** The FLAC format that carries a PCM track without loss. @throws WireError for rates or channels FLAC has not. */
function flacFormatOf(pcm: AudioFormat): AudioFormat {
  return {
    kind: 'audio',
    codec: 'flac',
    clockRateHz: pcm.clockRateHz,
    sampleRateHz: pcm.sampleRateHz,
    channels: pcm.channels,
    codecString: 'flac',
    config: streamInfo(pcm.sampleRateHz, pcm.channels),
  };
}

/**
 * Makes FLAC units of the PCM units of one track. Each unit is encoded once, whoever asks first; the result lives as
 * long as the unit does. Nothing is carried from unit to unit, so that any order and any start will do.
 */
export class FlacTrack implements Disposable {
  #made = new WeakMap<AccessUnit, readonly AccessUnit[]>();
  #from: AudioFormat;
  #format: AudioFormat;

  constructor(pcm: AudioFormat) {
    this.#from = pcm;
    this.#format = flacFormatOf(pcm);
  }

  get format(): AudioFormat {
    return this.#format;
  }

  /** Usually one unit; several where the block would be too long for FLAC, none for an empty one. */
  convert(unit: AccessUnit): readonly AccessUnit[] {
    const known = this.#made.get(unit);
    if (known !== undefined) return known;
    const made = this.#encode(unit);
    this.#made.set(unit, made);
    return made;
  }

  [Symbol.dispose](): void {
    this.#made = new WeakMap();
  }

  #encode(unit: AccessUnit): readonly AccessUnit[] {
    const { format } = unit;
    if (!isPcm(format)) return [];
    if (format !== this.#from) {
      const same = format.sampleRateHz === this.#from.sampleRateHz && format.channels === this.#from.channels;
      this.#from = format;
      if (!same) this.#format = flacFormatOf(format);
    }
    const samples = decodePcm(unit.data, format.codec);
    const { channels, sampleRateHz, clockRateHz } = format;
    const total = Math.floor(samples.length / channels);
    const units: AccessUnit[] = [];
    for (let at = 0; at < total; at += MAX_BLOCK_SAMPLES) {
      const part = padded(
        samples.subarray(at * channels, Math.min(total, at + MAX_BLOCK_SAMPLES) * channels),
        channels,
      );
      const pts = unit.pts + Math.round((at * clockRateHz) / sampleRateHz);
      const number = Math.max(0, Math.round((pts * sampleRateHz) / clockRateHz)) % SAMPLE_NUMBERS;
      const data = encodeFlacFrame(part, channels, sampleRateHz, number);
      units.push({ ...unit, format: this.#format, pts, dts: pts, data });
    }
    return units;
  }
}

function decodePcm(data: Buffer, codec: AudioCodec): Int16Array {
  if (codec === 'pcma') return decodeAlaw(data);
  if (codec === 'pcmu') return decodeUlaw(data);
  return decodeL16(data);
}

/** A rest that is too short for a block is filled up with silence: below 2 ms at any rate. */
function padded(samples: Int16Array, channels: number): Int16Array {
  if (samples.length >= MIN_BLOCK_SAMPLES * channels) return samples;
  const out = new Int16Array(MIN_BLOCK_SAMPLES * channels);
  out.set(samples);
  return out;
}
