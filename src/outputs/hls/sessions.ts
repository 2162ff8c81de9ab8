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
import { targetKey, type VideoTarget } from '../../core/targets.ts';
import { HlsMuxer, type MuxerGroup, type MuxerStart, type VariantFacts } from './muxer.ts';
import { SegmentClock } from './segment-clock.ts';

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

/** What a session carries. */
export interface HlsContent {
  readonly stream: Stream;
  readonly wants: readonly MediaWant[];
  /** It is made like this of what the camera sends. */
  readonly picture?: VideoTarget | undefined;
}

/**
 * One rendition of a stream as HLS, with an unguessable id by which any number of clients may ask for it. The muxer
 * runs while they do.
 */
export class HlsSession {
  readonly id = randomBytes(12).toString('base64url');
  readonly streamName: string;
  readonly wants: readonly MediaWant[];
  readonly picture: VideoTarget | undefined;
  readonly #hub: Hub;
  readonly #groupOf: () => MuxerGroup | undefined;
  #running: Running | undefined;
  #starting: Promise<Running> | undefined;
  #next: MuxerStart = { sequence: 0, part: 0, discontinuities: 0, initVersion: 0 };
  #facts: VariantFacts | undefined;
  #usedMs = performance.now();

  /** @param groupOf what it shares with other sessions of the stream by the time it starts */
  constructor(hub: Hub, content: HlsContent, groupOf: () => MuxerGroup | undefined) {
    this.#hub = hub;
    this.#groupOf = groupOf;
    this.streamName = content.stream.name;
    this.wants = content.wants;
    this.picture = content.picture;
  }

  /** What is known of the stream, also from earlier; undefined before it ran for the first time. */
  get facts(): VariantFacts | undefined {
    return this.#running?.muxer.facts() ?? this.#facts;
  }
  /** Whether there are variants that players change over to. */
  get grouped(): boolean {
    return this.#groupOf() !== undefined;
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
    const { wants, picture } = this;
    const consumer = await openForHttp(stream, {
      ...who,
      wants,
      need: 'picture',
      signal,
      onEnd: () => this.stop(),
      ...(picture === undefined ? {} : { picture }),
    });
    try {
      const tracks = await knownFormats(consumer.stream, consumer.tracks, signal);
      this.#running = { consumer, muxer: new HlsMuxer(consumer.stream, tracks, this.#next, this.#groupOf()) };
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
  /** By the content that renditions are made of. */
  readonly #clocks = new Map<string, SegmentClock>();
  readonly #told = new Set<string>();

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

  find(content: HlsContent): HlsSession | undefined {
    return this.#byContent.get(contentKey(content));
  }

  /** The one session that all clients share who want the same of a stream. */
  for(content: HlsContent): HlsSession {
    const key = contentKey(content);
    const known = this.#byContent.get(key);
    if (known !== undefined) {
      known.touch();
      return known;
    }
    if (this.#byId.size >= MAX_SESSIONS) {
      throw new HearthcamError('hls.busy', `${MAX_SESSIONS} HLS sessions are open already`, { status: 503 });
    }
    const source = sourceKey(content);
    const leads = content.picture === undefined;
    if (!leads && !this.#clocks.has(source)) this.#clocks.set(source, new SegmentClock());
    const made = new HlsSession(this.#hub, content, () => {
      const clock = this.#clocks.get(source);
      return clock === undefined ? undefined : { clock, leads };
    });
    this.#byId.set(made.id, made);
    this.#byContent.set(key, made);
    return made;
  }

  /** Writes an info line, each one only once. */
  tellOnce(text: string): void {
    if (this.#told.has(text) || this.#told.size >= MAX_SESSIONS) return;
    this.#told.add(text);
    this.#log.info(text);
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
    if (this.#clocks.size === 0) return;
    const used = new Set([...this.#byContent.keys()].map((key) => key.slice(0, key.indexOf('\n'))));
    for (const source of this.#clocks.keys()) if (!used.has(source)) this.#clocks.delete(source);
  }

  /** Starts a session without waiting for it, so that its facts are there soon. */
  warm(session: HlsSession, who: ConsumerInfo): Promise<void> {
    return session.open(who).then(
      () => {},
      (error: unknown) => this.#log.debug(`hls: "${session.streamName}" gives nothing yet: ${describeError(error)}`),
    );
  }
}

/** The key of what the session's picture is, or is made of. */
function sourceKey({ stream, wants }: HlsContent): string {
  return JSON.stringify([stream.name, wants]);
}

function contentKey(content: HlsContent): string {
  const { picture } = content;
  return `${sourceKey(content)}\n${picture === undefined ? '' : targetKey(picture)}`;
}
