import net from 'node:net';
import tls from 'node:tls';
import { HearthcamError } from '../../core/errors.ts';
import { ClientAuth, parseChallenges } from '../../wire/rtsp/auth.ts';
import {
  type HeaderInput,
  type RtspMessage,
  type RtspRequest,
  type RtspResponse,
  serializeRequest,
  serializeResponse,
} from '../../wire/rtsp/message.ts';
import { RtspParser, writeFrameHeader } from '../../wire/rtsp/parser.ts';
import { closedByCamera, connectFailure, timedOut } from './failures.ts';
import type { RtspTarget } from './target.ts';

export interface ConnectionEvents {
  /** A frame of the read that began at `readAtMs`; the bytes are valid only during the call. */
  onInterleaved(channel: number, data: Buffer, start: number, end: number): void;
  /** After each read, with what it brought. */
  onRead(bytes: number): void;
}

interface Pending {
  readonly cseq: number;
  readonly resolve: (response: RtspResponse) => void;
  readonly reject: (error: unknown) => void;
  readonly timer: NodeJS.Timeout;
}

/** One read takes what has come, up to this: a key frame of a large picture in few calls. */
const READ_BUFFER_BYTES = 128 * 1024;
/** Receiver reports are left out when the camera doesn't read. */
const MAX_WAITING_BYTES = 256 * 1024;
const USER_AGENT = 'Hearthcam';
/** Challenge, the answer refused in two schemes, and a nonce that expired in between. */
const MAX_AUTH_ROUNDS = 4;

/** An RTSP connection as client: requests with answers, authentication, interleaved frames. */
export class RtspConnection {
  /** `performance.now()` at the begin of the read that is being handled. */
  readAtMs = 0;
  /** Bytes that were neither RTSP nor frames. */
  garbageBytes = 0;
  /** Rejects when the connection has ended for whatever reason; never resolves. */
  readonly ended: Promise<never>;
  readonly target: RtspTarget;
  readonly #events: ConnectionEvents;
  readonly #timeoutMs: number;
  readonly #auth: ClientAuth | null;
  readonly #parser: RtspParser;
  readonly #pending: Pending[] = [];
  readonly #rejectEnded: (error: unknown) => void;
  #socket: net.Socket | undefined;
  #closed = false;
  #cseq = 0;
  #failure: unknown;
  session: string | undefined;

