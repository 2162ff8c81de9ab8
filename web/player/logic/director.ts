import { Backoff } from './backoff.ts';
import type { Mode } from './modes.ts';
import { bestReason, type Reason } from './reasons.ts';

export interface DirectorTiming {
  /** Without a picture after this the next mode is tried beside it; the first to have a picture is shown. */
  readonly hedgeMs: Readonly<Record<Mode, number>>;
  /** Without a picture after this an attempt is given up. */
  readonly giveUpMs: Readonly<Record<Mode, number>>;
  /**
   * No new picture for this long: other modes are tried while the last picture stays. HLS comes in parts; MJPEG of a
   * camera that isn't a JPEG camera has its key frames only.
   */
  readonly stallMs: Readonly<Record<Mode, number>>;
  /** WebRTC has no connection that breaks when its server dies: it is dialled anew beside the old one this early. */
  readonly redialMs: number;
  /**
   * How long pictures must go on before a mode may replace one that stalled. A server starts a viewer with its last
   * key frame even when the camera is gone: one picture proves nothing.
   */
  readonly proofMs: number;
  /** After playing for this long a mode counts as working, and those that failed meanwhile as not. */
  readonly settleMs: number;
  /** Between rounds while the connection of the standing picture is open; with WebRTC it only seems to be. */
  readonly holdMs: Readonly<Record<Mode, number>>;
  /** How often a mode nearer to the top of the order is tried while another one plays. */
  readonly upgradeMs: number;
}

export const DEFAULT_TIMING: DirectorTiming = {
  hedgeMs: { webrtc: 1_500, mse: 2_000, hls: 4_000, mjpeg: 4_000 },
  giveUpMs: { webrtc: 8_000, mse: 8_000, hls: 12_000, mjpeg: 12_000 },
  stallMs: { webrtc: 3_000, mse: 3_000, hls: 4_000, mjpeg: 10_000 },
  redialMs: 1_200,
  proofMs: 700,
  settleMs: 2_000,
  holdMs: { webrtc: 3_000, mse: 15_000, hls: 15_000, mjpeg: 15_000 },
  upgradeMs: 60_000,
};

export type Action =
  | { readonly kind: 'open'; readonly id: number; readonly mode: Mode }
  /** The attempt's picture takes the place of the one shown so far, which closes. */
  | { readonly kind: 'show'; readonly id: number; readonly mode: Mode }
  | { readonly kind: 'close'; readonly id: number };

export interface Status {
  /**
   * `starting`: the first attempts are under way; `playing`; `stalled`: a picture stands still and a better mode is
   * looked for; `waiting`: everything was tried in vain, the next round comes at `retryAtMs`.
   */
  readonly phase: 'idle' | 'starting' | 'playing' | 'stalled' | 'waiting';
  readonly mode: Mode | null;
  readonly reason: Reason | null;
  readonly retryAtMs: number | null;
}

/** What is remembered beyond this page; see `ModeMemory`. */
export interface Memory {
  order(wanted: readonly Mode[]): readonly Mode[];
  failed(mode: Mode): void;
  worked(mode: Mode): void;
}

type Cause = 'start' | 'lost' | 'stall' | 'redial' | 'upgrade' | 'change';

interface Attempt {
  readonly id: number;
  readonly mode: Mode;
  readonly cause: Cause;
  openedMs: number;
  firstFrameMs: number;
  lastFrameMs: number;
  /** Usual time between pictures; cameras go down to one a second at night. */
  intervalMs: number;
}

/**
 * Decides which mode is tried, shown and given up. Knows neither network nor page: it is told what happens
 * (`frame`, `failed`, `tick`, all with the time) and answers with actions.
 */
export class Director {
  #wanted: readonly Mode[];
  readonly #memory: Memory;
  readonly #timing: DirectorTiming;
  readonly #backoff = new Backoff();
  #actions: Action[] = [];
  #lastId = 0;
  #running = false;
  #visible = true;

  #shown: Attempt | null = null;
  #shownSinceMs = 0;
  /** The connection of the shown picture is gone; the picture itself stays until there is a new one. */
  #lost = false;
  #stalled = false;
  #settled = false;
  #redialedMs = Number.NEGATIVE_INFINITY;

  /** Attempts without a picture that may be shown yet; at most two at once. */
  #candidates: Attempt[] = [];
  /** Modes of this round that are still to be tried. */
  #queue: Mode[] = [];
  #cause: Cause = 'start';
  readonly #failures = new Map<Mode, Reason>();
  #reason: Reason | null = null;
  #retryAtMs: number | null = null;
  #upgradeAtMs = Number.POSITIVE_INFINITY;

