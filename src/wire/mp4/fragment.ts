import { writeU64 } from './box.ts';

/** One coded picture or audio frame of a fragment. */
export interface Mp4Sample {
  readonly data: Buffer;
  readonly durationTicks: number;
  /** Presentation minus decoding time. */
  readonly offsetTicks: number;
  readonly key: boolean;
}

/** The samples of one track in one fragment, in decoding order. */
export interface Mp4Run {
  readonly trackId: number;
  /** Decoding time of the first sample; not negative. */
  readonly decodeTicks: number;
  readonly samples: readonly Mp4Sample[];
}

const MOOF_BYTES = 8 + 16;
const TRAF_BYTES = 8 + 16 + 20 + 20; // traf, tfhd, tfdt, trun without its samples
const SAMPLE_BYTES = 16;

// sample_flags (ISO/IEC 14496-12 §8.8.3.1)
const FLAGS_KEY = 0x0200_0000; // depends on no other
const FLAGS_DELTA = 0x0101_0000; // depends on others, not a sync sample

/** Bytes of `moof` and of the `mdat` header. */
export function fragmentHeaderBytes(runs: readonly Mp4Run[]): number {
  let bytes = MOOF_BYTES + 8;
  for (const run of runs) bytes += TRAF_BYTES + run.samples.length * SAMPLE_BYTES;
  return bytes;
}

/** Bytes of all samples. */
export function fragmentDataBytes(runs: readonly Mp4Run[]): number {
  let bytes = 0;
  for (const run of runs) for (const sample of run.samples) bytes += sample.data.length;
  return bytes;
}

/**
 * Writes `moof` and the header of `mdat` at `offset`; the data of all samples, run by run, has to follow directly.
 * Returns the offset behind it.
 */
function writeFragmentHeader(target: Buffer, offset: number, sequence: number, runs: readonly Mp4Run[]): number {
  const dataBytes = fragmentDataBytes(runs);
  const moofBytes = fragmentHeaderBytes(runs) - 8;
  let at = writeBoxHeader(target, offset, moofBytes, MOOF);
  at = writeBoxHeader(target, at, 16, MFHD);
  at = target.writeUInt32BE(0, at);
  at = target.writeUInt32BE(sequence >>> 0, at);
  let dataAt = moofBytes + 8;
  for (const run of runs) {
    const count = run.samples.length;
    at = writeBoxHeader(target, at, TRAF_BYTES + count * SAMPLE_BYTES, TRAF);
    at = writeBoxHeader(target, at, 16, TFHD);
    at = target.writeUInt32BE(0x02_0000, at); // default-base-is-moof
    at = target.writeUInt32BE(run.trackId, at);
    at = writeBoxHeader(target, at, 20, TFDT);
    at = target.writeUInt32BE(0x0100_0000, at); // version 1: 64 bits
    at = writeU64(target, run.decodeTicks, at);
    at = writeBoxHeader(target, at, 20 + count * SAMPLE_BYTES, TRUN);
    // Version 1 (signed offsets); data offset, and duration, size, flags, composition offset of each sample.
    at = target.writeUInt32BE(0x0100_0f01, at);
    at = target.writeUInt32BE(count, at);
    at = target.writeInt32BE(dataAt, at);
    for (const sample of run.samples) {
      at = target.writeUInt32BE(sample.durationTicks, at);
      at = target.writeUInt32BE(sample.data.length, at);
      at = target.writeUInt32BE(sample.key ? FLAGS_KEY : FLAGS_DELTA, at);
      at = target.writeInt32BE(sample.offsetTicks, at);
      dataAt += sample.data.length;
    }
  }
  return writeBoxHeader(target, at, 8 + dataBytes, MDAT);
}

/** One fragment (`moof` + `mdat`) in one Buffer, behind `prefixBytes` free bytes. */
export function fragment(sequence: number, runs: readonly Mp4Run[], prefixBytes = 0): Buffer {
  const out = Buffer.allocUnsafe(prefixBytes + fragmentHeaderBytes(runs) + fragmentDataBytes(runs));
  let at = writeFragmentHeader(out, prefixBytes, sequence, runs);
  for (const run of runs) for (const sample of run.samples) at += sample.data.copy(out, at);
  return out;
}

/**
 * One fragment as pieces: a new header (behind `prefixBytes` free bytes) and the samples' own bytes, for a viewer who
 * joins: nothing that is cached is copied for it.
 */
export function fragmentPieces(sequence: number, runs: readonly Mp4Run[], prefixBytes = 0): Buffer[] {
  const header = Buffer.allocUnsafe(prefixBytes + fragmentHeaderBytes(runs));
  writeFragmentHeader(header, prefixBytes, sequence, runs);
  const pieces: Buffer[] = [header];
  for (const run of runs) for (const sample of run.samples) pieces.push(sample.data);
  return pieces;
}

function code(type: string): number {
  return Buffer.from(type, 'latin1').readUInt32BE(0);
}
const MOOF = code('moof');
const MFHD = code('mfhd');
const TRAF = code('traf');
const TFHD = code('tfhd');
const TFDT = code('tfdt');
const TRUN = code('trun');
const MDAT = code('mdat');

function writeBoxHeader(target: Buffer, offset: number, bytes: number, type: number): number {
  return target.writeUInt32BE(type, target.writeUInt32BE(bytes, offset));
}
