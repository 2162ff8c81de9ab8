import { HearthcamError } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import { type SourceRequest, silentCall, type TalkCall, type TalkCodec, type TalkLine } from '../../core/source.ts';
import type { HeaderInput, RtspResponse } from '../../wire/rtsp/message.ts';
import { parseSession } from '../../wire/rtsp/transport.ts';
import { aggregateControl, type ControlBase, mediaControl } from '../../wire/sdp/control.ts';
import { chooseFormat } from '../../wire/sdp/media.ts';
import { parseSdp, type SdpMedia, type SdpSession } from '../../wire/sdp/parse.ts';
import { RtspConnection } from './connection.ts';
import { refused } from './failures.ts';
import { type CameraMemory, type CameraQuirks, keepAliveMethod } from './memory.ts';
import { type SetUpMedium, setUpTrack } from './setup.ts';
import { findTalkMedia, type TalkMedium } from './talk-media.ts';
import { RtpTalk } from './talk-sender.ts';
import { parseTarget, type RtspOptions, type RtspTarget, readOptions, redirected } from './target.ts';

/** ONVIF Streaming Specification §5.3.1: in every request that needs it to be understood. */
const REQUIRE: HeaderInput = { Require: 'www.onvif.org/ver20/backchannel' };
/** `Option not supported`: the camera knows no back channel (same section). */
const UNSUPPORTED = 551;
const MAX_REDIRECTS = 5;
const TEARDOWN_LIMIT_MS = 150;
const DEFAULT_SESSION_MS = 60_000;
const MAX_KEEP_ALIVE_MS = 30_000;

/**
 * Asks a camera for its back channel by a connection of its own, so that the one with the picture is never disturbed:
 * cameras without a back channel answer the question in many ways, from 551 to hanging up.
 * @throws HearthcamError when the camera can't be reached or does not let us in
 */
export async function callCamera(request: SourceRequest, memory: CameraMemory): Promise<TalkCall> {
  const options = readOptions(request.spec);
  if (options.talk === 'no') return silentCall();
  let target = parseTarget(request.spec.url);
  for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
    const call = new RtspCall(target, options, memory.of(target), request);
    let location: string | null = null;
    try {
      location = await call.dial();
    } catch (error) {
      await call[Symbol.asyncDispose]();
      throw error;
    }
    if (location === null) return call;
    await call[Symbol.asyncDispose]();
    target = redirected(target, location);
  }
  throw new HearthcamError('rtsp.redirect', `${target.display} redirects more than ${MAX_REDIRECTS} times`, {
    status: 502,
  });
}

class RtspCall implements TalkCall {
  codecs: readonly TalkCodec[] = [];
  readonly #target: RtspTarget;
  readonly #options: RtspOptions;
  readonly #quirks: CameraQuirks;
  readonly #log: Log;
  readonly #signal: AbortSignal;
  readonly #camera: string;
  readonly #connection: RtspConnection;
  readonly #onAbort: () => void;
  #public: ReadonlySet<string> = new Set();
  #base: ControlBase;
  #session: SdpSession | undefined;
  #media: readonly TalkMedium[] = [];
  #sender: RtpTalk | undefined;
  #timer: NodeJS.Timeout | undefined;
  #playUrl: string | undefined;
  /** All that was set up: its UDP sockets have to be closed. */
  readonly #mediums: SetUpMedium[] = [];

