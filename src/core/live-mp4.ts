import type { Socket } from 'node:net';
import type { InitOptions } from '../wire/mp4/init.ts';
import { LivePackager, type Packed } from '../wire/mp4/live.ts';
import { rebaseFragment } from '../wire/mp4/rebase.ts';
import { writeWsBinaryHeader, wsBinaryFrame, wsHeaderBytes } from '../wire/websocket/frame.ts';
import type { Consumer } from './consumer.ts';
import { type AccessUnit, type Track, type TrackFormat, VIDEO_CLOCK_HZ } from './media.ts';
import { Mp4Tracks } from './mp4-tracks.ts';
import type { Stream } from './stream.ts';
import { DEFAULT_VIEWER_LIMITS, SocketViewer, type ViewerLimits } from './viewer.ts';

/** What stands around each init segment and fragment: a binary WebSocket message, an HTTP/1.1 chunk, or nothing. */
export type Framing = 'websocket' | 'chunked' | 'bare';

export interface LiveMp4ViewerOptions {
  readonly socket: Socket;
  readonly consumer: Consumer;
  readonly framing: Framing;
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
      for (const viewer of viewers) {
        viewer.deliver(packed, nowMs);
      }
    }
  }
}

/** One viewer of a LiveMp4. */
class LiveMp4Viewer {
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

  get framing(): Framing {
    return this.#options.framing;
  }

  /** Writes init segment and cached GOP without copying what is cached. */
  begin(gop: readonly AccessUnit[], complete: boolean): void {
    const burst = this.#packager.join(gop, { complete, pressed: this.#options.atOnce });
    if (burst === null) return;
    const { socket, consumer, framing } = this.#options;
    this.#baseTicks = burst.startTicks;
    this.#heldTicks = Number.NaN;
    this.#out = this.#makeOut(burst.bytes);
    const init = this.#init(burst.startTicks);
    socket.cork();
    socket.write(framed(framing, init));
    for (const message of burst.messages) {
      const pieces = framing === 'websocket' ? message : this.#rebasedPieces(message);
      for (const piece of pieces) socket.write(piece);
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
    const { consumer, framing } = this.#options;
    let base = this.#baseTicks;
    if (held && !packed.key) {
      // Written to nothing yet: nothing to look after. Else the socket is still watched for being stuck.
      if (!Number.isNaN(base)) this.#out.send(packed.data, false, nowMs);
      consumer.unitsDropped += packed.units;
      return;
    }
    // A new base puts this key frame right behind what the viewer has got: no hole to stall at.
    if (held) base = packed.startTicks - this.#heldTicks;
    let data = framing === 'websocket' ? packed.data : framed(framing, this.#rebased(bodyOf(packed), base));
    if (packed.newInit || (held && (framing === 'websocket' || Number.isNaN(this.#baseTicks)))) {
      data = Buffer.concat([framed(framing, this.#init(base)), data]);
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

  /** WebSocket viewers share all bytes, so an edit list puts their time 0; the others get times that begin at 0. */
  #init(baseTicks: number): Buffer {
    return this.#packager.init(this.framing === 'websocket' ? baseTicks : 0, this.#options.init);
  }

  #rebased(fragment: Buffer, base90k: number): Buffer {
    const formats = this.#packager.formats;
    return rebaseFragment(fragment, (trackId) => {
      const clockHz = formats[trackId - 1]?.clockRateHz ?? VIDEO_CLOCK_HZ;
      return Math.round((base90k * clockHz) / VIDEO_CLOCK_HZ);
    });
  }

  /** The pieces of a message of the join; the first one begins with a WebSocket header (see `LivePackager.join`). */
  #rebasedPieces(message: readonly Buffer[]): readonly Buffer[] {
    const [first, ...rest] = message;
    if (first === undefined) return message;
    const short = (first[1] ?? 0) & 0x7f;
    const header = this.#rebased(first.subarray(short < 126 ? 2 : short === 126 ? 4 : 10), this.#baseTicks);
    if (this.framing === 'bare') return [header, ...rest];
    let bytes = header.length;
    for (const piece of rest) bytes += piece.length;
    return [chunkHeader(bytes), header, ...rest, LINE_END];
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

function bodyOf(packed: Packed): Buffer {
  return packed.data.subarray(packed.prefixBytes);
}

const LINE_END = Buffer.from('\r\n');

function framed(framing: Framing, payload: Buffer): Buffer {
  if (framing === 'websocket') return wsBinaryFrame(payload);
  if (framing === 'bare') return payload;
  return Buffer.concat([chunkHeader(payload.length), payload, LINE_END]);
}

/** RFC 9112 §7.1. */
function chunkHeader(bytes: number): Buffer {
  return Buffer.from(`${bytes.toString(16)}\r\n`, 'latin1');
}
