import ndc, { type PeerConnection, type Track } from 'node-datachannel';
import {
  looksLikeRtcp,
  ntpMiddle,
  ntpToUnixMs,
  parseRtcp,
  type ReportBlock,
  type RtcpPacket,
  unixMsToNtp,
  writeSdes,
  writeSenderReport,
} from '../../../wire/rtp/index.ts';
import { NO_TRACK, type PeerMedia, type PeerRequest, type PeerStats, type TransportConfig } from '../link.ts';
import { readRemb } from '../remb.ts';
import type { LocalTransport } from '../sdp/answer.ts';
import { parseCandidate } from '../sdp/candidate.ts';
import { describeRemote, readLocal, rtcConfig } from './native.ts';
import type { PacketLog } from './packet-log.ts';
import { Receiver } from './receiver.ts';
import { type Feeding, Sender } from './sender.ts';

const CNAME = 'hearthcam';
/** No connection within this: the viewer has gone, or no way leads to it. */
const CONNECT_MS = 20_000;
/** A viewer that can't decode asks for key frames again and again. */
const REPLAY_EVERY_MS = 1_000;

/** What a peer tells its owner. */
export interface PeerEvents {
  onCandidate(candidate: string): void;
  onGathered(): void;
  onConnected(remote: string): void;
  /** Once, and last. */
  onClosed(reason: string): void;
  onRtp(media: number, packet: Buffer): void;
  /** A publisher's sender report. */
  onSync(media: number, timestamp: number, ntpMs: number): void;
  /** `busy` has become true. */
  onBusy(): void;
}

interface SendTrack {
  readonly track: Track;
  readonly sender: Sender;
  /** Whose packets it sends. */
  feed: number;
  /** Whose packets it will send. */
  nextFeed: number;
}

interface ReceiveTrack {
  /** Which m-line it is, counted from 0. */
  readonly media: number;
  readonly payloadType: number;
  readonly receiver: Receiver;
}

/**
 * One viewer or publisher: a libdatachannel connection.
 *
 * Some calls in a wrong state throw in C++ outside of any handler and end the process (for example a second
 * `setLocalDescription`), so the order of the calls is fixed here and every value in the SDP that libdatachannel gets
 * to see was checked and written by us.
 */
export class WebrtcPeer {
  readonly id: number;
  readonly #feed: number;
  readonly #events: PeerEvents;
  readonly #connection: PeerConnection;
  readonly #firstMid: string;
  readonly #sends: SendTrack[] = [];
  readonly #receives: ReceiveTrack[] = [];
  /** All that is received comes in by this one (see `describeRemote`). */
  #incoming: Track | undefined;
  readonly #madeAtMs: number;
  #connected = false;
  #closed = false;
  #loss = 0;
  #rttMs = -1;
  #estimateBps = 0;
  #replayedAtMs = Number.NEGATIVE_INFINITY;
  #replayWanted = false;
  readonly local: LocalTransport;
  readonly candidates: readonly string[];
  readonly gathered: boolean;

