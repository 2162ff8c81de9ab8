import { WireError } from '../../core/errors.ts';
import type { VideoFormat } from '../../core/media.ts';
import type { Depacketizer, OnUnit, RtpMedia } from '../codecs/depacketize.ts';
import { sameFormat } from '../codecs/formats.ts';
import type { OnProblem } from '../codecs/nal-assembler.ts';
import { type FrameInfo, RtpFrames } from '../codecs/rtp-frames.ts';
import { makeVp9Format } from './format.ts';
import { readVp9Key } from './vp9.ts';

/** RFC 9628. The layers of a picture are kept together. */
export class Vp9Depacketizer implements Depacketizer {
  format: VideoFormat | null = null;
  readonly #frames: RtpFrames;

  constructor(_media: RtpMedia, onUnit: OnUnit, onProblem: OnProblem) {
    this.#frames = new RtpFrames(onUnit, onProblem, (frame) => this.#inspect(frame));
  }

  push(payload: Buffer, marker: boolean, ticks: number, lost: boolean): void {
    const head = payload[0];
    if (head === undefined) return;
    this.#frames.push(payload, marker, ticks, lost, (head & 0x08) !== 0, vp9DescriptorBytes);
  }

  #inspect(frame: Buffer): FrameInfo {
    const key = readVp9Key(frame);
    if (key === null) return { key: false, format: this.format };
    const format = makeVp9Format(key);
    if (this.format === null || !sameFormat(this.format, format)) this.format = format;
    return { key: true, format: this.format };
  }
}

/** Length of the payload descriptor (RFC 9628 §4.2). @throws WireError */
export function vp9DescriptorBytes(payload: Buffer): number {
  const head = payload[0] ?? 0;
  const flexible = (head & 0x10) !== 0;
  let at = 1;
  if ((head & 0x80) !== 0) at += ((payload[at] ?? 0) & 0x80) !== 0 ? 2 : 1;
  if ((head & 0x20) !== 0) at += flexible ? 1 : 2;
  if (flexible && (head & 0x40) !== 0) {
    let more = true;
    for (let count = 0; more && count < 3; count++) more = ((payload[at++] ?? 0) & 1) !== 0;
  }
  if ((head & 0x02) !== 0) at += scalabilityBytes(payload, at);
  if (at > payload.length) throw new WireError('vp9.short', 'VP9 payload descriptor is cut off', 0);
  return at;
}

/** Scalability structure (§4.2.1). */
function scalabilityBytes(payload: Buffer, from: number): number {
  const head = payload[from] ?? 0;
  let at = from + 1;
  if ((head & 0x10) !== 0) at += 4 * ((head >> 5) + 1);
  if ((head & 0x08) !== 0) {
    const groups = payload[at++] ?? 0;
    for (let group = 0; group < groups; group++) {
      const entry = payload[at++];
      if (entry === undefined) throw new WireError('vp9.short', 'VP9 scalability structure is cut off', from);
      at += (entry >> 2) & 3;
    }
  }
  return at - from;
}
