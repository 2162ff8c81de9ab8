import { WireError } from '../../core/errors.ts';
import type { AudioFormat } from '../../core/media.ts';
import { BitReader } from '../codecs/bits.ts';
import { type Depacketizer, fmtpValue, type OnUnit, type RtpMedia } from '../codecs/depacketize.ts';
import type { OnProblem } from '../codecs/nal-assembler.ts';
import { makeAacFormat, parseAudioSpecificConfig } from './config.ts';
import { type LatmConfig, readAudioMuxElement, readStreamMuxConfig } from './latm.ts';

/** An AudioMuxElement holds at most 64 frames; real ones hold one. */
const MAX_ELEMENT_BYTES = 64 * 1024;

/** RFC 6416 (RFC 3016): `MP4A-LATM`, configuration in the SDP (`cpresent=0`) or in band. */
export class LatmDepacketizer implements Depacketizer {
  format: AudioFormat | null = null;
  readonly #clockRateHz: number;
  readonly #inBand: boolean;
  readonly #onUnit: OnUnit;
  readonly #onProblem: OnProblem;
  #config: LatmConfig | null = null;
  #frameTicks = 0;
  #parts: Buffer[] = [];
  #partBytes = 0;
  #ticks = 0;
  #damaged = false;

  constructor(media: RtpMedia, onUnit: OnUnit, onProblem: OnProblem) {
    this.#clockRateHz = media.clockRateHz;
    this.#onUnit = onUnit;
    this.#onProblem = onProblem;
    this.#inBand = (fmtpValue(media.fmtp, 'cpresent') ?? '1').trim() !== '0';
    const text = fmtpValue(media.fmtp, 'config')?.trim() ?? '';
    if (text === '') return;
    this.#guard(() => {
      const bytes = Buffer.from(text.length % 2 === 0 ? text : `${text}0`, 'hex').subarray(0, 256);
      this.#use(readStreamMuxConfig(new BitReader(bytes, 'LATM StreamMuxConfig')));
    });
  }

  push(payload: Buffer, marker: boolean, ticks: number, lost: boolean): void {
    if (lost && this.#partBytes > 0) this.#damaged = true;
    if (this.#partBytes > 0 && ticks !== this.#ticks) this.#finish();
    this.#ticks = ticks;
    this.#partBytes += payload.length;
    if (this.#partBytes > MAX_ELEMENT_BYTES) this.#damaged = true;
    // Copied: the pieces wait for the rest of the element.
    if (!this.#damaged) this.#parts.push(marker ? payload : Buffer.from(payload));
    if (marker) this.#finish();
  }

  #finish(): void {
    const parts = this.#parts;
    const damaged = this.#damaged;
    this.#parts = [];
    this.#partBytes = 0;
    this.#damaged = false;
    if (damaged) {
      this.#onProblem({ code: 'rtp.damaged', message: 'an AAC frame with missing packets was left out' });
      return;
    }
    this.#guard(() => {
      const element = parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts);
      const { config, frames } = readAudioMuxElement(element, this.#config, this.#inBand);
      if (config !== null && config !== this.#config) this.#use(config);
      const { format } = this;
      if (format === null) return;
      for (const [index, data] of frames.entries()) {
        if (data.length > 0) this.#onUnit({ format, ticks: this.#ticks + index * this.#frameTicks, key: true, data });
      }
    });
  }

  #use(config: LatmConfig): void {
    const known = this.#config;
    this.#config = config;
    if (known?.config.equals(config.config) === true) return;
    const { sampleRateHz, frameSamples } = parseAudioSpecificConfig(config.config);
    this.#frameTicks = (frameSamples * this.#clockRateHz) / sampleRateHz;
    this.format = makeAacFormat(config.config, this.#clockRateHz);
  }

  #guard(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.#onProblem({ code: error.code, message: error.message });
    }
  }
}
