import { WireError } from '../../core/errors.ts';
import type { AudioFormat } from '../../core/media.ts';
import type { Depacketizer, OnUnit, RtpMedia } from './depacketize.ts';
import { makeAudioFormat } from './formats.ts';
import type { OnProblem } from './nal-assembler.ts';
import { Slab } from './slab.ts';

export interface Mp3Header {
  readonly sampleRateHz: number;
  readonly channels: number;
  readonly frameBytes: number;
  readonly frameSamples: number;
}

const RATES = [44_100, 48_000, 32_000];
const KBIT_V1_L3 = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
const KBIT_V2_L3 = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];

/** A layer III frame header (ISO/IEC 11172-3 §2.4.1.3, 13818-3); null when there is none at `at`. */
export function readMp3Header(data: Uint8Array, at = 0): Mp3Header | null {
  const b1 = data[at + 1] ?? 0;
  const b2 = data[at + 2] ?? 0;
  const b3 = data[at + 3];
  if (data[at] !== 0xff || (b1 & 0xe0) !== 0xe0 || (b1 & 0x06) !== 0x02 || b3 === undefined) return null;
  const version = (b1 >> 3) & 3;
  const rate = RATES[(b2 >> 2) & 3];
  const kbit = (version === 3 ? KBIT_V1_L3 : KBIT_V2_L3)[b2 >> 4];
  if (version === 1 || rate === undefined || kbit === undefined || kbit === 0) return null;
  const sampleRateHz = rate >> (version === 3 ? 0 : version === 2 ? 1 : 2);
  const frameSamples = version === 3 ? 1152 : 576;
  return {
    sampleRateHz,
    channels: b3 >> 6 === 3 ? 1 : 2,
    frameBytes: Math.floor((frameSamples / 8) * ((kbit * 1000) / sampleRateHz)) + ((b2 >> 1) & 1),
    frameSamples,
  };
}

/** MPEG audio (RFC 2250 §3.5): a 4-byte header, then whole frames or a part of one. */
export class Mp3Depacketizer implements Depacketizer {
  format: AudioFormat | null = null;
  readonly #clockRateHz: number;
  readonly #slab = new Slab(16 * 1024);
  readonly #onUnit: OnUnit;
  readonly #onProblem: OnProblem;

  constructor(media: RtpMedia, onUnit: OnUnit, onProblem: OnProblem) {
    this.#clockRateHz = media.clockRateHz;
    this.#onUnit = onUnit;
    this.#onProblem = onProblem;
  }

  push(payload: Buffer, _marker: boolean, ticks: number, _lost: boolean): void {
    try {
      this.#unpack(payload, ticks);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.#onProblem({ code: error.code, message: error.message });
    }
  }

  #unpack(payload: Buffer, ticks: number): void {
    let at = 4;
    for (let index = 0; at < payload.length; index++) {
      const header = readMp3Header(payload, at);
      if (header === null) throw new WireError('mp3.sync', 'an MP3 packet that does not start with a frame', at);
      const end = at + header.frameBytes;
      if (end > payload.length) throw new WireError('mp3.cut', 'an MP3 frame in several packets', at);
      const { format } = this;
      const known = format?.sampleRateHz === header.sampleRateHz && format.channels === header.channels;
      const now =
        known && format !== null
          ? format
          : makeAudioFormat('mp3', header.sampleRateHz, header.channels, this.#clockRateHz);
      this.format = now;
      this.#slab.append(payload, at, end);
      const step = Math.round((header.frameSamples * this.#clockRateHz) / header.sampleRateHz);
      this.#onUnit({ format: now, ticks: ticks + index * step, key: true, data: this.#slab.take() });
      at = end;
    }
  }
}
