import type { Consumer } from '../../core/consumer.ts';
import type { AccessUnit } from '../../core/media.ts';
import type { Stream } from '../../core/stream.ts';
import { interleavedPieces, PacketPlan, packetsSize, writePackets } from '../../wire/codecs/packetizer.ts';
import type { Layout, TrackStart } from './layout.ts';
import { Packager } from './packager.ts';
import type { UdpPair } from './udp-ports.ts';

/** Where one track of a viewer goes; undefined for tracks it has not set up. */
export interface UdpDestination {
  readonly pair: UdpPair;
  readonly address: string;
  readonly rtpPort: number;
  readonly rtcpPort: number;
}

/** One datagram: its parts are sent as one. */
interface Datagram {
  readonly track: number;
  readonly rtcp: boolean;
  readonly parts: readonly Buffer[];
}

/** A burst of the shared packager. */
interface Burst {
  readonly datagrams: readonly Datagram[];
  readonly bytes: number;
  readonly units: number;
  readonly startsWithKey: boolean;
}

/** Pacing of what waits: so many packets each so often (34 Mb/s), which home routers and receive buffers bear. */
const PACE_PACKETS = 12;
const PACE_MS = 4;
/** A viewer's queue: 4 MiB of packets. When more waits, pictures are left out until a key frame. */
const MAX_QUEUED = 3_000;
/** `$`, channel and length in front of each packet of `interleavedPieces`. */
const FRAME_BYTES = 4;

/** One viewer: sends at once while nothing waits, else in the order of the queue at a bearable pace. */
class UdpViewer {
  readonly consumer: Consumer;
  readonly #destinations: readonly UdpDestination[];
  #queue: Datagram[] = [];
  #sent = 0;
  #timer: NodeJS.Timeout | undefined;
  #skipping = false;

  constructor(consumer: Consumer, destinations: readonly UdpDestination[]) {
    this.consumer = consumer;
    this.#destinations = destinations;
  }

  waitForKey(): void {
    this.#skipping = true;
  }

