import { randomInt } from 'node:crypto';
import { HearthcamError } from '../../core/errors.ts';
import { type Log, LogLimiter } from '../../core/log.ts';
import type { SourceRequest, SourceSink } from '../../core/source.ts';
import type { RtspResponse } from '../../wire/rtsp/message.ts';
import { parseSession } from '../../wire/rtsp/transport.ts';
import { aggregateControl, type ControlBase } from '../../wire/sdp/control.ts';
import { parseSdp } from '../../wire/sdp/parse.ts';
import { RtspConnection } from './connection.ts';
import { refused } from './failures.ts';
import { type CameraQuirks, keepAliveMethod } from './memory.ts';
import { Reception } from './reception.ts';
import { setUpTrack } from './setup.ts';
import type { RtspOptions, RtspTarget } from './target.ts';
import { chooseTracks, type RtspTrack } from './tracks.ts';

export type SessionOutcome =
  /** The camera said goodbye in order. */
  | { readonly kind: 'ended' }
  | { readonly kind: 'redirect'; readonly location: string }
  /** It hung up at OPTIONS; that is remembered, and a new connection does without. */
  | { readonly kind: 'again' };

export interface SessionInput {
  readonly target: RtspTarget;
  readonly options: RtspOptions;
  readonly quirks: CameraQuirks;
  readonly request: SourceRequest;
  readonly sink: SourceSink;
  readonly reportMs: number;
}

/** RFC 2326 §12.37 */
const DEFAULT_SESSION_MS = 60_000;
const MAX_KEEP_ALIVE_MS = 30_000;
const TEARDOWN_LIMIT_MS = 150;
/** Over UDP nothing at all after PLAY means that packets don't get through. */
const UDP_SILENCE_MS = 4_000;

/** One connection to one camera, from dialling to the end. */
export class RtspSession {
  readonly #input: SessionInput;
  readonly #connection: RtspConnection;
  readonly #reception: Reception;
  readonly #log: Log;
  readonly #limiter = new LogLimiter(10_000);
  readonly #ssrc = randomInt(1, 2 ** 32 - 1);
  readonly #timers: NodeJS.Timeout[] = [];
  #public: ReadonlySet<string> = new Set();
  #sessionMs = DEFAULT_SESSION_MS;
  #tracks: readonly RtspTrack[] = [];
  #playUrl: string | undefined;
  #keepAlivePending: string | null = null;

