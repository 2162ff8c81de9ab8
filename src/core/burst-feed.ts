import type { Socket } from 'node:net';
import type { Consumer } from './consumer.ts';
import { type AccessUnit, isVideo, type Track } from './media.ts';
import type { Stream } from './stream.ts';
import { DEFAULT_VIEWER_LIMITS, SocketViewer, type ViewerLimits } from './viewer.ts';

/** Turns access units into the bytes of a container that viewers are given one behind the other. */
export interface BurstMuxer {
  /** What a viewer is given before the first burst, which begins with `first` (undefined: nothing is cached). */
  begin(first: AccessUnit | undefined): Buffer;
  /** One burst in one new buffer; null when it makes no bytes. */
  mux(units: readonly AccessUnit[]): Buffer | null;
}

/** What viewers of one form share. */
export interface LiveFeed extends Disposable {
  /** Begins to write; returns how to stop. */
  add(options: BurstViewerOptions): () => void;
}

export interface BurstViewerOptions {
  readonly socket: Socket;
  readonly consumer: Consumer;
  readonly limits?: ViewerLimits;
  /** It took nothing for too long: close it. */
  readonly onStuck: () => void;
}

interface Burst {
  readonly data: Buffer;
  readonly first: AccessUnit;
  /** Its first picture is a key frame. Without video every burst is a beginning. */
  readonly key: boolean;
  readonly units: number;
}

interface Viewer {
  readonly out: SocketViewer;
  readonly consumer: Consumer;
}

/** What a feed keeps for those who join, at most. */
const MAX_CACHE_BYTES = 24 * 1024 * 1024;

/**
 * One container stream for all who want the same tracks: muxed once, the same buffers written to every viewer. Since
 * the last key frame they are kept, so that who joins gets just what the others got (counters in them go on without a
 * break). Use by `Stream.share`.
 */
export class BurstFeed implements LiveFeed {
  readonly #stream: Stream;
  readonly #muxer: BurstMuxer;
  readonly #trackIds: ReadonlySet<number>;
  readonly #hasVideo: boolean;
  readonly #unsubscribe: () => void;
  #cache: Burst[] = [];
  #cacheBytes = 0;
  #cacheComplete = true;
  #viewers: readonly Viewer[] = [];

  constructor(stream: Stream, tracks: readonly Track[], muxer: BurstMuxer) {
    this.#stream = stream;
    this.#muxer = muxer;
    this.#trackIds = new Set(tracks.map((track) => track.id));
    this.#hasVideo = tracks.some((track) => track.kind === 'video');
    this.#unsubscribe = stream.subscribe((units) => this.#onUnits(units));
    const gop = stream.gop();
    this.#onUnits(gop.units);
    this.#cacheComplete &&= gop.complete;
  }

  /** Writes what begins the container and what is kept since the last key frame, then everything new. */
  add(options: BurstViewerOptions): () => void {
    this.#stream.settle();
    const { socket, consumer, onStuck } = options;
    const cache = this.#cache;
    const start = [this.#muxer.begin(cache[0]?.first), ...cache.map((burst) => burst.data)];
    const bytes = start.reduce((sum, one) => sum + one.length, 0);
    const limits = options.limits ?? DEFAULT_VIEWER_LIMITS;
    // What it is given at the join does not count as lagging behind.
    const out = new SocketViewer(
      socket,
      { ...limits, maxQueueBytes: limits.maxQueueBytes + bytes },
      performance.now(),
      onStuck,
    );
    socket.cork();
    for (const one of start) if (one.length > 0) socket.write(one);
    socket.uncork();
    if (this.#hasVideo && (cache.length === 0 || !this.#cacheComplete)) out.waitForKey();
    consumer.bytesSent += bytes;
    consumer.unitsSent += cache.reduce((sum, burst) => sum + burst.units, 0);
    const viewer: Viewer = { out, consumer };
    this.#viewers = [...this.#viewers, viewer];
    return () => {
      this.#viewers = this.#viewers.filter((other) => other !== viewer);
    };
  }

  [Symbol.dispose](): void {
    this.#unsubscribe();
    this.#viewers = [];
    this.#cache = [];
  }

  #onUnits(units: readonly AccessUnit[]): void {
    const mine = units.filter((unit) => this.#trackIds.has(unit.trackId));
    let from = 0;
    let pictures = 0;
    for (let at = 0; at < mine.length; at++) {
      const unit = mine[at];
      if (unit === undefined || !isVideo(unit.format)) continue;
      // A viewer may resume at a key frame: it begins a burst of its own when a picture stands before it.
      if (unit.key && pictures > 0) {
        this.#give(mine.slice(from, at));
        from = at;
      }
      pictures++;
    }
    this.#give(from === 0 ? mine : mine.slice(from));
  }

  #give(units: readonly AccessUnit[]): void {
    const first = units[0];
    if (first === undefined) return;
    const data = this.#muxer.mux(units);
    if (data === null) return;
    const picture = units.find((unit) => isVideo(unit.format));
    const burst: Burst = { data, first, key: !this.#hasVideo || picture?.key === true, units: units.length };
    if (this.#hasVideo) this.#keep(burst);
    const nowMs = performance.now();
    for (const { out, consumer } of this.#viewers) {
      if (out.send(data, burst.key, nowMs)) {
        consumer.bytesSent += data.length;
        consumer.unitsSent += burst.units;
      } else {
        consumer.unitsDropped += burst.units;
      }
    }
  }

  #keep(burst: Burst): void {
    if (burst.key) {
      this.#cache = [burst];
      this.#cacheBytes = burst.data.length;
      this.#cacheComplete = true;
      return;
    }
    if (this.#cache.length === 0 || !this.#cacheComplete) return;
    this.#cacheBytes += burst.data.length;
    if (this.#cacheBytes > MAX_CACHE_BYTES) {
      this.#cache.length = 1;
      this.#cacheComplete = false;
      return;
    }
    this.#cache.push(burst);
  }
}
