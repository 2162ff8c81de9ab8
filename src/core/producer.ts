import { describeError, HearthcamError } from './errors.ts';
import { type Log, LogLimiter } from './log.ts';
import { Scope } from './scope.ts';
import type { SourceDescription, SourceModule, SourceSink, SourceSpec, SourceUnit, TalkCall } from './source.ts';
import type { Target } from './targets.ts';

/** What a producer tells the stream that owns it. */
export interface ProducerOwner {
  readonly streamName: string;
  /** A connection stands and has these tracks; returns which of them the stream takes from this producer. */
  onDescribe(producer: Producer, description: SourceDescription): readonly boolean[];
  onUnit(producer: Producer, unit: SourceUnit): void;
  onFlush(producer: Producer): void;
  onSync(producer: Producer, track: number, ticks: number, ntpMs: number): void;
  /** The connection is gone; the producer goes on trying while it is running. */
  onLost(producer: Producer, error: unknown): void;
}

export interface ProducerTiming {
  /** No packet for so long is a stall. */
  readonly stallMs: number;
  /** From dialling to the description. */
  readonly connectMs: number;
}

export const DEFAULT_TIMING: ProducerTiming = { stallMs: 5_000, connectMs: 10_000 };

const RETRY_MS = 250;
const RETRY_FAST_FOR_MS = 5_000;
const RETRY_MAX_MS = 10_000;
/** How often a connection is looked at for silence. */
const STALL_CHECK_MS = 500;
/** A camera that sends something has so many times `connectMs` until it must have said what it is. */
const SENSE_FACTOR = 3;
/** A connection that lived shorter than this is not redialled at once: its camera is refusing, not dropping. */
const LIVED_MS = 1_000;

export type ProducerState = 'idle' | 'dialing' | 'running' | 'waiting';

/** Delay before the next try, `lostForMs` after the picture was lost. `random` in 0…1 jitters the long delays. */
export function retryDelayMs(lostForMs: number, random: number): number {
  if (lostForMs < RETRY_FAST_FOR_MS) return RETRY_MS;
  const grown = Math.min(RETRY_MAX_MS, RETRY_MS + (lostForMs - RETRY_FAST_FOR_MS) / 4);
  return Math.round(grown * (0.75 + 0.25 * random));
}

/** Keeps one source of one stream connected while it is started: dials, watches, reconnects. */
export class Producer {
  readonly spec: SourceSpec;
  state: ProducerState = 'idle';
  description: SourceDescription | undefined;
  /** Stream track ids by source track index; -1 where the stream does not take it. Set by the stream. */
  trackIds: number[] = [];
  /** No picture has been passed on since the connection was described. Kept by the stream. */
  awaitsKey = true;
  bytesReceived = 0;
  reconnects = 0;
  lastError: unknown;
  readonly id: number;
  /** Not null: it is never connected, but says what may be made from the stream's other tracks. */
  readonly recipe: readonly Target[] | null;
  readonly #module: SourceModule;
  readonly #owner: ProducerOwner;
  readonly #log: Log;
  readonly #timing: ProducerTiming;
  readonly #limiter = new LogLimiter(30_000);
  #scope: Scope | undefined;
  #ready = Promise.withResolvers<void>();
  #readySettled = false;
  #lastAliveMs = 0;
  #wake: () => void = () => {};

  constructor(
    id: number,
    spec: SourceSpec,
    module: SourceModule,
    owner: ProducerOwner,
    log: Log,
    timing: ProducerTiming = DEFAULT_TIMING,
  ) {
    this.id = id;
    this.spec = spec;
    this.#module = module;
    this.#owner = owner;
    this.#log = log;
    this.#timing = timing;
    this.recipe = module.recipe?.(spec, owner.streamName) ?? null;
  }

  /** Calls the camera to speak to it; undefined where the kind of source never can. */
  talk(signal: AbortSignal): Promise<TalkCall> | undefined {
    return this.#module.talk?.({ spec: this.spec, streamName: this.#owner.streamName, log: this.#log, signal });
  }
  get canTalk(): boolean {
    return this.#module.talk !== undefined;
  }

  get started(): boolean {
    return this.#scope !== undefined;
  }

  /**
   * Begins to connect, or dials at once when it was waiting to try again. Resolves when it is connected and described,
   * rejects with the failure of the attempt that is under way (and goes on trying).
   */
  start(): Promise<void> {
    if (this.state === 'running') return Promise.resolve();
    if (this.#scope === undefined) {
      this.#scope = new Scope(`source of ${this.#owner.streamName}`);
      this.#awaitOutcome();
      void this.#loop(this.#scope);
    } else if (this.#readySettled) {
      this.#awaitOutcome();
      this.#wake();
    }
    return this.#ready.promise;
  }

  async stop(): Promise<void> {
    const scope = this.#scope;
    if (scope === undefined) return;
    this.#scope = undefined;
    this.state = 'idle';
    this.description = undefined;
    this.#settle(new HearthcamError('source.stopped', `the source of "${this.#owner.streamName}" was stopped`));
    await scope.close();
  }

