import { describeError, WireError } from '../../core/errors.ts';
import type { Log, LogLimiter } from '../../core/log.ts';
import type { MediaKind } from '../../core/media.ts';
import type { SourceSink } from '../../core/source.ts';
import type { DepacketizedUnit, MediaProblem } from '../../wire/codecs/depacketizer.ts';
import { looksLikeRtcp, makeRtpView, readRtp } from '../../wire/rtp/header.ts';
import { parseRtcp, type RtcpPacket, writeReceiverReport, writeSdes } from '../../wire/rtp/rtcp.ts';
import type { RtspTrack, TrackEvents } from './tracks.ts';
import type { UdpPairEvents } from './udp.ts';

export interface ReceptionInput {
  readonly sink: SourceSink;
  /** Ours, for receiver reports. */
  readonly ssrc: number;
  /** For log lines. */
  readonly camera: string;
  readonly log: Log;
  readonly limiter: LogLimiter;
  readonly reportMs: number;
  readonly sendFrame: (channel: number, packet: Buffer) => void;
  /** When the read that is being handled began. */
  readonly nowMs: () => number;
}

interface Route {
  readonly track: RtspTrack;
  readonly rtcp: boolean;
}

const LOSS_LOG_EVERY = 2;

/** Takes RTP and RTCP of a session's tracks, by whatever way they come, and feeds the stream. */
export class Reception implements TrackEvents {
  readonly #input: ReceptionInput;
  readonly #view = makeRtpView();
  readonly #routes: (Route | undefined)[] = [];
  readonly #first = Promise.withResolvers<undefined>();
  readonly #goodbye = Promise.withResolvers<void>();
  #tracks: readonly RtspTrack[] = [];
  #running = false;
  #onFailure: (error: unknown) => void = () => {};
  #timer: NodeJS.Timeout | undefined;
  #reports = 0;
  /** RTP packets taken. */
  packets = 0;

  constructor(input: ReceptionInput) {
    this.#input = input;
  }

  /** Resolves with the first RTP packet. */
  get firstPacket(): Promise<undefined> {
    return this.#first.promise;
  }
  /** Resolves when all tracks have said BYE. */
  get saidGoodbye(): Promise<void> {
    return this.#goodbye.promise;
  }

  /** Before PLAY is sent. What came before is of some earlier session (see `MediaReceiver`) and was left out. */
  start(tracks: readonly RtspTrack[], onFailure: (error: unknown) => void): void {
    this.#tracks = tracks;
    this.#onFailure = onFailure;
    for (const track of tracks) {
      if (track.udp !== undefined) continue;
      const [rtp, rtcp] = track.channels;
      this.#routes[rtp] ??= { track, rtcp: false };
      this.#routes[rtcp] ??= { track, rtcp: true };
    }
    this.#running = true;
    this.#timer = setInterval(() => this.#report(), this.#input.reportMs).unref();
  }

  /** Nothing is taken any more. */
  stop(): void {
    this.#running = false;
  }

  close(): void {
    this.#running = false;
    clearInterval(this.#timer);
  }

  /** An interleaved frame. */
  onFrame(channel: number, data: Buffer, start: number, end: number): void {
    if (!this.#running) return;
    const route = this.#routes[channel];
    if (looksLikeRtcp(data, start, end)) {
      this.#onRtcp(route?.track, data, start, end, this.#input.nowMs());
    } else {
      this.#onRtp(route?.rtcp === true ? undefined : route?.track, data, start, end, this.#input.nowMs());
    }
  }

  udpEvents(track: RtspTrack): UdpPairEvents {
    const { sink } = this.#input;
    return {
      onRtp: (packet) => this.#guard(() => this.#onRtp(track, packet, 0, packet.length, performance.now())),
      onRtcp: (packet) => this.#guard(() => this.#onRtcp(track, packet, 0, packet.length, performance.now())),
      onRead: (bytes) => {
        if (!this.#running) return;
        this.#guard(() => {
          if (bytes > 0) sink.alive(bytes);
          sink.flush();
        });
      },
    };
  }

  onUnit(track: RtspTrack, unit: DepacketizedUnit): void {
    const { format, ticks, key, data } = unit;
    this.#input.sink.unit({ track: track.index, format, ticks, key, data });
  }

  onProblem(kind: MediaKind, problem: MediaProblem): void {
    this.#trouble(`${kind}: ${problem.message}`, problem.code);
  }

  onSync(track: RtspTrack, ticks: number, ntpUnixMs: number): void {
    this.#input.sink.sync(track.index, ticks, ntpUnixMs);
  }

  #onRtp(byChannel: RtspTrack | undefined, data: Buffer, start: number, end: number, nowMs: number): void {
    const view = this.#view;
    try {
      readRtp(data, start, end, view);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.#trouble(error.message, error.code);
      return;
    }
    const track = this.#trackFor(byChannel, view.payloadType);
    if (track === undefined) return;
    if (this.packets++ === 0) this.#first.resolve(undefined);
    track.gone = false;
    track.receiver.packet(data, view, nowMs);
  }

