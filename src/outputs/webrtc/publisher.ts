import { HearthcamError } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import { parseSourceSpec, type SourceModule, type SourceSink } from '../../core/source.ts';
import type { Stream } from '../../core/stream.ts';
import { createDepacketizer, type Depacketizer } from '../../wire/codecs/depacketizer.ts';
import { makeRtpView, readRtp, TimestampUnwrapper } from '../../wire/rtp/index.ts';
import type { PeerMedia } from './link.ts';
import { type AnsweredMedia, writeAnswer } from './sdp/answer.ts';
import { choosePayload, mediaKind, offeredCodecs } from './sdp/choose.ts';
import { type OfferedCodec, parseOffer } from './sdp/offer.ts';
import type { OfferRequest, PeerHandle, WebrtcService } from './service.ts';

export interface Publisher {
  readonly peer: PeerHandle;
  answer(candidates: readonly string[]): string;
  close(): void;
  /** Resolves when the publisher has gone. */
  readonly ended: Promise<void>;
}

/** A published track: RTP in, access units out. */
interface PublishedTrack {
  readonly media: PeerMedia;
  readonly codec: OfferedCodec;
  depacketizer: Depacketizer | undefined;
  readonly timestamps: TimestampUnwrapper;
  lastSequence: number;
}

/** How far apart key frames may be: a usual camera's distance. */
const KEYFRAME_EVERY_MS = 4_000;
const WATCH_MS = 500;

/**
 * Answers a publisher's offer (WHIP, RFC 9725) and makes it a source of the stream for as long as it stays connected.
 * @throws WireError for an offer that can't be read
 * @throws HearthcamError when it offers nothing that can be received
 */
export async function openPublisher(service: WebrtcService, request: OfferRequest): Promise<Publisher> {
  const { stream } = request;
  const offer = parseOffer(request.sdp);
  const tracks: PublishedTrack[] = [];
  const answered = offer.media.map((offered): AnsweredMedia | null => {
    const kind = mediaKind(offered);
    const sends = offered.direction === 'sendonly' || offered.direction === 'sendrecv';
    // One of each kind; more would be other cameras.
    if (kind === null || !sends || tracks.some((track) => track.media.kind === kind)) return null;
    const choice = offeredCodecs(offered)[0];
    const codec = choice === undefined ? null : choosePayload(offered, choice, null);
    if (choice === undefined || codec === null) return null;
    tracks.push({
      codec,
      depacketizer: undefined,
      timestamps: new TimestampUnwrapper(),
      lastSequence: -1,
      media: {
        mid: offered.mid,
        kind,
        payloadType: codec.payloadType,
        codec: choice,
        rtpmap: `${codec.name}/${codec.clockRateHz}${codec.channels > 1 ? `/${codec.channels}` : ''}`,
        fmtp: codec.fmtp,
        feedback: codec.feedback.filter((one) => one === 'nack' || one === 'nack pli'),
        direction: 'receive',
        // An offer need not name its SSRCs (RFC 8829 §5.2.1 asks for none): then the first packet tells.
        ssrc: offered.ssrcs[0] ?? 0,
        trackId: tracks.length,
      },
    });
    return { codec, direction: 'recvonly', ssrc: 0, fmtp: codec.fmtp };
  });
  if (tracks.length === 0) {
    throw new HearthcamError('webrtc.nothing', 'the offer sends no codec that can be received', {
      status: 500,
      hint: 'offer H.264, VP8, VP9, AV1, Opus or G.711',
    });
  }
  const gone = Promise.withResolvers<void>();
  let sink: SourceSink | undefined;
  let lastKeyMs = performance.now();
  const peer = await service.connect(
    {
      iceUfrag: offer.iceUfrag,
      icePwd: offer.icePwd,
      fingerprint: offer.fingerprint,
      setup: offer.setup,
      media: tracks.map((track) => track.media),
    },
    {
      candidates: [...offer.candidates, ...request.candidates],
      iceServers: request.iceServers,
      local: request.local,
      stream: null,
    },
    {
      onClosed: (reason) => {
        service.log.info(`publisher of "${stream.name}" (${request.remoteAddr}): ${reason}`);
        gone.resolve();
      },
      onRtp: (index, packet) => {
        const track = tracks[index];
        if (track === undefined || sink === undefined) return;
        receive(track, packet, sink);
      },
      onSync: (index, timestamp, ntpMs) => {
        const track = tracks[index];
        if (track === undefined || track.lastSequence < 0) return;
        sink?.sync(index, track.timestamps.peek(timestamp), ntpMs);
      },
      ...(request.onCandidate === undefined ? {} : { onCandidate: request.onCandidate }),
    },
  );
  const module: SourceModule = {
    name: 'whip',
    schemes: [],
    async run({ signal, log }, given): Promise<void> {
      const onAbort = (): void => peer.close();
      signal.addEventListener('abort', onAbort, { once: true });
      for (const track of tracks) {
        track.depacketizer = makeDepacketizer(track, given, log, () => {
          lastKeyMs = performance.now();
        });
      }
      given.describe({
        tracks: tracks.map(({ media, codec, depacketizer }) => ({
          kind: media.kind,
          codec: media.codec,
          clockRateHz: codec.clockRateHz,
          format: depacketizer?.format ?? null,
        })),
        formatName: 'webrtc',
        protocol: request.protocol,
        remoteAddr: request.remoteAddr,
        sdp: request.sdp,
        ...(request.userAgent === undefined ? {} : { userAgent: request.userAgent }),
        sharedClock: false,
      });
      sink = given;
      try {
        await gone.promise;
      } finally {
        sink = undefined;
        signal.removeEventListener('abort', onAbort);
      }
    },
  };
  try {
    await stream.publish(parseSourceSpec('webrtc:whip'), module);
  } catch (error) {
    peer.close();
    throw error;
  }
  pace(stream, peer, gone.promise, () => performance.now() - lastKeyMs);
  return {
    peer,
    answer: (candidates) => writeAnswer(offer, answered, peer.local, candidates, peer.id),
    close: () => peer.close(),
    ended: gone.promise,
  };
}

