import { WireError } from '../../core/errors.ts';
import type { VideoFormat } from '../../core/media.ts';
import { type Depacketizer, fmtpNumber, fmtpValue, type OnUnit, type RtpMedia } from '../codecs/depacketize.ts';
import type { OnProblem } from '../codecs/nal-assembler.ts';
import { RtpNalUnits } from '../codecs/rtp-nal.ts';
import { forEachSprop } from '../codecs/sprop.ts';
import { unpackAggregate } from '../h264/depacketizer.ts';

/** RFC 7798: single NAL units, AP, FU; decoding order numbers are skipped where the SDP announces them. */
export class H265Depacketizer implements Depacketizer {
  readonly #units: RtpNalUnits;
  readonly #donl: boolean;

  constructor(media: RtpMedia, onUnit: OnUnit, onProblem: OnProblem) {
    this.#units = new RtpNalUnits('h265', onUnit, onProblem, (payload) => this.#unpack(payload));
    this.#donl = (fmtpNumber(media.fmtp, 'sprop-max-don-diff') ?? 0) > 0;
    const { assembler } = this.#units;
    for (const name of ['sprop-vps', 'sprop-sps', 'sprop-pps']) {
      forEachSprop(fmtpValue(media.fmtp, name), (nal) => {
        const type = ((nal[0] ?? 0) >> 1) & 0x3f;
        if (type >= 32 && type <= 34) assembler.add(nal);
      });
    }
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
    const layer = payload[1];
    if (head === undefined || layer === undefined) return;
    const type = (head >> 1) & 0x3f;
    switch (type) {
      case 48:
        // RFC 7798 §4.4.2: DONL (2 bytes) before the first size, DOND (1 byte) before each further one.
        unpackAggregate(payload, this.#donl ? 3 : 2, this.#donl ? 1 : 0, units);
        return;
      case 49: {
        const fu = payload[2];
        if (fu === undefined) throw new WireError('h265.fu', `FU of ${payload.length} bytes`, 0);
        const first = (fu & 0x80) !== 0;
        const from = first && this.#donl ? 5 : 3;
        if (payload.length < from) throw new WireError('h265.fu', `FU of ${payload.length} bytes`, 0);
        const header = [(head & 0x81) | ((fu & 0x3f) << 1), layer];
        units.fragment(first, (fu & 0x40) !== 0, header, payload, from, payload.length);
        return;
      }
      case 50:
        throw new WireError('h265.paci', 'the camera sends PACI packets (RFC 7798 §4.4.4), which are not supported', 0);
      default: {
        if (type > 50) return;
        if (!this.#donl) {
          units.single(payload, 0, payload.length);
          return;
        }
        // RFC 7798 §4.4.1: DONL stands between the NAL header and the rest.
        if (payload.length < 4) return;
        units.single(Buffer.concat([payload.subarray(0, 2), payload.subarray(4)]), 0, payload.length - 2);
      }
    }
  }
}
