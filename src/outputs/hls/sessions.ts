import { randomBytes } from 'node:crypto';
import type { Consumer, ConsumerInfo } from '../../core/consumer.ts';
import { describeError, HearthcamError } from '../../core/errors.ts';
import type { Hub } from '../../core/hub.ts';
import { openForHttp } from '../../core/live-response.ts';
import type { Log } from '../../core/log.ts';
import { knownFormats } from '../../core/mp4-tracks.ts';
import type { MediaWant } from '../../core/negotiate.ts';
import type { Scope } from '../../core/scope.ts';
import type { Stream } from '../../core/stream.ts';
import { HlsMuxer, type VariantFacts } from './muxer.ts';
import type { WindowStart } from './window.ts';

/** A muxer that nobody asked for anything for so long is stopped. */
const IDLE_MS = 10_000;
/** Its address stays good for so long: a player that was paused goes on. */
const FORGET_MS = 10 * 60_000;
const MAX_SESSIONS = 500;
const FIRST_PART_TIMEOUT_MS = 10_000;

interface Running {
  readonly consumer: Consumer;
  readonly muxer: HlsMuxer;
}

/**
 * One rendition of a stream as HLS, with an unguessable id by which any number of clients may ask for it. The muxer
 * runs while they do.
 */
export class HlsSession {
  readonly id = randomBytes(12).toString('base64url');
  readonly streamName: string;
  readonly wants: readonly MediaWant[];
  readonly #hub: Hub;
  #running: Running | undefined;
  #starting: Promise<Running> | undefined;
  #next: WindowStart & { initVersion: number } = { sequence: 0, part: 0, discontinuities: 0, initVersion: 0 };
  #facts: VariantFacts | undefined;
  #usedMs = performance.now();

  constructor(hub: Hub, stream: Stream, wants: readonly MediaWant[]) {
    this.#hub = hub;
    this.streamName = stream.name;
    this.wants = wants;
  }

  /** What is known of the stream, also from earlier; undefined before it ran for the first time. */
  get facts(): VariantFacts | undefined {
    return this.#running?.muxer.facts() ?? this.#facts;
  }
  get muxer(): HlsMuxer | undefined {
    return this.#running?.muxer;
  }
  get idleMs(): number {
    return (this.#running?.muxer.waiting ?? 0) > 0 ? 0 : performance.now() - this.#usedMs;
  }

  touch(): void {
    this.#usedMs = performance.now();
  }

  count(bytes: number): void {
    const consumer = this.#running?.consumer;
    if (consumer === undefined) return;
    consumer.bytesSent += bytes;
    consumer.unitsSent++;
  }

  /**
   * The muxer, started when it isn't running, with its first part there.
   * @throws HearthcamError when the stream is gone, can't be reached, or has nothing that fits
   */
  async open(who: ConsumerInfo): Promise<HlsMuxer> {
    this.touch();
    if (this.#running?.muxer.ended === true) this.stop();
    const running = this.#running ?? (await this.#start(who));
    const { muxer } = running;
    const first = await muxer.wait(() => (muxer.window.segments[0]?.parts.length ?? 0) > 0, FIRST_PART_TIMEOUT_MS);
    this.touch();
    if (!first) {
      throw new HearthcamError('hls.timeout', `camera "${this.streamName}" gave no key frame in time`, {
        status: 504,
        hint: 'is its key frame interval very long?',
      });
    }
    return muxer;
  }

  stop(): void {
    const running = this.#running;
    if (running === undefined) return;
    this.#running = undefined;
    this.#facts = running.muxer.facts();
    this.#next = { ...running.muxer.window.after(), initVersion: running.muxer.initVersion + 1 };
    running.muxer[Symbol.dispose]();
    running.consumer.close();
  }

  #start(who: ConsumerInfo): Promise<Running> {
    this.#starting ??= this.#connect(who).finally(() => {
      this.#starting = undefined;
    });
    return this.#starting;
  }

  async #connect(who: ConsumerInfo): Promise<Running> {
    const stream = this.#hub.require(this.streamName);
    const signal = AbortSignal.timeout(2 * FIRST_PART_TIMEOUT_MS);
    const consumer = await openForHttp(stream, {
      ...who,
      wants: this.wants,
      need: 'picture',
      signal,
      onEnd: () => this.stop(),
    });
    try {
      const tracks = await knownFormats(consumer.stream, consumer.tracks, signal);
      this.#running = { consumer, muxer: new HlsMuxer(consumer.stream, tracks, this.#next) };
      return this.#running;
    } catch (error) {
      consumer.close();
      throw error;
    }
  }
}

/** All sessions by id, and by what they carry. */
export class HlsSessions {
  readonly #hub: Hub;
  readonly #log: Log;
  readonly #idleMs: number;
  readonly #byId = new Map<string, HlsSession>();
  readonly #byContent = new Map<string, HlsSession>();

  constructor(hub: Hub, log: Log, scope: Scope, idleMs = IDLE_MS) {
    this.#hub = hub;
    this.#log = log;
    this.#idleMs = idleMs;
    scope.every(idleMs / 10, () => this.#sweep());
    scope.defer(() => {
      for (const session of this.#byId.values()) session.stop();
    });
  }

  /** @throws HearthcamError 404 for an id that was never given out or is forgotten */
  require(id: string | undefined): HlsSession {
    const session = this.#byId.get(id ?? '');
    if (session === undefined) throw new HearthcamError('hls.unknown', 'session not found', { status: 404 });
    return session;
  }

  find(stream: Stream, wants: readonly MediaWant[]): HlsSession | undefined {
    return this.#byContent.get(contentKey(stream, wants));
  }

  /** The one session that all clients share who want the same of a stream. */
  for(stream: Stream, wants: readonly MediaWant[]): HlsSession {
    const content = contentKey(stream, wants);
    const known = this.#byContent.get(content);
    if (known !== undefined) {
      known.touch();
      return known;
    }
    if (this.#byId.size >= MAX_SESSIONS) {
      throw new HearthcamError('hls.busy', `${MAX_SESSIONS} HLS sessions are open already`, { status: 503 });
    }
    const made = new HlsSession(this.#hub, stream, wants);
    this.#byId.set(made.id, made);
    this.#byContent.set(content, made);
    return made;
  }

  #sweep(): void {
    for (const [content, session] of this.#byContent) {
      const { idleMs, muxer } = session;
      if (muxer !== undefined && (idleMs > this.#idleMs || muxer.ended)) {
        session.stop();
        this.#log.debug(`hls: nobody watches "${session.streamName}" any more`);
      }
      if (idleMs > FORGET_MS || this.#hub.get(session.streamName) === undefined) {
        session.stop();
        this.#byContent.delete(content);
        this.#byId.delete(session.id);
      }
    }
  }

  /** Starts a session without waiting for it, so that its facts are there soon. */
  warm(session: HlsSession, who: ConsumerInfo): Promise<void> {
    return session.open(who).then(
      () => {},
      (error: unknown) => this.#log.debug(`hls: "${session.streamName}" gives nothing yet: ${describeError(error)}`),
    );
  }
}

function contentKey(stream: Stream, wants: readonly MediaWant[]): string {
  return JSON.stringify([stream.name, wants]);
}
