import { describeError, HearthcamError } from '../../core/errors.ts';
import { parseSourceSpec, type SourceModule, type SourceSink } from '../../core/source.ts';
import type { Stream } from '../../core/stream.ts';
import type { TalkSession } from '../../core/talk-session.ts';
import type { RtpMedia } from '../../wire/codecs/depacketizer.ts';
import type { SdpTrack } from '../../wire/sdp/index.ts';
import { TrackReceiver } from './track-receiver.ts';

/** ONVIF Streaming Specification §5.3.1. */
export const BACK_CHANNEL = 'www.onvif.org/ver20/backchannel';

/** What a client may speak in; it is made into what the camera takes. G.711 first: most cameras take it as it is. */
const OFFERED: readonly RtpMedia[] = [
  { codec: 'pcma', encoding: 'PCMA', clockRateHz: 8_000, channels: 1, fmtp: new Map(), payloadType: 8 },
  { codec: 'pcmu', encoding: 'PCMU', clockRateHz: 8_000, channels: 1, fmtp: new Map(), payloadType: 0 },
  { codec: 'opus', encoding: 'OPUS', clockRateHz: 48_000, channels: 2, fmtp: new Map(), payloadType: 107 },
];
/** A camera that is busy or away is not tried at each packet. */
const RETRY_MS = 2_000;

export interface TalkBackOptions {
  readonly stream: Stream;
  readonly remoteAddr: string;
  readonly userAgent: string | undefined;
  /** Number of the first track that is for talk: those before are sent to the client. */
  readonly firstTrack: number;
}

/** The back channel of one client (ONVIF Profile T, seen from the camera's side): what it says goes to the camera. */
export class TalkBack {
  readonly #options: TalkBackOptions;
  #media: RtpMedia | undefined;
  #channel = -1;
  #voice: Stream | undefined;
  #receiver: TrackReceiver | undefined;
  #sink: SourceSink | undefined;
  #session: TalkSession | undefined;
  #opening = false;
  #retryAtMs = 0;
  readonly #closed = new AbortController();

  constructor(options: TalkBackOptions) {
    this.#options = options;
  }

  /** For the description. */
  get tracks(): readonly SdpTrack[] {
    return OFFERED.map(({ encoding = '', clockRateHz, channels, payloadType }, index) => ({
      kind: 'audio',
      encoding,
      clockRateHz,
      channels,
      fmtp: '',
      staticPayloadType: undefined,
      payloadType,
      control: `trackID=${this.#options.firstTrack + index}`,
      direction: 'sendonly',
    }));
  }

  get ready(): boolean {
    return this.#channel >= 0;
  }

  /** Whether the number is one of its tracks. */
  has(track: number): boolean {
    return OFFERED[track - this.#options.firstTrack] !== undefined;
  }

  /** SETUP over TCP. @throws HearthcamError 455 for a second one: somebody speaks in one way */
  setUp(track: number, channel: number): void {
    if (this.ready) throw new HearthcamError('rtsp.state', 'two ways to talk in one session', { status: 455 });
    this.#media = OFFERED[track - this.#options.firstTrack];
    this.#channel = channel;
  }

  /** A frame from the client. @throws WireError when it is no RTP packet */
  interleaved(channel: number, data: Buffer, start: number, end: number): void {
    if (channel !== this.#channel) return;
    if (this.#session === undefined || this.#session.closed) this.#tryAgain();
    if (this.#receiver === undefined) return;
    this.#sink?.alive(end - start);
    this.#receiver.rtp(data, start, end);
    this.#sink?.flush();
  }

  close(): void {
    if (this.#closed.signal.aborted) return;
    this.#closed.abort(new HearthcamError('rtsp.closed', 'the client is gone'));
    this.#session?.close();
    this.#voice?.close().catch(() => {});
  }

  #tryAgain(): void {
    const { talk } = this.#options.stream;
    if (this.#opening || this.#closed.signal.aborted || performance.now() < this.#retryAtMs) return;
    this.#opening = true;
    this.#open()
      .catch((error: unknown) => talk.note(describeError(error)))
      .finally(() => {
        this.#opening = false;
        this.#retryAtMs = performance.now() + RETRY_MS;
      });
  }

  async #open(): Promise<void> {
    const { stream, remoteAddr, userAgent } = this.#options;
    const voice = this.#voice ?? stream.talk.makeVoice();
    if (this.#voice === undefined) {
      this.#voice = voice;
      await voice.publish(parseSourceSpec('rtsp:backchannel'), this.#module());
    }
    this.#session = await stream.talk.open({
      formatName: 'rtsp',
      protocol: 'rtsp+tcp',
      remoteAddr,
      ...(userAgent === undefined ? {} : { userAgent }),
      voice,
      live: true,
      signal: this.#closed.signal,
    });
    if (this.#closed.signal.aborted) this.#session.close();
  }

  #module(): SourceModule {
    return {
      name: 'backchannel',
      schemes: [],
      run: ({ signal, log }, sink) => {
        const media = this.#media;
        if (media === undefined) return Promise.resolve();
        const receiver = new TrackReceiver(media, 0, sink, (problem) => log.debug(problem.message), false);
        sink.describe({
          tracks: [{ kind: 'audio', codec: media.codec, clockRateHz: media.clockRateHz, format: receiver.format }],
          formatName: 'rtsp',
          protocol: 'rtsp+tcp',
          remoteAddr: this.#options.remoteAddr,
          sharedClock: false,
        });
        this.#receiver = receiver;
        this.#sink = sink;
        return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
      },
    };
  }
}