  constructor(target: RtspTarget, options: RtspOptions, quirks: CameraQuirks, request: SourceRequest) {
    this.#target = target;
    this.#options = options;
    this.#quirks = quirks;
    this.#log = request.log.child('rtsp');
    this.#signal = request.signal;
    this.#camera = request.streamName;
    this.#base = { contentBase: undefined, contentLocation: undefined, requestUrl: target.url };
    this.#connection = new RtspConnection(target, options.timeoutMs, { onInterleaved: () => {}, onRead: () => {} });
    this.#onAbort = () => this.#connection.fail(this.#signal.reason);
    this.#signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  /** Connects and learns what the camera takes. Returns where it sends us instead, or null. */
  async dial(): Promise<string | null> {
    this.#signal.throwIfAborted();
    const { login } = this.#quirks;
    login.check(this.#target.credentials, performance.now());
    const connection = this.#connection;
    await connection.open();
    if (!this.#quirks.avoid.has('OPTIONS')) {
      const response = await connection.request('OPTIONS', this.#target.url);
      const methods = response.headers.getAll('public').flatMap((value) => value.split(','));
      this.#public = new Set(methods.map((method) => method.trim().toUpperCase()));
    }
    const response = await this.#describe();
    if (response === null) return null;
    const location = response.headers.get('location');
    if (response.status >= 300 && response.status < 400 && location !== undefined) return location;
    if (response.status === 401) {
      const error = refused('DESCRIBE', response, this.#target);
      login.refused(this.#target.credentials, error, performance.now());
      throw error;
    }
    if (response.status !== 200) {
      // 551 as ONVIF wants it, but also 400, 404, 500 and others.
      this.#log.debug(`camera "${this.#camera}" answers ${response.status} to the question for its back channel`);
      return null;
    }
    login.accepted();
    this.#base = {
      contentBase: response.headers.get('content-base'),
      contentLocation: response.headers.get('content-location'),
      requestUrl: this.#target.url,
    };
    this.#session = parseSdp(response.body.toString('utf8'));
    this.#media = findTalkMedia(this.#session);
    this.codecs = this.#media.map(({ codec }) => codec);
    return null;
  }

  /** Null when the camera hung up on the question. */
  async #describe(): Promise<RtspResponse | null> {
    const connection = this.#connection;
    try {
      return await connection.request('DESCRIBE', this.#target.url, { Accept: 'application/sdp', ...REQUIRE });
    } catch (error) {
      if (this.#signal.aborted || !connection.closed) throw error;
      this.#log.debug(`camera "${this.#camera}" hangs up at the question for its back channel`);
      return null;
    }
  }

  async start(codec: TalkCodec, live: boolean): Promise<TalkLine> {
    const medium = this.#media.find((one) => one.codec === codec);
    const session = this.#session;
    if (medium === undefined || session === undefined) {
      throw new HearthcamError('talk.codec', `camera "${this.#camera}" takes no ${codec.codec}`, { status: 500 });
    }
    const others = session.media.filter((one) => one.direction !== 'sendonly' && chooseFormat(one) !== null);
    let { transport } = this.#options;
    // In the order in which clients with a picture do it.
    if (this.#options.talk === 'all') transport = await this.#setUpOthers(others, session, transport);
    const track = this.#medium('loudspeaker', mediaControl(this.#base, session.control, medium.control));
    transport = await this.#setUp(track, transport, this.#mediums.length === 1);
    this.#playUrl = aggregateControl(this.#base, session.control);
    await this.#play(() => this.#setUpOthers(others.slice(0, 1), session, transport));
    const ssrc = Math.floor(Math.random() * 2 ** 32);
    track.udp?.begin(this.#connection.remoteHost, track.serverPorts, ssrc);
    const { udp } = track;
    this.#sender = new RtpTalk({
      medium,
      ssrc,
      live,
      sendRtp: (packet) =>
        udp === undefined ? this.#connection.sendFrame(track.channels[0], packet) : udp.sendRtp(packet),
      sendRtcp: (packet) =>
        udp === undefined ? this.#connection.sendFrame(track.channels[1], packet) : udp.sendRtcp(packet),
    });
    this.#keepAlive();
    const sender = this.#sender;
    return {
      push: (unit) => sender.push(unit),
      finish: () => sender.finish(),
      ended: this.#connection.ended,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#signal.removeEventListener('abort', this.#onAbort);
    clearInterval(this.#timer);
    this.#sender?.close();
    for (const { udp } of this.#mediums) udp?.close();
    await this.#connection.close(this.#playUrl, TEARDOWN_LIMIT_MS);
  }

  #medium(kind: SetUpMedium['kind'], url: string): SetUpMedium {
    const medium: SetUpMedium = {
      kind,
      url,
      receiver: { announce: () => {} },
      index: this.#mediums.length,
      channels: [0, 1],
      udp: undefined,
      serverPorts: undefined,
    };
    this.#mediums.push(medium);
    return medium;
  }

  async #setUp(track: SetUpMedium, transport: 'tcp' | 'udp', fallback: boolean): Promise<'tcp' | 'udp'> {
    const result = await setUpTrack({
      connection: this.#connection,
      track,
      transport,
      fallback,
      udpEvents: { onRtp: () => {}, onRtcp: () => {}, onRead: () => {} },
      headers: REQUIRE,
    });
    if (result.kind === 'refused') throw result.error;
    const session = parseSession(result.response.headers.get('session'));
    if (session !== null && this.#connection.session === undefined) {
      this.#connection.session = session.id;
      this.#periodMs = Math.min(MAX_KEEP_ALIVE_MS, (session.timeoutMs ?? DEFAULT_SESSION_MS) / 2);
    }
    return result.transport;
  }
  #periodMs = MAX_KEEP_ALIVE_MS;

  /** What the camera sends, which is thrown away. */
  async #setUpOthers(
    media: readonly SdpMedia[],
    session: SdpSession,
    transport: 'tcp' | 'udp',
  ): Promise<'tcp' | 'udp'> {
    let way = transport;
    for (const { kind, control } of media) {
      const url = mediaControl(this.#base, session.control, control);
      const medium = this.#medium(kind === 'video' ? 'video' : 'audio', url);
      way = await this.#setUp(medium, way, this.#mediums.length === 1);
    }
    return way;
  }

  /** @param addOther some cameras refuse to play the back channel alone */
  async #play(addOther: () => Promise<unknown>): Promise<void> {
    const url = this.#playUrl ?? this.#target.url;
    const play = (headers: HeaderInput): Promise<RtspResponse> =>
      this.#connection.request('PLAY', url, { Range: 'npt=0.000-', ...headers });
    let response = await play(REQUIRE);
    if (response.status === UNSUPPORTED) response = await play({});
    if (response.status !== 200 && this.#mediums.length === 1) {
      await addOther();
      if (this.#mediums.length > 1) response = await play(REQUIRE);
    }
    if (response.status !== 200) throw refused('PLAY of what is spoken', response, this.#target);
  }

  #keepAlive(): void {
    const url = this.#playUrl ?? this.#target.url;
    const { avoid } = this.#quirks;
    this.#timer = setInterval(() => {
      const method = keepAliveMethod(this.#public, avoid);
      if (method === null) return;
      this.#connection.request(method, url).catch((error: unknown) => {
        if (!this.#connection.closed) this.#log.debug('no answer to the keep-alive', { error: String(error) });
      });
    }, this.#periodMs).unref();
  }
}
