import { abortable } from './abortable.ts';
import type { ConsumerInfo } from './consumer.ts';
import { describeError, HearthcamError } from './errors.ts';
import type { Log } from './log.ts';
import type { Producer } from './producer.ts';
import type { SourceSpec, TalkCall, TalkCodec } from './source.ts';
import type { Stream } from './stream.ts';
import { TalkSession } from './talk-session.ts';

/** Somebody who wants to be heard at the camera. */
export interface TalkerRequest extends ConsumerInfo {
  /** The stream that carries the sound: a microphone's (`Talk.makeVoice`), or any other that is to be played. */
  readonly voice: Stream;
  /** Somebody speaks now. What is only played gives way to that, and to what is played next. */
  readonly live: boolean;
  /** Once, when it is over otherwise than by `close`. */
  readonly onEnd?: (reason: HearthcamError) => void;
  /** Ends the wait for the camera. */
  readonly signal?: AbortSignal;
}

export interface TalkOptions {
  readonly stream: Pick<Stream, 'name' | 'producers'>;
  readonly log: Log;
  /** A stream that is not in the hub. */
  readonly makeVoice: (specs: readonly SourceSpec[]) => Stream;
}

interface Known {
  readonly codecs: readonly TalkCodec[];
  readonly untilMs: number;
  /** Why it could not be asked. */
  readonly failure?: unknown;
}

/** What a camera takes hardly ever changes; one that takes nothing may have been given the right settings meanwhile. */
const KNOWN_MS = 3_600_000;
const KNOWN_SILENT_MS = 600_000;
/** One that can't be reached is not asked again at each look. */
const UNREACHABLE_MS = 10_000;

/** Speaking to the camera of one stream: what it takes, and who speaks. One at a time. */
export class Talk {
  readonly #options: TalkOptions;
  readonly #known = new Map<string, Known>();
  readonly #asking = new Map<string, Promise<readonly TalkCodec[]>>();
  readonly #closing = new AbortController();
  #session: TalkSession | undefined;

  constructor(options: TalkOptions) {
    this.#options = options;
  }

  /** Who speaks now. */
  get session(): TalkSession | undefined {
    return this.#session;
  }

  /** What the camera of a source takes as far as that is known; undefined: it was not asked yet. */
  known(producer: Producer): readonly TalkCodec[] | undefined {
    if (!producer.canTalk) return [];
    const known = this.#known.get(producer.spec.text);
    return known === undefined || known.untilMs < performance.now() ? undefined : known.codecs;
  }

  /**
   * What the camera takes: that of the first source that takes anything. Asks those that were not asked yet, at the
   * same time, and leaves out who can't be reached.
   */
  async codecs(signal?: AbortSignal): Promise<readonly TalkCodec[]> {
    const answers = this.#options.stream.producers.map((producer) => this.known(producer) ?? this.#ask(producer));
    const all = await abortable(Promise.all(answers), signal);
    return all.find((codecs) => codecs.length > 0) ?? [];
  }

