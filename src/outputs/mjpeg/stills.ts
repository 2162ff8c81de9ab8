import type { BurstViewerOptions, LiveFeed } from '../../core/burst-feed.ts';
import type { StillDecoder } from '../../core/contracts.ts';
import { describeError, HearthcamError } from '../../core/errors.ts';
import type { SharedFeed } from '../../core/live-response.ts';
import { type Log, LogLimiter } from '../../core/log.ts';
import { type AccessUnit, isVideo, type Track, type VideoFormat } from '../../core/media.ts';
import type { Stream } from '../../core/stream.ts';
import { DEFAULT_VIEWER_LIMITS, SocketViewer } from '../../core/viewer.ts';

const FIRST_PICTURE_MS = 9_000;

/**
 * The key frames of one track as JPEG, decoded once for all who look. While one is being decoded the next ones wait in
 * one place: only the newest of them is decoded after it.
 */
class KeyFrameStills implements Disposable {
  readonly #streamName: string;
  readonly #trackId: number;
  readonly #stills: StillDecoder;
  readonly #log: Log;
  readonly #limiter = new LogLimiter(60_000);
  readonly #unsubscribe: () => void;
  readonly #listeners = new Set<(jpeg: Buffer) => void>();
  readonly #first = Promise.withResolvers<void>();
  readonly #firstTimer: NodeJS.Timeout;
  #busy = false;
  #next: { format: VideoFormat; data: Buffer } | undefined;
  #closed = false;
  last: Buffer | undefined;

  static share(stream: Stream, track: Track, stills: StillDecoder, log: Log) {
    return stream.share(`jpeg-stills:${track.id}`, () => new KeyFrameStills(stream, track, stills, log));
  }

  constructor(stream: Stream, track: Track, stills: StillDecoder, log: Log) {
    this.#streamName = stream.name;
    this.#trackId = track.id;
    this.#stills = stills;
    this.#log = log;
    this.#first.promise.catch(() => {});
    this.#firstTimer = setTimeout(() => {
      const late = `camera "${stream.name}" gave no picture within ${FIRST_PICTURE_MS / 1000} s`;
      this.#first.reject(new HearthcamError('mjpeg.late', late, { status: 504 }));
    }, FIRST_PICTURE_MS).unref();
    this.#unsubscribe = stream.subscribe((units) => this.#onUnits(units), { immediate: true });
    this.#onUnits(stream.gop().units);
  }

  /** Resolves with the first picture. @throws HearthcamError when it can't be had. */
  get ready(): Promise<void> {
    return this.#first.promise;
  }

  listen(listener: (jpeg: Buffer) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    this.#unsubscribe();
    this.#listeners.clear();
    this.#next = undefined;
    clearTimeout(this.#firstTimer);
    this.#first.reject(new HearthcamError('mjpeg.closed', 'the viewer has left', { status: 499 }));
  }

  #onUnits(units: readonly AccessUnit[]): void {
    const unit = units.findLast((one) => one.trackId === this.#trackId && one.key);
    if (unit === undefined || !isVideo(unit.format)) return;
    this.#next = { format: unit.format, data: unit.data };
    if (!this.#busy) void this.#decode();
  }

  async #decode(): Promise<void> {
    this.#busy = true;
    while (this.#next !== undefined) {
      const picture = this.#next;
      this.#next = undefined;
      try {
        const jpeg = await this.#stills.still(picture);
        if (this.#closed) return;
        this.last = jpeg;
        clearTimeout(this.#firstTimer);
        this.#first.resolve();
        for (const listener of this.#listeners) listener(jpeg);
      } catch (error) {
        this.#failed(error);
      }
    }
    this.#busy = false;
  }

  #failed(cause: unknown): void {
    const text = `a picture of camera "${this.#streamName}" could not be decoded`;
    this.#first.reject(new HearthcamError('mjpeg.decode', text, { status: 502, cause }));
    if (this.#limiter.admit(text) !== null) this.#log.warn(`${text}: ${describeError(cause)}`);
  }
}

/** Key frame stills in the form of one protocol: made and written once for all its viewers. */
export class StillFeed implements LiveFeed {
  readonly #stills: KeyFrameStills;
  readonly #begin: Buffer;
  readonly #wrap: (jpeg: Buffer) => Buffer;
  readonly #stop: () => void;
  readonly #viewers = new Set<{ out: SocketViewer; consumer: BurstViewerOptions['consumer'] }>();
  #last: Buffer | undefined;

  /**
   * The feed of a form that all its viewers share, once it has a picture.
   * @throws HearthcamError when there is none within some seconds, or it can't be decoded
   */
  static async share(
    stream: Stream,
    track: Track,
    stills: StillDecoder,
    log: Log,
    form: { readonly name: string; readonly begin: Buffer; wrap(jpeg: Buffer): Buffer },
  ): Promise<SharedFeed> {
    const source = KeyFrameStills.share(stream, track, stills, log);
    try {
      await source.value.ready;
    } catch (error) {
      source.release();
      throw error;
    }
    const feed = stream.share(`${form.name}:${track.id}`, () => new StillFeed(source.value, form.begin, form.wrap));
    return {
      value: feed.value,
      release: () => {
        feed.release();
        source.release();
      },
    };
  }

  constructor(stills: KeyFrameStills, begin: Buffer, wrap: (jpeg: Buffer) => Buffer) {
    this.#stills = stills;
    this.#begin = begin;
    this.#wrap = wrap;
    this.#stop = stills.listen((jpeg) => this.#give(jpeg));
  }

  add({ socket, consumer, onStuck, limits }: BurstViewerOptions): () => void {
    const viewer = {
      out: new SocketViewer(socket, limits ?? DEFAULT_VIEWER_LIMITS, performance.now(), onStuck),
      consumer,
    };
    if (this.#begin.length > 0) socket.write(this.#begin);
    if (this.#last === undefined && this.#stills.last !== undefined) this.#last = this.#wrap(this.#stills.last);
    if (this.#last !== undefined) send(viewer, this.#last, performance.now());
    this.#viewers.add(viewer);
    return () => this.#viewers.delete(viewer);
  }

  [Symbol.dispose](): void {
    this.#stop();
    this.#viewers.clear();
  }

  #give(jpeg: Buffer): void {
    this.#last = this.#wrap(jpeg);
    const nowMs = performance.now();
    for (const viewer of this.#viewers) send(viewer, this.#last, nowMs);
  }
}

function send(
  { out, consumer }: { out: SocketViewer; consumer: BurstViewerOptions['consumer'] },
  data: Buffer,
  nowMs: number,
): void {
  if (out.send(data, true, nowMs)) {
    consumer.bytesSent += data.length;
    consumer.unitsSent++;
  } else {
    consumer.unitsDropped++;
  }
}
