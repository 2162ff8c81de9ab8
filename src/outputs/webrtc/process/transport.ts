import { type DownMessage, NO_TRACK, type PeerMedia, type TransportConfig, type UpMessage } from '../link.ts';
import { FeedTrack } from './feed-track.ts';
import { PacketLog } from './packet-log.ts';
import { WebrtcPeer } from './peer.ts';

/** How often those whose packets wait are given more, and publishers' gaps are looked at. */
const PUMP_MS = 2;
const TICK_MS = 1_000;

/** All that the WebRTC process holds: what is fed into it, and who looks at it. */
export class Transport {
  readonly #send: (message: UpMessage) => void;
  readonly #config: TransportConfig;
  /** By feed id, then track id. */
  readonly #feeds = new Map<number, Map<number, FeedTrack>>();
  readonly #peers = new Map<number, WebrtcPeer>();
  #pumping: NodeJS.Timeout | undefined;
  readonly #ticking: NodeJS.Timeout;

  constructor(config: TransportConfig, send: (message: UpMessage) => void) {
    this.#config = config;
    this.#send = send;
    this.#ticking = setInterval(() => this.#tick(), TICK_MS);
  }

  handle(message: DownMessage): void {
    switch (message.type) {
      case 'unit':
        this.#onUnit(message);
        return;
      case 'format':
        this.#track(message.feed, message.track).setFormat(message.format);
        return;
      case 'track-end':
        this.#feeds.get(message.feed)?.delete(message.track);
        return;
      case 'feed-end':
        this.#feeds.delete(message.feed);
        for (const peer of [...this.#peers.values()]) peer.onFeedEnd(message.feed);
        return;
      case 'show':
        this.#show(message);
        return;
      case 'peer':
        this.#addPeer(message.request);
        return;
      case 'candidate':
        this.#peers.get(message.peer)?.addCandidate(message.candidate);
        return;
      case 'keyframe':
        this.#peers.get(message.peer)?.wantKeyframe(performance.now());
        return;
      case 'close':
        this.#peers.get(message.peer)?.close('closed');
        return;
      case 'ping':
      case 'config':
        // Answered before there is a transport.
        return;
    }
  }

  close(): void {
    clearInterval(this.#ticking);
    clearInterval(this.#pumping);
    for (const peer of [...this.#peers.values()]) peer.close('closed');
  }

  #track(feed: number, track: number): FeedTrack {
    let tracks = this.#feeds.get(feed);
    if (tracks === undefined) {
      tracks = new Map();
      this.#feeds.set(feed, tracks);
    }
    let found = tracks.get(track);
    if (found === undefined) {
      found = new FeedTrack();
      tracks.set(track, found);
    }
    return found;
  }

  #onUnit(unit: Extract<DownMessage, { type: 'unit' }>): void {
    const track = this.#track(unit.feed, unit.track);
    const nowMs = performance.now();
    const problem = track.add(unit.data, unit.pts, unit.key, nowMs);
    if (problem !== null) {
      this.#send({ type: 'log', level: 'warn', text: problem });
      return;
    }
    for (const peer of this.#peers.values()) {
      peer.pump(track.log, nowMs);
      if (peer.busy) this.#beginPumping();
    }
  }

  #show({ peer: id, feed, track, shift, live }: Extract<DownMessage, { type: 'show' }>): void {
    const { log } = this.#track(feed, track);
    this.#peers.get(id)?.show(feed, { log, shift }, live, performance.now(), () => {
      this.#send({ type: 'shown', peer: id, feed, track });
    });
  }

  #addPeer(request: Extract<DownMessage, { type: 'peer' }>['request']): void {
    const id = request.peer;
    try {
      const peer = new WebrtcPeer(
        request,
        this.#config,
        (media) => this.#logFor(request.feed, media),
        {
          onCandidate: (candidate) => this.#send({ type: 'candidate', peer: id, candidate }),
          onGathered: () => this.#send({ type: 'gathered', peer: id }),
          onConnected: (remote) => {
            this.#send({ type: 'connected', peer: id, remote });
            this.#beginPumping();
          },
          onClosed: (reason) => {
            this.#peers.delete(id);
            this.#send({ type: 'closed', peer: id, reason });
          },
          onRtp: (media, packet) => this.#send({ type: 'rtp', peer: id, media, packet }),
          onSync: (media, timestamp, ntpMs) => this.#send({ type: 'sync', peer: id, media, timestamp, ntpMs }),
          onBusy: () => this.#beginPumping(),
        },
        performance.now(),
      );
      this.#peers.set(id, peer);
      const { local, candidates, gathered } = peer;
      this.#send({ type: 'answer', peer: id, local, candidates, complete: gathered });
    } catch (error) {
      this.#send({ type: 'failed', peer: id, reason: error instanceof Error ? error.message : String(error) });
    }
  }

  #logFor(feed: number, media: PeerMedia): { log: PacketLog; clockRateHz: number } {
    return {
      log: media.trackId === NO_TRACK ? new PacketLog() : this.#track(feed, media.trackId).log,
      clockRateHz: Number(media.rtpmap.split('/')[1] ?? 90_000),
    };
  }

  #beginPumping(): void {
    this.#pumping ??= setInterval(() => this.#pump(), PUMP_MS);
  }

  #pump(): void {
    const nowMs = performance.now();
    let busy = false;
    for (const peer of this.#peers.values()) {
      if (peer.receives) {
        peer.poll(nowMs);
        busy = true;
      }
      if (!peer.busy) continue;
      peer.pump(null, nowMs);
      busy = true;
    }
    if (busy) return;
    clearInterval(this.#pumping);
    this.#pumping = undefined;
  }

  #tick(): void {
    const nowMs = performance.now();
    const unixMs = Date.now();
    for (const peer of [...this.#peers.values()]) peer.tick(nowMs, unixMs);
    if (this.#peers.size > 0) {
      this.#send({ type: 'stats', peers: [...this.#peers.values()].map((peer) => peer.stats()) });
    }
  }
}