  /**
   * Makes the connection and its answer.
   * @param logFor gives the packets of a fed track
   * @throws Error when libdatachannel refuses something, for example because the port is taken
   */
  constructor(
    request: PeerRequest,
    config: TransportConfig,
    logFor: (media: PeerMedia) => { log: PacketLog; clockRateHz: number },
    events: PeerEvents,
    nowMs: number,
  ) {
    this.id = request.peer;
    this.#feed = request.feed;
    this.#events = events;
    this.#madeAtMs = nowMs;
    this.#firstMid = request.media[0]?.mid ?? '0';
    this.#connection = new ndc.PeerConnection(`peer-${request.peer}`, rtcConfig(config, request.iceServers));
    try {
      this.#listen();
      this.#connection.setRemoteDescription(describeRemote(request), 'offer');
      for (const [index, media] of request.media.entries()) this.#addTrack(media, index, logFor);
      if (this.#connection.signalingState() !== 'have-remote-offer') throw new Error('the offer was not taken over');
      this.#connection.setLocalDescription('answer');
      const sdp = this.#connection.localDescription()?.sdp;
      if (sdp === undefined) throw new Error('there is no local description');
      this.local = readLocal(sdp);
      this.candidates = [...new Set(sdp.split('\r\n').filter((line) => line.startsWith('a=candidate:')))].map((line) =>
        line.slice(2),
      );
      this.gathered = this.#connection.gatheringState() === 'complete';
    } catch (error) {
      this.#closed = true;
      this.#connection.close();
      throw error;
    }
    for (const candidate of request.candidates) this.addCandidate(candidate);
  }

  get closed(): boolean {
    return this.#closed;
  }
  /** Packets wait to be sent: call `pump` every few ms. */
  get busy(): boolean {
    return this.#connected && !this.#closed && this.#sends.some((one) => one.sender.busy);
  }
  get receives(): boolean {
    return this.#receives.length > 0;
  }

  /** A candidate of the other side; the server has seen to it that it is UDP to a numeric address. */
  addCandidate(candidate: string): void {
    if (this.#closed || parseCandidate(candidate) === null) return;
    try {
      this.#connection.addRemoteCandidate(`a=${candidate}`, this.#firstMid);
    } catch {
      // libdatachannel refuses candidates of no use (another address family, too many); the others are tried.
    }
  }

  /** The log that feeds a sender has grown. */
  pump(log: PacketLog | null, nowMs: number): void {
    if (!this.#connected || this.#closed) return;
    try {
      for (const { sender } of this.#sends) if (log === null || sender.takes(log)) sender.pump(nowMs);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Sends another picture, in place of the one so far. `onShown` is called when that begins. */
  show(feed: number, feeding: Feeding, live: boolean, nowMs: number, onShown: () => void): void {
    const send = this.#sends.find((one) => one.sender.kind === 'video');
    if (send === undefined || this.#closed) return;
    send.nextFeed = feed;
    try {
      send.sender.show(feeding, live, nowMs, () => {
        send.feed = feed;
        onShown();
        this.#events.onBusy();
      });
    } catch (error) {
      this.#fail(error);
    }
  }

  onFeedEnd(feed: number): void {
    for (const send of this.#sends) {
      if (send.feed === feed) {
        this.close('the stream ended');
        return;
      }
      if (send.nextFeed !== feed) continue;
      send.nextFeed = send.feed;
      send.sender.cancel();
    }
  }

  /** Every second: reports, time-outs, late repeats. */
  tick(nowMs: number, unixMs: number): void {
    if (this.#closed) return;
    if (!this.#connected) {
      if (nowMs - this.#madeAtMs > CONNECT_MS) this.close('no connection came about in time');
      return;
    }
    try {
      this.#report(nowMs, unixMs);
      for (const { receiver } of this.#receives) receiver.report(nowMs);
      if (this.#replayWanted) this.#replay(nowMs);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Every few ms while a publisher is connected. */
  poll(nowMs: number): void {
    if (!this.#connected || this.#closed) return;
    for (const { receiver } of this.#receives) receiver.poll(nowMs);
  }

  /** Asks a publisher for a key frame. */
  wantKeyframe(nowMs: number): void {
    if (!this.#connected || this.#closed) return;
    for (const { receiver } of this.#receives) receiver.wantKeyframe(nowMs);
  }

  stats(): PeerStats {
    const sum = (read: (sender: Sender) => number): number =>
      this.#sends.reduce((total, { sender }) => total + read(sender), 0);
    return {
      peer: this.id,
      bytes: sum((one) => one.bytes),
      packets: sum((one) => one.packets),
      units: sum((one) => one.units),
      dropped: sum((one) => one.dropped),
      resent: sum((one) => one.resent),
      loss: this.#loss,
      rttMs: this.#rttMs,
      estimateBps: this.#estimateBps,
    };
  }

  close(reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#connection.close();
    this.#events.onClosed(reason);
  }

  #fail(error: unknown): void {
    this.close(error instanceof Error ? error.message : String(error));
  }

  #listen(): void {
    const connection = this.#connection;
    connection.onLocalCandidate((candidate) => {
      if (!this.#closed) this.#events.onCandidate(candidate.replace(/^a=/, ''));
    });
    connection.onGatheringStateChange((state) => {
      if (state === 'complete' && !this.#closed) this.#events.onGathered();
    });
    connection.onStateChange((state) => {
      if (this.#closed) return;
      if (state === 'connected') this.#onConnected();
      else if (state === 'failed') this.close(this.#connected ? 'the connection was lost' : 'no way leads to it');
      else if (state === 'disconnected') this.close('the connection was lost');
      else if (state === 'closed') this.close('it left');
    });
  }

  #addTrack(
    media: PeerMedia,
    index: number,
    logFor: (media: PeerMedia) => { log: PacketLog; clockRateHz: number },
  ): void {
    if (media.direction === 'receive' && this.#incoming !== undefined) {
      this.#addReceiver(media, index, this.#incoming);
      return;
    }
    const description =
      media.kind === 'video'
        ? new ndc.Video(media.mid, media.direction === 'send' ? 'SendOnly' : 'RecvOnly')
        : new ndc.Audio(media.mid, media.direction === 'send' ? 'SendOnly' : 'RecvOnly');
    const name = media.rtpmap.split('/')[0] ?? '';
    if (media.kind === 'video' && description instanceof ndc.Video) {
      description.addVideoCodec(media.payloadType, name, media.fmtp);
    } else if (description instanceof ndc.Audio) {
      description.addAudioCodec(media.payloadType, name, media.fmtp);
    }
    if (media.direction === 'send') description.addSSRC(media.ssrc, CNAME, CNAME, `${CNAME}-${media.kind}`);
    const track = this.#connection.addTrack(description);
    if (media.direction === 'send') {
      const { log, clockRateHz } = logFor(media);
      const sender = new Sender({
        log,
        sink: track,
        ssrc: media.ssrc,
        payloadType: media.payloadType,
        clockRateHz,
        kind: media.kind,
        firstSequence: Math.floor(Math.random() * 0x8000),
        firstTimestamp: Math.floor(Math.random() * 2 ** 32),
      });
      const feed = media.trackId === NO_TRACK ? 0 : this.#feed;
      this.#sends.push({ track, sender, feed, nextFeed: feed });
      track.onMessage((message) => this.#onRtcp(message));
      return;
    }
    this.#incoming = track;
    this.#addReceiver(media, index, track);
    track.onMessage((message) => {
      if (this.#closed) return;
      try {
        if (looksLikeRtcp(message, 0, message.length)) this.#onRtcp(message);
        else if (message.length >= 12) this.#receiverOf(message)?.push(message, performance.now());
      } catch (error) {
        this.#fail(error);
      }
    });
  }

  #addReceiver(media: PeerMedia, index: number, track: Track): void {
    const receiver = new Receiver({
      ssrc: media.ssrc,
      ownSsrc: 1 + Math.floor(Math.random() * 0x7fffffff),
      video: media.kind === 'video',
      clockRateHz: Number(media.rtpmap.split('/')[1] ?? 90_000),
      send: (rtcp) => {
        if (!this.#closed && track.isOpen()) track.sendMessageBinary(rtcp);
      },
      deliver: (packet) => this.#events.onRtp(index, packet),
    });
    this.#receives.push({ media: index, payloadType: media.payloadType, receiver });
  }

  /**
   * Whose packet it is: by the SSRC, or, before one is known, by the payload type, which within a BUNDLE group belongs
   * to one m-line (RFC 9143 §9.2; the mid header extension is not accepted by our answer, so no packet has it).
   */
  #receiverOf(packet: Buffer): Receiver | undefined {
    const ssrc = packet.readUInt32BE(8);
    for (const { receiver } of this.#receives) if (receiver.ssrc === ssrc) return receiver;
    const payloadType = packet.readUInt8(1) & 0x7f;
    return this.#receives.find((one) => one.receiver.ssrc === 0 && one.payloadType === payloadType)?.receiver;
  }

  #onConnected(): void {
    if (this.#connected) return;
    this.#connected = true;
    const pair = this.#connection.getSelectedCandidatePair();
    const remote = pair === null ? '' : `${pair.remote.address}:${pair.remote.port} ${pair.remote.type}`;
    this.#events.onConnected(remote);
    this.#startOpenTracks();
  }

  /** Tracks open with the connection, but each tells it by an event of its own. */
  #startOpenTracks(): void {
    const nowMs = performance.now();
    for (const { track, sender } of this.#sends) {
      const start = (): void => {
        if (this.#closed) return;
        try {
          sender.start(performance.now());
          this.#events.onBusy();
        } catch (error) {
          this.#fail(error);
        }
      };
      if (track.isOpen()) start();
      else track.onOpen(start);
    }
    for (const { receiver } of this.#receives) receiver.wantKeyframe(nowMs);
  }

  #report(nowMs: number, unixMs: number): void {
    // All tracks of a stream share its time line. One epoch for all of them keeps picture and sound in step.
    const begun = this.#sends.filter(({ sender }) => !Number.isNaN(sender.newest.pts));
    const reference = (begun.find(({ sender }) => sender.kind === 'video') ?? begun[0])?.sender;
    if (reference === undefined) return;
    const { newest, clockRateHz } = reference;
    const nowOnTimelineMs = (newest.pts * 1000) / clockRateHz + (nowMs - newest.atMs);
    const ntp = unixMsToNtp(unixMs);
    for (const { sender, track } of this.#sends) {
      if (sender.idle || sender.catchingUp || !track.isOpen()) continue;
      const info = {
        ssrc: sender.ssrc,
        ntpSeconds: ntp.seconds,
        ntpFraction: ntp.fraction,
        rtpTimestamp: sender.timestampFor((nowOnTimelineMs * sender.clockRateHz) / 1000),
        packetCount: sender.packets,
        octetCount: sender.bytes,
      };
      track.sendMessageBinary(Buffer.concat([writeSenderReport(info), writeSdes(sender.ssrc, CNAME)]));
    }
  }

  #onRtcp(data: Buffer): void {
    if (this.#closed || !looksLikeRtcp(data, 0, data.length)) return;
    let packets: readonly RtcpPacket[];
    try {
      packets = parseRtcp(data);
    } catch {
      // It came through SRTCP from the viewer itself; a broken one harms nobody but its own picture.
      return;
    }
    const estimateBps = readRemb(data);
    if (estimateBps !== null) {
      this.#estimateBps = estimateBps;
      for (const { sender } of this.#sends) sender.limitResends(estimateBps);
    }
    const nowMs = performance.now();
    try {
      for (const packet of packets) this.#onFeedback(packet, nowMs);
    } catch (error) {
      this.#fail(error);
    }
  }

  #onFeedback(packet: RtcpPacket, nowMs: number): void {
    switch (packet.kind) {
      case 'nack': {
        const sender = this.#sends.find((one) => one.sender.ssrc === packet.mediaSsrc)?.sender;
        if (sender === undefined) return;
        for (const sequence of packet.sequences) sender.resend(sequence, nowMs);
        sender.pump(nowMs);
        if (sender.busy) this.#events.onBusy();
        return;
      }
      case 'pli':
      case 'fir':
        this.#replay(nowMs);
        return;
      case 'rr':
        for (const block of packet.reports) this.#onReport(block);
        return;
      case 'sr':
        for (const block of packet.reports) this.#onReport(block);
        for (const { media, receiver } of this.#receives) {
          if (receiver.ssrc !== packet.ssrc) continue;
          receiver.onSenderReport(ntpMiddle(packet.ntpSeconds, packet.ntpFraction), nowMs);
          this.#events.onSync(media, packet.rtpTimestamp, ntpToUnixMs(packet.ntpSeconds, packet.ntpFraction));
        }
        return;
      case 'bye':
      case 'sdes':
      case 'other':
        return;
    }
  }

  #onReport(block: ReportBlock): void {
    const sender = this.#sends.find((one) => one.sender.ssrc === block.ssrc)?.sender;
    if (sender === undefined) return;
    if (sender.kind === 'video' || this.#sends.length === 1) this.#loss = block.fractionLost / 256;
    if (block.lastSr === 0) return;
    const now = unixMsToNtp(Date.now());
    const ticks = (ntpMiddle(now.seconds, now.fraction) - block.lastSr - block.delaySinceLastSr) >>> 0;
    // More than a minute is a report that got old, or clocks that were set meanwhile.
    if (ticks < 60 * 65_536) this.#rttMs = Math.round((ticks / 65_536) * 10_000) / 10;
  }

  /** Gives the last key frame and what follows once more, at most once a second. */
  #replay(nowMs: number): void {
    if (nowMs - this.#replayedAtMs < REPLAY_EVERY_MS) {
      this.#replayWanted = true;
      return;
    }
    this.#replayWanted = false;
    this.#replayedAtMs = nowMs;
    for (const { sender } of this.#sends) if (sender.kind === 'video' && !sender.catchingUp) sender.replay(nowMs);
    this.#events.onBusy();
  }
}
