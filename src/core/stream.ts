import { abortable } from './abortable.ts';
import type { Consumer, ConsumerRequest } from './consumer.ts';
import { DerivedStreams } from './derived-streams.ts';
import { HearthcamError } from './errors.ts';
import { Fanout, type GopSnapshot, type SubscribeOptions, type UnitListener } from './fanout.ts';
import type { Log } from './log.ts';
import { type AccessUnit, sameCoding, type Track } from './media.ts';
import { describeMismatch, type MediaWant, type Negotiation, negotiate } from './negotiate.ts';
import { loopError } from './own-streams.ts';
import { Producer, type ProducerOwner, type ProducerTiming } from './producer.ts';
import {
  type DerivedTrack,
  describeDerivation,
  type Refusal,
  type Remaker,
  refusalFor,
  refusalHint,
} from './remaking.ts';
import { SharedParts } from './shared-parts.ts';
import {
  parseSourceSpec,
  type SourceDescription,
  type SourceModule,
  type SourceSpec,
  type SourceUnit,
  specParam,
} from './source.ts';
import { Talk } from './talk.ts';
import type { Target } from './targets.ts';
import { Timeline } from './time/timeline.ts';

export interface StreamOptions {
  readonly name: string;
  readonly log: Log;
  readonly maxGopBytes: number;
  /** How long the camera stays connected after its last viewer. */
  readonly lingerMs: number;
  readonly timing: ProducerTiming;
  /** Finds the module for a source; throws a HearthcamError when there is none. */
  readonly findModule: (spec: SourceSpec) => SourceModule;
  readonly nextId: () => number;
  /** Makes tracks that the sources don't give; absent for a stream that is made itself. */
  readonly remaker?: Remaker | undefined;
  /** The sources were stopped because nobody watches any more. */
  readonly onIdle?: (() => void) | undefined;
}

/**
 * One named feed: its sources, its tracks and time line, and the fan-out to consumers. Sources are connected while
 * there is a consumer, and for `lingerMs` after.
 */
export class Stream implements ProducerOwner {
  readonly name: string;
  /** Speaking to the camera. */
  readonly talk: Talk;
  readonly #options: StreamOptions;
  readonly #log: Log;
  readonly #fanout: Fanout;
  readonly #timeline = new Map<Producer, Timeline>();
  /** That of the source that was replaced last: the next one goes on behind it. */
  #past: Timeline | undefined;
  readonly #consumers = new Set<Consumer & { readonly onEnd: ((reason: HearthcamError) => void) | undefined }>();
  readonly #shared = new SharedParts();
  readonly #derived: DerivedStreams;
  #producers: Producer[] = [];
  #tracks: Track[] = [];
  #nextTrackId = 0;
  #linger: NodeJS.Timeout | undefined;
  #closed = false;
  #everUsed = false;