  constructor(input: SessionInput) {
    this.#input = input;
    this.#log = input.request.log.child('rtsp');
    const { sink, target, options, request, reportMs } = input;
    this.#reception = new Reception({
      sink,
      ssrc: this.#ssrc,
      camera: request.streamName,
      log: this.#log,
      limiter: this.#limiter,
      reportMs,
      sendFrame: (channel, packet) => this.#connection.sendFrame(channel, packet),
      nowMs: () => this.#connection.readAtMs,
    });
    this.#connection = new RtspConnection(target, options.timeoutMs, {
      onInterleaved: (channel, data, start, end) => this.#reception.onFrame(channel, data, start, end),
      onRead: (bytes) => {
        sink.alive(bytes);
        sink.flush();
      },
    });
  }

  /** @throws HearthcamError with the reason when the connection ended otherwise than asked */
  async run(): Promise<SessionOutcome> {
    const { signal } = this.#input.request;
    const onAbort = (): void => {
      this.#reception.stop();
      this.#connection.fail(signal.reason);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      signal.throwIfAborted();
      this.#input.quirks.login.check(this.#input.target.credentials, performance.now());
      await this.#connection.open();
      if (!(await this.#askOptions())) return { kind: 'again' };
      const described = await this.#describe();
      if ('location' in described) return { kind: 'redirect', location: described.location };
      const tracks = await this.#setUp(described.base, described.sdp);
      await this.#play(tracks, described.base);
      this.#keepAlive();
      return await this.#untilEnd(tracks);
    } finally {
      signal.removeEventListener('abort', onAbort);
      for (const timer of this.#timers) clearInterval(timer);
      this.#reception.close();
      for (const track of this.#tracks) track.udp?.close();
      this.#noteHangUp();
      await this.#connection.close(this.#playUrl, TEARDOWN_LIMIT_MS);
    }
  }

  /** False when the camera hung up on it. */
  async #askOptions(): Promise<boolean> {
    const { target, quirks } = this.#input;
    if (quirks.avoid.has('OPTIONS')) return true;
    let response: RtspResponse;
    try {
      response = await this.#connection.request('OPTIONS', target.url);
    } catch (error) {
      if (!this.#connection.closed || this.#input.request.signal.aborted) throw error;
      quirks.avoid.add('OPTIONS');
      return false;
    }
    // Whatever is wrong with it will show in the answer to DESCRIBE.
    if (response.status === 200) {
      const methods = response.headers.getAll('public').flatMap((value) => value.split(','));
      this.#public = new Set(methods.map((method) => method.trim().toUpperCase()));
    }
    if (response.status === 401 && this.#connection.closed) throw this.#refusedLogin('OPTIONS', response);
    return true;
  }

  async #describe(): Promise<{ readonly location: string } | { readonly base: ControlBase; readonly sdp: string }> {
    const { target } = this.#input;
    const response = await this.#connection.request('DESCRIBE', target.url, { Accept: 'application/sdp' });
    const location = response.headers.get('location');
    if (response.status >= 300 && response.status < 400 && location !== undefined) return { location };
    const { login } = this.#input.quirks;
    if (response.status === 401) throw this.#refusedLogin('DESCRIBE', response);
    if (response.status !== 200) throw refused('DESCRIBE', response, target);
    login.accepted();
    return {
      base: {
        contentBase: response.headers.get('content-base'),
        contentLocation: response.headers.get('content-location'),
        requestUrl: target.url,
      },
      sdp: response.body.toString('utf8'),
    };
  }

  /** The error for a 401, remembered so that a wrong password is not tried over and over. */
  #refusedLogin(method: string, response: RtspResponse): HearthcamError {
    const { target, quirks } = this.#input;
    const error = refused(method, response, target);
    quirks.login.refused(target.credentials, error, performance.now());
    return error;
  }

  /** Says what there is, and sets up what is wanted of it. */
  async #setUp(base: ControlBase, sdp: string): Promise<RtspTrack[]> {
    const { target, options, quirks, request } = this.#input;
    const session = parseSdp(sdp);
    this.#playUrl = undefined;
    const chosen = chooseTracks({
      session,
      base,
      media: options.media,
      avoid: quirks.refusedMedia,
      events: this.#reception,
      onUnsupported: (what) => this.#log.debug(`camera "${request.streamName}" also has ${what}, which is left out`),
    });
    this.#tracks = chosen;
    if (chosen.length === 0) {
      const kinds = session.media.map(
        (one) => `${one.kind} ${one.formats.map((f) => f.encoding || f.payloadType).join('/')}`,
      );
      throw new HearthcamError(
        'rtsp.media',
        `${target.display} offers nothing that can be used (${kinds.join(', ').slice(0, 200) || 'no media'})`,
        { status: 502, hint: 'choose H.264 or H.265 in the settings of the camera' },
      );
    }
    let transport = options.transport;
    const wanted = this.#sayWhatThereIs(chosen, transport, sdp);
    if (wanted.length === 0) {
      throw new HearthcamError(
        'rtsp.unwanted',
        `${target.display} has only what other sources of the stream give already`,
        {
          status: 409,
          hint: 'remove this source',
        },
      );
    }
    const ready: RtspTrack[] = [];
    for (const track of wanted) {
      const result = await setUpTrack({
        connection: this.#connection,
        track,
        transport,
        fallback: ready.length === 0,
        udpEvents: this.#reception.udpEvents(track),
      });
      if (result.kind === 'refused') {
        // Without its picture a camera is of no use; without its sound it is.
        if (track.kind === 'video') throw result.error;
        quirks.refusedMedia.add(track.url);
        this.#log.warn(`camera "${request.streamName}" refuses its ${track.kind}: going on without`, {
          reason: result.error.message,
        });
        if (wanted.length === 1) throw result.error;
        continue;
      }
      transport = result.transport;
      this.#noteSession(result.response);
      ready.push(track);
    }
    if (ready.length < wanted.length || transport !== options.transport) this.#sayWhatThereIs(ready, transport, sdp);
    this.#playUrl = aggregateControl(base, session.control);
    return ready;
  }

  /** Returns the tracks that the stream takes. */
  #sayWhatThereIs(tracks: readonly RtspTrack[], transport: 'tcp' | 'udp', sdp: string): RtspTrack[] {
    for (const [index, track] of tracks.entries()) track.index = index;
    const taken = this.#input.sink.describe({
      tracks: tracks.map(({ kind, receiver }) => ({
        kind,
        codec: receiver.media.codec,
        clockRateHz: receiver.media.clockRateHz,
        format: receiver.format,
      })),
      formatName: 'rtsp',
      protocol: `rtsp+${transport}`,
      remoteAddr: this.#connection.remoteAddr,
      sdp,
      sharedClock: false,
    });
    return tracks.filter((_track, index) => taken[index] === true);
  }

  #noteSession(response: RtspResponse): void {
    // Some servers make a new id for each medium; the first one is the one that lasts.
    if (this.#connection.session !== undefined) return;
    const session = parseSession(response.headers.get('session'));
    if (session === null) return;
    this.#connection.session = session.id;
    this.#sessionMs = session.timeoutMs ?? DEFAULT_SESSION_MS;
  }

  async #play(tracks: readonly RtspTrack[], base: ControlBase): Promise<void> {
    const { target, options, request } = this.#input;
    const playUrl = this.#playUrl ?? base.requestUrl;
    this.#reception.start(tracks, (error) => this.#connection.fail(error));
    for (const track of tracks) track.udp?.begin(this.#connection.remoteHost, track.serverPorts, this.#ssrc);
    const play = (url: string): Promise<RtspResponse> => this.#connection.request('PLAY', url, { Range: 'npt=0.000-' });
    // Some cameras send pictures but never an answer: a packet is as good.
    const answered = play(playUrl);
    answered.catch(() => {});
    let response = await Promise.race([answered, this.#reception.firstPacket]);
    // RFC 2326 §11.3.9 (459): this server wants it for each medium.
    if (response?.status === 459) for (const track of tracks) response = await play(track.url);
    if (response !== undefined && response.status !== 200) throw refused('PLAY', response, target);
    if (tracks.some((track) => track.udp !== undefined)) {
      const timer = setTimeout(
        () => {
          if (this.#reception.packets > 0) return;
          this.#connection.fail(
            new HearthcamError('rtsp.udp.silent', `${target.host} sends nothing by UDP`, {
              status: 504,
              hint: 'a firewall or another network is in between: use TCP (leave #transport=udp out)',
            }),
          );
        },
        Math.min(UDP_SILENCE_MS, options.timeoutMs),
      ).unref();
      this.#timers.push(timer);
    }
    this.#log.info(`camera "${request.streamName}" plays`, {
      from: target.display,
      tracks: tracks.map((track) => `${track.kind}:${track.receiver.media.codec}`).join('+'),
    });
  }

  /** Half of the session's time-out, so that one lost request does no harm. */
  #keepAlive(): void {
    const periodMs = Math.min(MAX_KEEP_ALIVE_MS, this.#sessionMs / 2);
    const url = this.#playUrl ?? this.#input.target.url;
    const timer = setInterval(() => {
      this.#sendKeepAlive(url).catch((error: unknown) => {
        if (!this.#connection.closed) this.#log.debug('no answer to the keep-alive', { error: String(error) });
      });
    }, periodMs);
    timer.unref();
    this.#timers.push(timer);
  }

  async #sendKeepAlive(url: string): Promise<void> {
    const { quirks, target } = this.#input;
    const method = keepAliveMethod(this.#public, quirks.avoid);
    if (method === null || this.#keepAlivePending !== null) return;
    this.#keepAlivePending = method;
    let response: RtspResponse;
    try {
      response = await this.#connection.request(method, url);
    } catch (error) {
      if (!this.#connection.closed) this.#keepAlivePending = null;
      throw error;
    }
    this.#keepAlivePending = null;
    if (response.status === 401 || response.status === 454) {
      this.#connection.fail(refused(method, response, target));
    } else if (response.status >= 400) {
      quirks.avoid.add(method);
    }
  }

  /** A camera that hung up right at a keep-alive is kept alive in another way next time. */
  #noteHangUp(): void {
    const method = this.#keepAlivePending;
    if (method === null || !this.#connection.closed || this.#input.request.signal.aborted) return;
    this.#input.quirks.avoid.add(method);
    this.#log.info(`camera "${this.#input.request.streamName}" hung up at ${method}: it will not be sent again`);
  }

  async #untilEnd(tracks: readonly RtspTrack[]): Promise<SessionOutcome> {
    await Promise.race([this.#connection.ended, this.#reception.saidGoodbye]);
    this.#log.debug(`camera "${this.#input.request.streamName}" said goodbye`, { tracks: tracks.length });
    return { kind: 'ended' };
  }
}
