import { WireError } from '../../core/errors.ts';
import type { MovieTrack } from './moov.ts';
import { type BoxAt, boxesIn, Cursor, findBox } from './walk.ts';

/** A sample that a `moof` announces. */
export interface SampleAt {
  readonly track: MovieTrack;
  /** Where its bytes begin, counted from the first byte of the stream. */
  readonly offset: number;
  readonly bytes: number;
  readonly decodeTicks: number;
  /** Presentation minus decoding time. */
  readonly offsetTicks: number;
  readonly key: boolean;
}

/** A fragment of a live stream has a few hundred samples; without a limit some bytes could promise 2^32. */
const MAX_SAMPLES = 50_000;
const MAX_SAMPLE_BYTES = 8 * 1024 * 1024;
const FLAG_NON_SYNC = 0x0001_0000;

/**
 * Reads a `moof` box (ISO/IEC 14496-12 §8.8).
 * @param moofOffset where the box begins in the stream
 * @param clocks decoding time by track id at which the next sample follows, for files without `tfdt`; is moved on
 * @returns the samples of the known tracks, in the order of their bytes
 * @throws WireError when it is damaged or promises too much
 */
export function parseMoof(
  data: Buffer,
  moof: BoxAt,
  moofOffset: number,
  tracks: readonly MovieTrack[],
  clocks: Map<number, number>,
): SampleAt[] {
  const samples: SampleAt[] = [];
  // Without a base of its own a fragment's data follows that of the track fragment before it (§8.8.7.1).
  let implicitBase = moofOffset;
  for (const traf of boxesIn(data, moof.start, moof.end)) {
    if (traf.type !== 'traf') continue;
    const tfhd = findBox(data, traf, 'tfhd');
    if (tfhd === undefined) throw new WireError('mp4.tfhd', 'a track fragment has no header', traf.start);
    const cursor = new Cursor(data, tfhd);
    const flags = cursor.u32() & 0xff_ffff;
    const id = cursor.u32();
    const track = tracks.find((one) => one.id === id);
    const ownBase = (flags & 1) !== 0 ? cursor.u64() : undefined;
    if ((flags & 2) !== 0) cursor.skip(4);
    const defaults = track?.defaults;
    const durationTicks = (flags & 8) !== 0 ? cursor.u32() : (defaults?.durationTicks ?? 0);
    const bytes = (flags & 0x10) !== 0 ? cursor.u32() : (defaults?.bytes ?? 0);
    const sampleFlags = (flags & 0x20) !== 0 ? cursor.u32() : (defaults?.flags ?? 0);
    const base = ownBase ?? ((flags & 0x2_0000) !== 0 ? moofOffset : implicitBase);

    let decodeTicks = clocks.get(id) ?? 0;
    const tfdt = findBox(data, traf, 'tfdt');
    if (tfdt !== undefined) {
      const time = new Cursor(data, tfdt);
      decodeTicks = time.u32() >>> 24 === 1 ? time.u64() : time.u32();
    }
    let next = base;
    for (const trun of boxesIn(data, traf.start, traf.end)) {
      if (trun.type !== 'trun') continue;
      const run = readRun(data, trun, { base, next, decodeTicks, durationTicks, bytes, flags: sampleFlags });
      next = run.end;
      decodeTicks = run.decodeTicks;
      if (samples.length + run.samples.length > MAX_SAMPLES) {
        throw new WireError('mp4.samples', `a fragment of more than ${MAX_SAMPLES} samples`, trun.start);
      }
      if (track !== undefined) for (const sample of run.samples) samples.push({ track, ...sample });
    }
    clocks.set(id, decodeTicks);
    implicitBase = next;
  }
  return samples.sort((one, other) => one.offset - other.offset);
}

interface RunContext {
  readonly base: number;
  readonly next: number;
  readonly decodeTicks: number;
  readonly durationTicks: number;
  readonly bytes: number;
  readonly flags: number;
}

function readRun(data: Buffer, trun: BoxAt, context: RunContext) {
  const cursor = new Cursor(data, trun);
  const head = cursor.u32();
  const version = head >>> 24;
  const flags = head & 0xff_ffff;
  const count = cursor.u32();
  if (count > MAX_SAMPLES) throw new WireError('mp4.samples', `a run of ${count} samples`, trun.start);
  let offset = (flags & 1) !== 0 ? context.base + cursor.i32() : context.next;
  const firstFlags = (flags & 4) !== 0 ? cursor.u32() : undefined;
  let { decodeTicks } = context;
  const samples: Omit<SampleAt, 'track'>[] = [];
  for (let index = 0; index < count; index++) {
    const durationTicks = (flags & 0x100) !== 0 ? cursor.u32() : context.durationTicks;
    const bytes = (flags & 0x200) !== 0 ? cursor.u32() : context.bytes;
    const own = (flags & 0x400) !== 0 ? cursor.u32() : context.flags;
    const sampleFlags = index === 0 && firstFlags !== undefined ? firstFlags : own;
    let offsetTicks = 0;
    if ((flags & 0x800) !== 0) offsetTicks = version === 0 ? cursor.u32() : cursor.i32();
    if (bytes > MAX_SAMPLE_BYTES) throw new WireError('mp4.sample', `a sample of ${bytes} bytes`, trun.start);
    samples.push({ offset, bytes, decodeTicks, offsetTicks, key: (sampleFlags & FLAG_NON_SYNC) === 0 });
    offset += bytes;
    decodeTicks += durationTicks;
  }
  return { samples, end: offset, decodeTicks };
}
