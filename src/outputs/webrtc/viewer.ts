import type { Consumer, ConsumerRequest } from '../../core/consumer.ts';
import { HearthcamError } from '../../core/errors.ts';
import type { MediaKind, Track } from '../../core/media.ts';
import type { MediaWant } from '../../core/negotiate.ts';
import { type Quality, qualitiesOf } from '../../core/qualities.ts';
import type { Refusal } from '../../core/remaking.ts';
import type { QualityWish } from '../../core/requested-quality.ts';
import type { Stream } from '../../core/stream.ts';
import { NO_TRACK, type PeerMedia } from './link.ts';
import { type AnsweredMedia, writeAnswer } from './sdp/answer.ts';
import { choosePayload, mediaKind, offeredCodecs } from './sdp/choose.ts';
import { type OfferedCodec, type OfferedMedia, parseOffer } from './sdp/offer.ts';
import type { OfferRequest, PeerHandle, WebrtcService } from './service.ts';
import { Microphone } from './talker.ts';
import { type PictureStart, type QualityEnv, type QualityState, ViewerPicture } from './viewer-picture.ts';

export interface ViewerRequest extends OfferRequest {
  /** `webrtc/whep`, `webrtc/json`, `webrtc/post`, `webrtc` (compatibility.md 1.2). */
  readonly formatName: string;
  readonly env: QualityEnv;
  /** Null: the stream that was named, as it is. */
  readonly quality: QualityWish | null;
  readonly onQuality?: (state: QualityState) => void;
  /** Who watches may speak to the camera by a section of the offer that only sends. */
  readonly mayTalk: boolean;
  /** Ends a wait for the camera early. */
  readonly signal?: AbortSignal;
}

export interface Viewer {
  /** As it was asked for. */
  readonly streamName: string;
  readonly peer: PeerHandle;
  /** With the given candidates in it. */
  answer(candidates: readonly string[]): string;
  /** Null for a viewer that asked for no picture. */
  readonly picture: ViewerPicture | null;
  /** Why tracks that were asked for are missing. */
  readonly refused: readonly Refusal[];
  close(): void;
  /** Resolves when it has left. */
  readonly ended: Promise<void>;
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
  const microphone = request.mayTalk && stream.talk.possible ? new Microphone(stream, request) : null;
  let viewerPeer: PeerHandle | undefined;
  let over = false;
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
      over = true;
      viewerPeer?.close();
    },
  };
  const first = request.quality === null || request.quality === 'auto' ? ownQuality(request) : request.quality;
  const opened = await openConsumers(service, stream, first, asked);
  const { consumer, sound } = opened;
  const ended = Promise.withResolvers<void>();
  let picture: ViewerPicture | null = null;
  const closeAll = (): void => {
    if (picture !== null) picture.close();
    consumer.close();
    sound?.close();
    microphone?.close();
    ended.resolve();
  };
  try {
    service.refuseReordering(consumer.stream);
    const { answered, media, video } = assign(sections, consumer, sound, microphone);
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
        stream: sound?.stream ?? consumer.stream,
      },
      {
        onConnected: (remote) => {
          consumer.remoteAddr = remote;
          if (sound !== null) sound.remoteAddr = remote;
        },
        onClosed: (reason) => {
          service.log.debug(`viewer of "${stream.name}" (${consumer.remoteAddr}): ${reason}`);
          closeAll();
        },
        onStats: (stats) => {
          if (picture !== null) picture.onStats(stats);
          else consumer.bytesSent = stats.bytes;
        },
        onRtp: (index, packet) => microphone?.onRtpWhenFree(index, packet),
        ...(request.onCandidate === undefined ? {} : { onCandidate: request.onCandidate }),
      },
    );
    const peer = viewerPeer;
    if (over) {
      peer.close();
      throw new HearthcamError('stream.ended', `the stream "${stream.name}" ended`, { status: 503 });
    }
    if (video !== null) {
      const { wants: _wants, onEnd: _onEnd, signal: _signal, ...info } = asked;
      const hasSound = media.some((one) => one.kind === 'audio' && one.direction === 'send');
      const start: PictureStart = {
        env: request.env,
        service,
        named: stream,
        asked: info,
        quality: first,
        picture: consumer,
        sound: sound ?? (hasSound ? consumer : null),
        codec: video.track.codec,
        payload: video.codec,
        onChange: (state) => request.onQuality?.(state),
      };
      picture = new ViewerPicture(start, peer);
      // With its sound from another stream it began without a picture.
      if (sound !== null) peer.show(consumer.stream, video.track.id, false).catch(() => peer.close());
      if (request.quality === 'auto') await picture.choose('auto');
    }
    return {
      streamName: stream.name,
      peer,
      answer: (candidates) => writeAnswer(offer, answered, peer.local, candidates, peer.id),
      picture,
      refused: sound === null ? consumer.refused : [],
      close: () => peer.close(),
      ended: ended.promise,
    };
  } catch (error) {
    closeAll();
    throw error;
  }
}

