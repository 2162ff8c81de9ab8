import type { Socket } from 'node:net';
import type { Consumer } from '../../core/consumer.ts';
import { HearthcamError } from '../../core/errors.ts';
import type { ViewerLimits } from '../../core/viewer.ts';
import type { OfferedTrack } from './describe.ts';
import { type Layout, layoutKey, type TrackStart } from './layout.ts';
import { TcpFeed } from './tcp-feed.ts';
import { type UdpDestination, UdpFeed } from './udp-feed.ts';

/** How one track goes to a viewer, set by SETUP. */
export type PlayWay =
  | { readonly kind: 'tcp'; readonly rtp: number; readonly rtcp: number }
  | ({ readonly kind: 'udp' } & UdpDestination);

export interface PlayerOptions {
  readonly consumer: Consumer;
  readonly tracks: readonly OfferedTrack[];
  /** Largest RTP packet; 0 = the default. */
  readonly packetBytes: number;
  readonly limits: ViewerLimits;
}

const RTP_HEADER_BYTES = 12;
/** What every relay and player takes, and what fits an Ethernet frame. */
const DEFAULT_PACKET_BYTES = 1400;
/**
 * Over TCP a new viewer is given the last pictures in larger packets: fewer pieces to write. Players with small
 * receive buffers (live555 before 2022: 20,000 bytes) take them.
 */
const JOIN_PACKET_BYTES = 16_000;

/** One viewer: what it was offered, what it has set up, and its place among those who get the same bytes. */
export class Player {
  readonly consumer: Consumer;
  readonly tracks: readonly OfferedTrack[];
  readonly #ways: (PlayWay | undefined)[];
  readonly #packetBytes: number;
  readonly #limits: ViewerLimits;
  #leave: (() => void) | undefined;

  constructor(options: PlayerOptions) {
    this.consumer = options.consumer;
    this.tracks = options.tracks;
    this.#packetBytes = options.packetBytes;
    this.#limits = options.limits;
    this.#ways = options.tracks.map(() => undefined);
  }

  get playing(): boolean {
    return this.#leave !== undefined;
  }
  get ready(): boolean {
    return this.#ways.some((way) => way !== undefined);
  }
  get overUdp(): boolean {
    return this.#ways.some((way) => way?.kind === 'udp');
  }
  /** Whether the track was set up. */
  has(index: number): boolean {
    return this.#ways[index] !== undefined;
  }

  /** @throws HearthcamError 455 while playing, 461 when TCP and UDP are mixed, 400 when channels are taken */
  setUp(index: number, way: PlayWay): void {
    if (this.playing) throw new HearthcamError('rtsp.state', 'SETUP while playing', { status: 455 });
    for (const [other, used] of this.#ways.entries()) {
      if (used === undefined || other === index) continue;
      if (used.kind !== way.kind) throw new HearthcamError('rtsp.mixed', 'TCP and UDP in one session', { status: 461 });
      if (used.kind !== 'tcp' || way.kind !== 'tcp') continue;
      const channels = [used.rtp, used.rtcp];
      if (!channels.includes(way.rtp) && !channels.includes(way.rtcp)) continue;
      throw new HearthcamError('rtsp.channels', 'interleaved channels are used by another track', { status: 400 });
    }
    this.#ways[index] = way;
    this.consumer.protocol = `rtsp+${way.kind}`;
  }

  /** The lowest channels that no track uses. */
  freeChannels(index: number): readonly [number, number] {
    const used = new Set<number>();
    for (const way of this.#ways) if (way?.kind === 'tcp') used.add(way.rtp).add(way.rtcp);
    const wanted = index * 2;
    if (!used.has(wanted) && !used.has(wanted + 1)) return [wanted, wanted + 1];
    let channel = 0;
    while (used.has(channel) || used.has(channel + 1)) channel += 2;
    return [channel, channel + 1];
  }

  /**
   * Begins to play.
   * @param answer writes the response to PLAY, for which it gets the first packets of the tracks by track number; the
   *   first pictures follow it in the same write
   */
  play(socket: Socket, answer: (starts: ReadonlyMap<number, TrackStart>) => void, onStuck: () => void): void {
    if (this.#leave !== undefined) return;
    const { stream } = this.consumer;
    const chosen = this.tracks.map((_, index) => index).filter((index) => this.#ways[index] !== undefined);
    const layout = this.#layout(chosen);
    const starts = new Map<number, TrackStart>();
    const note = (list: readonly TrackStart[]): void => {
      for (const [place, start] of list.entries()) {
        const index = chosen[place];
        if (index !== undefined) starts.set(index, start);
      }
    };
    if (this.overUdp) {
      const { value: feed, release } = stream.share(layoutKey('udp', layout), () => new UdpFeed(stream, layout));
      const join = feed.prepareJoin();
      note(join.starts);
      answer(starts);
      const destinations = chosen.map((index) => this.#ways[index]).filter((way) => way?.kind === 'udp');
      const viewer = feed.add(this.consumer, destinations, join);
      this.#leave = () => {
        feed.remove(viewer);
        release();
      };
      return;
    }
    const limits = this.#limits;
    const make = (): TcpFeed => new TcpFeed(stream, layout, limits);
    const { value: feed, release } = stream.share(layoutKey('tcp', layout), make);
    const join = feed.prepareJoin();
    note(join.starts);
    socket.cork();
    answer(starts);
    for (const piece of join.pieces) socket.write(piece);
    socket.uncork();
    const viewer = feed.add(socket, this.consumer, join, onStuck);
    this.#leave = () => {
      feed.remove(viewer);
      release();
    };
  }

  pause(): void {
    const leave = this.#leave;
    this.#leave = undefined;
    leave?.();
  }

  close(): void {
    this.pause();
    this.consumer.close();
  }

  #layout(chosen: readonly number[]): Layout {
    const limit = this.#packetBytes > 0 ? Math.max(300, this.#packetBytes) : DEFAULT_PACKET_BYTES;
    const join = this.#packetBytes > 0 || this.overUdp ? limit : JOIN_PACKET_BYTES;
    return {
      maxPayloadBytes: limit - RTP_HEADER_BYTES,
      joinPayloadBytes: join - RTP_HEADER_BYTES,
      tracks: chosen.flatMap((index) => {
        const offered = this.tracks[index];
        const way = this.#ways[index];
        if (offered === undefined || way === undefined) return [];
        return {
          trackId: offered.track.id,
          kind: offered.track.kind,
          payloadType: offered.payloadType,
          clockRateHz: offered.encoding.clockRateHz,
          rtpChannel: way.kind === 'tcp' ? way.rtp : 0,
          rtcpChannel: way.kind === 'tcp' ? way.rtcp : 1,
        };
      }),
    };
  }
}
