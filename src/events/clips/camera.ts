import type { Consumer } from '../../core/consumer.ts';
import { describeError } from '../../core/errors.ts';
import type { Hub } from '../../core/hub.ts';
import type { Log } from '../../core/log.ts';
import type { AccessUnit, Track } from '../../core/media.ts';
import type { MediaWant } from '../../core/negotiate.ts';
import type { Scope } from '../../core/scope.ts';
import type { Stream } from '../../core/stream.ts';
import { type RingOptions, UnitRing } from './ring.ts';

const RETRY_MS = 5_000;
/** Beside the units, what can be written to an MP4 as it is; PCM becomes FLAC. */
const SOUND: MediaWant = { kind: 'audio', codecs: ['aac', 'opus', 'pcma', 'pcmu', 'l16', 'flac', 'mp3'] };
const PICTURE: MediaWant = { kind: 'video', codecs: ['h264', 'h265', 'av1', 'vp9'] };

/** What a clip is made of while the camera is connected. */
export interface Feed {
  readonly stream: Stream;
  readonly tracks: readonly Track[];
  readonly ring: UnitRing;
}

export interface BufferedCameraOptions {
  readonly hub: Hub;
  /** Of the camera, the one to be kept first; one without sound gives way to one with. */
  readonly streamNames: readonly string[];
  readonly picture: boolean;
  readonly ring: RingOptions;
  readonly log: Log;
  readonly scope: Scope;
}

/** Keeps the last seconds of a camera that is listened to, and passes on to its clips what comes. */
export class BufferedCamera {
  readonly #options: BufferedCameraOptions;
  readonly #listeners = new Set<(units: readonly AccessUnit[]) => void>();
  #feed: Feed | undefined;
  #lastError = '';

  constructor(options: BufferedCameraOptions) {
    this.#options = options;
    void this.#hold();
  }

  /** Undefined while the camera is away, or before its first unit. */
  get feed(): Feed | undefined {
    return this.#feed;
  }

  /** Gets every unit that comes from now on, as the ring does. */
  onUnits(listener: (units: readonly AccessUnit[]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async #hold(): Promise<void> {
    const { scope, log, streamNames } = this.#options;
    while (!scope.closed) {
      const ended = Promise.withResolvers<void>();
      const end = (): void => ended.resolve();
      scope.signal.addEventListener('abort', end, { once: true });
      try {
        const consumer = await this.#open(end);
        this.#lastError = '';
        const unsubscribe = this.#listen(consumer);
        if (scope.closed) end();
        await ended.promise;
        unsubscribe();
        this.#feed = undefined;
        consumer.close();
      } catch (error) {
        if (scope.closed) return;
        const text = describeError(error);
        if (text !== this.#lastError) log.debug(`clips of "${streamNames[0]}": ${text}`);
        this.#lastError = text;
      } finally {
        scope.signal.removeEventListener('abort', end);
      }
      await scope.sleep(RETRY_MS);
    }
  }

  /** The first stream with sound; where none has any, or can be reached, the first one. */
  async #open(onEnd: () => void): Promise<Consumer> {
    const [first, ...others] = this.#options.streamNames;
    let silent: Consumer | undefined;
    let failure: unknown;
    for (const name of first === undefined ? [] : [first, ...others]) {
      try {
        const consumer = await this.#openOne(name, onEnd);
        if (consumer.tracks.some((track) => track.kind === 'audio')) {
          silent?.close();
          return consumer;
        }
        if (silent === undefined) silent = consumer;
        else consumer.close();
      } catch (error) {
        failure ??= error;
      }
    }
    if (silent === undefined) throw failure;
    return silent;
  }

  #openOne(name: string, onEnd: () => void): Promise<Consumer> {
    const { hub, picture, scope } = this.#options;
    return hub.require(name).open({
      formatName: 'clip',
      protocol: '',
      remoteAddr: '',
      wants: picture ? [PICTURE, SOUND] : [SOUND],
      remake: false,
      signal: scope.signal,
      onEnd,
    });
  }

  #listen(consumer: Consumer): () => void {
    const { stream, tracks } = consumer;
    const ids = new Set(tracks.map((track) => track.id));
    const ring = new UnitRing(
      this.#options.ring,
      tracks.some((track) => track.kind === 'video'),
    );
    const take = (units: readonly AccessUnit[]): void => {
      const mine = units.every((unit) => ids.has(unit.trackId)) ? units : units.filter((one) => ids.has(one.trackId));
      if (mine.length === 0) return;
      ring.push(mine);
      consumer.unitsSent += mine.length;
      for (const unit of mine) consumer.bytesSent += unit.data.length;
      for (const listener of this.#listeners) listener(mine);
    };
    // Joined as viewers are: what is cached first, then everything new.
    const unsubscribe = stream.subscribe(take);
    ring.push(stream.gop().units.filter((unit) => ids.has(unit.trackId)));
    this.#feed = { stream, tracks, ring };
    return unsubscribe;
  }
}
