import { WireError } from '../../core/errors.ts';
import type { VideoFormat } from '../../core/media.ts';
import type { Depacketizer, OnUnit, RtpMedia } from '../codecs/depacketize.ts';
import type { OnProblem } from '../codecs/nal-assembler.ts';
import { type FrameInfo, RtpFrames } from '../codecs/rtp-frames.ts';
import { makeVp8Format } from './format.ts';
import { vp8KeySize } from './vp8.ts';

/** RFC 7741. */
export class Vp8Depacketizer implements Depacketizer {
  format: VideoFormat | null = null;
  readonly #frames: RtpFrames;

  constructor(_media: RtpMedia, onUnit: OnUnit, onProblem: OnProblem) {
    this.#frames = new RtpFrames(onUnit, onProblem, (frame) => this.#inspect(frame));
  }

  push(payload: Buffer, marker: boolean, ticks: number, lost: boolean): void {
    const head = payload[0];
    if (head === undefined) return;
    this.#frames.push(payload, marker, ticks, lost, (head & 0x10) !== 0 && (head & 0x07) === 0, vp8DescriptorBytes);
  }

  #inspect(frame: Buffer): FrameInfo {
    const size = vp8KeySize(frame);
    if (size === null) return { key: false, format: this.format };
    if (this.format === null || this.format.width !== size.width || this.format.height !== size.height) {
      this.format = makeVp8Format(size.width, size.height);
    }
    return { key: true, format: this.format };
  }
}

/** Length of the payload descriptor (RFC 7741 §4.2). @throws WireError */
export function vp8DescriptorBytes(payload: Buffer): number {
  let at = 1;
  if (((payload[0] ?? 0) & 0x80) !== 0) {
    const extension = payload[1] ?? 0;
    at = 2;
    if ((extension & 0x80) !== 0) at += ((payload[at] ?? 0) & 0x80) !== 0 ? 2 : 1;
    if ((extension & 0x40) !== 0) at++;
    if ((extension & 0x30) !== 0) at++;
  }
  if (at > payload.length) throw new WireError('vp8.short', 'VP8 payload descriptor is cut off', 0);
  return at;
}