/** The quality that the named stream itself is. */
function ownQuality({ env, stream }: ViewerRequest): Quality {
  const all = qualitiesOf(env, stream.name);
  return all.find((one) => one.stream === stream && one.picture === undefined) ?? { name: 'main', stream };
}

/**
 * Opens what the viewer begins with. A smaller stream of a camera often has no sound: then it is taken from the stream
 * that was named.
 */
async function openConsumers(
  service: WebrtcService,
  named: Stream,
  { stream, picture }: Quality,
  asked: ConsumerRequest,
): Promise<{ consumer: Consumer; sound: Consumer | null }> {
  const consumer = await stream.open(picture === undefined ? asked : { ...asked, picture }).catch((error: unknown) => {
    service.refuseReordering(stream);
    throw error;
  });
  const silent = consumer.missing.filter((want) => want.kind === 'audio');
  if (silent.length === 0 || stream === named) return { consumer, sound: null };
  try {
    return { consumer, sound: await named.open({ ...asked, wants: silent, need: 'all' }) };
  } catch {
    // No sound there either: then there is a picture without.
    asked.signal?.throwIfAborted();
    return { consumer, sound: null };
  }
}

/** Sections that the other side only sends in (talk) are the microphone's. */
function toSection(offered: OfferedMedia): Section {
  const kind = mediaKind(offered);
  const receives = offered.direction === 'recvonly' || offered.direction === 'sendrecv';
  const codecs = receives ? offeredCodecs(offered) : [];
  return { offered, want: kind === null || codecs.length === 0 ? null : { kind, codecs, inOrder: true } };
}

interface Assigned {
  /** By section of the offer. */
  readonly answered: readonly (AnsweredMedia | null)[];
  readonly media: readonly PeerMedia[];
  readonly video: { readonly track: Track; readonly codec: OfferedCodec } | null;
}

function assign(
  sections: readonly Section[],
  consumer: Consumer,
  sound: Consumer | null,
  microphone: Microphone | null,
): Assigned {
  // `tracks` are in the order of the wants, without those that are missing.
  const tracks: Track[] = [...consumer.tracks];
  const sounds: Track[] = [...(sound?.tracks ?? [])];
  const media: PeerMedia[] = [];
  let video: Assigned['video'] = null;
  const answered = sections.map(({ offered, want }): AnsweredMedia | null => {
    if (want === null) {
      const answer = microphone?.accept(offered, media.length) ?? null;
      if (answer !== null && microphone !== null) media.push(...microphone.media);
      return answer;
    }
    const track = consumer.missing.includes(want) ? takeSound(sounds, want.kind) : tracks.shift();
    const codec = track === undefined ? null : choosePayload(offered, track.codec, track.format);
    if (track === undefined || codec === null) return null;
    if (track.kind === 'video') video ??= { track, codec };
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
      trackId: sound !== null && track.kind === 'video' ? NO_TRACK : track.id,
    });
    return { codec, direction: 'sendonly', ssrc, fmtp: codec.fmtp };
  });
  return { answered, media, video };
}

function takeSound(sounds: Track[], kind: MediaKind): Track | undefined {
  return kind === 'audio' ? sounds.shift() : undefined;
}
