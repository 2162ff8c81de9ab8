import { WireError } from '../../core/errors.ts';
import type { VideoFormat } from '../../core/media.ts';
import type { OnUnit } from './depacketize.ts';
import type { OnProblem } from './nal-assembler.ts';
import { Slab } from './slab.ts';

/** What a codec says of a finished frame. */
export interface FrameInfo {
  readonly key: boolean;
  /** Null while no key frame was seen. */
  readonly format: VideoFormat | null;
}

/**
 * Gathers frames out of packets for codecs whose payload descriptor says where a frame starts (VP8, VP9, AV1): a frame
 * with missing packets is dropped and reported.
 */
export class RtpFrames {
  readonly slab = new Slab(256 * 1024);
  readonly #onUnit: OnUnit;
  readonly #onProblem: OnProblem;
  readonly #inspect: (frame: Buffer) => FrameInfo;
  #ticks = 0;
  #open = false;
  #damaged = false;
  #sawAny = false;

  constructor(onUnit: OnUnit, onProblem: OnProblem, inspect: (frame: Buffer) => FrameInfo) {
    this.#onUnit = onUnit;
    this.#onProblem = onProblem;
    this.#inspect = inspect;
  }

  /**
   * Takes a packet that is a payload descriptor and bytes of the frame.
   * @param starts a frame begins with it
   * @param descriptorBytes the descriptor's length; may throw a WireError
   */
  push(
    payload: Buffer,
    marker: boolean,
    ticks: number,
    lost: boolean,
    starts: boolean,
    descriptorBytes: (payload: Buffer) => number,
  ): void {
    try {
      const from = descriptorBytes(payload);
      if (this.begin(ticks, lost, starts)) this.slab.append(payload, from, payload.length);
    } catch (error) {
      this.failed(error);
    }
    this.end(marker);
  }

  /** Before the packet's bytes are added. `starts`: a frame begins with it. Returns whether to add them. */
  begin(ticks: number, lost: boolean, starts: boolean): boolean {
    if (this.#open && lost) this.#damaged = true;
    if (this.#open && ticks !== this.#ticks) this.#finish();
    this.#ticks = ticks;
    if (!this.#open) {
      this.#open = true;
      this.#damaged = !starts;
    }
    return !this.#damaged;
  }

  /** After the packet's bytes. */
  end(marker: boolean): void {
    if (marker && this.#open) this.#finish();
  }

  failed(error: unknown): void {
    if (!(error instanceof WireError)) throw error;
    this.#onProblem({ code: error.code, message: error.message });
    this.#open = true;
    this.#damaged = true;
  }

  #finish(): void {
    const damaged = this.#damaged;
    const first = !this.#sawAny;
    this.#open = false;
    this.#damaged = false;
    this.#sawAny = true;
    if (damaged) {
      this.slab.truncate(0);
      if (!first) this.#onProblem({ code: 'rtp.damaged', message: 'a picture with missing packets was left out' });
      return;
    }
    if (this.slab.length === 0) return;
    const data = this.slab.take();
    const { key, format } = this.#inspect(data);
    if (format !== null) this.#onUnit({ format, ticks: this.#ticks, key, data });
  }
}
