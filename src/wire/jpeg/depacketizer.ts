import { WireError } from '../../core/errors.ts';
import type { VideoFormat } from '../../core/media.ts';
import type { Depacketizer, OnUnit, RtpMedia } from '../codecs/depacketize.ts';
import { makeVideoFormat } from '../codecs/formats.ts';
import type { OnProblem } from '../codecs/nal-assembler.ts';
import { Slab } from '../codecs/slab.ts';
import { buildJpegHeaders } from './jpeg.ts';
import { quantTables } from './tables.ts';

/** RFC 2435: rebuilds whole JPEG files. */
export class JpegDepacketizer implements Depacketizer {
  format: VideoFormat | null = null;
  readonly #slab = new Slab(256 * 1024);
  readonly #onUnit: OnUnit;
  readonly #onProblem: OnProblem;
  /** Tables given once for a Q of 128…254 hold until changed (§4.2). */
  readonly #tables = new Map<number, Buffer>();
  #headBytes = 0;
  #ticks = 0;
  #open = false;
  #damaged = false;

  constructor(_media: RtpMedia, onUnit: OnUnit, onProblem: OnProblem) {
    this.#onUnit = onUnit;
    this.#onProblem = onProblem;
  }

  push(payload: Buffer, marker: boolean, ticks: number, lost: boolean): void {
    try {
      if (this.#open && ticks !== this.#ticks) this.#finish();
      if (lost && this.#open) this.#damaged = true;
      this.#ticks = ticks;
      this.#unpack(payload);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.#onProblem({ code: error.code, message: error.message });
      this.#damaged = true;
      this.#open = true;
    }
    if (marker) this.#finish();
  }

  #unpack(payload: Buffer): void {
    if (payload.length < 8) throw new WireError('jpeg.short', `JPEG packet of ${payload.length} bytes`, 0);
    const offset = payload.readUIntBE(1, 3);
    const type = payload[4] ?? 0;
    const q = payload[5] ?? 0;
    let at = 8;
    let restartInterval = 0;
    if (type >= 64 && type <= 127) {
      if (payload.length < 12) throw new WireError('jpeg.short', 'JPEG restart header is cut off', 8);
      restartInterval = payload.readUInt16BE(8);
      at = 12;
    }
    if (offset === 0) {
      if (this.#open) this.#finish();
      at = this.#begin(payload, at, type, q, restartInterval);
    } else if (!this.#open) {
      // The beginning was lost, or we joined in the middle.
      this.#open = true;
      this.#damaged = true;
    }
    if (this.#damaged) return;
    if (offset !== this.#slab.length - this.#headBytes) {
      this.#damaged = true;
      return;
    }
    this.#slab.append(payload, at, payload.length);
  }

  /** Reads the first packet's tables and writes the file's headers; returns where the scan data starts. */
  #begin(payload: Buffer, from: number, type: number, q: number, restartInterval: number): number {
    let at = from;
    let tables: Buffer | undefined;
    if (q >= 128) {
      if (payload.length < at + 4) throw new WireError('jpeg.short', 'JPEG table header is cut off', at);
      const precision = payload[at + 1] ?? 0;
      const size = payload.readUInt16BE(at + 2);
      at += 4;
      if (size > payload.length - at) throw new WireError('jpeg.tables', `JPEG tables of ${size} bytes`, at);
      if (size > 0) {
        if (precision !== 0 || size < 64) throw new WireError('jpeg.tables', 'JPEG tables of other than 8 bits', at);
        tables = Buffer.from(payload.subarray(at, at + Math.min(size, 128)));
        if (q < 255) this.#tables.set(q, tables);
        at += size;
      } else {
        tables = this.#tables.get(q);
      }
    } else {
      tables = quantTables(q);
    }
    const kind = type & 63;
    if (kind > 1 || type > 127) throw new WireError('jpeg.type', `JPEG type ${type} of RFC 2435`, 4);
    if (tables === undefined) throw new WireError('jpeg.tables', `JPEG tables for Q ${q} never came`, 5);
    // 8 bits of width/8 end at 2040; 0 is what larger cameras send, most often for 2048.
    const width = (payload[6] || 256) * 8;
    const height = (payload[7] || 256) * 8;
    this.#slab.truncate(0);
    this.#slab.append(buildJpegHeaders(width, height, kind === 0 ? 0x21 : 0x22, tables, restartInterval));
    this.#headBytes = this.#slab.length;
    this.#open = true;
    this.#damaged = false;
    const known = this.format;
    if (known === null || known.width !== width || known.height !== height) {
      this.format = makeVideoFormat('jpeg', width, height);
    }
    return at;
  }

  #finish(): void {
    const { format } = this;
    const damaged = this.#damaged;
    const slab = this.#slab;
    const open = this.#open;
    this.#open = false;
    this.#damaged = false;
    if (!open || format === null) return;
    if (damaged || slab.length <= this.#headBytes) {
      slab.truncate(0);
      this.#onProblem({ code: 'rtp.damaged', message: 'a picture with missing packets was left out' });
      return;
    }
    if (slab.byte(slab.length - 2) !== 0xff || slab.byte(slab.length - 1) !== 0xd9) {
      slab.appendByte(0xff);
      slab.appendByte(0xd9);
    }
    this.#onUnit({ format, ticks: this.#ticks, key: true, data: slab.take() });
  }
}
