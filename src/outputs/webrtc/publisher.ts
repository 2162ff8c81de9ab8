import { HearthcamError } from '../../core/errors.ts';
import { parseSourceSpec } from '../../core/source.ts';
import type { Stream } from '../../core/stream.ts';
import { Incoming } from './incoming.ts';
import { writeAnswer } from './sdp/answer.ts';
import { offeredCodecs } from './sdp/choose.ts';
import { parseOffer } from './sdp/offer.ts';
import type { OfferRequest, PeerHandle, WebrtcService } from './service.ts';

export interface Publisher {
  readonly peer: PeerHandle;
  answer(candidates: readonly string[]): string;
  close(): void;
  /** Resolves when the publisher has gone. */
  readonly ended: Promise<void>;
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
  const incoming = new Incoming();
  const answered = offer.media.map((offered) =>
    incoming.accept(offered, offeredCodecs(offered), incoming.media.length),
  );
  if (incoming.media.length === 0) {
    throw new HearthcamError('webrtc.nothing', 'the offer sends no codec that can be received', {
      status: 500,
      hint: 'offer H.264, VP8, VP9, AV1, Opus or G.711',
    });
  }
  const gone = Promise.withResolvers<void>();
  let lastKeyMs = performance.now();
  const peer = await service.connect(
    {
      iceUfrag: offer.iceUfrag,
      icePwd: offer.icePwd,
      fingerprint: offer.fingerprint,
      setup: offer.setup,
      media: incoming.media,
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
      onRtp: (index, packet) => incoming.onRtp(index, packet),
      onSync: (index, timestamp, ntpMs) => incoming.onSync(index, timestamp, ntpMs),
      ...(request.onCandidate === undefined ? {} : { onCandidate: request.onCandidate }),
    },
  );
  const module = incoming.module({
    name: 'whip',
    describe: {
      formatName: 'webrtc',
      protocol: request.protocol,
      remoteAddr: request.remoteAddr,
      sdp: request.sdp,
      ...(request.userAgent === undefined ? {} : { userAgent: request.userAgent }),
    },
    gone: gone.promise,
    close: () => peer.close(),
    onKey: () => {
      lastKeyMs = performance.now();
    },
  });
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
