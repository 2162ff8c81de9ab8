import { WireError } from '../../core/errors.ts';
import type { VideoFormat } from '../../core/media.ts';
import type { FrameInfo } from '../codecs/rtp-frames.ts';
import { makeAv1Format } from './format.ts';
import { forEachObu, OBU } from './obu.ts';

/** Follows format and key frames of AV1 temporal units (low-overhead format). */
export class Av1Inspector {
  format: VideoFormat | null = null;
  #sequence: Buffer | null = null;
  #reported = false;
  readonly #onProblem: (problem: { code: string; message: string }) => void;

  constructor(onProblem: (problem: { code: string; message: string }) => void) {
    this.#onProblem = onProblem;
  }

  inspect(unit: Buffer): FrameInfo {
    let sequence = false;
    let keyFrame = false;
    let sawFrame = false;
    try {
      forEachObu(unit, (type, _start, from, end) => {
        if (type === OBU.sequenceHeader) {
          sequence = true;
          this.#use(unit.subarray(from, end));
        } else if ((type === OBU.frame || type === OBU.frameHeader) && !sawFrame && end > from) {
          sawFrame = true;
          // §5.9.2: show_existing_frame (1 bit) = 0, frame_type (2 bits) = 0 is KEY_FRAME.
          keyFrame = ((unit[from] ?? 0xff) & 0xe0) === 0;
        }
      });
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      if (!this.#reported) this.#onProblem({ code: error.code, message: error.message });
      this.#reported = true;
    }
    // §7.6.2: decoding starts at a key frame that comes with a sequence header.
    return { key: sequence && keyFrame, format: this.format };
  }

  #use(payload: Buffer): void {
    if (this.#sequence?.equals(payload) === true) return;
    const format = makeAv1Format(Buffer.from(payload));
    this.#sequence = Buffer.from(payload);
    this.format = format;
  }
}
