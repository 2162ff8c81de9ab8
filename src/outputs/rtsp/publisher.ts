import { HearthcamError, WireError } from '../../core/errors.ts';
import type { PublishTarget } from '../../core/expected-publishers.ts';
import { type Log, LogLimiter } from '../../core/log.ts';
import { parseSourceSpec, type SourceModule, type SourceRequest, type SourceSink } from '../../core/source.ts';
import type { RtpMedia } from '../../wire/codecs/depacketizer.ts';
import { looksLikeRtcp } from '../../wire/rtp/index.ts';
import { chooseFormat, parseSdp } from '../../wire/sdp/index.ts';
import { TrackReceiver } from './track-receiver.ts';
import { openUdpPair, type UdpPair } from './udp-ports.ts';

/** One medium of an ANNOUNCE. */
export interface AnnouncedTrack {
  readonly kind: 'video' | 'audio';
  /** `a=control` as sent: SETUP's URL ends with it. */
  readonly control: string;
  readonly media: RtpMedia;
  /** Set by SETUP. */
  way: TrackWay | undefined;
}

type TrackWay =
  | { readonly kind: 'tcp'; readonly rtp: number; readonly rtcp: number }
  | { readonly kind: 'udp'; readonly pair: UdpPair; readonly rtcpPort: number };

/** @throws WireError for a broken SDP, HearthcamError 415 when nothing in it is supported */
function announcedTracks(sdp: string): AnnouncedTrack[] {
  const tracks: AnnouncedTrack[] = [];
  for (const medium of parseSdp(sdp).media) {
    const media = chooseFormat(medium);
    if (media === null || (medium.kind !== 'video' && medium.kind !== 'audio') || media.codec === 'flac') continue;
    tracks.push({ kind: medium.kind, control: medium.control ?? '', media, way: undefined });
  }
  if (tracks.length > 0) return tracks;
  throw new HearthcamError('rtsp.announce', 'the announced session has no video or audio that is supported', {
    status: 415,
  });
}

export interface PublisherOptions {
  readonly stream: PublishTarget;
  readonly sdp: string;
  /** `address:port` of the publisher. */
  readonly remoteAddr: string;
  readonly remoteAddress: string;
  readonly localAddress: string;
  readonly userAgent: string | undefined;
  readonly log: Log;
  /** Sends an interleaved frame to the publisher. */
  readonly sendInterleaved: (channel: number, packet: Buffer) => void;
  /** Something came in. */
  readonly onAlive: () => void;
  /** The stream needs it no more, or it was replaced: the connection is to be closed. */
  readonly onStop: () => void;
}

const REPORT_EVERY_MS = 5_000;
const POLL_EVERY_MS = 20;

/** A stream that somebody pushes to us by ANNOUNCE and RECORD, for as long as its connection lasts. */
export class Publisher {
  readonly tracks: readonly AnnouncedTrack[];
  readonly stream: PublishTarget;
  readonly #options: PublisherOptions;
  readonly #ended = Promise.withResolvers<void>();
  readonly #limiter = new LogLimiter(10_000);
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #byChannel = new Map<number, { receiver: TrackReceiver; rtcp: boolean }>();
  readonly #receivers = new Map<AnnouncedTrack, TrackReceiver>();
  #sink: SourceSink | undefined;
  #pendingBytes = 0;
  #closed = false;

  constructor(options: PublisherOptions) {
    this.#options = options;
    this.stream = options.stream;
    this.tracks = announcedTracks(options.sdp);
  }

  /** Opens ports for a track that comes over UDP. */
  async setupUdp(track: AnnouncedTrack, rtcpPort: number): Promise<UdpPair> {
    const { remoteAddress, localAddress, log } = this.#options;
    const receive = (rtcp: boolean) => (packet: Buffer, from: { address: string }) => {
      if (from.address !== remoteAddress) return;
      this.#packet(this.#receivers.get(track), rtcp, packet, 0, packet.length);
      this.flush();
    };
    const pair = await openUdpPair(localAddress, {
      onRtp: receive(false),
      onRtcp: receive(true),
      onError: (error) => log.debug(`publisher of "${this.stream.name}": ${error.message}`),
    });
    if (this.#closed) {
      await pair[Symbol.asyncDispose]();
      throw new HearthcamError('rtsp.closed', 'the connection was closed', { status: 503 });
    }
    track.way = { kind: 'udp', pair, rtcpPort };
    return pair;
  }

