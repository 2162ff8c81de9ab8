/** What is known about a viewer's connection in one second. */
export interface LinkReport {
  readonly atMs: number;
  /** Share of packets lost, 0…1, by the viewer's receiver report. */
  readonly loss: number;
  /** Share of packets that had to be sent again, 0…1. */
  readonly resent: number;
  /** Round-trip time; -1 while unknown. */
  readonly rttMs: number;
  /** The viewer's estimate of what its connection carries (REMB); 0 without one. */
  readonly estimateBps: number;
}

export interface AdaptiveTiming {
  /** Trouble must last for so long before a smaller picture is given. */
  readonly troubleMs: number;
  /** Reports after a change still tell of what was before it. */
  readonly settleMs: number;
  /** The connection must have been clean for so long before a larger picture is tried. */
  readonly cleanMs: number;
  /** Trouble this soon after a larger picture says that it was too much. */
  readonly trialMs: number;
  /** After each such failure the next trial waits twice as long, up to this. */
  readonly maxWaitMs: number;
}

export const ADAPTIVE_TIMING: AdaptiveTiming = {
  troubleMs: 2_000,
  settleMs: 3_000,
  cleanMs: 10_000,
  trialMs: 60_000,
  maxWaitMs: 300_000,
};

const BAD_LOSS = 0.05;
/** At once, without waiting for a second report. */
const HOPELESS_LOSS = 0.25;
const CLEAN_LOSS = 0.01;
const BAD_RESENT = 0.08;
const CLEAN_RESENT = 0.02;
/** A queue that fills up: so many times the least round trip of late, and so much more than it. */
const RTT_FACTOR = 2.5;
const RTT_EXTRA_MS = 150;
const RTT_CLEAN_EXTRA_MS = 75;
/** How much of an estimate a picture may need: key frames come in bursts. */
const ESTIMATE_SHARE = 0.85;
/**
 * Estimates below this share of what is sent are trouble, as they swing by some percent when all is well. Not while
 * everything arrives in time: after an overload Chromium's estimate takes a minute to recover, and it does not know.
 */
const ESTIMATE_SHORT = 0.9;
/**
 * Chromium's estimate goes no higher than 1.5 times what arrives (AIMD of its receive side), so a small picture never
 * shows room for a much larger one: an estimate of so many times what is sent means that the viewer sees no limit.
 */
const ESTIMATE_OPEN = 1.2;
/** Without such an estimate a larger picture is tried all the same, but only after so many times the clean time. */
const NO_ROOM_FACTOR = 4;

export type Verdict = { readonly level: number; readonly why: string } | null;

/**
 * Decides which of a camera's pictures a viewer gets, level 0 being the best one: down soon when there is trouble, up
 * slowly when there is none, and after an attempt that failed more slowly still. Pure: it knows no clock of its own.
 */
export class AdaptiveQuality {
  readonly #timing: AdaptiveTiming;
  #level: number;
  /** NaN before the first report. */
  #changedMs = Number.NaN;
  /** Since when there is trouble, or none; NaN while it is the other way. */
  #troubleMs = Number.NaN;
  #cleanMs = Number.NaN;
  #leastRttMs = Number.POSITIVE_INFINITY;
  /** How long the connection must be clean before a level is tried; absent: `cleanMs`. */
  readonly #waitMs = new Map<number, number>();
  /** When a larger picture was given; NaN when the present one came from above, or has proved itself. */
  #trialMs = Number.NaN;
  /** Levels that can't be had: not before these times. */
  readonly #barred = new Map<number, number>();

  constructor(level: number, timing: AdaptiveTiming = ADAPTIVE_TIMING) {
    this.#level = level;
    this.#timing = timing;
  }

  get level(): number {
    return this.#level;
  }

