import { WireError } from '../../core/errors.ts';
import type { AudioFormat } from '../../core/media.ts';
import { BitReader } from '../codecs/bits.ts';
import { type Depacketizer, fmtpNumber, fmtpValue, type OnUnit, type RtpMedia } from '../codecs/depacketize.ts';
import type { OnProblem } from '../codecs/nal-assembler.ts';
import { Slab } from '../codecs/slab.ts';
import { readAdtsHeader } from './adts.ts';
import { AacClock } from './clock.ts';
import { buildAudioSpecificConfig, makeAacFormat, parseAudioSpecificConfig } from './config.ts';

const CHUNK_BYTES = 16 * 1024;
/** No AAC frame of up to 8 channels is longer (6144 bits a channel). */
const MAX_FRAME_BYTES = 8 * 1024;

/** Layout of the AU headers (RFC 3640 §3.2.1, §4.1). */
interface HeaderLayout {
  readonly sizeBits: number;
  readonly indexBits: number;
  readonly indexDeltaBits: number;
  readonly ctsBits: number;
  readonly dtsBits: number;
  readonly randomAccess: boolean;
  readonly streamStateBits: number;
  readonly auxiliaryBits: number;
  readonly constantSize: number;
}

/** RFC 3640: AAC-hbr, AAC-lbr and generic modes; several frames a packet, fragmented frames, interleaving. */
export class AacDepacketizer implements Depacketizer {
  readonly format: AudioFormat;
  readonly #layout: HeaderLayout;
  readonly #clock: AacClock;
  readonly #slab = new Slab(CHUNK_BYTES);
  readonly #onUnit: OnUnit;
  readonly #onProblem: OnProblem;
  #fragmentBytes = 0;
  #fragmentTicks = 0;
  #skippingFragment = false;

  constructor(media: RtpMedia, onUnit: OnUnit, onProblem: OnProblem) {
    this.#onUnit = onUnit;
    this.#onProblem = onProblem;
    this.#layout = readLayout(media.fmtp);
    const config = readConfig(media, onProblem);
    this.format = makeAacFormat(config, media.clockRateHz);
    const { sampleRateHz, frameSamples } = parseAudioSpecificConfig(config);
    this.#clock = new AacClock(media.clockRateHz, sampleRateHz, frameSamples);
  }

  push(payload: Buffer, marker: boolean, ticks: number, lost: boolean): void {
    try {
      if (lost) this.#dropFragment();
      this.#unpack(payload, marker, ticks);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.#dropFragment();
      this.#onProblem({ code: error.code, message: error.message });
    }
  }

  #unpack(payload: Buffer, marker: boolean, ticks: number): void {
    const layout = this.#layout;
    const sizes: number[] = [];
    const indexes: number[] = [];
    let at = 0;
    const inHeader = layout.sizeBits + layout.indexBits + layout.ctsBits + layout.dtsBits + layout.streamStateBits;
    if (inHeader > 0 || layout.randomAccess) {
      if (payload.length < 2) throw new WireError('aac.short', `AAC packet of ${payload.length} bytes`, 0);
      const headerBits = payload.readUInt16BE(0);
      const headerBytes = (headerBits + 7) >> 3;
      if (2 + headerBytes > payload.length) throw new WireError('aac.headers', `AU headers of ${headerBits} bits`, 0);
      readHeaders(payload.subarray(2, 2 + headerBytes), headerBits, layout, sizes, indexes);
      at = 2 + headerBytes;
    }
    if (layout.auxiliaryBits > 0) {
      const bits = new BitReader(payload.subarray(at), 'AAC auxiliary section');
      bits.skip(bits.u(layout.auxiliaryBits));
      at += (bits.bitPosition + 7) >> 3;
    }
    if (layout.sizeBits === 0) {
      const left = payload.length - at;
      const size = layout.constantSize > 0 ? layout.constantSize : left;
      for (let from = at; from + size <= payload.length && size > 0; from += size) sizes.push(size);
    }
    const base = this.#clock.ticks(ticks, sizes.length);
    const first = indexes[0] ?? 0;
    for (const [order, size] of sizes.entries()) {
      const frameTicks = base + ((indexes[order] ?? first + order) - first) * this.#clock.frameTicks;
      const left = payload.length - at;
      if (size > left || (this.#fragmentBytes > 0 && sizes.length === 1)) {
        this.#fragment(payload, at, size, frameTicks, marker);
        return;
      }
      this.#emit(payload, at, at + size, frameTicks);
      at += size;
    }
  }

