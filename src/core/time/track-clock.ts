import type { MediaKind } from '../media.ts';

/** How long a lead counts: long enough to meet a packet that came without delay, short enough to follow drift. */
const WINDOW_MS = 10_000;

/**
 * The largest lead of stream time over arrival seen lately: that of the units that came with the least delay. Jitter
 * and bursts only delay, so this is what two tracks can be compared by.
 */
class ArrivalLead {
  #current = Number.NEGATIVE_INFINITY;
  #previous = Number.NEGATIVE_INFINITY;
  #sinceMs = Number.NEGATIVE_INFINITY;

  /** ms; -Infinity before the first. */
  get value(): number {
    return Math.max(this.#current, this.#previous);
  }

  add(leadMs: number, nowMs: number): void {
    if (nowMs - this.#sinceMs > WINDOW_MS) {
      this.#previous = nowMs - this.#sinceMs > 2 * WINDOW_MS ? Number.NEGATIVE_INFINITY : this.#current;
      this.#current = leadMs;
      this.#sinceMs = nowMs;
    } else if (leadMs > this.#current) {
      this.#current = leadMs;
    }
  }

  /** The track's stream time was moved. */
  shift(ms: number): void {
    this.#current += ms;
    this.#previous += ms;
  }

  reset(): void {
    this.#current = Number.NEGATIVE_INFINITY;
    this.#previous = Number.NEGATIVE_INFINITY;
    this.#sinceMs = Number.NEGATIVE_INFINITY;
  }
}

/** A report's time stamp this far from the media's says nothing. */
const MAX_REPORT_SKEW_MS = 5_000;
/** Reports that agree within this are of one clock. */
const AGREE_MS = 500;
/** Reports are taken when they are sent, not when the picture is: their jitter is smoothed. */
const SMOOTHING = 0.25;

/**
 * What the sender reports of one track say: camera time = raw time + `offsetMs`. Single reports that fit neither the
 * media nor the reports before are left out; when two in a row say the same, the camera's clock was set.
 */
class SenderClock {
  /** NaN before the first usable report. */
  offsetMs = Number.NaN;
  #suspectMs = Number.NaN;
  /** Of a report that came before the first unit, and can't be judged yet. */
  #earlyRawMs = Number.NaN;
  #earlyAtMs = 0;

  get known(): boolean {
    return !Number.isNaN(this.offsetMs) && Number.isNaN(this.#earlyRawMs);
  }

  /**
   * @param expectedRawMs what the media's clock says now; NaN before the first unit
   * @returns whether the report is believed
   */
  report(rawMs: number, ntpMs: number, expectedRawMs: number, nowMs: number): boolean {
    const offsetMs = ntpMs - rawMs;
    if (!Number.isFinite(offsetMs)) return false;
    if (Number.isNaN(expectedRawMs)) {
      this.offsetMs = offsetMs;
      this.#earlyRawMs = rawMs;
      this.#earlyAtMs = nowMs;
      return true;
    }
    if (Math.abs(rawMs - expectedRawMs) > MAX_REPORT_SKEW_MS) return false;
    const changeMs = offsetMs - this.offsetMs;
    if (Number.isNaN(changeMs)) {
      this.offsetMs = offsetMs;
    } else if (Math.abs(changeMs) < AGREE_MS) {
      this.offsetMs += changeMs * SMOOTHING;
    } else {
      const again = Math.abs(offsetMs - this.#suspectMs) < AGREE_MS;
      this.#suspectMs = offsetMs;
      if (!again) return false;
      this.offsetMs = offsetMs;
    }
    this.#suspectMs = Number.NaN;
    return true;
  }

  /** The first unit has come: judges a report that came before it. */
  begin(rawMs: number, nowMs: number): void {
    if (Number.isNaN(this.#earlyRawMs)) return;
    const expectedMs = this.#earlyRawMs + nowMs - this.#earlyAtMs;
    if (Math.abs(rawMs - expectedMs) > MAX_REPORT_SKEW_MS) this.offsetMs = Number.NaN;
    this.#earlyRawMs = Number.NaN;
  }

  reset(): void {
    this.offsetMs = Number.NaN;
    this.#suspectMs = Number.NaN;
    this.#earlyRawMs = Number.NaN;
  }
}

/** One track of the current connection, as far as time is concerned. Raw: on the source's own clock. */
export class TrackClock {
  readonly kind: MediaKind;
  readonly clockRateHz: number;
  /** Stream ticks = raw ticks + this: whole, so that the steps of the camera come through exactly. NaN before the first. */
  offsetTicks = Number.NaN;
  /** Largest raw time so far, and when it came. */
  maxRawMs = Number.NaN;
  maxRawAtMs = Number.NaN;
  readonly lead = new ArrivalLead();
  readonly sender = new SenderClock();
  /** Was brought in step with the other tracks by sender reports. */
  aligned = false;
  /** The number of the last jump that it took part in. */
  jumps = 0;
  lastPts = Number.NEGATIVE_INFINITY;
  lastDts = -1;
  readonly #window: number[] = [];

  constructor(kind: MediaKind, clockRateHz: number) {
    this.kind = kind;
    this.clockRateHz = clockRateHz;
  }

  get anchored(): boolean {
    return !Number.isNaN(this.offsetTicks);
  }
  get offsetMs(): number {
    return (this.offsetTicks * 1000) / this.clockRateHz;
  }
  /** Raw time that would be captured now. */
  rawNowMs(nowMs: number): number {
    return this.maxRawMs + nowMs - this.maxRawAtMs;
  }

  /** Moves what comes from now on forward. */
  advance(ms: number): void {
    const ticks = Math.round((ms * this.clockRateHz) / 1000);
    this.offsetTicks += ticks;
    this.lead.shift((ticks * 1000) / this.clockRateHz);
    for (let i = 0; i < this.#window.length; i++) this.#window[i] = (this.#window[i] ?? 0) + ticks;
  }

  /** The raw clock begins anew: nothing known of it holds any more. */
  restart(): void {
    this.lead.reset();
    this.sender.reset();
    this.aligned = false;
    this.#window.length = 0;
    this.maxRawMs = Number.NaN;
  }

  /** With `depth` pictures of reordering, a picture's decoding time is the presentation time `depth` places earlier. */
  decodeTime(pts: number, depth: number): number {
    const window = this.#window;
    if (depth === 0) {
      window.length = 0;
      return pts;
    }
    let at = window.length;
    while (at > 0 && (window[at - 1] ?? 0) > pts) at--;
    window.splice(at, 0, pts);
    while (window.length > depth + 1) window.shift();
    return window[0] ?? pts;
  }
}