  /** RECORD: becomes a source of the stream. */
  async start(): Promise<void> {
    const { remoteAddr, stream } = this.#options;
    const spec = parseSourceSpec(`rtsp://${remoteAddr}/ (published)`);
    const module: SourceModule = {
      name: 'rtsp-publish',
      schemes: [],
      run: (request, sink) => this.#run(request, sink),
    };
    await stream.publish(spec, module);
  }

  interleaved(channel: number, data: Buffer, start: number, end: number): void {
    const found = this.#byChannel.get(channel);
    if (found === undefined) return;
    this.#packet(found.receiver, found.rtcp, data, start, end);
  }

  /** After each read of the connection. */
  flush(): void {
    if (this.#pendingBytes === 0) return;
    this.#sink?.alive(this.#pendingBytes);
    this.#pendingBytes = 0;
    this.#sink?.flush();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const timer of this.#timers) clearInterval(timer);
    this.#sink = undefined;
    this.#byChannel.clear();
    this.#receivers.clear();
    this.#ended.resolve();
    for (const track of this.tracks) if (track.way?.kind === 'udp') await track.way.pair[Symbol.asyncDispose]();
  }

  async #run(request: SourceRequest, sink: SourceSink): Promise<void> {
    if (this.#closed) return;
    const { userAgent, remoteAddr, sdp, onStop } = this.#options;
    const used = this.tracks.filter((track) => track.way !== undefined);
    const udp = used.some((track) => track.way?.kind === 'udp');
    const receivers = used.map((track, index) => {
      const problem = (found: { code: string; message: string }): void => this.#problem(track, found);
      return new TrackReceiver(track.media, index, sink, problem, track.way?.kind === 'udp');
    });
    const taken = sink.describe({
      tracks: used.map((track, index) => ({
        kind: track.kind,
        codec: track.media.codec,
        clockRateHz: track.media.clockRateHz,
        format: receivers[index]?.format ?? null,
      })),
      formatName: 'rtsp',
      protocol: udp ? 'rtsp+udp' : 'rtsp+tcp',
      remoteAddr,
      sdp,
      ...(userAgent === undefined ? {} : { userAgent }),
      sharedClock: false,
    });
    for (const [index, track] of used.entries()) {
      const receiver = receivers[index];
      if (receiver === undefined || taken[index] !== true) continue;
      this.#receivers.set(track, receiver);
      if (track.way?.kind !== 'tcp') continue;
      this.#byChannel.set(track.way.rtp, { receiver, rtcp: false });
      this.#byChannel.set(track.way.rtcp, { receiver, rtcp: true });
    }
    this.#sink = sink;
    this.#timers.push(setInterval(() => this.#report(), REPORT_EVERY_MS).unref());
    if (udp) this.#timers.push(setInterval(() => this.#poll(), POLL_EVERY_MS).unref());
    const onAbort = (): void => {
      void this.close();
      onStop();
    };
    request.signal.addEventListener('abort', onAbort, { once: true });
    await this.#ended.promise;
    request.signal.removeEventListener('abort', onAbort);
  }

  #packet(receiver: TrackReceiver | undefined, rtcp: boolean, data: Buffer, start: number, end: number): void {
    this.#options.onAlive();
    if (receiver === undefined) return;
    this.#pendingBytes += end - start;
    try {
      if (rtcp || looksLikeRtcp(data, start, end)) receiver.rtcp(data, start, end);
      else receiver.rtp(data, start, end);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.#problem(undefined, error);
    }
  }

  #poll(): void {
    for (const receiver of this.#receivers.values()) receiver.poll();
    this.#sink?.flush();
  }

  #report(): void {
    for (const [track, receiver] of this.#receivers) {
      const report = receiver.report();
      if (report === null || track.way === undefined) continue;
      if (track.way.kind === 'tcp') this.#options.sendInterleaved(track.way.rtcp, report);
      else track.way.pair.rtcp.send(report, track.way.rtcpPort, this.#options.remoteAddress);
    }
  }

  #problem(track: AnnouncedTrack | undefined, problem: { code: string; message: string }): void {
    const repeated = this.#limiter.admit(problem.code);
    if (repeated === null) return;
    const what = track === undefined ? '' : ` (${track.kind})`;
    this.#options.log.warn(
      `stream "${this.stream.name}", published from ${this.#options.remoteAddr}${what}: ${problem.message}`,
      { code: problem.code, ...(repeated > 0 ? { repeated } : {}) },
    );
  }
}