  /** A frame longer than its packet (RFC 3640 §3.1): each fragment repeats the header with the whole size. */
  #fragment(payload: Buffer, at: number, size: number, ticks: number, marker: boolean): void {
    if (size > MAX_FRAME_BYTES) throw new WireError('aac.size', `an AAC frame of ${size} bytes`, at);
    if (this.#skippingFragment) {
      this.#skippingFragment = !marker;
      return;
    }
    if (this.#slab.length === 0) {
      this.#fragmentBytes = size;
      this.#fragmentTicks = ticks;
    }
    this.#slab.append(payload, at, payload.length);
    if (this.#slab.length < this.#fragmentBytes && !marker) return;
    const whole = this.#slab.length === this.#fragmentBytes;
    const frameTicks = this.#fragmentTicks;
    this.#fragmentBytes = 0;
    if (!whole) {
      this.#slab.truncate(0);
      throw new WireError('aac.fragment', `a fragmented AAC frame of ${size} bytes is not whole`, at);
    }
    this.#onUnit({ format: this.format, ticks: frameTicks, key: true, data: this.#slab.take() });
  }

  #emit(payload: Buffer, start: number, end: number, ticks: number): void {
    if (end <= start) return;
    this.#skippingFragment = false;
    let from = start;
    // Some cameras leave the ADTS header on each frame.
    const adts = readAdtsHeader(payload, start);
    if (adts !== null && adts.frameBytes === end - start && adts.sampleRateHz === this.format.sampleRateHz) {
      from += adts.headerBytes;
    }
    this.#slab.append(payload, from, end);
    this.#onUnit({ format: this.format, ticks, key: true, data: this.#slab.take() });
  }

  #dropFragment(): void {
    if (this.#fragmentBytes > 0) {
      this.#onProblem({ code: 'rtp.damaged', message: 'an AAC frame with missing packets was left out' });
      this.#skippingFragment = true;
    }
    this.#fragmentBytes = 0;
    this.#slab.truncate(0);
  }
}

function readHeaders(head: Buffer, bitCount: number, layout: HeaderLayout, sizes: number[], indexes: number[]): void {
  const bits = new BitReader(head, 'AAC AU headers');
  let index = 0;
  while (bits.bitPosition < bitCount) {
    const size = layout.sizeBits > 0 ? bits.u(layout.sizeBits) : layout.constantSize;
    if (sizes.length === 0) index = layout.indexBits > 0 ? bits.u(layout.indexBits) : 0;
    else index += 1 + (layout.indexDeltaBits > 0 ? bits.u(layout.indexDeltaBits) : 0);
    if (layout.ctsBits > 0 && bits.flag()) bits.skip(layout.ctsBits);
    if (layout.dtsBits > 0 && bits.flag()) bits.skip(layout.dtsBits);
    if (layout.randomAccess) bits.skip(1);
    if (layout.streamStateBits > 0) bits.skip(layout.streamStateBits);
    if (layout.sizeBits > 0) sizes.push(size);
    indexes.push(index);
  }
}

function readLayout(fmtp: ReadonlyMap<string, string>): HeaderLayout {
  const number = (name: string): number => Math.min(fmtpNumber(fmtp, name) ?? 0, 32);
  const mode = (fmtpValue(fmtp, 'mode') ?? 'aac-hbr').trim().toLowerCase();
  const constantSize = Math.min(fmtpNumber(fmtp, 'constantsize') ?? 0, MAX_FRAME_BYTES);
  const layout: HeaderLayout = {
    sizeBits: number('sizelength'),
    indexBits: number('indexlength'),
    indexDeltaBits: number('indexdeltalength'),
    ctsBits: number('ctsdeltalength'),
    dtsBits: number('dtsdeltalength'),
    randomAccess: number('randomaccessindication') === 1,
    streamStateBits: number('streamstateindication'),
    auxiliaryBits: number('auxiliarydatasizelength'),
    constantSize,
  };
  if (layout.sizeBits > 0 || constantSize > 0 || mode === 'generic') return layout;
  // §3.3.5, §3.3.6: the modes prescribe the lengths; cameras leave them out.
  return mode === 'aac-lbr'
    ? { ...layout, sizeBits: 6, indexBits: 2, indexDeltaBits: 2 }
    : { ...layout, sizeBits: 13, indexBits: 3, indexDeltaBits: 3 };
}

/** The config of the SDP; where it is missing or broken, AAC-LC at the rate of the rtpmap, as players assume. */
function readConfig(media: RtpMedia, onProblem: OnProblem): Buffer {
  const text = fmtpValue(media.fmtp, 'config')?.trim() ?? '';
  if (text !== '') {
    try {
      if (!/^[0-9a-f]+$/i.test(text))
        throw new WireError('aac.config', `AAC config "${text.slice(0, 64)}" is not hex`, 0);
      const config = Buffer.from(text.length % 2 === 0 ? text : `${text}0`, 'hex').subarray(0, 64);
      parseAudioSpecificConfig(config);
      return config;
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      onProblem({ code: error.code, message: `${error.message}; assuming AAC-LC at ${media.clockRateHz} Hz` });
    }
  }
  const channels = media.channels >= 1 && media.channels <= 6 ? media.channels : 1;
  return buildAudioSpecificConfig(media.clockRateHz, channels);
}
