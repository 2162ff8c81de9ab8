import type { MediaKind } from './media.ts';

/** A track of the current connection, as far as time is concerned. */
interface TrackClock {
  readonly kind: MediaKind;
  readonly clockRateHz: number;
  /** Stream time (ms) = raw ticks × 1000 / rate + offsetMs; NaN before the first unit. */
  offsetMs: number;
  lastRawMs: number;
  lastStreamMs: number;
  lastArrivalMs: number;
  /** UTC ms = raw ms + ntpOffsetMs; NaN before the first usable sender report. */
  ntpOffsetMs: number;
  lastDts: number;
  /** The largest presentation times seen lately, ascending, for working out decoding times. */
  reorder: number[];
}

export interface MappedTime {
  pts: number;
  dts: number;
  wallMs: number;
}

/** A raw time that moves this much differently from the arrival is a jump of the camera's clock, not jitter. */
const JUMP_MS = 3_000;
/** Sender reports that disagree with the arrival by more than this say nothing about lip sync. */
const MAX_SYNC_SKEW_MS = 5_000;
/** Camera clocks further off than this are not believed: wall time is then that of arrival. */
const MAX_CLOCK_ERROR_MS = 10_000;

/**
 * Maps the times of a source's tracks to the stream's own time line: it starts near 0 with the first unit ever, goes on
 * across reconnects by the length of the gap, never jumps back, and keeps the tracks in step with one another.
 */
export class Timeline {
  #epochMs = Number.NaN;
  #tracks: TrackClock[] = [];
  #sharedClock = false;
  readonly #out: MappedTime = { pts: 0, dts: 0, wallMs: 0 };
  /** Per kind: the last stream time (ms) given out, so that a new connection continues behind it. */
  readonly #lastMs = new Map<MediaKind, number>();