  async #loop(scope: Scope): Promise<void> {
    let lostAtMs = performance.now();
    const closed = untilClosed(scope);
    while (!scope.closed) {
      const startedMs = performance.now();
      const outcome = await this.#connectOnce(scope);
      if (scope.closed) return;
      const nowMs = performance.now();
      if (outcome.described) lostAtMs = nowMs;
      this.lastError = outcome.error;
      this.#owner.onLost(this, outcome.error);
      this.#settle(outcome.error);
      const permanent = outcome.error instanceof HearthcamError && outcome.error.permanent;
      const admitted = this.#limiter.admit(describeError(outcome.error));
      if (admitted !== null) {
        const next = permanent ? '' : '; trying again';
        this.#log.warn(`camera "${this.#owner.streamName}": ${describeError(outcome.error)}${next}`, {
          ...(admitted > 0 ? { repeated: admitted } : {}),
        });
      }
      if (outcome.described && nowMs - startedMs > LIVED_MS && !permanent) continue;
      this.state = 'waiting';
      const woken = new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      const pause = permanent ? closed : scope.sleep(retryDelayMs(nowMs - lostAtMs, Math.random()));
      await Promise.race([pause, woken]);
    }
  }

  async #connectOnce(parent: Scope): Promise<{ described: boolean; error: unknown }> {
    this.state = 'dialing';
    this.description = undefined;
    await using connection = parent.child('connection');
    let described = false;
    let stalled: HearthcamError | undefined;
    const dialledMs = performance.now();
    this.#lastAliveMs = dialledMs;
    const connectMs = this.#module.startMs?.(this.spec) ?? this.#timing.connectMs;
    const abort = new AbortController();
    const onClose = (): void => abort.abort(connection.signal.reason);
    connection.signal.addEventListener('abort', onClose, { once: true });
    connection.every(STALL_CHECK_MS, () => {
      const nowMs = performance.now();
      const silentMs = nowMs - this.#lastAliveMs;
      const { stallMs } = this.#timing;
      const senseless = !described && nowMs - dialledMs >= SENSE_FACTOR * connectMs;
      if (silentMs < (described ? stallMs : connectMs) && !senseless) return;
      stalled = senseless ? senselessError(nowMs - dialledMs) : silenceError(described, silentMs, this.spec.scheme);
      abort.abort(stalled);
    });
    const isCurrent = (): boolean => !abort.signal.aborted;
    const sink: SourceSink = {
      describe: (description) => {
        if (!isCurrent()) return description.tracks.map(() => false);
        if (described) this.#log.debug(`camera "${this.#owner.streamName}" changed its tracks`);
        described = true;
        this.state = 'running';
        this.description = description;
        this.#lastAliveMs = performance.now();
        const taken = this.#owner.onDescribe(this, description);
        this.#settle(undefined);
        return taken;
      },
      unit: (unit) => {
        if (isCurrent()) this.#owner.onUnit(this, unit);
      },
      flush: () => {
        if (isCurrent()) this.#owner.onFlush(this);
      },
      alive: (bytes) => {
        this.#lastAliveMs = performance.now();
        this.bytesReceived += bytes;
      },
      sync: (track, ticks, ntpMs) => {
        if (isCurrent()) this.#owner.onSync(this, track, ticks, ntpMs);
      },
    };
    try {
      await this.#module.run(
        { spec: this.spec, streamName: this.#owner.streamName, log: this.#log, signal: abort.signal },
        sink,
      );
      return {
        described,
        error: stalled ?? new HearthcamError('source.ended', 'the camera ended the connection', { status: 502 }),
      };
    } catch (error) {
      return { described, error: stalled ?? error };
    } finally {
      if (described) this.reconnects++;
      abort.abort();
    }
  }

  #awaitOutcome(): void {
    this.#ready = Promise.withResolvers<void>();
    this.#ready.promise.catch(() => {});
    this.#readySettled = false;
  }

  #settle(error: unknown): void {
    if (this.#readySettled) return;
    this.#readySettled = true;
    if (error === undefined) this.#ready.resolve();
    else this.#ready.reject(error);
  }
}

function silenceError(described: boolean, silentMs: number, scheme: string): HearthcamError {
  return new HearthcamError(
    described ? 'source.stalled' : 'source.timeout',
    described
      ? `no data for ${Math.round(silentMs / 1000)} s`
      : `no answer within ${Math.round(silentMs / 1000)} s from ${scheme}`,
    { status: 504, hint: 'is the camera on, and are address and port right?' },
  );
}

/** Bytes without end in which no video is found would else be read, and looked through, for ever. */
function senselessError(sinceMs: number): HearthcamError {
  return new HearthcamError('source.senseless', `no video in what came within ${Math.round(sinceMs / 1000)} s`, {
    status: 504,
    hint: 'is the address that of the video? restart the camera if it was right before',
  });
}

/** What will not go better by itself waits for somebody who asks again, or for other sources. */
function untilClosed(scope: Scope): Promise<void> {
  if (scope.closed) return Promise.resolve();
  return new Promise((resolve) => scope.signal.addEventListener('abort', () => resolve(), { once: true }));
}
