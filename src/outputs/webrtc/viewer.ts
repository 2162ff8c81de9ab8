import type { Consumer, ConsumerRequest } from '../../core/consumer.ts';
import { HearthcamError } from '../../core/errors.ts';
import type { Track } from '../../core/media.ts';
import type { MediaWant } from '../../core/negotiate.ts';
import type { PeerMedia } from './link.ts';
import { type AnsweredMedia, writeAnswer } from './sdp/answer.ts';
import { choosePayload, mediaKind, offeredCodecs } from './sdp/choose.ts';
import { type OfferedMedia, parseOffer } from './sdp/offer.ts';
import type { OfferRequest, PeerHandle, WebrtcService } from './service.ts';

export interface ViewerRequest extends OfferRequest {
  /** `webrtc/whep`, `webrtc/json`, `webrtc/post`, `webrtc` (compatibility.md 1.2). */
  readonly formatName: string;
  /** Ends a wait for the camera early. */
  readonly signal?: AbortSignal;
}

export interface Viewer {
  readonly peer: PeerHandle;
  /** With the given candidates in it. */
  answer(candidates: readonly string[]): string;
  close(): void;
}

/** What a section of the offer is to get. */
interface Section {
  readonly offered: OfferedMedia;
  readonly want: MediaWant | null;
}

/**
 * Answers a viewer's offer and begins to send. The connection lives until the viewer leaves, the stream ends or
 * `close` is called.
 * @throws WireError for an offer that can't be read
 * @throws HearthcamError for a stream that can't be had or has nothing for this viewer
 */
export async function openViewer(service: WebrtcService, request: ViewerRequest): Promise<Viewer> {
  const { stream } = request;
  const offer = parseOffer(request.sdp);
  const sections = offer.media.map(toSection);
  const wants = sections.flatMap(({ want }) => want ?? []);
  if (wants.length === 0) {
    throw new HearthcamError('webrtc.nothing', 'the offer asks for no codec that can be sent', { status: 500 });
  }
  let viewerPeer: PeerHandle | undefined;
  let ended = false;
  // The process starts while the camera is dialled.
  service.warmUp();
  const asked: ConsumerRequest = {
    formatName: request.formatName,
    protocol: request.protocol,
    remoteAddr: request.remoteAddr,
    ...(request.userAgent === undefined ? {} : { userAgent: request.userAgent }),
    ...(request.signal === undefined ? {} : { signal: request.signal }),
    wants,
    need: 'picture',
    onEnd: () => {
      ended = true;
      viewerPeer?.close();
    },
  };
  const consumer = await stream.open(asked).catch((error: unknown) => {
    service.refuseReordering(stream);
    throw error;
  });
  try {
    service.refuseReordering(consumer.stream);
    const { answered, media } = assign(sections, consumer);
    viewerPeer = await service.connect(
      {
        iceUfrag: offer.iceUfrag,
        icePwd: offer.icePwd,
        fingerprint: offer.fingerprint,
        setup: offer.setup,
        media,
      },
      {
        candidates: [...offer.candidates, ...request.candidates],
        iceServers: request.iceServers,
        local: request.local,
        stream: consumer.stream,
      },
      {
        onConnected: (remote) => {
          consumer.remoteAddr = remote;
        },
        onClosed: (reason) => {
          service.log.debug(`viewer of "${stream.name}" (${consumer.remoteAddr}): ${reason}`);
          consumer.close();
        },
        onStats: (stats) => {
          consumer.bytesSent = stats.bytes;
          consumer.unitsSent = stats.units;
          consumer.unitsDropped = stats.dropped;
          consumer.details = {
            packets: stats.packets,
            resent: stats.resent,
            loss_percent: Math.round(stats.loss * 1000) / 10,
            ...(stats.rttMs < 0 ? {} : { rtt_ms: stats.rttMs }),
            ...(stats.estimateBps === 0 ? {} : { estimate_bps: Math.round(stats.estimateBps) }),
          };
        },
        ...(request.onCandidate === undefined ? {} : { onCandidate: request.onCandidate }),
      },
    );
    const peer = viewerPeer;
    if (ended) {
      peer.close();
      throw new HearthcamError('stream.ended', `the stream "${stream.name}" ended`, { status: 503 });
    }
    return {
      peer,
      answer: (candidates) => writeAnswer(offer, answered, peer.local, candidates, peer.id),
      close: () => peer.close(),
    };
  } catch (error) {
    consumer.close();
    throw error;
  }
}

/** Sections that the other side only sends in (talk) get nothing. */
function toSection(offered: OfferedMedia): Section {
  const kind = mediaKind(offered);
  const receives = offered.direction === 'recvonly' || offered.direction === 'sendrecv';
  const codecs = receives ? offeredCodecs(offered) : [];
  return { offered, want: kind === null || codecs.length === 0 ? null : { kind, codecs, inOrder: true } };
}

function assign(
  sections: readonly Section[],
  consumer: Consumer,
): { answered: (AnsweredMedia | null)[]; media: PeerMedia[] } {
  // `tracks` are in the order of the wants, without those that are missing.
  const tracks: Track[] = [...consumer.tracks];
  const media: PeerMedia[] = [];
  const answered = sections.map(({ offered, want }): AnsweredMedia | null => {
    if (want === null || consumer.missing.includes(want)) return null;
    const track = tracks.shift();
    const codec = track === undefined ? null : choosePayload(offered, track.codec, track.format);
    if (track === undefined || codec === null) return null;
    const ssrc = 1 + Math.floor(Math.random() * 0xfffffffe);
    media.push({
      mid: offered.mid,
      kind: track.kind,
      payloadType: codec.payloadType,
      codec: track.codec,
      rtpmap: `${codec.name}/${codec.clockRateHz}${codec.channels > 1 ? `/${codec.channels}` : ''}`,
      fmtp: codec.fmtp,
      feedback: codec.feedback.filter((one) => one === 'nack' || one === 'nack pli'),
      direction: 'send',
      ssrc,
      trackId: track.id,
    });
    return { codec, direction: 'sendonly', ssrc, fmtp: codec.fmtp };
  });
  return { answered, media };
}
