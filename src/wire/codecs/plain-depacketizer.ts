import { WireError } from '../../core/errors.ts';
import type { AudioCodec, AudioFormat } from '../../core/media.ts';
import type { Depacketizer, OnUnit, RtpMedia } from './depacketize.ts';
import { makeAudioFormat } from './formats.ts';
import type { OnProblem } from './nal-assembler.ts';
import { Slab } from './slab.ts';

const CHUNK_BYTES = 16 * 1024;

/** Codecs whose RTP payload is the access unit itself: Opus (RFC 7587), G.711, G.722, G.726, L16 (RFC 3551). */
export class PlainDepacketizer implements Depacketizer {
  readonly format: AudioFormat;
  readonly #slab = new Slab(CHUNK_BYTES);
  readonly #onUnit: OnUnit;
  readonly #onProblem: OnProblem;

  constructor(codec: Exclude<AudioCodec, 'aac' | 'flac'>, media: RtpMedia, onUnit: OnUnit, onProblem: OnProblem) {
    const channels = media.channels > 0 ? media.channels : codec === 'opus' ? 2 : 1;
    // RFC 3551 §4.5.2: G.722 samples at 16 kHz although its RTP clock is 8 kHz, for historical reasons.
    const sampleRateHz = codec === 'g722' ? 16_000 : media.clockRateHz;
    this.format = makeAudioFormat(codec, sampleRateHz, channels, media.clockRateHz);
    this.#onUnit = onUnit;
    this.#onProblem = onProblem;
  }

  push(payload: Buffer, _marker: boolean, ticks: number, _lost: boolean): void {
    if (payload.length === 0) return;
    try {
      this.#slab.append(payload);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.#onProblem({ code: error.code, message: error.message });
      return;
    }
    this.#onUnit({ format: this.format, ticks, key: true, data: this.#slab.take() });
  }
}
