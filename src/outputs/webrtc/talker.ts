import { describeError, HearthcamError } from '../../core/errors.ts';
import type { Codec } from '../../core/media.ts';
import { parseSourceSpec, type TalkCodec } from '../../core/source.ts';
import type { Stream } from '../../core/stream.ts';
import type { TalkSession } from '../../core/talk-session.ts';
import { Incoming } from './incoming.ts';
import type { PeerMedia } from './link.ts';
import { type AnsweredMedia, writeAnswer } from './sdp/answer.ts';
import { offeredCodecs } from './sdp/choose.ts';
import { type Offer, type OfferedMedia, parseOffer } from './sdp/offer.ts';
import type { OfferRequest, PeerHandle, WebrtcService } from './service.ts';

export interface TalkerRequest extends OfferRequest {
  readonly formatName: string;
  readonly signal?: AbortSignal;
}

export interface Talker {
  readonly peer: PeerHandle;
  answer(candidates: readonly string[]): string;
  close(): void;
  /** Resolves when it is over. */
  readonly ended: Promise<void>;
}

/** A camera that is busy or away is not tried at each packet. */
const RETRY_MS = 2_000;

/** An offer that sends sound and wants nothing: somebody who speaks to the camera, and watches it elsewhere if at all. */
export function isTalkOffer(sdp: string): boolean {
  try {
    const { media } = parseOffer(sdp);
    const live = media.filter((one) => !one.disabled && one.direction !== 'inactive');
    return live.length > 0 && live.every((one) => one.type === 'audio' && one.direction === 'sendonly');
  } catch {
    // Whoever answers it says what is wrong with it.
    return false;
  }
}

/**
 * Answers such an offer, and carries the voice to the camera. The answer comes when the camera listens.
 * @throws WireError for an offer that can't be read
 * @throws HearthcamError 409 while somebody else speaks, 500 when the camera takes no sound or can't be reached
 */
export async function openTalker(service: WebrtcService, request: TalkerRequest): Promise<Talker> {
  const { stream } = request;
  const offer = parseOffer(request.sdp);
  service.warmUp();
  await stream.talk.requireCodecs(request.signal);
  const microphone = new Microphone(stream, request);
  const answered = offer.media.map((offered) => microphone.accept(offered, 0));
  if (microphone.media.length === 0) {
    throw new HearthcamError('webrtc.nothing', 'the offer sends no codec that can be received', { status: 500 });
  }
  const gone = Promise.withResolvers<void>();
  let peer: PeerHandle | undefined;
  try {
    peer = await service.connect(
      transportOf(offer, microphone.media),
      {
        candidates: [...offer.candidates, ...request.candidates],
        iceServers: request.iceServers,
        local: request.local,
        stream: null,
      },
      {
        onClosed: (reason) => {
          service.log.debug(`who spoke to "${stream.name}" (${request.remoteAddr}): ${reason}`);
          microphone.close();
          gone.resolve();
        },
        onRtp: (index, packet) => microphone.onRtp(index, packet),
        ...(request.onCandidate === undefined ? {} : { onCandidate: request.onCandidate }),
      },
    );
    const opened = peer;
    await microphone.open(() => opened.close(), request.signal);
    return {
      peer: opened,
      answer: (candidates) => writeAnswer(offer, answered, opened.local, candidates, opened.id),
      close: () => opened.close(),
      ended: gone.promise,
    };
  } catch (error) {
    peer?.close();
    microphone.close();
    throw error;
  }
}

function transportOf(offer: Offer, media: readonly PeerMedia[]): Parameters<WebrtcService['connect']>[0] {
  const { iceUfrag, icePwd, fingerprint, setup } = offer;
  return { iceUfrag, icePwd, fingerprint, setup, media };
}

/** The sound that somebody sends by WebRTC, on its way to the camera of a stream. */
export class Microphone {
  readonly #stream: Stream;
  readonly #request: TalkerRequest;
  readonly #incoming = new Incoming();
  readonly #gone = Promise.withResolvers<void>();
  #voice: Stream | undefined;
  #session: TalkSession | undefined;
  #closed = false;
  #opening = false;
  #retryAtMs = 0;

  constructor(stream: Stream, request: TalkerRequest) {
    this.#stream = stream;
    this.#request = request;
  }

  get media(): readonly PeerMedia[] {
    return this.#incoming.media;
  }

  /**
   * Takes a section of an offer, if it is one for a microphone. What the camera takes as it is costs nothing and is
   * there soonest, as far as that is known already.
   * @param index of the section among those of the connection
   */
  accept(offered: OfferedMedia, index: number): AnsweredMedia | null {
    if (offered.type !== 'audio' || offered.direction !== 'sendonly') return null;
    const offeredNow = offeredCodecs(offered);
    const direct = this.#stream.talk.knownCodecs.filter(isNarrow).map(({ codec }): Codec => codec);
    const order = [...direct.filter((codec) => offeredNow.includes(codec)), ...offeredNow];
    return this.#incoming.accept(offered, order, index);
  }

  onRtp(index: number, packet: Buffer): void {
    this.#incoming.onRtp(index, packet);
  }

  /** As `onRtp`, for one that is open to be heard whenever nobody else is. */
  onRtpWhenFree(index: number, packet: Buffer): void {
    if (this.#session === undefined || this.#session.closed) this.#tryAgain();
    this.#incoming.onRtp(index, packet);
  }

  /**
   * Begins. @param onEnd it is over otherwise than by `close`
   * @throws HearthcamError what `Talk.open` throws
   */
  async open(onEnd: () => void, signal?: AbortSignal): Promise<void> {
    const { formatName, protocol, remoteAddr, userAgent } = this.#request;
    const client = userAgent === undefined ? {} : { userAgent };
    this.#voice ??= await this.#publish(client);
    this.#session = await this.#stream.talk.open({
      formatName,
      protocol,
      remoteAddr,
      ...client,
      voice: this.#voice,
      live: true,
      onEnd,
      ...(signal === undefined ? {} : { signal }),
    });
    if (this.#closed) this.#session.close();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#session?.close();
    this.#voice?.close().catch(() => {});
    this.#gone.resolve();
  }

  async #publish(client: { readonly userAgent?: string }): Promise<Stream> {
    const { protocol, remoteAddr } = this.#request;
    const voice = this.#stream.talk.makeVoice();
    const module = this.#incoming.module({
      name: 'microphone',
      describe: { formatName: 'webrtc', protocol, remoteAddr, ...client },
      gone: this.#gone.promise,
      close: () => this.close(),
    });
    await voice.publish(parseSourceSpec('webrtc:microphone'), module);
    return voice;
  }

  #tryAgain(): void {
    const nowMs = performance.now();
    if (this.#opening || this.#closed || nowMs < this.#retryAtMs || !this.#stream.talk.possible) return;
    this.#opening = true;
    this.open(() => {})
      .catch((error: unknown) => this.#stream.talk.note(describeError(error)))
      .finally(() => {
        this.#opening = false;
        this.#retryAtMs = performance.now() + RETRY_MS;
      });
  }
}

/** Just what browsers send under these names. */
function isNarrow({ codec, clockRateHz, channels }: TalkCodec): boolean {
  return (codec === 'pcma' || codec === 'pcmu' || codec === 'g722') && clockRateHz === 8_000 && channels === 1;
}
