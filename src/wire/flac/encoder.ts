import { WireError } from '../../core/errors.ts';
import { crc8, crc16 } from './crc.ts';

/** The largest block written here; longer input is for the caller to cut. */
export const MAX_BLOCK_SAMPLES = 4_608;
/** RFC 9639 §8.2: shorter blocks are for the end of a stream only. */
export const MIN_BLOCK_SAMPLES = 16;
const MAX_FIXED_ORDER = 4;
const MAX_RICE_PARAMETER = 14;

/**
 * STREAMINFO (RFC 9639 §8.2) of a live stream: lengths and checksum unknown, 16 bits a sample.
 * @throws WireError when FLAC can't carry it
 */
export function streamInfo(sampleRateHz: number, channels: number): Buffer {
  if (channels < 1 || channels > 8 || sampleRateHz < 1 || sampleRateHz >= 1 << 20) {
    throw new WireError('flac.format', `FLAC does not carry ${channels} channels at ${sampleRateHz} Hz`, 0);
  }
  const info = Buffer.alloc(34);
  info.writeUInt16BE(MIN_BLOCK_SAMPLES, 0);
  info.writeUInt16BE(MAX_BLOCK_SAMPLES, 2);
  info.writeUInt32BE(((sampleRateHz << 12) | ((channels - 1) << 9) | (15 << 4)) >>> 0, 10);
  return info;
}

/**
 * One frame (RFC 9639 §9) of 16-bit samples, with the best of the fixed predictors, or the samples as they are where
 * that is shorter (noise).
 * @param samples interleaved; MIN_BLOCK_SAMPLES…MAX_BLOCK_SAMPLES for each channel
 * @param firstSample number of the first sample in the stream, below 2^36; FFmpeg takes it below 2^31 only
 */
export function encodeFlacFrame(
  samples: Int16Array,
  channels: number,
  sampleRateHz: number,
  firstSample: number,
): Buffer {
  const count = Math.floor(samples.length / channels);
  if (count < MIN_BLOCK_SAMPLES || count > MAX_BLOCK_SAMPLES) {
    throw new WireError('flac.block', `a FLAC block of ${count} samples, possible are 16 to ${MAX_BLOCK_SAMPLES}`, 0);
  }
  const out = new BitSink(32 + channels * (count * 2 + 16));
  out.put(0xfff9, 16); // sync code, variable block size: the number below counts samples
  out.put((7 << 4) | rateCode(sampleRateHz), 8); // block size stands in 16 bits behind the number
  out.put(((channels - 1) << 4) | (4 << 1), 8); // channels by themselves, 16 bits
  putCodedNumber(out, firstSample);
  out.put(count - 1, 16);
  out.put(crc8(out.bytes, out.length), 8);
  const channel = new Int32Array(count);
  for (let index = 0; index < channels; index++) {
    for (let at = 0; at < count; at++) channel[at] = samples[at * channels + index] ?? 0;
    putSubframe(out, channel);
  }
  out.align();
  out.put(crc16(out.bytes, out.length), 16);
  return Buffer.from(out.bytes.subarray(0, out.length));
}

function rateCode(rateHz: number): number {
  switch (rateHz) {
    case 8_000:
      return 4;
    case 16_000:
      return 5;
    case 22_050:
      return 6;
    case 24_000:
      return 7;
    case 32_000:
      return 8;
    case 44_100:
      return 9;
    case 48_000:
      return 10;
    default:
      return 0; // as in STREAMINFO
  }
}

/** The number in the manner of UTF-8, up to 36 bits (§9.1.5). */
function putCodedNumber(out: BitSink, value: number): void {
  if (value < 0x80) {
    out.put(value, 8);
    return;
  }
  let more = 1;
  while (more < 6 && value >= 2 ** (6 * more + 6 - more)) more++;
  const lead = (0xff00 >> (more + 1)) & 0xff;
  out.put(lead | Math.floor(value / 2 ** (6 * more)), 8);
  for (let index = more - 1; index >= 0; index--) out.put(0x80 | (Math.floor(value / 2 ** (6 * index)) & 0x3f), 8);
}

