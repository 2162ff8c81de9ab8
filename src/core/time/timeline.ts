import type { MediaKind } from '../media.ts';
import { TrackClock } from './track-clock.ts';

export interface MappedTime {
  pts: number;
  dts: number;
  wallMs: number;
}

/** A raw time that runs ahead of the arrival by more is a jump of the camera's clock. */
const JUMP_AHEAD_MS = 3_000;
/** Pictures come out of order by less than this; further back is a jump. */
const JUMP_BACK_MS = 1_000;
/** What comes in order goes back by a little where the camera stamps with a clock that jitters; more is a jump. */
const JUMP_BACK_IN_ORDER_MS = 200;
/** Reports that would move a track by more are of different clocks and say nothing about lip sync. */
const MAX_SYNC_SKEW_MS = 5_000;
/** Less is neither seen nor heard, and not worth a step in the sound. */
const SYNC_EXACT_MS = 5;
/** Once in step, tracks are moved only when reports say so several times: a step is seen or heard. */
const SYNC_TOLERANCE_MS = 30;
const SYNC_PATIENCE = 3;
/** Without reports only the arrival tells, which is worth this much. */
const ARRIVAL_TOLERANCE_MS = 200;
const FIRST_ARRIVAL_CHECK_MS = 2_000;
const ARRIVAL_CHECK_MS = 10_000;
/** Camera clocks further off are not believed: latency explains less, and a wrong clock is common. */
const MAX_CLOCK_ERROR_MS = 3_000;
/** Wall time follows its target by this share of the time that passes, faster while it is far off; never back. */
const SLEW = 0.005;
const FAST_SLEW = 0.05;
const FAR_MS = 50;
const SNAP_MS = 1_000;

/** What the last connection has given out of a kind. */
interface Given {
  readonly lastPts: number;
  readonly clockRateHz: number;
}

/**
 * Maps the times of a source's tracks to the stream's own time line: it starts at 0 with the first unit ever, goes on
 * across reconnects by the length of the gap, never goes back, and keeps the tracks in step with one another.
 *
 * Steps between units are those of the camera, exactly. A track is moved only when its clock jumps, or when sender
 * reports (else the arrival) show that it is out of step; then the track that is behind is moved forward, so that
 * nothing is ever squeezed together.
 */
export class Timeline {
  readonly #others: () => Iterable<Timeline>;
  #tracks: readonly TrackClock[] = [];
  #sharedClock = false;
  /** Lead of stream time over the monotonic clock, from the connection before. NaN before the first unit ever. */
  #leadMs = Number.NaN;
  readonly #given = new Map<MediaKind, Given>();
  /** How far a jump has moved one of the tracks on a shared clock; the others jump by the same. */
  #sharedShiftMs = 0;
  #jumps = 0;
  #disagreements = 0;
  #arrivalCheckAtMs = Number.POSITIVE_INFINITY;
  /** UTC = stream time + this; NaN before the first unit. */
  #wallOffsetMs = Number.NaN;
  #wallAtMs = Number.NEGATIVE_INFINITY;
  readonly #out: MappedTime = { pts: 0, dts: 0, wallMs: 0 };

  /**
   * @param others the time lines of the stream's other sources, present and past: this one runs beside them, and goes
   *   on behind what they have given out. Looked at with the first unit.
   */
  constructor(others: () => Iterable<Timeline> = () => []) {
    this.#others = others;
  }