  /**
   * Takes a report.
   * @param levelsBps bit rates of the pictures, best first; 0 = unknown
   * @returns which picture is to be given from now on; null: the same. It counts as given unless `failed` is called.
   */
  report(report: LinkReport, levelsBps: readonly number[]): Verdict {
    const { atMs } = report;
    if (Number.isNaN(this.#changedMs)) this.#changedMs = atMs;
    const trouble = this.#trouble(report, levelsBps[this.#level] ?? 0);
    const settling = atMs - this.#changedMs < this.#timing.settleMs;
    this.#noteRtt(report.rttMs);
    this.#troubleMs = trouble === null || settling ? Number.NaN : orSince(this.#troubleMs, atMs);
    this.#cleanMs = !this.#isClean(report) ? Number.NaN : orSince(this.#cleanMs, atMs);
    if (atMs - this.#trialMs > this.#timing.trialMs) {
      this.#trialMs = Number.NaN;
      this.#waitMs.delete(this.#level);
    }
    if (trouble !== null && !settling) {
      const lastedMs = atMs - this.#troubleMs;
      if (report.loss < HOPELESS_LOSS && lastedMs < this.#timing.troubleMs) return null;
      return this.#down(report, levelsBps, trouble);
    }
    return settling ? null : this.#up(report, levelsBps);
  }

  /** The picture that `report` asked for can't be had: `level` is what the viewer has, and goes on with. */
  failed(level: number, atMs: number, barMs: number): void {
    this.#barred.set(this.#level, atMs + barMs);
    this.#level = level;
    this.#trialMs = Number.NaN;
    // What was changed to never came, so there is nothing to settle.
    this.#changedMs = Number.NEGATIVE_INFINITY;
  }

  /** Somebody else has changed the picture. */
  moved(level: number, atMs: number): void {
    this.#change(level, atMs);
  }

  /** Null, or what is wrong in a few words. */
  #trouble(report: LinkReport, sentBps: number): string | null {
    const { loss, resent, rttMs, estimateBps } = report;
    if (loss > BAD_LOSS) return `${Math.round(loss * 100)} % of the packets are lost`;
    if (resent > BAD_RESENT) return `${Math.round(resent * 100)} % of the packets had to be sent again`;
    if (rttMs > this.#leastRttMs * RTT_FACTOR && rttMs > this.#leastRttMs + RTT_EXTRA_MS) {
      return `the round trip has grown to ${Math.round(rttMs)} ms`;
    }
    if (estimateBps > 0 && estimateBps < sentBps * ESTIMATE_SHORT && !this.#isClean(report)) {
      return `it carries ${Math.round(estimateBps / 1000)} kb/s`;
    }
    return null;
  }

  #isClean({ loss, resent, rttMs }: LinkReport): boolean {
    return loss < CLEAN_LOSS && resent < CLEAN_RESENT && rttMs < this.#leastRttMs + RTT_CLEAN_EXTRA_MS;
  }

  /** The least of late: it rises slowly, as a path may become longer for good. */
  #noteRtt(rttMs: number): void {
    if (rttMs >= 0) this.#leastRttMs = Math.min(rttMs, this.#leastRttMs * 1.01 + 0.1);
  }

  #down({ atMs, estimateBps, loss }: LinkReport, levelsBps: readonly number[], why: string): Verdict {
    const below = this.#candidates(levelsBps.length, atMs).filter((level) => level > this.#level);
    const last = below.at(-1);
    const [next] = below;
    if (last === undefined || next === undefined) return null;
    if (!Number.isNaN(this.#trialMs)) {
      this.#waitMs.set(this.#level, Math.min(this.#timing.maxWaitMs, this.#waitFor(this.#level) * 2));
    }
    const fits = below.find((level) => {
      const bps = levelsBps[level] ?? 0;
      return bps > 0 && bps <= estimateBps * ESTIMATE_SHARE;
    });
    const level = loss >= HOPELESS_LOSS ? last : (fits ?? (estimateBps > 0 ? last : next));
    this.#change(level, atMs);
    return { level, why };
  }

  #up({ atMs, estimateBps }: LinkReport, levelsBps: readonly number[]): Verdict {
    const level = this.#candidates(levelsBps.length, atMs).findLast((one) => one < this.#level);
    if (level === undefined) return null;
    const needed = (levelsBps[level] ?? 0) / ESTIMATE_SHARE;
    const room = estimateBps === 0 || (needed > 0 && estimateBps >= needed);
    const open = estimateBps >= (levelsBps[this.#level] ?? 0) * ESTIMATE_OPEN;
    const waitMs = this.#waitFor(level) * (room || open ? 1 : NO_ROOM_FACTOR);
    if (!(atMs - this.#cleanMs >= waitMs)) return null;
    this.#change(level, atMs);
    this.#trialMs = atMs;
    return { level, why: 'the connection is clean' };
  }

  #waitFor(level: number): number {
    return this.#waitMs.get(level) ?? this.#timing.cleanMs;
  }

  #candidates(count: number, atMs: number): number[] {
    return Array.from({ length: count }, (_, level) => level).filter(
      (level) => atMs >= (this.#barred.get(level) ?? Number.NEGATIVE_INFINITY),
    );
  }

  #change(level: number, atMs: number): void {
    this.#level = level;
    this.#changedMs = atMs;
    this.#troubleMs = Number.NaN;
    this.#cleanMs = Number.NaN;
    this.#trialMs = Number.NaN;
  }
}

function orSince(sinceMs: number, atMs: number): number {
  return Number.isNaN(sinceMs) ? atMs : sinceMs;
}
