import { WireError } from '../../core/errors.ts';
import type { VideoFormat } from '../../core/media.ts';
import type { Depacketizer, OnUnit, RtpMedia } from '../codecs/depacketize.ts';
import type { OnProblem } from '../codecs/nal-assembler.ts';
import { RtpFrames } from '../codecs/rtp-frames.ts';
import { OBU, readLeb128 } from './obu.ts';
import { Av1Inspector } from './unit.ts';

/** Bytes kept for an OBU's size, which is known only at its end; leb128 allows for leading bytes of no value (§4.10.5). */
const SIZE_BYTES = 4;

/** "RTP Payload Format For AV1" (AOMedia), v1.0. */
export class Av1Depacketizer implements Depacketizer {
  readonly #frames: RtpFrames;
  readonly #inspector: Av1Inspector;
  /** Where the open OBU's size goes; -1 when none is open. */
  #sizeAt = -1;
  #obuAt = 0;

  constructor(_media: RtpMedia, onUnit: OnUnit, onProblem: OnProblem) {
    this.#inspector = new Av1Inspector(onProblem);
    this.#frames = new RtpFrames(onUnit, onProblem, (unit) => this.#inspector.inspect(unit));
  }

  get format(): VideoFormat | null {
    return this.#inspector.format;
  }

  push(payload: Buffer, marker: boolean, ticks: number, lost: boolean): void {
    const frames = this.#frames;
    try {
      const head = payload[0];
      if (head === undefined) return;
      const continues = (head & 0x80) !== 0;
      if (frames.begin(ticks, lost, !continues)) {
        this.#unpack(payload, head, continues);
      } else {
        this.#sizeAt = -1;
      }
    } catch (error) {
      this.#sizeAt = -1;
      frames.failed(error);
    }
    frames.end(marker);
  }

  /** Aggregation header (§4.4): Z = first element continues an OBU, Y = last one goes on, W = number of elements. */
  #unpack(payload: Buffer, head: number, continues: boolean): void {
    const goesOn = (head & 0x40) !== 0;
    const count = (head >> 4) & 3;
    if (!continues) this.#sizeAt = -1;
    let at = 1;
    for (let element = 1; at < payload.length; element++) {
      let end = payload.length;
      if (count === 0 || element < count) {
        const size = readLeb128(payload, at);
        at = size.next;
        end = at + size.value;
        if (end > payload.length) throw new WireError('av1.element', `AV1 element of ${size.value} bytes`, at);
      }
      const isLast = end === payload.length;
      if (element === 1 && continues) {
        if (this.#sizeAt < 0) throw new WireError('av1.fragment', 'an AV1 fragment without beginning', 0);
        this.#frames.slab.append(payload, at, end);
      } else {
        this.#open(payload, at, end);
      }
      if (!(isLast && goesOn)) this.#close();
      at = end;
    }
  }

  /** Starts an OBU: writes its header with a size field, whether it came with one or not. */
  #open(payload: Buffer, start: number, end: number): void {
    if (end <= start) return;
    const { slab } = this.#frames;
    const head = payload[start] ?? 0;
    let from = start + ((head & 4) !== 0 ? 2 : 1);
    this.#obuAt = slab.length;
    slab.appendByte(head | 2);
    if ((head & 4) !== 0) slab.appendByte(payload[start + 1] ?? 0);
    if ((head & 2) !== 0) from = readLeb128(payload, from).next;
    this.#sizeAt = slab.reserveU32();
    slab.append(payload, Math.min(from, end), end);
  }

  #close(): void {
    const at = this.#sizeAt;
    if (at < 0) return;
    this.#sizeAt = -1;
    const { slab } = this.#frames;
    const type = (slab.byte(this.#obuAt) >> 3) & 15;
    if (type === OBU.temporalDelimiter || type === OBU.tileList || type === OBU.padding) {
      slab.truncate(this.#obuAt);
      return;
    }
    const size = slab.length - at - SIZE_BYTES;
    slab.patchU32(
      at,
      (((size & 0x7f) | 0x80) << 24) |
        ((((size >> 7) & 0x7f) | 0x80) << 16) |
        ((((size >> 14) & 0x7f) | 0x80) << 8) |
        ((size >> 21) & 0x7f),
    );
  }
}