  /** @returns whether it was taken */
  send(burst: Burst): boolean {
    if (this.#queue.length - this.#sent > MAX_QUEUED) this.#skipping = true;
    if (this.#skipping) {
      if (!burst.startsWithKey || this.#queue.length > this.#sent) return false;
      this.#skipping = false;
    }
    if (this.#timer === undefined && burst.datagrams.length <= 4 * PACE_PACKETS) {
      for (const datagram of burst.datagrams) this.#sendOne(datagram);
    } else {
      this.enqueue(burst.datagrams);
    }
    return true;
  }

  enqueue(datagrams: readonly Datagram[]): void {
    for (const datagram of datagrams) this.#queue.push(datagram);
    this.#pump();
    if (this.#queue.length > 0) this.#timer ??= setInterval(() => this.#pump(), PACE_MS).unref();
  }

  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#queue = [];
    this.#sent = 0;
  }

  #pump(): void {
    const end = Math.min(this.#queue.length, this.#sent + PACE_PACKETS);
    for (; this.#sent < end; this.#sent++) {
      const datagram = this.#queue[this.#sent];
      if (datagram !== undefined) this.#sendOne(datagram);
    }
    if (this.#sent < this.#queue.length) return;
    this.close();
  }

  #sendOne({ track, rtcp, parts }: Datagram): void {
    const to = this.#destinations[track];
    if (to === undefined) return;
    const socket = rtcp ? to.pair.rtcp : to.pair.rtp;
    socket.send(parts, rtcp ? to.rtcpPort : to.rtpPort, to.address);
  }
}

export type { UdpViewer };

/** What a new viewer is given first; numbered and timed as in `Packager.join`. */
export interface UdpJoin {
  readonly datagrams: readonly Datagram[];
  readonly bytes: number;
  readonly units: number;
  readonly complete: boolean;
  readonly starts: readonly TrackStart[];
}

/** Cuts a stream once for all UDP viewers of one layout; the packets are views of one buffer per burst. */
export class UdpFeed implements Disposable {
  readonly #packager: Packager;
  readonly #stream: Stream;
  readonly #unsubscribe: () => void;
  readonly #viewers = new Set<UdpViewer>();

  constructor(stream: Stream, layout: Layout) {
    this.#stream = stream;
    this.#packager = new Packager(stream, layout);
    this.#unsubscribe = stream.subscribe((units) => this.#deliver(units));
  }

  /** To be called right before `add`, with nothing awaited between. */
  prepareJoin(): UdpJoin {
    this.#stream.settle();
    const plan = new PacketPlan();
    const { units, complete, starts } = this.#packager.join(plan);
    const datagrams: Datagram[] = [];
    let bytes = 0;
    for (const { unit, track, sender, ticks } of units) {
      this.#packager.planJoin(unit, plan);
      const pieces: Buffer[] = [];
      interleavedPieces(plan, unit.data, sender, 0, ticks, pieces);
      for (const parts of byPacket(pieces)) {
        datagrams.push({ track: track.index, rtcp: false, parts });
        for (const part of parts) bytes += part.length;
      }
    }
    for (const track of this.#packager.senders) {
      const report = track.report(this.#packager.cname);
      if (report !== null) datagrams.push({ track: track.index, rtcp: true, parts: [report] });
    }
    return { datagrams, bytes, units: units.length, complete, starts };
  }

  add(consumer: Consumer, destinations: readonly UdpDestination[], join: UdpJoin): UdpViewer {
    const viewer = new UdpViewer(consumer, destinations);
    consumer.bytesSent += join.bytes;
    consumer.unitsSent += join.units;
    viewer.enqueue(join.datagrams);
    if (!join.complete) viewer.waitForKey();
    this.#viewers.add(viewer);
    return viewer;
  }

  remove(viewer: UdpViewer): void {
    viewer.close();
    this.#viewers.delete(viewer);
  }

  [Symbol.dispose](): void {
    this.#unsubscribe();
    for (const viewer of this.#viewers) viewer.close();
    this.#viewers.clear();
  }

  #deliver(units: readonly AccessUnit[]): void {
    const packager = this.#packager;
    const planned = packager.plan(units);
    if (planned.length === 0) return;
    let size = 0;
    for (const { plan } of planned) size += packetsSize(plan);
    const data = Buffer.allocUnsafeSlow(size);
    const datagrams: Datagram[] = [];
    let at = 0;
    for (const { unit, track, plan } of planned) {
      const ends: number[] = [];
      let from = at;
      at = writePackets(plan, unit.data, track.sender, track.ticks(unit), data, at, ends);
      for (const end of ends) {
        datagrams.push({ track: track.index, rtcp: false, parts: [data.subarray(from, end)] });
        from = end;
      }
    }
    const nowMs = performance.now();
    for (const track of packager.senders) {
      if (!track.reportDue(nowMs)) continue;
      const report = track.report(packager.cname);
      if (report !== null) datagrams.push({ track: track.index, rtcp: true, parts: [report] });
    }
    const burst: Burst = {
      datagrams,
      bytes: size,
      units: planned.length,
      startsWithKey: packager.startsWithKey(planned),
    };
    for (const viewer of this.#viewers) {
      if (viewer.send(burst)) {
        viewer.consumer.bytesSent += size;
        viewer.consumer.unitsSent += burst.units;
      } else {
        viewer.consumer.unitsDropped += burst.units;
      }
    }
  }
}

/** Groups the pieces of interleaved frames into datagrams, without the frame headers. */
function byPacket(pieces: readonly Buffer[]): Buffer[][] {
  const packets: Buffer[][] = [];
  let open: Buffer[] = [];
  let left = 0;
  for (const piece of pieces) {
    let at = 0;
    while (at < piece.length) {
      if (left === 0) {
        left = piece.readUInt16BE(at + 2);
        at += FRAME_BYTES;
        open = [];
        packets.push(open);
      }
      const take = Math.min(left, piece.length - at);
      if (take > 0) open.push(piece.subarray(at, at + take));
      at += take;
      left -= take;
    }
  }
  return packets;
}
