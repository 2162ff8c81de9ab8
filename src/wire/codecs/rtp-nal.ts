import { WireError } from '../../core/errors.ts';
import type { VideoFormat } from '../../core/media.ts';
import type { OnUnit } from './depacketize.ts';
import { NalAssembler, type OnProblem } from './nal-assembler.ts';

/**
 * Finds the borders of pictures in RTP packets of NAL units: what RFC 6184 and RFC 7798 have in common.
 *
 * A picture ends with the marker bit or, for cameras that forget it, when the time stamp changes. The marker on SPS, PPS
 * or SEI (several cameras) ends nothing, as there is no slice yet. A camera that sets it on every slice is found out
 * by a slice that goes on with a picture we thought complete; from then on only the time stamp counts.
 *
 * A picture that misses packets is dropped and counted; the ones that refer to it are delivered all the same, as
 * decoders conceal that and a late picture is better than none until the next key frame.
 */
export class RtpNalUnits {
  readonly assembler: NalAssembler;
  readonly #onUnit: OnUnit;
  readonly #onProblem: OnProblem;
  readonly #unpack: (payload: Buffer) => void;
  #ticks = Number.NaN;
  #lastEndedTicks = Number.NaN;
  #inFragment = false;
  #damaged = false;
  /** The next picture may have lost its beginning. True at the start of the stream, where nobody counts it. */
  #mayStartMidway = true;
  #sawAny = false;
  #markerLies = false;
  /** This picture has the time of the one that ended last. */
  #goesOn = false;

  /** @param unpack hands the NAL units of one payload to `single` and `fragment`; may throw a WireError */
  constructor(codec: 'h264' | 'h265', onUnit: OnUnit, onProblem: OnProblem, unpack: (payload: Buffer) => void) {
    this.assembler = new NalAssembler(codec, onProblem);
    this.#unpack = unpack;
    this.#onUnit = onUnit;
    this.#onProblem = onProblem;
  }

  get format(): VideoFormat | null {
    return this.assembler.format;
  }

  /** Takes one packet, as `Depacketizer.push`. */
  push(payload: Buffer, marker: boolean, ticks: number, lost: boolean): void {
    try {
      this.#begin(ticks, lost);
      this.#unpack(payload);
    } catch (error) {
      this.#failed(error);
    }
    if (marker && !this.#markerLies && (this.assembler.hasPicture || this.#damaged || this.#inFragment)) this.#finish();
  }

  single(data: Buffer, start: number, end: number): void {
    this.#closeFragment();
    if (end > start) this.assembler.add(data, start, end);
  }

  /** A part of a NAL unit; `header` (1 or 2 bytes) was taken out of it by the fragmentation. */
  fragment(first: boolean, last: boolean, header: readonly number[], data: Buffer, start: number, end: number): void {
    if (first) {
      this.#closeFragment();
      this.assembler.beginNal();
      for (const byte of header) this.assembler.appendByte(byte);
      this.#inFragment = true;
    } else if (!this.#inFragment) {
      this.#damaged = true;
      return;
    }
    this.assembler.append(data, start, end);
    // RFC 6184 §5.8 forbids Start and End in one header; cameras set both on a NAL that fits one packet.
    if (last) this.#closeFragment();
  }

  #begin(ticks: number, lost: boolean): void {
    const open = this.assembler.hasPicture || this.#inFragment || this.#damaged;
    if (lost) {
      if (open) this.#damaged = true;
      if (this.#inFragment) {
        this.assembler.dropNal();
        this.#inFragment = false;
      }
    }
    if (open && ticks !== this.#ticks) this.#finish();
    if (lost) this.#mayStartMidway = true;
    if (ticks === this.#lastEndedTicks && !this.#markerLies) this.#goesOn = true;
    this.#ticks = ticks;
  }

  /** The packet could not be read: its picture is lost. Anything but a WireError is thrown on. */
  #failed(error: unknown): void {
    if (!(error instanceof WireError)) throw error;
    this.#onProblem({ code: error.code, message: error.message });
    this.assembler.reset();
    this.#inFragment = false;
    this.#damaged = true;
  }

  #closeFragment(): void {
    if (!this.#inFragment) return;
    this.#inFragment = false;
    this.assembler.endNal();
  }

  #finish(): void {
    this.#closeFragment();
    const { assembler } = this;
    const midway = assembler.startsMidway;
    if (midway && this.#goesOn && !this.#mayStartMidway && !this.#damaged) {
      this.#markerLies = true;
      this.#onProblem({
        code: 'rtp.marker',
        message: 'the camera sets the marker bit within pictures; their end is now taken from the time stamp',
      });
    }
    const first = !this.#sawAny;
    this.#sawAny = true;
    const damaged = this.#damaged || (midway && (this.#mayStartMidway || this.#goesOn));
    this.#damaged = false;
    this.#mayStartMidway = false;
    this.#goesOn = false;
    this.#lastEndedTicks = this.#ticks;
    if (damaged) {
      assembler.reset();
      if (!first) this.#onProblem({ code: 'rtp.damaged', message: 'a picture with missing packets was left out' });
      return;
    }
    const unit = assembler.take(this.#ticks);
    if (unit !== null) this.#onUnit({ format: unit.format, ticks: this.#ticks, key: unit.key, data: unit.data });
  }
}