  /** As `codecs`. @throws HearthcamError 500 `can't find consumer` when the camera takes none */
  async requireCodecs(signal?: AbortSignal): Promise<readonly TalkCodec[]> {
    const codecs = await this.codecs(signal);
    if (codecs.length > 0) return codecs;
    throw noTalk(this.#options.stream.name, this.#failure());
  }

  /** False: the camera certainly takes no sound. Nobody is asked for that. */
  get possible(): boolean {
    return this.#options.stream.producers.some((producer) => this.known(producer)?.length !== 0);
  }

  /** What is known without asking. */
  get knownCodecs(): readonly TalkCodec[] {
    const all = this.#options.stream.producers.map((producer) => this.known(producer) ?? []);
    return all.find((codecs) => codecs.length > 0) ?? [];
  }

  /** A stream outside of the hub for a voice; whoever makes it closes it. */
  makeVoice(specs: readonly SourceSpec[] = []): Stream {
    return this.#options.makeVoice(specs);
  }

  /**
   * Carries the sound of `voice` to the camera.
   * @throws HearthcamError 409 while somebody else speaks, 500 `can't find consumer` when the camera takes no sound, or
   *   why it can't be reached
   */
  async open(request: TalkerRequest): Promise<TalkSession> {
    const { name: streamName } = this.#options.stream;
    this.#closing.signal.throwIfAborted();
    // Whoever has let go is still heard for a moment.
    while (this.#session?.closed === true) await abortable(this.#session.gone, request.signal);
    const before = this.#session;
    if (before !== undefined) {
      if (before.live) throw busy(streamName, before);
      const why = request.live ? 'somebody speaks' : 'something else is played';
      before.end(new HearthcamError('talk.replaced', `${why} to "${streamName}"`, { status: 409 }), true);
    }
    const signal = AbortSignal.any([this.#closing.signal, ...(request.signal === undefined ? [] : [request.signal])]);
    const session = new TalkSession({
      ...request,
      streamName,
      log: this.#options.log,
      call: (callSignal) => this.call(callSignal),
    });
    this.#session = session;
    void session.gone.then(() => {
      if (this.#session === session) this.#session = undefined;
    });
    if (before !== undefined) await before.gone;
    await session.start(signal);
    return session;
  }

  /**
   * Calls the first camera of the stream's sources that takes sound; the caller disposes of it.
   * @throws HearthcamError 500 `can't find consumer` when none does
   */
  async call(signal: AbortSignal): Promise<TalkCall> {
    let failure: unknown;
    for (const producer of this.#options.stream.producers) {
      if (this.known(producer)?.length === 0 && !this.#unreachable(producer)) continue;
      try {
        const call = await producer.talk(signal);
        if (call === undefined) continue;
        this.#learn(producer, call.codecs);
        if (call.codecs.length > 0) return call;
        await call[Symbol.asyncDispose]();
      } catch (error) {
        signal.throwIfAborted();
        failure ??= error;
      }
    }
    throw noTalk(this.#options.stream.name, failure);
  }

  /** Why somebody is not heard who can't be told. */
  note(reason: string): void {
    this.#options.log.debug(`a microphone is not heard at "${this.#options.stream.name}": ${reason}`);
  }

  /** Ends whoever speaks. */
  async close(): Promise<void> {
    const reason = new HearthcamError('stream.removed', `stream "${this.#options.stream.name}" was removed`, {
      status: 404,
    });
    this.#closing.abort(reason);
    this.#session?.end(reason, true);
    await this.#session?.gone;
  }

  #ask(producer: Producer): Promise<readonly TalkCodec[]> {
    const key = producer.spec.text;
    let asking = this.#asking.get(key);
    if (asking === undefined) {
      asking = this.#askOnce(producer).finally(() => this.#asking.delete(key));
      this.#asking.set(key, asking);
    }
    return asking;
  }

  async #askOnce(producer: Producer): Promise<readonly TalkCodec[]> {
    try {
      const call = await producer.talk(this.#closing.signal);
      const codecs = call?.codecs ?? [];
      this.#learn(producer, codecs);
      await call?.[Symbol.asyncDispose]();
      return codecs;
    } catch (error) {
      const { log, stream } = this.#options;
      log.debug(`whether "${stream.name}" can be spoken to is not known: ${describeError(error)}`);
      this.#known.set(producer.spec.text, { codecs: [], untilMs: performance.now() + UNREACHABLE_MS, failure: error });
      return [];
    }
  }

  /** Why one that might take sound could not be asked lately. */
  #failure(): unknown {
    return this.#options.stream.producers.flatMap(({ spec }) => this.#known.get(spec.text)?.failure ?? [])[0];
  }

  #unreachable(producer: Producer): boolean {
    return this.#known.get(producer.spec.text)?.failure !== undefined;
  }

  #learn(producer: Producer, codecs: readonly TalkCodec[]): void {
    const forMs = codecs.length > 0 ? KNOWN_MS : KNOWN_SILENT_MS;
    const current = new Set(this.#options.stream.producers.map(({ spec }) => spec.text));
    for (const key of this.#known.keys()) if (!current.has(key)) this.#known.delete(key);
    this.#known.set(producer.spec.text, { codecs, untilMs: performance.now() + forMs });
  }
}

function busy(streamName: string, session: TalkSession): HearthcamError {
  const seconds = Math.round((performance.now() - session.startedMs) / 1000);
  return new HearthcamError('talk.busy', `somebody is speaking to "${streamName}" already, for ${seconds} s`, {
    status: 409,
    hint: 'one at a time: try again when they have finished',
  });
}

/** The text is that of go2rtc, which clients know (compatibility.md 1.2). */
function noTalk(streamName: string, failure: unknown): HearthcamError {
  if (failure !== undefined) {
    return new HearthcamError('talk.call', `"${streamName}" can't be spoken to`, { status: 502, cause: failure });
  }
  return new HearthcamError('talk.none', "can't find consumer", {
    status: 500,
    hint: `the camera of "${streamName}" takes no sound: is its loudspeaker switched on, and ONVIF?`,
  });
}