  /** `nowMs` is monotonic (`performance.now()`). */
  begin(tracks: readonly { kind: MediaKind; clockRateHz: number }[], sharedClock: boolean): void {
    this.#sharedClock = sharedClock;
    for (const old of this.#tracks) {
      if (!Number.isNaN(old.lastStreamMs)) {
        this.#lastMs.set(old.kind, Math.max(this.#lastMs.get(old.kind) ?? 0, old.lastStreamMs));
      }
    }
    this.#tracks = tracks.map(({ kind, clockRateHz }) => ({
      kind,
      clockRateHz,
      offsetMs: Number.NaN,
      lastRawMs: Number.NaN,
      lastStreamMs: Number.NaN,
      lastArrivalMs: Number.NaN,
      ntpOffsetMs: Number.NaN,
      lastDts: Number.NEGATIVE_INFINITY,
      reorder: [],
    }));
  }

  /** A sender report: at `ticks` it was `ntpMs` UTC. Used for lip sync and, when plausible, for wall time. */
  sync(track: number, ticks: number, ntpMs: number, nowMs: number, wallNowMs: number): void {
    const clock = this.#tracks[track];
    if (clock === undefined) return;
    const rawMs = (ticks * 1000) / clock.clockRateHz;
    const first = Number.isNaN(clock.ntpOffsetMs);
    clock.ntpOffsetMs = ntpMs - rawMs;
    if (first && !this.#sharedClock) this.#align(clock);
    void nowMs;
    void wallNowMs;
  }

  /**
   * Gives stream times for one unit. The result object is reused by the next call.
   * `decodeTicks` undefined: worked out from `reorderDepth` (pictures that may be shown late).
   */
  map(
    track: number,
    ticks: number,
    decodeTicks: number | undefined,
    reorderDepth: number,
    nowMs: number,
    wallNowMs: number,
  ): MappedTime {
    const out = this.#out;
    const clock = this.#tracks[track];
    if (clock === undefined) {
      out.pts = 0;
      out.dts = 0;
      out.wallMs = wallNowMs;
      return out;
    }
    if (Number.isNaN(this.#epochMs)) this.#epochMs = nowMs;
    const rawMs = (ticks * 1000) / clock.clockRateHz;
    if (Number.isNaN(clock.offsetMs)) this.#anchor(clock, rawMs, nowMs);
    else this.#followJump(clock, rawMs, nowMs);
    clock.lastRawMs = rawMs;
    clock.lastArrivalMs = nowMs;
    const streamMs = rawMs + clock.offsetMs;
    clock.lastStreamMs = Math.max(Number.isNaN(clock.lastStreamMs) ? streamMs : clock.lastStreamMs, streamMs);

    const scale = clock.clockRateHz / 1000;
    const pts = Math.round(streamMs * scale);
    let dts =
      decodeTicks === undefined
        ? this.#decodeTime(clock, pts, reorderDepth)
        : Math.round(((decodeTicks * 1000) / clock.clockRateHz + clock.offsetMs) * scale);
    if (dts <= clock.lastDts) dts = clock.lastDts + 1;
    clock.lastDts = dts;
    out.dts = dts;
    out.pts = Math.max(pts, dts);
    const ntpMs = rawMs + clock.ntpOffsetMs;
    out.wallMs = Math.abs(ntpMs - wallNowMs) < MAX_CLOCK_ERROR_MS ? ntpMs : wallNowMs;
    return out;
  }

  #anchor(clock: TrackClock, rawMs: number, nowMs: number): void {
    const floorMs = (this.#lastMs.get(clock.kind) ?? -1) + 1;
    if (this.#sharedClock) {
      const other = this.#tracks.find((one) => !Number.isNaN(one.offsetMs));
      if (other !== undefined) {
        clock.offsetMs = other.offsetMs;
        if (rawMs + clock.offsetMs < floorMs) clock.offsetMs = floorMs - rawMs;
        return;
      }
    }
    clock.offsetMs = Math.max(nowMs - this.#epochMs, floorMs) - rawMs;
    this.#align(clock);
  }

  /** Moves a track so that it agrees with the first one that has a sender report too. */
  #align(clock: TrackClock): void {
    if (Number.isNaN(clock.ntpOffsetMs) || Number.isNaN(clock.offsetMs)) return;
    for (const other of this.#tracks) {
      if (other === clock || Number.isNaN(other.ntpOffsetMs) || Number.isNaN(other.offsetMs)) continue;
      // Video is the one that stays: a step in it is seen, a step of some milliseconds in audio is hardly heard.
      const [moved, fixed] = clock.kind === 'audio' ? [clock, other] : [other, clock];
      const wanted = fixed.offsetMs - fixed.ntpOffsetMs + moved.ntpOffsetMs;
      if (Math.abs(wanted - moved.offsetMs) < MAX_SYNC_SKEW_MS) moved.offsetMs = wanted;
      return;
    }
  }

  #followJump(clock: TrackClock, rawMs: number, nowMs: number): void {
    const movedMs = rawMs - clock.lastRawMs;
    const passedMs = nowMs - clock.lastArrivalMs;
    if (Math.abs(movedMs - passedMs) < JUMP_MS) return;
    const wantedMs = clock.lastStreamMs + Math.max(1, passedMs);
    const shiftMs = wantedMs - (rawMs + clock.offsetMs);
    clock.offsetMs += shiftMs;
    clock.ntpOffsetMs = Number.NaN;
    clock.reorder.length = 0;
    if (!this.#sharedClock) return;
    for (const other of this.#tracks) {
      if (other === clock || Number.isNaN(other.offsetMs)) continue;
      other.offsetMs += shiftMs;
      other.lastRawMs = rawMs;
      other.lastArrivalMs = nowMs;
    }
  }

  /** With `depth` pictures of reordering, a picture's decoding time is the presentation time `depth` places earlier. */
  #decodeTime(clock: TrackClock, pts: number, depth: number): number {
    if (depth === 0) return pts;
    const window = clock.reorder;
    let at = window.length;
    while (at > 0 && (window[at - 1] ?? 0) > pts) at--;
    window.splice(at, 0, pts);
    if (window.length > depth + 1) window.shift();
    return Math.min(window[0] ?? pts, pts);
  }
}
