import { VIDEO_CLOCK_HZ } from '../../core/media.ts';

/** Where a segment begins, whichever variant began it. */
interface Boundary {
  /** UTC of its first picture. */
  readonly wallMs: number;
  readonly sequence: number;
  /** Of its first picture on the time line of the files (90 kHz). */
  readonly fileTicks: number;
  /** Discontinuities up to it. */
  readonly discontinuities: number;
}

/** How a variant joins the others. */
export interface Joining {
  readonly sequence: number;
  readonly discontinuities: number;
  /** Where its first picture lies on the time line of the files (90 kHz). */
  readonly fileTicks: number;
}

/** The same picture has the same time in all variants, but for what the clocks of streams are corrected by meanwhile. */
const SAME_MS = 150;
const MAX_BOUNDARIES = 100;
/** What lies further back than this has nothing to do with what comes now. */
const STALE_MS = 30_000;
const LEAST_LONG_MS = 4_000;

/**
 * What a stream and the renditions that are made of it have in common, so that a player changes from one to the other
 * without a seam: where segments begin, their numbers, and the time line of the files. Key frames of renditions stand
 * where those of the source do. The source leads while it is played, as its key frames come first; renditions begin
 * segments where it did.
 */
export class SegmentClock {
  readonly #boundaries: Boundary[] = [];
  #leaders = 0;
  #longestMs = 0;

  /** The source is played until the returned function is called. */
  lead(): () => void {
    this.#leaders++;
    let over = false;
    return () => {
      if (!over) this.#leaders--;
      over = true;
    };
  }

  /** For the first picture of a variant; null when it is the first of all, or all others are long gone. */
  join(wallMs: number, leastMs: number): Joining | null {
    const last = this.#boundaries.at(-1);
    if (last === undefined || Math.abs(wallMs - last.wallMs) > STALE_MS) return null;
    const [first] = this.#boundaries;
    const at = this.#boundaries.findLast((one) => one.wallMs <= wallMs + SAME_MS) ?? first ?? last;
    const begins = at === last && wallMs - at.wallMs >= Math.max(leastMs, SAME_MS);
    const early = wallMs < at.wallMs - SAME_MS;
    return {
      sequence: Math.max(0, at.sequence + (begins ? 1 : early ? -1 : 0)),
      discontinuities: at.discontinuities,
      fileTicks: at.fileTicks + Math.round(((wallMs - at.wallMs) * VIDEO_CLOCK_HZ) / 1000),
    };
  }

  /** Whether a segment that began at `openWallMs` and is `openMs` long ends before the key frame at `wallMs`. */
  mayCut(wallMs: number, openWallMs: number, openMs: number, leastMs: number, leads: boolean): boolean {
    const isLater = (one: Boundary): boolean => one.wallMs > openWallMs + SAME_MS;
    if (this.#boundaries.some((one) => isLater(one) && Math.abs(one.wallMs - wallMs) < SAME_MS)) return true;
    if (openMs < leastMs) return false;
    if (leads) return true;
    if (this.#leaders === 0) {
      // Two renditions without their source: what one of them did not end, the other one doesn't either.
      const last = this.#boundaries.at(-1);
      return last === undefined || wallMs > last.wallMs || openMs > this.#long();
    }
    // The leader has no key frame here, or had one that is too close to its last. It may also have lost its camera.
    return openMs > this.#long();
  }

  began(boundary: Boundary): void {
    const last = this.#boundaries.at(-1);
    if (this.#boundaries.some((one) => Math.abs(one.wallMs - boundary.wallMs) < SAME_MS)) return;
    if (last !== undefined && (boundary.wallMs < last.wallMs || boundary.wallMs - last.wallMs > STALE_MS)) {
      // A clock was set, or all were away.
      this.#boundaries.length = 0;
    } else if (last !== undefined) this.#longestMs = Math.max(this.#longestMs, boundary.wallMs - last.wallMs);
    this.#boundaries.push(boundary);
    if (this.#boundaries.length > MAX_BOUNDARIES) this.#boundaries.shift();
  }

  /** Segments that are longer than any before are ended whatever the others do. */
  #long(): number {
    return Math.max(LEAST_LONG_MS, 2 * this.#longestMs);
  }
}
