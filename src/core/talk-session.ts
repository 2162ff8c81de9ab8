import type { Consumer, ConsumerInfo } from './consumer.ts';
import { describeError, HearthcamError } from './errors.ts';
import type { Log } from './log.ts';
import type { AccessUnit, AudioFormat } from './media.ts';
import { knownFormats } from './mp4-tracks.ts';
import { hasShape, type MediaWant, type SoundShape } from './negotiate.ts';
import { Scope } from './scope.ts';
import type { TalkCall, TalkCodec, TalkLine } from './source.ts';
import type { Stream } from './stream.ts';

export interface TalkSessionOptions extends ConsumerInfo {
  readonly streamName: string;
  readonly log: Log;
  readonly voice: Stream;
  readonly live: boolean;
  readonly onEnd?: (reason: HearthcamError) => void;
  readonly call: (signal: AbortSignal) => Promise<TalkCall>;
}

/** Who sends nothing for so long has gone without a word. */
const IDLE_MS = 30_000;
const IDLE_CHECK_MS = 1_000;
/** A camera that drops out is called again for so long. */
const RECALL_FOR_MS = 15_000;
const RECALL_EVERY_MS = 500;

/** Sound on its way from a voice to a camera. */
export class TalkSession {
  readonly live: boolean;
  readonly remoteAddr: string;
  readonly startedMs = performance.now();
  readonly #options: TalkSessionOptions;
  readonly #scope: Scope;
  readonly #gone = Promise.withResolvers<void>();
  #closed = false;
  #call: TalkCall | undefined;
  #line: TalkLine | undefined;
  #codec: TalkCodec | undefined;
  #lastUnitMs = performance.now();
  /** Units that went on to the camera. */
  units = 0;

  constructor(options: TalkSessionOptions) {
    this.#options = options;
    this.live = options.live;
    this.remoteAddr = options.remoteAddr;
    this.#scope = new Scope(`talk to ${options.streamName}`);
  }

  /** Ended, or about to: what was said last may still be on its way. */
  get closed(): boolean {
    return this.#closed;
  }
  /** Resolves when the camera is free again. */
  get gone(): Promise<void> {
    return this.#gone.promise;
  }
  /** What the camera is sent. */
  get codec(): TalkCodec | undefined {
    return this.#codec;
  }

