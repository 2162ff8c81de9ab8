import type { Log } from '../../core/log.ts';
import type { Codec } from '../../core/media.ts';
import type { SourceDescription, SourceModule, SourceSink } from '../../core/source.ts';
import { createDepacketizer, type Depacketizer } from '../../wire/codecs/depacketizer.ts';
import { makeRtpView, readRtp, TimestampUnwrapper } from '../../wire/rtp/index.ts';
import type { PeerMedia } from './link.ts';
import type { AnsweredMedia } from './sdp/answer.ts';
import { choosePayload, mediaKind } from './sdp/choose.ts';
import type { OfferedCodec, OfferedMedia } from './sdp/offer.ts';

/** A track that the other side sends: RTP in, access units out. */
interface IncomingTrack {
  readonly media: PeerMedia;
  readonly codec: OfferedCodec;
  depacketizer: Depacketizer | undefined;
  readonly timestamps: TimestampUnwrapper;
  lastSequence: number;
}

export interface IncomingOptions {
  /** For `SourceModule.name`. */
  readonly name: string;
  readonly describe: Omit<SourceDescription, 'tracks' | 'sharedClock'>;
  /** The other side has gone. */
  readonly gone: Promise<void>;
  /** It is not needed any more. */
  readonly close: () => void;
  readonly onKey?: () => void;
}

/** What the other side of a WebRTC connection sends, as a source of a stream. */
export class Incoming {
  /** By the index that its packets come with: that of its section among those of the connection. */
  readonly #tracks = new Map<number, IncomingTrack>();
  #sink: SourceSink | undefined;

  get media(): readonly PeerMedia[] {
    return [...this.#tracks.values()].map(({ media }) => media);
  }

  /**
   * Takes a section of the offer that is sent in; null when there is nothing in it that can be received.
   * @param codecs in our order of taste
   * @param index of the section among those of the connection (`PeerRequest.media`)
   */
  accept(offered: OfferedMedia, codecs: readonly Codec[], index: number): AnsweredMedia | null {
    const kind = mediaKind(offered);
    const sends = offered.direction === 'sendonly' || offered.direction === 'sendrecv';
    // One of each kind; more would be other cameras.
    if (kind === null || !sends || this.media.some((media) => media.kind === kind)) return null;
    const [choice] = codecs;
    const codec = choice === undefined ? null : choosePayload(offered, choice, null);
    if (choice === undefined || codec === null) return null;
    this.#tracks.set(index, {
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
        trackId: this.#tracks.size,
      },
    });
    return { codec, direction: 'recvonly', ssrc: 0, fmtp: codec.fmtp };
  }

  onRtp(index: number, packet: Buffer): void {
    const track = this.#tracks.get(index);
    if (track !== undefined && this.#sink !== undefined) receive(track, packet, this.#sink);
  }

  onSync(index: number, timestamp: number, ntpMs: number): void {
    const track = this.#tracks.get(index);
    if (track === undefined || track.lastSequence < 0) return;
    this.#sink?.sync(track.media.trackId, track.timestamps.peek(timestamp), ntpMs);
  }

  /** The source that it is until the other side has gone. */
  module(options: IncomingOptions): SourceModule {
    const tracks = [...this.#tracks.values()];
    return {
      name: options.name,
      schemes: [],
      run: async ({ signal, log }, sink): Promise<void> => {
        const { close } = options;
        signal.addEventListener('abort', close, { once: true });
        for (const track of tracks) track.depacketizer = makeDepacketizer(track, sink, log, options.onKey);
        sink.describe({
          ...options.describe,
          tracks: tracks.map(({ media, codec, depacketizer }) => ({
            kind: media.kind,
            codec: media.codec,
            clockRateHz: codec.clockRateHz,
            format: depacketizer?.format ?? null,
          })),
          sharedClock: false,
        });
        this.#sink = sink;
        try {
          await options.gone;
        } finally {
          this.#sink = undefined;
          signal.removeEventListener('abort', close);
        }
      },
    };
  }
}

function makeDepacketizer(track: IncomingTrack, sink: SourceSink, log: Log, onKey = (): void => {}): Depacketizer {
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

/** One packet, in order. */
function receive(track: IncomingTrack, packet: Buffer, sink: SourceSink): void {
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