  /** A connection begins, or its tracks change. */
  begin(tracks: readonly { kind: MediaKind; clockRateHz: number }[], sharedClock: boolean): void {
    const lead = this.#currentLead();
    if (lead > Number.NEGATIVE_INFINITY) this.#leadMs = lead;
    for (const { kind, clockRateHz, lastPts } of this.#tracks) this.#remember(kind, lastPts, clockRateHz);
    this.#sharedClock = sharedClock;
    this.#jumps = 0;
    this.#disagreements = 0;
    this.#arrivalCheckAtMs = Number.POSITIVE_INFINITY;
    this.#tracks = tracks.map(({ kind, clockRateHz }) => new TrackClock(kind, clockRateHz));
  }

  /** A sender report: at `ticks` it was `ntpMs` UTC at the camera. Garbage is recognised and left out. */
  sync(track: number, ticks: number, ntpMs: number, nowMs: number, wallNowMs: number): void {
    const clock = this.#tracks[track];
    if (clock === undefined) return;
    const rawMs = (ticks * 1000) / clock.clockRateHz;
    const believed = clock.sender.report(rawMs, ntpMs, clock.rawNowMs(nowMs), nowMs);
    if (!believed || !clock.anchored) return;
    this.#alignByReports();
    this.#followWall(nowMs, wallNowMs);
  }

  /**
   * Gives stream times for one unit. The result object is reused by the next call. `nowMs` is monotonic
   * (`performance.now()`), `wallNowMs` is `Date.now()`.
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
    const rawTicks = decodeTicks ?? ticks;
    const rawMs = (rawTicks * 1000) / clock.clockRateHz;
    if (!clock.anchored) this.#anchor(clock, rawTicks, rawMs, nowMs);
    else if (this.#jumped(clock, rawMs, decodeTicks !== undefined, nowMs)) this.#followJump(clock, rawMs, nowMs);
    if (!(rawMs <= clock.maxRawMs)) {
      clock.maxRawMs = rawMs;
      clock.maxRawAtMs = nowMs;
    }
    clock.lead.add(rawMs + clock.offsetMs - nowMs, nowMs);
    if (nowMs >= this.#arrivalCheckAtMs) this.#alignByArrival(nowMs);

    const pts = Math.round(ticks) + clock.offsetTicks;
    const wanted =
      decodeTicks === undefined ? clock.decodeTime(pts, reorderDepth) : Math.round(decodeTicks) + clock.offsetTicks;
    const dts = Math.max(Math.min(wanted, pts), clock.lastDts + 1);
    clock.lastDts = dts;
    out.dts = dts;
    out.pts = Math.max(pts, dts);
    if (out.pts > clock.lastPts) clock.lastPts = out.pts;
    this.#followWall(nowMs, wallNowMs);
    out.wallMs = (out.pts * 1000) / clock.clockRateHz + this.#wallOffsetMs;
    return out;
  }

  #joinOthers(): void {
    for (const other of this.#others()) {
      const running = other.#currentLead();
      const lead = Number.isFinite(running) ? running : other.#leadMs;
      // Infinite or no number while the other one has given nothing.
      if (Number.isFinite(lead)) this.#leadMs = Number.isNaN(this.#leadMs) ? lead : Math.max(this.#leadMs, lead);
      for (const [kind, { lastPts, clockRateHz }] of other.#given) this.#remember(kind, lastPts, clockRateHz);
      for (const { kind, lastPts, clockRateHz } of other.#tracks) this.#remember(kind, lastPts, clockRateHz);
    }
  }

  #remember(kind: MediaKind, lastPts: number, clockRateHz: number): void {
    const before = this.#given.get(kind);
    const beforePts = before === undefined ? lastPts : (before.lastPts * clockRateHz) / before.clockRateHz;
    if (lastPts >= beforePts && lastPts > Number.NEGATIVE_INFINITY) this.#given.set(kind, { lastPts, clockRateHz });
  }

  /** The first unit of a track: where the other tracks are now, else where the last connection would be now. */
  #anchor(clock: TrackClock, rawTicks: number, rawMs: number, nowMs: number): void {
    const { clockRateHz } = clock;
    const other = this.#sharedClock ? this.#tracks.find((one) => one.anchored) : undefined;
    if (other !== undefined) {
      clock.offsetTicks = Math.round((other.offsetTicks * clockRateHz) / other.clockRateHz);
    } else {
      if (Number.isNaN(this.#leadMs)) this.#joinOthers();
      const lead = this.#currentLead();
      if (Number.isNaN(this.#leadMs)) this.#leadMs = -nowMs;
      const streamMs = nowMs + (lead > Number.NEGATIVE_INFINITY ? lead : this.#leadMs);
      clock.offsetTicks = Math.round((streamMs * clockRateHz) / 1000) - Math.round(rawTicks);
    }
    const given = this.#given.get(clock.kind);
    if (given !== undefined && clock.lastPts === Number.NEGATIVE_INFINITY) {
      const floor = Math.floor((given.lastPts * clockRateHz) / given.clockRateHz) + 1;
      const behind = floor - (Math.round(rawTicks) + clock.offsetTicks);
      if (behind > 0 && other === undefined) clock.offsetTicks += behind;
      clock.lastDts = floor - 1;
      clock.lastPts = floor - 1;
    }
    clock.sender.begin(rawMs, nowMs);
    this.#arrivalCheckAtMs = nowMs + FIRST_ARRIVAL_CHECK_MS;
    this.#alignByReports();
  }

  /**
   * Standing still is no jump: a network that stalls and then delivers all at once looks the same, and time may well
   * lag behind the arrival.
   */
  #jumped(clock: TrackClock, rawMs: number, inDecodeOrder: boolean, nowMs: number): boolean {
    const movedMs = rawMs - clock.maxRawMs;
    if (movedMs < 0) return -movedMs > (clock.kind === 'audio' || inDecodeOrder ? JUMP_BACK_IN_ORDER_MS : JUMP_BACK_MS);
    return movedMs - (nowMs - clock.maxRawAtMs) > JUMP_AHEAD_MS;
  }

  /** The camera's clock was set, or began anew: the stream goes on by the time that has passed. */
  #followJump(clock: TrackClock, rawMs: number, nowMs: number): void {
    const passedMs = Math.max(1, nowMs - clock.maxRawAtMs);
    const lastMs = clock.maxRawMs + clock.offsetMs;
    const shiftMs = lastMs + passedMs - (rawMs + clock.offsetMs);
    // Another track of the same clock has jumped already: by the same, so that they stay in step.
    const sameJump =
      this.#sharedClock && clock.jumps < this.#jumps && Math.abs(this.#sharedShiftMs - shiftMs) < JUMP_BACK_MS;
    if (!sameJump) {
      this.#sharedShiftMs = shiftMs;
      this.#jumps++;
    }
    clock.jumps = this.#jumps;
    clock.restart();
    clock.advance(sameJump ? this.#sharedShiftMs : shiftMs);
    this.#arrivalCheckAtMs = nowMs + FIRST_ARRIVAL_CHECK_MS;
  }

  /** Brings tracks in step whose camera times are known (RFC 3550 §6.4.1). */
  #alignByReports(): void {
    if (this.#sharedClock) return;
    let highest = Number.NEGATIVE_INFINITY;
    let lowest = Number.POSITIVE_INFINITY;
    let count = 0;
    let aligned = true;
    for (const clock of this.#tracks) {
      if (!clock.anchored || !clock.sender.known) continue;
      const aheadMs = clock.offsetMs - clock.sender.offsetMs;
      highest = Math.max(highest, aheadMs);
      lowest = Math.min(lowest, aheadMs);
      aligned &&= clock.aligned;
      count++;
    }
    const errorMs = highest - lowest;
    if (count < 2 || errorMs > MAX_SYNC_SKEW_MS) return;
    if (aligned) {
      this.#disagreements = errorMs > SYNC_TOLERANCE_MS ? this.#disagreements + 1 : 0;
      if (this.#disagreements < SYNC_PATIENCE) return;
    }
    this.#disagreements = 0;
    for (const clock of this.#tracks) {
      if (!clock.anchored || !clock.sender.known) continue;
      if (errorMs > SYNC_EXACT_MS) clock.advance(highest - (clock.offsetMs - clock.sender.offsetMs));
      clock.aligned = true;
    }
  }

  /** Without reports of all tracks: what arrives with the least delay at the same time belongs together. */
  #alignByArrival(nowMs: number): void {
    this.#arrivalCheckAtMs = nowMs + ARRIVAL_CHECK_MS;
    if (this.#sharedClock || this.#tracks.every((clock) => clock.aligned)) return;
    const highest = this.#currentLead();
    for (const clock of this.#tracks) {
      const behindMs = highest - clock.lead.value;
      if (clock.anchored && behindMs > ARRIVAL_TOLERANCE_MS && Number.isFinite(behindMs)) clock.advance(behindMs);
    }
  }

  #currentLead(): number {
    let lead = Number.NEGATIVE_INFINITY;
    for (const clock of this.#tracks) lead = Math.max(lead, clock.lead.value);
    return lead;
  }

  /** Wall time: the camera's where it is believed, else that of the arrival with the least delay; changed slowly. */
  #followWall(nowMs: number, wallNowMs: number): void {
    let target = wallNowMs - nowMs - this.#currentLead();
    for (const clock of this.#tracks) {
      if (!clock.anchored || !clock.sender.known) continue;
      const byCamera = clock.sender.offsetMs - clock.offsetMs;
      if (Math.abs(byCamera - target) > MAX_CLOCK_ERROR_MS) continue;
      target = byCamera;
      break;
    }
    const errorMs = target - this.#wallOffsetMs;
    if (!(Math.abs(errorMs) <= SNAP_MS)) {
      this.#wallOffsetMs = target;
    } else {
      const rate = Math.abs(errorMs) > FAR_MS ? FAST_SLEW : SLEW;
      const most = Math.max(0, nowMs - this.#wallAtMs) * rate;
      this.#wallOffsetMs += Math.max(-most, Math.min(most, errorMs));
    }
    this.#wallAtMs = Math.max(this.#wallAtMs, nowMs);
  }
}