  constructor(wanted: readonly Mode[], memory: Memory, timing: DirectorTiming = DEFAULT_TIMING) {
    this.#wanted = wanted;
    this.#memory = memory;
    this.#timing = timing;
  }

  get status(): Status {
    const mode = this.#shown?.mode ?? this.#candidates[0]?.mode ?? null;
    const retryAtMs = this.#retryAtMs;
    if (!this.#running) return { phase: 'idle', mode: null, reason: null, retryAtMs: null };
    if (this.#shown !== null && !this.#lost && !this.#stalled) {
      return { phase: 'playing', mode, reason: null, retryAtMs: null };
    }
    const known = this.#reason === null ? [] : [this.#reason];
    const reason = bestReason([...this.#failures.values(), ...known]);
    if (retryAtMs !== null) return { phase: 'waiting', mode, reason, retryAtMs };
    return { phase: this.#shown === null ? 'starting' : 'stalled', mode, reason, retryAtMs: null };
  }

  start(nowMs: number): Action[] {
    if (!this.#running) {
      this.#running = true;
      this.#backoff.reset();
      this.#beginRound(this.#shown === null ? 'start' : 'lost', nowMs);
    }
    return this.#flush();
  }

  /** Ends all attempts. The shown picture stays as a still until `start` brings a new one. */
  stop(): Action[] {
    this.#running = false;
    this.#dropCandidates(() => true);
    if (this.#shown !== null && !this.#lost) {
      this.#lost = true;
      this.#actions.push({ kind: 'close', id: this.#shown.id });
    }
    this.#queue = [];
    this.#failures.clear();
    this.#reason = null;
    this.#retryAtMs = null;
    return this.#flush();
  }

  /** A page that can't be seen presents no pictures: nothing counts as stalled meanwhile. */
  setVisible(visible: boolean, nowMs: number): Action[] {
    if (visible && !this.#visible) {
      if (this.#shown !== null) this.#shown.lastFrameMs = nowMs;
      for (const one of this.#candidates) {
        one.openedMs = nowMs;
        one.lastFrameMs = nowMs;
      }
    }
    this.#visible = visible;
    return this.#flush();
  }

  /** Something says that it is worth trying now: the network is back, somebody pressed "try again". */
  retryNow(nowMs: number): Action[] {
    if (this.#running && this.#retryAtMs !== null) this.#beginRound(this.#cause, nowMs);
    return this.#flush();
  }

  /** Another taste from now on: the first of these modes is tried beside the one that plays. */
  reorder(wanted: readonly Mode[], nowMs: number): Action[] {
    this.#wanted = wanted;
    this.#upgradeAtMs = nowMs;
    if (this.#running && this.#shown !== null) {
      this.#dropCandidates((one) => one.cause === 'start' || one.cause === 'upgrade');
      this.#tryUpgrade(nowMs, true);
    }
    return this.#flush();
  }

  /** What plays is to be asked for in another way: a new connection of the same mode is made beside it. */
  reopen(nowMs: number): Action[] {
    if (!this.#running) return this.#flush();
    this.#dropCandidates(() => true);
    if (this.#shown === null || this.#lost || this.#stalled) {
      this.#beginRound(this.#shown === null ? 'start' : 'lost', nowMs);
    } else {
      this.#cause = 'change';
      this.#queue = [];
      this.#open(this.#shown.mode, nowMs);
    }
    return this.#flush();
  }

  /** A picture of the attempt was presented. */
  frame(id: number, nowMs: number): Action[] {
    const shown = this.#shown;
    if (shown?.id === id && !this.#lost) {
      this.#note(shown, nowMs);
      if (this.#stalled) this.#recover();
      if (!this.#settled && nowMs - this.#shownSinceMs >= this.#timing.settleMs) this.#settle(shown);
      return this.#flush();
    }
    const candidate = this.#candidates.find((one) => one.id === id);
    if (candidate !== undefined) {
      this.#note(candidate, nowMs);
      const mustProve = candidate.cause === 'stall' || candidate.cause === 'redial' || candidate.cause === 'upgrade';
      if (!mustProve || nowMs - candidate.firstFrameMs >= this.#timing.proofMs) this.#take(candidate, nowMs);
    }
    return this.#flush();
  }

  /** The attempt is over: refused, unsupported, or its connection ended. */
  failed(id: number, reason: Reason, nowMs: number): Action[] {
    if (this.#shown?.id === id && !this.#lost) {
      this.#loseShown(reason, nowMs);
    } else {
      const candidate = this.#candidates.find((one) => one.id === id);
      if (candidate !== undefined) this.#fail(candidate, reason, nowMs);
    }
    return this.#flush();
  }

  /** To be called a few times a second. */
  tick(nowMs: number): Action[] {
    if (!this.#running) return this.#flush();
    if (this.#visible) this.#watchCandidates(nowMs);
    this.#watchShown(nowMs);
    if (this.#retryAtMs !== null && nowMs >= this.#retryAtMs) this.#beginRound(this.#cause, nowMs);
    this.#tryUpgrade(nowMs);
    return this.#flush();
  }

  #watchCandidates(nowMs: number): void {
    const { hedgeMs, giveUpMs, stallMs } = this.#timing;
    for (const candidate of [...this.#candidates]) {
      if (!Number.isNaN(candidate.firstFrameMs)) {
        if (nowMs - candidate.lastFrameMs >= stallMs[candidate.mode]) this.#fail(candidate, NO_NEW_PICTURE, nowMs);
      } else if (nowMs - candidate.openedMs >= giveUpMs[candidate.mode]) {
        const text = `no picture within ${giveUpMs[candidate.mode] / 1000} s`;
        this.#fail(candidate, { kind: 'timeout', text }, nowMs);
      }
    }
    const only = this.#candidates.length === 1 ? this.#candidates[0] : undefined;
    if (only !== undefined && Number.isNaN(only.firstFrameMs) && nowMs - only.openedMs >= hedgeMs[only.mode]) {
      this.#openNext(nowMs);
    }
  }

  #watchShown(nowMs: number): void {
    const shown = this.#shown;
    if (shown === null || this.#lost || !this.#visible) return;
    const silentMs = nowMs - shown.lastFrameMs;
    const slowMs = 4 * shown.intervalMs;
    if (
      shown.mode === 'webrtc' &&
      this.#settled &&
      silentMs >= Math.max(this.#timing.redialMs, slowMs) &&
      nowMs - this.#redialedMs > REDIAL_REST_MS &&
      this.#candidates.length === 0
    ) {
      this.#redialedMs = nowMs;
      this.#cause = 'redial';
      this.#queue = [];
      this.#open('webrtc', nowMs);
    }
    if (!this.#stalled && silentMs >= Math.max(this.#timing.stallMs[shown.mode], slowMs)) {
      this.#stalled = true;
      this.#reason = NO_NEW_PICTURE;
      // A server that has nothing from the camera keeps its viewers: what is shown may go on by itself.
      this.#beginRound('stall', nowMs);
    }
  }

  #tryUpgrade(nowMs: number, unsettled = false): void {
    const shown = this.#shown;
    if (shown === null || this.#lost || this.#stalled || this.#candidates.length > 0) return;
    if (!this.#settled && !unsettled) return;
    if (nowMs < this.#upgradeAtMs || !this.#visible) return;
    this.#upgradeAtMs = nowMs + this.#timing.upgradeMs;
    const best = this.#memory.order(this.#wanted)[0];
    if (best === undefined || best === shown.mode) return;
    this.#cause = 'upgrade';
    this.#queue = [];
    this.#open(best, nowMs);
  }

  #beginRound(cause: Cause, nowMs: number): void {
    this.#retryAtMs = null;
    this.#cause = cause;
    this.#failures.clear();
    const order = this.#memory.order(this.#wanted);
    const last = this.#shown?.mode;
    // Lost connection: what played a moment ago most likely plays again. Standing picture: anything but that.
    if (last === undefined || cause === 'start') this.#queue = [...order];
    else if (cause === 'lost') this.#queue = [last, ...order.filter((mode) => mode !== last)];
    else this.#queue = [...order.filter((mode) => mode !== last), last];
    this.#queue = this.#queue.filter((mode) => !this.#candidates.some((one) => one.mode === mode));
    if (this.#candidates.length < 2) this.#openNext(nowMs);
  }

  #openNext(nowMs: number): void {
    if (this.#candidates.length >= 2) return;
    const mode = this.#queue.shift();
    if (mode !== undefined) this.#open(mode, nowMs);
  }

  #open(mode: Mode, nowMs: number): void {
    const id = ++this.#lastId;
    this.#candidates.push({
      id,
      mode,
      cause: this.#cause,
      openedMs: nowMs,
      firstFrameMs: Number.NaN,
      lastFrameMs: nowMs,
      intervalMs: 0,
    });
    this.#actions.push({ kind: 'open', id, mode });
  }

  #take(winner: Attempt, nowMs: number): void {
    const old = this.#shown;
    if (old !== null && this.#stalled && old.mode !== winner.mode) this.#failures.set(old.mode, NO_NEW_PICTURE);
    this.#shown = winner;
    this.#shownSinceMs = nowMs;
    this.#lost = false;
    this.#stalled = false;
    this.#settled = false;
    this.#retryAtMs = null;
    this.#upgradeAtMs = nowMs + this.#timing.upgradeMs;
    // A mode nearer to the top of the order that is still connecting may take over from this one.
    const order = this.#memory.order(this.#wanted);
    const rank = order.indexOf(winner.mode);
    this.#queue = [];
    this.#candidates = this.#candidates.filter((one) => one !== winner);
    this.#dropCandidates((one) => winner.cause !== 'start' || order.indexOf(one.mode) > rank);
    this.#actions.push({ kind: 'show', id: winner.id, mode: winner.mode });
    if (old !== null) this.#actions.push({ kind: 'close', id: old.id });
  }

  /** The shown picture moves again: nothing else is needed. */
  #recover(): void {
    this.#stalled = false;
    this.#retryAtMs = null;
    this.#queue = [];
    this.#failures.clear();
    this.#dropCandidates(() => true);
  }

  #settle(shown: Attempt): void {
    this.#settled = true;
    this.#backoff.reset();
    this.#memory.worked(shown.mode);
    for (const mode of this.#failures.keys()) if (mode !== shown.mode) this.#memory.failed(mode);
    this.#failures.clear();
    this.#reason = null;
  }

  #loseShown(reason: Reason, nowMs: number): void {
    const wasSettled = this.#settled;
    this.#lost = true;
    this.#settled = false;
    this.#reason = reason;
    if (this.#candidates.length > 0) return;
    if (wasSettled || this.#stalled) {
      this.#backoff.reset();
      this.#beginRound('lost', nowMs);
    } else {
      // It played for a moment only: don't hammer.
      this.#wait(nowMs);
    }
  }

  #fail(candidate: Attempt, reason: Reason, nowMs: number): void {
    this.#candidates = this.#candidates.filter((one) => one !== candidate);
    this.#actions.push({ kind: 'close', id: candidate.id });
    const shown = this.#shown;
    if (shown !== null && !this.#lost && !this.#stalled) {
      if (candidate.cause === 'redial') {
        // The server's WebRTC process may be just coming back: again soon.
        if (reason.kind !== 'timeout') this.#redialedMs = nowMs - REDIAL_REST_MS + REDIAL_AGAIN_MS;
      } else if (candidate.mode !== shown.mode) {
        // A mode that fails while another one plays fails by itself. Before that is sure, it waits for `#settle`.
        if (this.#settled) this.#memory.failed(candidate.mode);
        else this.#failures.set(candidate.mode, reason);
      }
      return;
    }
    this.#failures.set(candidate.mode, reason);
    if (reason.everywhere === true) this.#queue = [];
    if (this.#queue.length > 0) this.#openNext(nowMs);
    else if (this.#candidates.length === 0 && this.#retryAtMs === null) this.#wait(nowMs);
  }

  /** Everything was tried in vain. */
  #wait(nowMs: number): void {
    this.#reason = bestReason(this.#failures.values()) ?? this.#reason;
    const reached = [...this.#failures.values()].some((reason) => reason.kind !== 'network');
    if (this.#shown !== null && !this.#lost && reached) {
      // Still connected: the picture comes back by itself when the camera does, so looking elsewhere can take its time.
      this.#cause = 'stall';
      this.#retryAtMs = nowMs + this.#timing.holdMs[this.#shown.mode];
      return;
    }
    this.#cause = this.#shown === null ? 'start' : this.#lost ? 'lost' : 'stall';
    this.#retryAtMs = nowMs + this.#backoff.next(nowMs);
  }

  #note(attempt: Attempt, nowMs: number): void {
    if (Number.isNaN(attempt.firstFrameMs)) attempt.firstFrameMs = nowMs;
    else {
      const gapMs = Math.min(5_000, nowMs - attempt.lastFrameMs);
      attempt.intervalMs = attempt.intervalMs === 0 ? gapMs : attempt.intervalMs * 0.9 + gapMs * 0.1;
    }
    attempt.lastFrameMs = nowMs;
  }

  #dropCandidates(which: (attempt: Attempt) => boolean): void {
    for (const one of this.#candidates) if (which(one)) this.#actions.push({ kind: 'close', id: one.id });
    this.#candidates = this.#candidates.filter((one) => !which(one));
  }

  #flush(): Action[] {
    const actions = this.#actions;
    this.#actions = [];
    return actions;
  }
}

/** Between two second connections for WebRTC, when they were accepted or refused. */
const REDIAL_REST_MS = 10_000;
const REDIAL_AGAIN_MS = 350;
const NO_NEW_PICTURE: Reason = { kind: 'timeout', text: 'no new picture from the camera' };