function makeDepacketizer(track: PublishedTrack, sink: SourceSink, log: Log, onKey: () => void): Depacketizer {
  const { media, codec } = track;
  return createDepacketizer(
    {
      codec: media.codec,
      encoding: codec.name,
      clockRateHz: codec.clockRateHz,
      channels: codec.channels,
      fmtp: codec.parameters,
      payloadType: codec.payloadType,
    },
    ({ format, ticks, key, data }) => {
      if (key && format.kind === 'video') onKey();
      sink.unit({ track: media.trackId, format, ticks, key, data });
    },
    (problem) => log.debug(`publisher: ${problem.code}: ${problem.message}`),
  );
}

const view = makeRtpView();

/** One packet of a publisher, in order; also its sender reports. */
function receive(track: PublishedTrack, packet: Buffer, sink: SourceSink): void {
  try {
    sink.alive(packet.length);
    readRtp(packet, 0, packet.length, view);
    if (view.payloadType !== track.media.payloadType) return;
    const lost = track.lastSequence >= 0 && view.sequence !== ((track.lastSequence + 1) & 0xffff);
    track.lastSequence = view.sequence;
    const ticks = track.timestamps.unwrap(view.timestamp);
    // Padding alone: browsers probe the bandwidth with such packets.
    if (view.payloadEnd <= view.payloadStart) return;
    track.depacketizer?.push(packet.subarray(view.payloadStart, view.payloadEnd), view.marker, ticks, lost);
    sink.flush();
  } catch {
    // A packet that can't be read is as good as lost.
  }
}

/**
 * Asks a publisher for key frames: when somebody begins to watch, and when the last one is long ago (browsers send one
 * in minutes unless asked, but segments and newcomers need them).
 * @param keyframeAgeMs since the last one
 */
function pace(stream: Stream, peer: PeerHandle, ended: Promise<void>, keyframeAgeMs: () => number): void {
  let known = stream.consumers.size;
  const timer = setInterval(() => {
    const now = stream.consumers.size;
    if (now > known || (now > 0 && keyframeAgeMs() > KEYFRAME_EVERY_MS)) peer.wantKeyframe();
    known = now;
  }, WATCH_MS);
  timer.unref();
  void ended.then(() => clearInterval(timer));
}
