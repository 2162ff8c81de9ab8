import { WireError } from '../../core/errors.ts';
import type { VideoFormat } from '../../core/media.ts';
import { type Depacketizer, fmtpValue, type OnUnit, type RtpMedia } from '../codecs/depacketize.ts';
import type { OnProblem } from '../codecs/nal-assembler.ts';
import { RtpNalUnits } from '../codecs/rtp-nal.ts';
import { forEachSprop } from '../codecs/sprop.ts';

/** RFC 6184. Single NAL units, STAP-A, FU-A; also STAP-B and FU-B, whose decoding order number is not needed. */
export class H264Depacketizer implements Depacketizer {
  readonly #units: RtpNalUnits;

  constructor(media: RtpMedia, onUnit: OnUnit, onProblem: OnProblem) {
    this.#units = new RtpNalUnits('h264', onUnit, onProblem, (payload) => this.#unpack(payload));
    const { assembler } = this.#units;
    // RFC 6184 §8.1. Some cameras put garbage or an empty value here and the real sets in band.
    forEachSprop(fmtpValue(media.fmtp, 'sprop-parameter-sets'), (nal) => {
      const type = (nal[0] ?? 0) & 0x1f;
      if (type === 7 || type === 8) assembler.add(nal);
    });
    assembler.reset();
  }

  get format(): VideoFormat | null {
    return this.#units.format;
  }

  push(payload: Buffer, marker: boolean, ticks: number, lost: boolean): void {
    this.#units.push(payload, marker, ticks, lost);
  }

  #unpack(payload: Buffer): void {
    const units = this.#units;
    const head = payload[0];
    if (head === undefined) return;
    const type = head & 0x1f;
    switch (type) {
      case 24:
        unpackAggregate(payload, 1, 0, units);
        return;
      case 25:
        unpackAggregate(payload, 3, 0, units);
        return;
      case 28:
      case 29: {
        const fu = payload[1];
        const from = type === 28 ? 2 : 4;
        if (fu === undefined || payload.length < from) {
          throw new WireError('h264.fu', `FU of ${payload.length} bytes`, 0);
        }
        const header = (head & 0xe0) | (fu & 0x1f);
        units.fragment((fu & 0x80) !== 0, (fu & 0x40) !== 0, [header], payload, from, payload.length);
        return;
      }
      case 26:
      case 27:
        throw new WireError('h264.mtap', 'the camera sends interleaved H.264 (packetization-mode 2)', 0, {
          hint: 'choose packetization mode 0 or 1 in its settings',
        });
      case 0:
      case 30:
      case 31:
        // Padding of some encoders; reserved by RFC 6184 §5.2 and to be ignored.
        return;
      default:
        units.single(payload, 0, payload.length);
    }
  }
}

/**
 * NAL units behind 16-bit sizes (STAP: RFC 6184 §5.7.1; AP: RFC 7798 §4.4.2).
 * @param donBytes decoding order number in front of each size
 */
export function unpackAggregate(payload: Buffer, from: number, donBytes: number, units: RtpNalUnits): void {
  let at = from + donBytes;
  while (at + 2 <= payload.length) {
    const size = payload.readUInt16BE(at);
    at += 2;
    if (size > payload.length - at) {
      throw new WireError('nal.aggregate', `aggregated NAL unit of ${size} bytes, ${payload.length - at} left`, at);
    }
    units.single(payload, at, at + size);
    at += size + donBytes;
  }
}