function putSubframe(out: BitSink, samples: Int32Array): void {
  const count = samples.length;
  const first = samples[0] ?? 0;
  if (samples.every((sample) => sample === first)) {
    out.put(0, 8); // constant (§9.2.1)
    out.put(first & 0xffff, 16);
    return;
  }
  const { order, residual } = bestPredictor(samples);
  const rice = bestRice(residual, order);
  if (rice.bits + order * 16 + 10 >= count * 16) {
    out.put(1 << 1, 8); // verbatim (§9.2.4)
    for (const sample of samples) out.put(sample & 0xffff, 16);
    return;
  }
  out.put((8 | order) << 1, 8); // fixed predictor (§9.2.5)
  for (let at = 0; at < order; at++) out.put((samples[at] ?? 0) & 0xffff, 16);
  out.put(0, 6); // Rice with 4-bit parameters, one partition (§9.2.7)
  out.put(rice.parameter, 4);
  for (let at = order; at < count; at++) out.putRice(residual[at] ?? 0, rice.parameter);
}

/** Differences of order 0…4 (§9.2.5): the order whose residual is smallest in sum. */
function bestPredictor(samples: Int32Array): { order: number; residual: Int32Array } {
  let current = Int32Array.from(samples);
  let best = { order: 0, residual: current, sum: sumOf(current, MAX_FIXED_ORDER) };
  for (let order = 1; order <= MAX_FIXED_ORDER; order++) {
    const next = new Int32Array(samples.length);
    for (let at = order; at < samples.length; at++) next[at] = (current[at] ?? 0) - (current[at - 1] ?? 0);
    const sum = sumOf(next, MAX_FIXED_ORDER);
    if (sum < best.sum) best = { order, residual: next, sum };
    current = next;
  }
  return best;
}

function sumOf(values: Int32Array, from: number): number {
  let sum = 0;
  for (let at = from; at < values.length; at++) sum += Math.abs(values[at] ?? 0);
  return sum;
}

function bestRice(residual: Int32Array, order: number): { parameter: number; bits: number } {
  const mean = sumOf(residual, order) / Math.max(1, residual.length - order);
  const guess = Math.min(MAX_RICE_PARAMETER, Math.max(0, Math.floor(Math.log2(mean + 1))));
  let best = { parameter: guess, bits: riceBits(residual, order, guess) };
  for (const parameter of [guess - 1, guess + 1]) {
    if (parameter < 0 || parameter > MAX_RICE_PARAMETER) continue;
    const bits = riceBits(residual, order, parameter);
    if (bits < best.bits) best = { parameter, bits };
  }
  return best;
}

function riceBits(residual: Int32Array, order: number, parameter: number): number {
  let bits = 0;
  for (let at = order; at < residual.length; at++) bits += (zigzag(residual[at] ?? 0) >>> parameter) + 1 + parameter;
  return bits;
}

function zigzag(value: number): number {
  return ((value << 1) ^ (value >> 31)) >>> 0;
}

class BitSink {
  readonly bytes: Uint8Array;
  length = 0;
  #word = 0;
  #bits = 0;

  constructor(maxBytes: number) {
    this.bytes = new Uint8Array(maxBytes);
  }

  /** The lowest `bits` (up to 16) of `value`. */
  put(value: number, bits: number): void {
    this.#word = (this.#word << bits) | value;
    this.#bits += bits;
    while (this.#bits >= 8) {
      this.#bits -= 8;
      this.bytes[this.length++] = this.#word >>> this.#bits;
    }
    this.#word &= (1 << this.#bits) - 1;
  }

  putRice(value: number, parameter: number): void {
    const folded = zigzag(value);
    let quotient = folded >>> parameter;
    for (; quotient >= 16; quotient -= 16) this.put(0, 16);
    this.put(1, quotient + 1);
    if (parameter > 0) this.put(folded & ((1 << parameter) - 1), parameter);
  }

  align(): void {
    if (this.#bits > 0) this.put(0, 8 - this.#bits);
  }
}