  /** For `Talk` alone. Resolves when the camera listens. @throws HearthcamError why it doesn't */
  async start(signal: AbortSignal): Promise<void> {
    const { voice, streamName, log } = this.#options;
    const { formatName, protocol, remoteAddr, userAgent } = this.#options;
    try {
      const all = AbortSignal.any([signal, this.#scope.signal]);
      const call = await this.#dial(all);
      const consumer = await voice.open({
        formatName,
        protocol,
        remoteAddr,
        ...(userAgent === undefined ? {} : { userAgent }),
        wants: [wantFor(call.codecs)],
        need: 'all',
        signal: all,
        onEnd: (reason) => this.end(reason),
      });
      this.#scope.defer(() => consumer.close());
      const [track] = await knownFormats(consumer.stream, consumer.tracks, all);
      all.throwIfAborted();
      this.#codec = track?.format?.kind === 'audio' ? fitting(call.codecs, track.format) : undefined;
      if (this.#codec === undefined || track === undefined) throw unfit(streamName, track?.codec);
      await this.#begin(call, this.#codec);
      all.throwIfAborted();
      this.#listen(consumer, track.id);
      const { codec, sampleRateHz } = this.#codec;
      log.info(`"${streamName}" is spoken to`, { from: remoteAddr, as: `${codec}/${sampleRateHz}` });
    } catch (error) {
      this.#finish(false);
      throw error;
    }
  }

  /** Lets go: what was said last is still sent. Idempotent. */
  close(): void {
    this.#finish(true);
  }

  /** As `close`, and tells the owner why. */
  end(reason: HearthcamError, atOnce = false): void {
    if (this.#closed) return;
    this.#options.log.info(`speaking to "${this.#options.streamName}" ended: ${describeError(reason)}`);
    this.#finish(!atOnce);
    this.#options.onEnd?.(reason);
  }

  #listen(consumer: Consumer, trackId: number): void {
    this.#lastUnitMs = performance.now();
    const take = (units: readonly AccessUnit[]): void => {
      for (const unit of units) {
        if (unit.trackId !== trackId) continue;
        this.#lastUnitMs = performance.now();
        consumer.unitsSent++;
        consumer.bytesSent += unit.data.length;
        this.units++;
        this.#line?.push(unit);
      }
    };
    this.#scope.defer(consumer.stream.subscribe(take, { immediate: true }));
    this.#scope.every(IDLE_CHECK_MS, () => {
      if (performance.now() - this.#lastUnitMs < IDLE_MS) return;
      this.end(new HearthcamError('talk.idle', `nothing was said for ${IDLE_MS / 1000} s`, { status: 408 }));
    });
  }

  async #dial(signal: AbortSignal): Promise<TalkCall> {
    const call = await this.#options.call(signal);
    this.#call = call;
    return call;
  }

  async #begin(call: TalkCall, codec: TalkCodec): Promise<void> {
    const line = await call.start(codec, this.live);
    this.#line = line;
    line.ended.catch((error: unknown) => {
      if (this.#line === line && !this.#closed) void this.#recall(error, codec);
    });
  }

  /** The camera dropped out in mid-sentence. */
  async #recall(lost: unknown, codec: TalkCodec): Promise<void> {
    const { log, streamName } = this.#options;
    this.#line = undefined;
    log.warn(`"${streamName}" dropped out while it was spoken to: ${describeError(lost)}; calling it again`);
    const endMs = performance.now() + RECALL_FOR_MS;
    let failure = lost;
    while (!this.#closed && performance.now() < endMs) {
      try {
        await this.#call?.[Symbol.asyncDispose]();
        const call = await this.#dial(this.#scope.signal);
        const same = call.codecs.find((one) => sameCodec(one, codec));
        if (same === undefined) throw unfit(streamName, codec.codec);
        await this.#begin(call, same);
        return;
      } catch (error) {
        failure = error;
      }
      await this.#scope.sleep(RECALL_EVERY_MS);
    }
    this.end(new HearthcamError('talk.lost', `"${streamName}" is away`, { status: 502, cause: failure }), true);
  }

  #finish(drain: boolean): void {
    if (this.#closed) return;
    this.#closed = true;
    const { log } = this.#options;
    void (async (): Promise<void> => {
      await this.#scope.close();
      if (drain) await this.#line?.finish();
      await this.#call?.[Symbol.asyncDispose]();
    })()
      .catch((error: unknown) => log.warn(`hanging up failed: ${describeError(error)}`))
      .finally(() => this.#gone.resolve());
  }
}

/** In the camera's order: the first that the voice has already, else the first that can be made. */
function wantFor(codecs: readonly TalkCodec[]): MediaWant {
  return { kind: 'audio', codecs: codecs.map(({ codec }) => codec), shapes: codecs.map(shapeOf) };
}

function shapeOf({ codec, sampleRateHz, channels }: TalkCodec): SoundShape {
  // Opus says by itself what it is (RFC 7587 §4).
  return codec === 'opus' ? { codec } : { codec, sampleRateHz, channels };
}

function fitting(codecs: readonly TalkCodec[], format: AudioFormat): TalkCodec | undefined {
  return codecs.find((codec) => hasShape(format, shapeOf(codec)));
}

function sameCodec(one: TalkCodec, other: TalkCodec): boolean {
  return one.codec === other.codec && one.sampleRateHz === other.sampleRateHz && one.channels === other.channels;
}

function unfit(streamName: string, codec: string | undefined): HearthcamError {
  return new HearthcamError('talk.codec', `${codec ?? 'this sound'} can't be made into what "${streamName}" takes`, {
    status: 500,
  });
}