  constructor(target: RtspTarget, timeoutMs: number, events: ConnectionEvents) {
    this.target = target;
    this.#timeoutMs = timeoutMs;
    this.#events = events;
    this.#auth = target.credentials === null ? null : new ClientAuth(target.credentials);
    const { promise, reject } = Promise.withResolvers<never>();
    promise.catch(() => {});
    this.ended = promise;
    this.#rejectEnded = reject;
    this.#parser = new RtspParser({
      onMessage: (message) => this.#onMessage(message),
      onInterleaved: (channel, data, start, end) => this.#events.onInterleaved(channel, data, start, end),
      onGarbage: (bytes) => {
        this.garbageBytes += bytes;
      },
    });
  }

  get remoteAddr(): string {
    const { remoteAddress = this.target.host, remotePort = this.target.port } = this.#socket ?? {};
    return remoteAddress.includes(':') ? `[${remoteAddress}]:${remotePort}` : `${remoteAddress}:${remotePort}`;
  }
  get remoteHost(): string {
    return this.#socket?.remoteAddress ?? this.target.host;
  }
  get localHost(): string {
    return this.#socket?.localAddress ?? '0.0.0.0';
  }
  /** The socket is gone. */
  get closed(): boolean {
    return this.#closed;
  }

  /** @throws HearthcamError `rtsp.connect` */
  async open(): Promise<void> {
    const { target } = this;
    const connected = Promise.withResolvers<void>();
    const socket =
      target.scheme === 'rtsp' ? this.#dial(() => connected.resolve()) : this.#dialTls(() => connected.resolve());
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on('error', (error) => this.fail(connectFailure(error, target)));
    socket.on('close', () => {
      this.#closed = true;
      this.fail(closedByCamera(target, this.garbageBytes));
    });
    const timer = setTimeout(() => {
      const code = socket.connecting || target.scheme === 'rtsp' ? 'ETIMEDOUT' : 'TLS_TIMEOUT';
      this.fail(connectFailure(Object.assign(new Error('timeout'), { code }), target));
      socket.destroy();
    }, this.#timeoutMs);
    try {
      await Promise.race([connected.promise, this.ended]);
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * Sends a request and gives its answer, whatever its status; answers challenges where there are credentials.
   * @throws HearthcamError when the connection ends first or `timeoutMs` passes
   */
  async request(method: string, url: string, headers: HeaderInput = {}): Promise<RtspResponse> {
    let refusal: RtspResponse | undefined;
    for (let round = 0; ; round++) {
      let response: RtspResponse;
      try {
        response = await this.exchange(method, url, headers);
      } catch (error) {
        // Servers hang up behind a wrong password: that it is wrong is the news, not that they hung up.
        if (refusal !== undefined && this.#socket?.destroyed === true) return refusal;
        throw error;
      }
      if (response.status !== 401) {
        this.#auth?.accepted();
        return response;
      }
      if (this.#auth === null || round + 1 >= MAX_AUTH_ROUNDS) return response;
      const challenges = parseChallenges(response.headers.getAll('www-authenticate'));
      // In a running session the first 401 means that the nonce has expired, not that the password is wrong.
      if (!this.#auth.challenge(challenges, round > 0)) return response;
      if (round > 0) refusal = response;
    }
  }

  /** One request and its answer, with the authentication known so far. */
  exchange(method: string, url: string, headers: HeaderInput, timeoutMs = this.#timeoutMs): Promise<RtspResponse> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    const cseq = ++this.#cseq;
    const { promise, resolve, reject } = Promise.withResolvers<RtspResponse>();
    const timer = setTimeout(() => {
      this.#forget(cseq)?.reject(timedOut(method, timeoutMs, this.target, this.garbageBytes));
    }, timeoutMs).unref();
    this.#pending.push({ cseq, resolve, reject, timer });
    this.#socket?.write(
      serializeRequest(method, url, {
        // Some servers know it in just this spelling (AlexxIT/go2rtc#7) and want it first.
        CSeq: cseq,
        // Without it a camera answered 401 to everything (AlexxIT/go2rtc#235).
        'User-Agent': USER_AGENT,
        Session: this.session,
        Authorization: this.#auth?.authorize(method, url),
        ...headers,
      }),
    );
    return promise;
  }

  /** Sends an RTCP packet on a channel, unless the camera has stopped reading. */
  sendFrame(channel: number, packet: Buffer): void {
    const socket = this.#socket;
    if (socket === undefined || socket.writableLength > MAX_WAITING_BYTES || !socket.writable) return;
    const frame = Buffer.allocUnsafe(4 + packet.length);
    writeFrameHeader(frame, 0, channel, packet.length);
    packet.copy(frame, 4);
    socket.write(frame);
  }

  /** Ends all waits with `error`. The socket stays open for a last request; see `close`. Idempotent. */
  fail(error: unknown): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.#rejectEnded(error);
    for (const pending of this.#pending.splice(0)) {
      clearTimeout(pending.timer);
      pending.reject(error);
    }
  }

  /**
   * Says TEARDOWN for `url` where that makes sense, waits `limitMs` at most for the answer, and closes the socket.
   * Waiting matters: some servers go on sending into a socket that was closed without it.
   */
  async close(url: string | undefined, limitMs: number): Promise<void> {
    const socket = this.#socket;
    this.fail(new HearthcamError('rtsp.closed', 'the connection was closed'));
    if (socket === undefined || this.#closed) return;
    if (url !== undefined && socket.writable) {
      this.#failure = undefined;
      const goodbye = this.exchange('TEARDOWN', url, {}, limitMs).catch(() => {});
      const gone = new Promise<void>((resolve) => socket.once('close', () => resolve()));
      await Promise.race([goodbye, gone]);
    }
    this.#parser.stop();
    this.fail(new HearthcamError('rtsp.closed', 'the connection was closed'));
    socket.destroy();
  }

  #dial(onConnect: () => void): net.Socket {
    const { host, port } = this.target;
    return net.connect(
      {
        host,
        port,
        // Reads go into one buffer for the life of the connection: nothing is allocated per read.
        onread: {
          buffer: Buffer.allocUnsafeSlow(READ_BUFFER_BYTES),
          callback: (bytes, buffer) => {
            // Checked border: it is the Buffer from the line above.
            this.#onBytes(buffer as Buffer, bytes);
            return true;
          },
        },
      },
      onConnect,
    );
  }

  #dialTls(onConnect: () => void): net.Socket {
    const { host, port, scheme } = this.target;
    const verified = scheme === 'rtsps';
    const socket = tls.connect(
      {
        host,
        port,
        rejectUnauthorized: verified,
        ...(net.isIP(host) === 0 ? { servername: host } : {}),
        // Where nothing is verified, old ciphers and keys of old cameras are better than none.
        ...(verified ? {} : { minVersion: 'TLSv1' as const, ciphers: 'DEFAULT:@SECLEVEL=0' }),
      },
      onConnect,
    );
    socket.on('data', (chunk: Buffer) => this.#onBytes(chunk, chunk.length));
    return socket;
  }

  #onBytes(buffer: Buffer, bytes: number): void {
    this.readAtMs = performance.now();
    try {
      this.#parser.push(bytes === buffer.length ? buffer : buffer.subarray(0, bytes));
      this.#events.onRead(bytes);
    } catch (error) {
      this.#parser.stop();
      this.fail(error);
      this.#socket?.destroy();
    }
  }

  #onMessage(message: RtspMessage): void {
    if (message.kind === 'request') {
      this.#answer(message);
      return;
    }
    // Where CSeq is missing or wrong, answers come in the order of the requests all the same.
    const pending = this.#forget(message.cseq) ?? this.#forget(this.#pending[0]?.cseq);
    pending?.resolve(message);
  }

  /** Servers may ask too (RFC 2326 §10.1, §10.8); a camera that gets no answer may hang up. */
  #answer(request: RtspRequest): void {
    const known = request.method === 'OPTIONS' || request.method.endsWith('_PARAMETER');
    this.#socket?.write(
      serializeResponse(
        { status: known ? 200 : 501 },
        { CSeq: request.cseq, Public: known ? 'OPTIONS, GET_PARAMETER' : undefined },
      ),
    );
  }

  #forget(cseq: number | undefined): Pending | undefined {
    const index = this.#pending.findIndex((one) => one.cseq === cseq);
    if (index < 0) return undefined;
    const [pending] = this.#pending.splice(index, 1);
    clearTimeout(pending?.timer);
    return pending;
  }
}