  constructor(options: StreamOptions, specs: readonly SourceSpec[]) {
    this.name = options.name;
    this.#options = options;
    this.#log = options.log;
    this.#fanout = new Fanout({
      maxGopBytes: options.maxGopBytes,
      onListenerError: (error) => this.#log.error(`stream "${this.name}": an output failed`, { error: String(error) }),
    });
    this.#derived = new DerivedStreams((tracks, onIdle) => this.#makeDerived(tracks, onIdle));
    this.#producers = specs.map((spec) => this.#makeProducer(spec));
    const voice = { ...options, name: `${options.name} (talk)`, onIdle: undefined };
    this.talk = new Talk({ stream: this, log: this.#log, makeVoice: (given) => new Stream(voice, given) });
  }

  get streamName(): string {
    return this.name;
  }
  get tracks(): readonly Track[] {
    return this.#tracks;
  }
  get producers(): readonly Producer[] {
    return this.#producers;
  }
  get consumers(): ReadonlySet<Consumer> {
    return this.#consumers;
  }
  /** go2rtc shows `consumers: null` for a stream that nobody ever asked for. */
  get everUsed(): boolean {
    return this.#everUsed;
  }
  get running(): boolean {
    return this.#producers.some((producer) => producer.state === 'running');
  }
  /** The streams that are being made from this one now. */
  get derived(): readonly Stream[] {
    return this.#derived.all;
  }
  /** What the owner's sources say may be made from this stream itself (`ffmpeg:<this stream>#audio=opus`). */
  get recipes(): readonly Target[] {
    return this.#producers.flatMap((producer) => producer.recipe ?? []);
  }

  /**
   * Adds a consumer: connects the sources it needs, waits until their tracks are known, chooses tracks, and has those
   * made that no source gives.
   * @throws HearthcamError with the first source's failure, or `codecs not matched` when nothing fits.
   */
  async open(request: ConsumerRequest): Promise<Consumer> {
    if (this.#closed) throw this.#removed();
    this.#everUsed = true;
    const consumer = this.#addConsumer(request);
    try {
      const { found, failure } = await this.#connect(request);
      request.signal?.throwIfAborted();
      if (this.#closed) throw this.#removed();
      const remade = await this.#openRemade(request, found);
      if (remade.consumer !== undefined) {
        consumer.close();
        return remade.consumer;
      }
      this.#checkEnough(request, found, remade.failure ?? failure, remade.refused);
      consumer.tracks = found.tracks;
      consumer.missing = found.missing;
      consumer.refused = remade.refused;
      return consumer;
    } catch (error) {
      consumer.close();
      throw error;
    }
  }

  subscribe(listener: UnitListener, options?: SubscribeOptions): () => void {
    return this.#fanout.subscribe(listener, options);
  }
  /** The units since the last key frame, what viewers start with. */
  gop(): GopSnapshot {
    return this.#fanout.gop();
  }
  /** Hands out what waits for a picture, so that `gop()` and the next delivery join without overlap. */
  settle(): void {
    this.#fanout.settle();
  }

  /**
   * Gives the packager that all viewers of one form share, made on first use and disposed of with its last user.
   * The key must say all that the packager depends on, for example `rtsp:0,1:0-1,2-3`.
   */
  share<T extends Disposable>(key: string, make: () => T): { value: T; release: () => void } {
    return this.#shared.take(key, make);
  }

  /** Replaces the sources. Those whose text is unchanged go on undisturbed, and viewers stay. */
  setSources(specs: readonly SourceSpec[]): void {
    const old = this.#producers;
    const kept = new Set<Producer>();
    this.#producers = specs.map((spec) => {
      const same = old.find((producer) => producer.spec.text === spec.text && !kept.has(producer));
      if (same === undefined) return this.#makeProducer(spec);
      kept.add(same);
      return same;
    });
    const gone = old.filter((producer) => !kept.has(producer));
    for (const producer of gone) this.#retire(producer);
    if (gone.length === 0 && kept.size === this.#producers.length) return;
    if (this.#consumers.size > 0) void this.#reconnect();
  }

  /** A publisher (RTSP ANNOUNCE, WHIP) becomes a source for as long as `run` lasts. */
  async publish(spec: SourceSpec, module: SourceModule): Promise<void> {
    const producer = new Producer(this.#options.nextId(), spec, module, this, this.#log, this.#options.timing);
    this.#producers = [producer, ...this.#producers];
    const drop = (): void => {
      this.#producers = this.#producers.filter((other) => other !== producer);
      this.#retire(producer);
    };
    try {
      await producer.start();
    } catch (error) {
      drop();
      throw error;
    }
    this.#publishers.set(producer, drop);
  }
  readonly #publishers = new Map<Producer, () => void>();

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#linger);
    this.#endConsumers(this.#removed());
    await this.talk.close();
    await this.#derived.close();
    await Promise.all(this.#producers.map((producer) => producer.stop()));
    this.#fanout.reset();
  }

  // What the producers say.

  onDescribe(producer: Producer, description: SourceDescription): readonly boolean[] {
    let timeline = this.#timeline.get(producer);
    if (timeline === undefined) {
      timeline = new Timeline(() => this.#otherTimelines(producer));
      this.#timeline.set(producer, timeline);
    }
    timeline.begin(description.tracks, description.sharedClock);
    producer.awaitsKey = true;
    const before = this.#tracks;
    const others = this.#producers.filter((other) => other !== producer && other.state === 'running');
    const media = specParam(producer.spec, 'media');
    const used = new Set<number>();
    producer.trackIds = description.tracks.map((track) => {
      if (media !== undefined && media !== track.kind) return -1;
      const kindTaken = others.some((other) => other.trackIds.some((id) => this.#track(id)?.kind === track.kind));
      if (kindTaken) return -1;
      const same = this.#tracks.find(
        (one) =>
          one.kind === track.kind && one.codec === track.codec && !used.has(one.id) && !this.#owned(one.id, producer),
      );
      if (same !== undefined) {
        used.add(same.id);
        if (track.format !== null && same.format === null) same.format = track.format;
        return same.id;
      }
      const made: Track = {
        id: this.#nextTrackId++,
        kind: track.kind,
        codec: track.codec,
        format: track.format,
        bytes: 0,
        units: 0,
      };
      used.add(made.id);
      this.#tracks = [...this.#tracks, made];
      return made.id;
    });
    this.#tracks = this.#tracks.filter((track) => used.has(track.id) || this.#owned(track.id, producer));
    if (this.#tracks.length !== before.length || this.#tracks.some((track, index) => track !== before[index])) {
      this.#endConsumersWithoutTracks();
    }
    return producer.trackIds.map((id) => id >= 0);
  }

  onUnit(producer: Producer, unit: SourceUnit): void {
    const id = producer.trackIds[unit.track] ?? -1;
    const track = this.#track(id);
    const timeline = this.#timeline.get(producer);
    if (track === undefined || timeline === undefined) return;
    if (unit.format.kind === 'video' && producer.awaitsKey) {
      // A camera that comes back in the middle of its GOP: decoders have pictures of the same coding to go on from, and
      // show motion with some smear instead of a frozen picture for the rest of the GOP. Otherwise they have nothing.
      if (!unit.key && !(this.#fanout.holdsKey && sameCoding(track.format, unit.format))) return;
      producer.awaitsKey = false;
    }
    track.format = unit.format;
    track.bytes += unit.data.length;
    track.units++;
    const nowMs = performance.now();
    const depth = unit.format.kind === 'video' ? unit.format.reorderDepth : 0;
    const time = timeline.map(unit.track, unit.ticks, unit.decodeTicks, depth, nowMs, Date.now());
    const made: AccessUnit = {
      trackId: id,
      format: unit.format,
      pts: time.pts,
      dts: time.dts,
      key: unit.key,
      data: unit.data,
      wallMs: time.wallMs,
      arrivedMs: nowMs,
    };
    this.#fanout.push(made);
  }

  onFlush(): void {
    this.#fanout.flush();
  }

  onSync(producer: Producer, track: number, ticks: number, ntpMs: number): void {
    this.#timeline.get(producer)?.sync(track, ticks, ntpMs, performance.now(), Date.now());
  }

  onLost(producer: Producer): void {
    this.#fanout.settle();
    const drop = this.#publishers.get(producer);
    if (drop !== undefined) {
      this.#publishers.delete(producer);
      drop();
    }
  }

  *#otherTimelines(producer: Producer): Generator<Timeline> {
    for (const [other, timeline] of this.#timeline) if (other !== producer) yield timeline;
    if (this.#past !== undefined) yield this.#past;
  }

  #track(id: number): Track | undefined {
    return this.#tracks.find((track) => track.id === id);
  }

  /** Whether a producer other than `except` gives the track. */
  #owned(id: number, except: Producer): boolean {
    return this.#producers.some((other) => other !== except && other.started && other.trackIds.includes(id));
  }

  #makeProducer(spec: SourceSpec): Producer {
    const module = this.#options.findModule(spec);
    return new Producer(this.#options.nextId(), spec, module, this, this.#log, this.#options.timing);
  }

  #retire(producer: Producer): void {
    this.#publishers.delete(producer);
    this.#past = this.#timeline.get(producer) ?? this.#past;
    this.#timeline.delete(producer);
    producer.stop().catch((error: unknown) => {
      this.#log.warn(`stream "${this.name}": stopping a source failed`, { error: String(error) });
    });
  }

  /** Starts sources in order until every want is met or there are none left. */
  async #connect(request: ConsumerRequest): Promise<{ found: Negotiation; failure: unknown }> {
    let failure: unknown;
    for (const producer of this.#producers) {
      if (producer.recipe !== null) continue;
      const found = negotiate(this.#tracks, request.wants);
      if (found.missing.length === 0 && this.running) return { found, failure };
      try {
        await abortable(producer.start(), request.signal);
      } catch (error) {
        request.signal?.throwIfAborted();
        failure ??= error;
      }
    }
    return { found: negotiate(this.#tracks, request.wants), failure };
  }

  /** @throws HearthcamError when what was found is not what was asked for. */
  #checkEnough(request: ConsumerRequest, found: Negotiation, failure: unknown, refused: readonly Refusal[]): void {
    const enough =
      request.need === 'all'
        ? found.missing.length === 0
        : found.tracks.length > 0 && !this.#lacksPicture(request, found);
    // Tracks known from before the camera was lost are no promise: who comes now is told that it is away.
    if (enough && this.running) return;
    if (failure !== undefined && (enough || this.#tracks.length === 0 || refused.length > 0)) throw failure;
    if (this.#producers.length === 0) {
      throw new HearthcamError('stream.empty', `stream "${this.name}" has no source and nobody publishes to it`, {
        status: 404,
        hint: 'add a source to it in the configuration',
      });
    }
    if (this.#producers.every((producer) => producer.recipe !== null)) throw loopError(this.name, this.name);
    throw new HearthcamError('stream.codecs', describeMismatch(this.#tracks, request.wants), {
      status: 500,
      ...refusalHint(refused),
    });
  }

  #lacksPicture(request: ConsumerRequest, found: Negotiation): boolean {
    const missing = request.need === 'picture' && found.missing.some((want) => want.kind === 'video');
    return missing && this.#tracks.some((track) => track.kind === 'video');
  }

  /** Whether what is wanted would be made of the tracks that are known, although no source gives it. */
  wouldMake(want: MediaWant): boolean {
    const wants = [want];
    const found = negotiate(this.#tracks, wants);
    return found.missing.length > 0 && this.#options.remaker?.plan(this, found, wants).tracks != null;
  }

  /** Has made what no source gives. A failure of that is no reason to give nothing: what was found is left then. */
  async #openRemade(
    request: ConsumerRequest,
    found: Negotiation,
  ): Promise<{ consumer?: Consumer; failure?: unknown; refused: readonly Refusal[] }> {
    const { remaker } = this.#options;
    const nothing = found.missing.length === 0 && request.picture === undefined;
    if (remaker === undefined || request.remake === false || nothing || !this.running) return { refused: [] };
    const { tracks, refused } = remaker.plan(this, found, request.wants, request.picture);
    const blind = this.#lacksPicture(request, found) && refused.some((one) => one.kind === 'video');
    if (tracks === null || blind) return { refused };
    try {
      return { consumer: await this.#derived.open(tracks, request, refused), refused };
    } catch (failure) {
      request.signal?.throwIfAborted();
      const reasons = found.missing.map((want) => refusalFor(want.kind, failure));
      this.#log.warn(`stream "${this.name}": ${reasons[0]?.reason ?? 'nothing can be made'}`);
      // What is asked for in particular is not replaced by something else.
      if (request.picture !== undefined) throw failure;
      return { failure, refused: [...refused, ...reasons] };
    }
  }

  #makeDerived(tracks: readonly DerivedTrack[], onIdle: () => void): Stream {
    const { remaker } = this.#options;
    if (remaker === undefined) throw new Error(`stream "${this.name}" can't be made into another`);
    const module = remaker.source(this, tracks);
    const spec = parseSourceSpec(describeDerivation(this.name, tracks));
    return new Stream(
      {
        ...this.#options,
        name: spec.text.replace(/^ffmpeg:/, ''),
        findModule: () => module,
        remaker: undefined,
        onIdle,
      },
      [spec],
    );
  }

  /** After a change of sources: gives the consumers that stayed what the new sources have. */
  async #reconnect(): Promise<void> {
    const wants = [...this.#consumers].flatMap((consumer) => consumer.wants);
    const request: ConsumerRequest = { formatName: 'reload', protocol: '', remoteAddr: '', wants };
    try {
      const { found, failure } = await this.#connect(request);
      this.#checkEnough(request, found, failure, []);
    } catch (error) {
      this.#log.warn(`stream "${this.name}": the new sources give nothing yet`, { error: String(error) });
    }
  }

  #addConsumer(request: ConsumerRequest) {
    clearTimeout(this.#linger);
    this.#linger = undefined;
    const consumer = {
      id: this.#options.nextId(),
      stream: this,
      formatName: request.formatName,
      protocol: request.protocol,
      remoteAddr: request.remoteAddr,
      ...(request.userAgent === undefined ? {} : { userAgent: request.userAgent }),
      wants: request.wants,
      onEnd: request.onEnd,
      tracks: [] as readonly Track[],
      missing: [] as readonly MediaWant[],
      refused: [] as readonly Refusal[],
      bytesSent: 0,
      unitsSent: 0,
      unitsDropped: 0,
      close: (): void => {
        if (!this.#consumers.delete(consumer)) return;
        if (this.#consumers.size === 0) this.#beginLinger();
      },
    };
    this.#consumers.add(consumer);
    return consumer;
  }

  #beginLinger(): void {
    if (this.#closed) return;
    clearTimeout(this.#linger);
    this.#linger = setTimeout(() => {
      for (const producer of this.#producers) {
        if (this.#publishers.has(producer)) continue;
        producer.stop().catch((error: unknown) => {
          this.#log.warn(`stream "${this.name}": stopping a source failed`, { error: String(error) });
        });
      }
      this.#fanout.reset();
      this.#options.onIdle?.();
    }, this.#options.lingerMs).unref();
  }

  #removed(): HearthcamError {
    return new HearthcamError('stream.removed', `stream "${this.name}" was removed`, { status: 404 });
  }

  #endConsumers(reason: HearthcamError): void {
    for (const consumer of [...this.#consumers]) {
      consumer.close();
      consumer.onEnd?.(reason);
    }
  }

  #endConsumersWithoutTracks(): void {
    for (const consumer of [...this.#consumers]) {
      if (consumer.tracks.length === 0 || consumer.tracks.every((track) => this.#tracks.includes(track))) continue;
      consumer.close();
      consumer.onEnd?.(
        new HearthcamError('stream.changed', `the camera of "${this.name}" changed its codecs: connect again`, {
          status: 503,
        }),
      );
    }
  }
}
