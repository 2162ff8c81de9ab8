import type { Socket } from 'node:net';
import type { Consumer } from '../../core/consumer.ts';
import type { AccessUnit } from '../../core/media.ts';
import type { Stream } from '../../core/stream.ts';
import { DEFAULT_VIEWER_LIMITS, SocketViewer, type ViewerLimits } from '../../core/viewer.ts';
import { interleavedPieces, interleavedSize, PacketPlan, writeInterleaved } from '../../wire/codecs/packetizer.ts';
import type { Layout, TrackStart } from './layout.ts';
import { Packager } from './packager.ts';

/** One viewer as the feed keeps it. */
export interface TcpViewer {
  readonly out: SocketViewer;
  readonly consumer: Consumer;
}

/** What a new viewer is given before the live bursts. All viewers that come between two bursts share it. */
export interface TcpJoin {
  readonly pieces: readonly Buffer[];
  readonly bytes: number;
  readonly units: number;
  readonly complete: boolean;
  readonly starts: readonly TrackStart[];
}

/** `$`, channel, length. */
const FRAME_BYTES = 4;

/**
 * Frames a stream once for all TCP viewers of one layout: each burst becomes one buffer of interleaved RTP and RTCP,
 * and each viewer costs one write of it.
 */
export class TcpFeed implements Disposable {
  readonly #packager: Packager;
  readonly #stream: Stream;
  readonly #limits: ViewerLimits;
  readonly #unsubscribe: () => void;
  readonly #viewers = new Set<TcpViewer>();
  #list: readonly TcpViewer[] = [];
  #join: TcpJoin | undefined;

  constructor(stream: Stream, layout: Layout, limits: ViewerLimits = DEFAULT_VIEWER_LIMITS) {
    this.#stream = stream;
    this.#packager = new Packager(stream, layout);
    this.#limits = limits;
    this.#unsubscribe = stream.subscribe((units) => this.#deliver(units));
  }

  /** To be called right before `add`, with nothing awaited between. */
  prepareJoin(): TcpJoin {
    this.#stream.settle();
    this.#join ??= this.#makeJoin();
    return this.#join;
  }

  /** Adds a viewer to which `join` has just been written. */
  add(socket: Socket, consumer: Consumer, join: TcpJoin, onStuck: () => void): TcpViewer {
    // What waits for it at first is the shared GOP, not memory of its own.
    const limits = { ...this.#limits, maxQueueBytes: this.#limits.maxQueueBytes + join.bytes };
    const viewer = { out: new SocketViewer(socket, limits, performance.now(), onStuck), consumer };
    if (!join.complete) viewer.out.waitForKey();
    consumer.bytesSent += join.bytes;
    consumer.unitsSent += join.units;
    this.#viewers.add(viewer);
    this.#list = [...this.#viewers];
    return viewer;
  }

  remove(viewer: TcpViewer): void {
    this.#viewers.delete(viewer);
    this.#list = [...this.#viewers];
  }

  [Symbol.dispose](): void {
    this.#unsubscribe();
    this.#viewers.clear();
    this.#list = [];
  }

  #deliver(units: readonly AccessUnit[]): void {
    const packager = this.#packager;
    const planned = packager.plan(units);
    if (planned.length === 0) return;
    this.#join = undefined;
    const nowMs = performance.now();
    let size = 0;
    for (const { plan } of planned) size += interleavedSize(plan);
    const reports = this.#reports(nowMs);
    const data = Buffer.allocUnsafeSlow(size + reports.length);
    let at = 0;
    for (const { unit, track, plan } of planned) {
      at = writeInterleaved(plan, unit.data, track.sender, track.layout.rtpChannel, track.ticks(unit), data, at);
    }
    reports.copy(data, at);
    const key = packager.startsWithKey(planned);
    const count = planned.length;
    for (const viewer of this.#list) {
      const { consumer } = viewer;
      if (viewer.out.send(data, key, nowMs)) {
        consumer.bytesSent += data.length;
        consumer.unitsSent += count;
      } else {
        consumer.unitsDropped += count;
      }
    }
  }

  /** Sender reports that are due. */
  #reports(nowMs: number): Buffer {
    const parts: Buffer[] = [];
    for (const track of this.#packager.senders) {
      if (!track.reportDue(nowMs)) continue;
      const report = track.report(this.#packager.cname);
      if (report === null) continue;
      parts.push(frame(track.layout.rtcpChannel, report), report);
    }
    return parts.length === 0 ? NOTHING : Buffer.concat(parts);
  }

  #makeJoin(): TcpJoin {
    const plan = new PacketPlan();
    const { units, complete, starts } = this.#packager.join(plan);
    const pieces: Buffer[] = [];
    for (const { unit, track, sender, ticks } of units) {
      this.#packager.planJoin(unit, plan);
      interleavedPieces(plan, unit.data, sender, track.layout.rtpChannel, ticks, pieces);
    }
    for (const track of this.#packager.senders) {
      const report = track.report(this.#packager.cname);
      if (report !== null) pieces.push(Buffer.concat([frame(track.layout.rtcpChannel, report), report]));
    }
    let bytes = 0;
    for (const piece of pieces) bytes += piece.length;
    return { pieces, bytes, units: units.length, complete, starts };
  }
}

const NOTHING = Buffer.alloc(0);

function frame(channel: number, packet: Buffer): Buffer {
  const head = Buffer.alloc(FRAME_BYTES);
  head[0] = 0x24;
  head[1] = channel;
  head.writeUInt16BE(packet.length, 2);
  return head;
}
