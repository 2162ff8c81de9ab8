import { WireError } from '../../core/errors.ts';
import type { AudioFormat } from '../../core/media.ts';
import { readMp3Header } from '../mp3/frame.ts';
import type { Depacketizer, OnUnit, RtpMedia } from './depacketize.ts';
import { makeAudioFormat } from './formats.ts';
import type { OnProblem } from './nal-assembler.ts';
import { Slab } from './slab.ts';

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
      if (header?.layer !== 3) throw new WireError('mp3.sync', 'an MP3 packet that does not start with a frame', at);
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
      const step = Math.round((header.samples * this.#clockRateHz) / header.sampleRateHz);
      this.#onUnit({ format: now, ticks: ticks + index * step, key: true, data: this.#slab.take() });
      at = end;
    }
  }
}