  /** The channel tells, unless another track owns the payload type: some cameras mix up their channels. */
  #trackFor(byChannel: RtspTrack | undefined, payloadType: number): RtspTrack | undefined {
    if (byChannel?.receiver.media.payloadType === payloadType) return byChannel;
    for (const track of this.#tracks) {
      if (track.receiver.media.payloadType === payloadType && track !== byChannel) return track;
    }
    // Another type of the same m= line is something else (comfort noise); one that nobody has announced is the
    // camera's mistake in the SDP.
    return byChannel?.payloadTypes.has(payloadType) === true ? undefined : byChannel;
  }

  #onRtcp(byChannel: RtspTrack | undefined, data: Buffer, start: number, end: number, nowMs: number): void {
    if (!this.#running) return;
    let packets: readonly RtcpPacket[];
    try {
      packets = parseRtcp(data, start, end);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.#trouble(error.message, error.code);
      return;
    }
    for (const packet of packets) {
      if (packet.kind === 'sr') {
        const track = this.#tracks.find((one) => one.receiver.ssrc === packet.ssrc) ?? byChannel;
        track?.receiver.senderReport(packet, nowMs);
      } else if (packet.kind === 'bye') {
        this.#onBye(packet.ssrcs);
      }
    }
  }

  #onBye(ssrcs: readonly number[]): void {
    for (const track of this.#tracks) if (ssrcs.includes(track.receiver.ssrc)) track.gone = true;
    if (this.#tracks.every((track) => track.gone)) this.#goodbye.resolve();
  }

  /** Receiver reports, and what was lost. */
  #report(): void {
    const nowMs = performance.now();
    const { ssrc, sendFrame } = this.#input;
    for (const track of this.#tracks) {
      const block = track.receiver.report(nowMs);
      if (block === null) continue;
      const packet = Buffer.concat([writeReceiverReport(ssrc, [block]), writeSdes(ssrc, 'hearthcam')]);
      if (track.udp === undefined) sendFrame(track.channels[1], packet);
      else track.udp.sendRtcp(packet);
    }
    if (++this.#reports % LOSS_LOG_EVERY === 0) this.#logLoss();
  }

  #logLoss(): void {
    const { camera, log } = this.#input;
    for (const track of this.#tracks) {
      const lost = track.receiver.takeLoss();
      if (lost === 0) continue;
      const consequence =
        track.kind === 'video' ? 'the picture may be damaged until the next key frame' : 'the sound has gaps';
      const where = track.udp === undefined ? 'the camera left them out' : 'lost by UDP on the way';
      log.warn(
        `camera "${camera}": ${lost} packets of its ${track.kind} are missing in ${(this.#input.reportMs * LOSS_LOG_EVERY) / 1000} s (${where}): ${consequence}`,
      );
    }
  }

  #trouble(message: string, code: string): void {
    const { camera, log, limiter } = this.#input;
    const left = limiter.admit(code);
    if (left === null) return;
    log.warn(`camera "${camera}": ${message}`, left > 0 ? { code, repeated: left } : { code });
  }

  /** Datagrams come outside of any `try`: an error there must end this connection, not the process. */
  #guard(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#input.log.error(`camera "${this.#input.camera}": taking a packet failed`, { error: describeError(error) });
      this.stop();
      this.#onFailure(error);
    }
  }
}
