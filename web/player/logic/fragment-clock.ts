/** What is kept of fragments that were received: enough for a buffer of minutes with pictures of 40 ms. */
const MAX_FRAGMENTS = 2_000;

/**
 * Remembers when each fragment of a live fMP4 came in, and tells by the media time of a presented picture how long ago
 * that was: the delay that this browser adds, measured. Reads only what it needs: `trak` (track ID, time scale, `vide`,
 * edit list) of the init segment, and `tfdt` of each fragment's video (ISO/IEC 14496-12 §8.3, §8.4, §8.6.6, §8.8).
 */
export class FragmentClock {
  #trackId = 0;
  #timescale = 0;
  /** The media time, in ticks, that is presented at 0 (edit list). */
  #originTicks = 0;
  /** Ascending. */
  #startsS: number[] = [];
  #arrivedMs: number[] = [];

  /** Takes in one message: an init segment or a fragment. Anything else is left alone. */
  receive(bytes: ArrayBuffer, arrivedMs: number): void {
    const view = new DataView(bytes);
    for (const box of boxes(view, 0, view.byteLength)) {
      if (box.type === MOOV) this.#readInit(view, box);
      else if (box.type === MOOF) this.#readFragment(view, box, arrivedMs);
    }
  }

  /** Milliseconds between the arrival of the picture at `mediaTimeS` and now; null when it isn't known. */
  ageMs(mediaTimeS: number, nowMs: number): number | null {
    // A rounding of the browser must not find the picture before.
    const at = mediaTimeS + 0.002;
    let low = 0;
    let high = this.#startsS.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#startsS[middle] ?? 0) <= at) low = middle + 1;
      else high = middle;
    }
    const arrived = this.#arrivedMs[low - 1];
    return arrived === undefined ? null : nowMs - arrived;
  }

  #readInit(view: DataView, moov: Box): void {
    for (const trak of boxes(view, moov.start, moov.end)) {
      if (trak.type !== TRAK) continue;
      let trackId = 0;
      let timescale = 0;
      let originTicks = 0;
      let isVideo = false;
      for (const box of boxes(view, trak.start, trak.end)) {
        if (box.type === TKHD) trackId = uint32(view, box.start + (isVersion1(view, box) ? 20 : 12), box.end);
        if (box.type === EDTS) originTicks = editOrigin(view, box);
        if (box.type !== MDIA) continue;
        for (const inner of boxes(view, box.start, box.end)) {
          if (inner.type === MDHD)
            timescale = uint32(view, inner.start + (isVersion1(view, inner) ? 20 : 12), inner.end);
          if (inner.type === HDLR) isVideo = uint32(view, inner.start + 8, inner.end) === VIDE;
        }
      }
      if (!isVideo || timescale === 0) continue;
      this.#trackId = trackId;
      this.#timescale = timescale;
      this.#originTicks = originTicks;
      this.#startsS = [];
      this.#arrivedMs = [];
    }
  }

  #readFragment(view: DataView, moof: Box, arrivedMs: number): void {
    if (this.#timescale === 0) return;
    for (const traf of boxes(view, moof.start, moof.end)) {
      if (traf.type !== TRAF) continue;
      let trackId = 0;
      for (const box of boxes(view, traf.start, traf.end)) {
        if (box.type === TFHD) trackId = uint32(view, box.start + 4, box.end);
        if (box.type !== TFDT || trackId !== this.#trackId) continue;
        const ticks = isVersion1(view, box)
          ? uint32(view, box.start + 4, box.end) * 0x1_0000_0000 + uint32(view, box.start + 8, box.end)
          : uint32(view, box.start + 4, box.end);
        this.#add((ticks - this.#originTicks) / this.#timescale, arrivedMs);
      }
    }
  }

  #add(startS: number, arrivedMs: number): void {
    const last = this.#startsS.at(-1);
    if (last !== undefined && startS <= last) {
      // The time line began anew.
      this.#startsS = [];
      this.#arrivedMs = [];
    }
    this.#startsS.push(startS);
    this.#arrivedMs.push(arrivedMs);
    if (this.#startsS.length < MAX_FRAGMENTS) return;
    this.#startsS.splice(0, MAX_FRAGMENTS / 2);
    this.#arrivedMs.splice(0, MAX_FRAGMENTS / 2);
  }
}

interface Box {
  readonly type: number;
  /** Payload. */
  readonly start: number;
  readonly end: number;
}

const fourcc = (text: string): number => [...text].reduce((value, char) => value * 256 + char.charCodeAt(0), 0);
const MOOV = fourcc('moov');
const TRAK = fourcc('trak');
const TKHD = fourcc('tkhd');
const EDTS = fourcc('edts');
const ELST = fourcc('elst');
const MDIA = fourcc('mdia');
const MDHD = fourcc('mdhd');
const HDLR = fourcc('hdlr');
const VIDE = fourcc('vide');
const MOOF = fourcc('moof');
const TRAF = fourcc('traf');
const TFHD = fourcc('tfhd');
const TFDT = fourcc('tfdt');

/** The boxes between two positions; ends at the first that doesn't fit. 64-bit sizes don't occur in live fragments. */
function* boxes(view: DataView, from: number, to: number): Generator<Box> {
  let at = from;
  while (at + 8 <= to) {
    const size = view.getUint32(at);
    if (size < 8 || at + size > to) return;
    yield { type: view.getUint32(at + 4), start: at + 8, end: at + size };
    at += size;
  }
}

/** Media time of the first edit that isn't empty. */
function editOrigin(view: DataView, edts: Box): number {
  for (const elst of boxes(view, edts.start, edts.end)) {
    if (elst.type !== ELST) continue;
    const wide = isVersion1(view, elst);
    const entryBytes = wide ? 20 : 12;
    for (let at = elst.start + 8; at + entryBytes <= elst.end; at += entryBytes) {
      const high = wide ? uint32(view, at + 8, elst.end) : 0;
      const low = uint32(view, at + (wide ? 12 : 4), elst.end);
      // -1: nothing is presented for a while.
      if ((wide ? high : low) !== 0xffff_ffff) return high * 0x1_0000_0000 + low;
    }
  }
  return 0;
}

function isVersion1(view: DataView, box: Box): boolean {
  return box.start < box.end && view.getUint8(box.start) === 1;
}

/** 0 where the box is too short. */
function uint32(view: DataView, at: number, end: number): number {
  return at + 4 <= end ? view.getUint32(at) : 0;
}
