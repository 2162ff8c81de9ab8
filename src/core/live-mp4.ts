import type { Socket } from 'node:net';
import type { InitOptions } from '../wire/mp4/init.ts';
import { LivePackager, type Packed } from '../wire/mp4/live.ts';
import { writeWsBinaryHeader, wsBinaryFrame, wsBinaryHeader, wsHeaderBytes } from '../wire/websocket/frame.ts';
import type { AccessUnit, Track, TrackFormat } from './media.ts';
import { Mp4Tracks } from './mp4-tracks.ts';
import type { Consumer, Stream } from './stream.ts';
import { DEFAULT_VIEWER_LIMITS, SocketViewer, type ViewerLimits } from './viewer.ts';

export interface LiveMp4ViewerOptions {
  readonly socket: Socket;
  readonly consumer: Consumer;
  /** Each init segment and fragment is a binary WebSocket message; else they follow one another bare. */
  readonly framed: boolean;
  /** Begin at the newest picture (the cached ones fly past); else with the whole cached GOP, as recordings want it. */
  readonly atOnce: boolean;
  readonly init?: InitOptions;
  readonly limits?: ViewerLimits;
  /** It took nothing for too long: close it. */
  readonly onStuck: () => void;
  /** After each write, with the time written so far on the viewer's own time line (starts at 0). */
  readonly onProgress?: (writtenMs: number) => void;
}

/**
 * One fragmented MP4 of a stream for all who want the same tracks: packed and framed once, the same Buffer written to
 * every viewer. Use by `Stream.share(LiveMp4.key(tracks), …)`.
 */
export class LiveMp4 implements Disposable {
  readonly #stream: Stream;
  readonly #packager: LivePackager;
  readonly #tracks: Mp4Tracks;
  readonly #unsubscribe: () => void;
  #viewers: readonly LiveMp4Viewer[] = [];

  static key(tracks: readonly Track[]): string {
    return `fmp4:${tracks.map((track) => track.id).join(',')}`;
  }

  /** @throws HearthcamError when a track's format is not known yet (see `knownFormats`). */
  constructor(stream: Stream, tracks: readonly Track[]) {
    this.#stream = stream;
    this.#tracks = new Mp4Tracks(stream, tracks);
    this.#packager = new LivePackager(this.#tracks.live, {
      bytes: wsHeaderBytes,
      write: (target, fragmentBytes) => {
        writeWsBinaryHeader(target, 0, fragmentBytes);
      },
    });
    this.#unsubscribe = stream.subscribe((units) => this.#onUnits(units));
    this.#packager.prime(this.#tracks.convert(stream.gop().units));
  }

  /** What the file holds, in its order. */
  get formats(): readonly TrackFormat[] {
    return this.#packager.formats;
  }

  /** Begins to write: init segment and cached GOP now (or with the next key frame), then everything new. */
  add(options: LiveMp4ViewerOptions): LiveMp4Viewer {
    this.#stream.settle();
    const gop = this.#stream.gop();
    const viewer = new LiveMp4Viewer(this.#packager, options);
    viewer.begin(this.#tracks.convert(gop.units), gop.complete);
    this.#viewers = [...this.#viewers, viewer];
    return viewer;
  }

  remove(viewer: LiveMp4Viewer): void {
    this.#viewers = this.#viewers.filter((other) => other !== viewer);
  }

  [Symbol.dispose](): void {
    this.#unsubscribe();
    this.#viewers = [];
    this.#tracks[Symbol.dispose]();
  }

  #onUnits(units: readonly AccessUnit[]): void {
    const packs = this.#packager.push(this.#tracks.convert(units));
    if (packs.length === 0) return;
    const nowMs = performance.now();
    const viewers = this.#viewers;
    for (const packed of packs) {
      for (const viewer of viewers) viewer.deliver(packed, nowMs);
    }
  }
}

/** One viewer of a LiveMp4. */
export class LiveMp4Viewer {
  readonly #packager: LivePackager;
  readonly #options: LiveMp4ViewerOptions;
  #out: SocketViewer;
  /** Where its presentation time 0 lies on the packager's time line, 90 kHz; NaN before its first picture. */
  #baseTicks = Number.NaN;
  /** Its own time line ends here while it is left out, 90 kHz; NaN while it is served. */
  #heldTicks = 0;

  constructor(packager: LivePackager, options: LiveMp4ViewerOptions) {
    this.#packager = packager;
    this.#options = options;
    this.#out = this.#makeOut(0);
  }

  /** Writes init segment and cached GOP without copying what is cached. */
  begin(gop: readonly AccessUnit[], complete: boolean): void {
    const burst = this.#packager.join(gop, { complete, pressed: this.#options.atOnce });
    if (burst === null) return;
    const { socket, consumer, framed } = this.#options;
    this.#baseTicks = burst.startTicks;
    this.#heldTicks = Number.NaN;
    this.#out = this.#makeOut(burst.bytes);
    const init = this.#packager.init(burst.startTicks, this.#options.init);
    socket.cork();
    if (framed) socket.write(wsBinaryHeader(init.length));
    socket.write(init);
    for (const message of burst.messages) {
      for (const [index, piece] of message.entries()) {
        socket.write(index === 0 && !framed ? piece.subarray(prefixBytes(piece)) : piece);
      }
    }
    socket.uncork();
    consumer.bytesSent += init.length + burst.bytes;
    consumer.unitsSent += burst.units;
    if (!complete) {
      this.#out.waitForKey();
      this.#heldTicks = LEAST_HELD_TICKS;
    }
  }

  deliver(packed: Packed, nowMs: number): void {
    const held = !Number.isNaN(this.#heldTicks);
    const { consumer, framed } = this.#options;
    let data = framed ? packed.data : packed.data.subarray(packed.prefixBytes);
    let base = this.#baseTicks;
    if (held && !packed.key) {
      // Written to nothing yet: nothing to look after. Else the socket is still watched for being stuck.
      if (!Number.isNaN(base)) this.#out.send(data, false, nowMs);
      consumer.unitsDropped += packed.units;
      return;
    }
    if (held || packed.newInit) {
      // A new edit list puts this key frame right behind what the viewer has got: no hole to stall at.
      if (held) base = packed.startTicks - this.#heldTicks;
      const init = this.#packager.init(base, this.#options.init);
      data = Buffer.concat([framed ? wsBinaryFrame(init) : init, data]);
    }
    if (this.#out.send(data, packed.key, nowMs)) {
      this.#baseTicks = base;
      this.#heldTicks = Number.NaN;
      consumer.bytesSent += data.length;
      consumer.unitsSent += packed.units;
      this.#options.onProgress?.((packed.startTicks - base) / 90);
    } else {
      if (!held) this.#heldTicks = Math.max(0, packed.startTicks - base);
      consumer.unitsDropped += packed.units;
    }
  }

  #makeOut(burstBytes: number): SocketViewer {
    const limits = this.#options.limits ?? DEFAULT_VIEWER_LIMITS;
    const { socket, onStuck } = this.#options;
    const maxQueueBytes = limits.maxQueueBytes + burstBytes;
    return new SocketViewer(socket, { ...limits, maxQueueBytes }, performance.now(), onStuck);
  }
}

/** A key frame that stands alone was given this much time on the viewer's own time line. */
const LEAST_HELD_TICKS = 9_000;

function prefixBytes(message: Buffer): number {
  const short = (message[1] ?? 0) & 0x7f;
  return short < 126 ? 2 : short === 126 ? 4 : 10;
}
