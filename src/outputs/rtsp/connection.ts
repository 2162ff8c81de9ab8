import { randomInt } from 'node:crypto';
import type { Socket } from 'node:net';
import type { Env, Peer } from '../../core/contracts.ts';
import { describeError, HearthcamError, WireError } from '../../core/errors.ts';
import { looksLikeToken, type PublishTarget } from '../../core/expected-publishers.ts';
import type { Log, LogLimiter } from '../../core/log.ts';
import type { ViewerLimits } from '../../core/viewer.ts';
import {
  type HeaderInput,
  RtspParser,
  type RtspRequest,
  type ServerAuth,
  serializeResponse,
} from '../../wire/rtsp/index.ts';
import type { RtspConfig } from './config.ts';
import { METHODS, PUBLIC } from './methods.ts';
import type { Player } from './player.ts';
import type { Publisher } from './publisher.ts';
import { BACK_CHANNEL, type TalkBack } from './talkback.ts';
import { parseTarget } from './target.ts';
import type { UdpPorts } from './udp-shared.ts';

/** What all connections of the server have in common. */
export interface ServerContext {
  readonly env: Env;
  readonly config: RtspConfig;
  readonly log: Log;
  /** Undefined: no credentials are asked for. */
  readonly auth: ServerAuth | undefined;
  /** Keeps failures that repeat out of the log. */
  readonly limiter: LogLimiter;
  readonly limits: ViewerLimits;
  /** The pair of ports that viewers over UDP share. */
  readonly udp: UdpPorts;
  /** The publisher of each stream: a new one replaces it. */
  readonly publishers: Map<PublishTarget, { readonly connection: RtspConnection; readonly publisher: Publisher }>;
}

/** Seconds of silence before a session ends; told to clients in the Session header. */
const SESSION_TIMEOUT_S = 60;
const PUBLISH_TIMEOUT_MS = 15_000;
const LINGER_MS = 1_000;
const SLOW_REPORT_MS = 10_000;
/** Requests that may wait for their turn. */
const MAX_WAITING = 32;
/** Answers that may wait for a client to read them. */
const MAX_UNREAD_BYTES = 256 * 1024;
const LIMITS = { maxHeadBytes: 16 * 1024, maxBodyBytes: 64 * 1024, maxGarbageBytes: 0 };

/** One client of the RTSP server. Requests are answered in their order, one at a time. */
export class RtspConnection {
  readonly context: ServerContext;
  readonly socket: Socket;
  readonly remoteAddress: string;
  readonly remoteAddr: string;
  readonly localAddress: string;
  readonly sessionId = String(randomInt(10_000_000, 100_000_000));
  readonly closed = new AbortController();
  userAgent: string | undefined;
  player: Player | undefined;
  publisher: Publisher | undefined;
  talkback: TalkBack | undefined;
  /** `timeout` of a publishing URL. */
  publishTimeoutMs = PUBLISH_TIMEOUT_MS;
  /** Of the program whose token this connection has used. */
  #claimed: string | undefined;
  readonly #parser: RtspParser;
  #queue: RtspRequest[] = [];
  #busy = false;
  #unreadBytes = 0;
  #authenticated: boolean;
  #lastSeenMs = performance.now();
  #slowReportedMs = Number.NEGATIVE_INFINITY;
  #droppedReported = 0;

  constructor(socket: Socket, context: ServerContext) {
    this.socket = socket;
    this.context = context;
    this.remoteAddress = plainAddress(socket.remoteAddress);
    this.localAddress = plainAddress(socket.localAddress);
    this.remoteAddr = `${this.remoteAddress}:${socket.remotePort ?? 0}`;
    const local = isLoopback(this.remoteAddress) && !context.config.local_auth;
    this.#authenticated = context.auth === undefined || local;
    this.#parser = new RtspParser(
      {
        onMessage: (message) => {
          this.seen();
          // Answers to requests that we never send.
          if (message.kind === 'request') this.#enqueue(message);
        },
        onInterleaved: (channel, data, start, end) => {
          this.seen();
          this.publisher?.interleaved(channel, data, start, end);
          this.talkback?.interleaved(channel, data, start, end);
        },
      },
      LIMITS,
    );
  }

  start(): void {
    const { socket } = this;
    socket.setNoDelay(true);
    socket.setKeepAlive(true, 30_000);
    socket.on('data', (chunk: Buffer) => {
      try {
        this.#parser.push(chunk);
        this.publisher?.flush();
      } catch (error) {
        if (!(error instanceof WireError)) this.context.log.error(`RTSP ${this.remoteAddr}: ${describeError(error)}`);
        this.#refuse(error);
      }
    });
    socket.on('error', (error) => this.context.log.debug(`RTSP ${this.remoteAddr}: ${error.message}`));
    socket.on('close', () => this.close());
  }

  /** Something came from the client. */
  seen(): void {
    this.#lastSeenMs = performance.now();
  }

  /** Whether the client has been silent for too long. One that takes the stream over TCP shows that it is there. */
  isIdle(nowMs: number): boolean {
    const silentMs = nowMs - this.#lastSeenMs;
    if (this.publisher !== undefined) return silentMs > this.publishTimeoutMs;
    if (this.player?.playing === true && !this.player.overUdp) return false;
    return silentMs > SESSION_TIMEOUT_S * 1000;
  }

  /** To be called now and then: tells of a viewer that can't keep up. */
  reportSlow(nowMs: number): void {
    const { player } = this;
    if (player === undefined || nowMs - this.#slowReportedMs < SLOW_REPORT_MS) return;
    const { unitsDropped, stream } = player.consumer;
    const dropped = unitsDropped - this.#droppedReported;
    if (dropped <= 0) return;
    this.#slowReportedMs = nowMs;
    this.#droppedReported = unitsDropped;
    this.context.log.warn(
      `viewer ${this.remoteAddr} (RTSP) cannot keep up with "${stream.name}": left out ${dropped} frames`,
    );
  }

  /** Ends everything of this client. Repeatable. */
  close(): void {
    if (this.closed.signal.aborted) return;
    this.closed.abort(new HearthcamError('rtsp.closed', 'the connection was closed'));
    this.#parser.stop();
    this.#queue = [];
    this.endSession();
    this.socket.destroy();
  }

  /** Nothing more is read; what was answered is still sent, to a peer that reads it within a second. */
  finish(): void {
    this.#parser.stop();
    this.#queue = [];
    this.endSession();
    if (this.socket.destroyed) return;
    this.socket.end();
    setTimeout(() => this.close(), LINGER_MS).unref();
  }

  endSession(): void {
    const { player, publisher } = this;
    this.player = undefined;
    this.#droppedReported = 0;
    this.publisher = undefined;
    this.talkback?.close();
    this.talkback = undefined;
    if (player !== undefined) this.context.udp.forget(this);
    player?.close();
    if (publisher === undefined) return;
    const { publishers, log } = this.context;
    if (publishers.get(publisher.stream)?.publisher === publisher) publishers.delete(publisher.stream);
    publisher.close().catch((error: unknown) => log.warn(`RTSP ${this.remoteAddr}: ${describeError(error)}`));
  }

  respond(request: RtspRequest, status: number, headers: HeaderInput = {}, body?: Buffer): void {
    if (!this.socket.writable) return;
    const server = this.context.env.product;
    const answer = serializeResponse({ status }, { CSeq: request.cseq ?? 0, Server: server, ...headers }, body);
    this.#unreadBytes += answer.length;
    this.socket.write(answer, () => {
      this.#unreadBytes -= answer.length;
    });
  }

  get peer(): Peer {
    return { remoteAddress: this.remoteAddress, authenticated: this.#authenticated };
  }

  get sessionHeader(): string {
    return `${this.sessionId};timeout=${SESSION_TIMEOUT_S}`;
  }

  sendInterleaved(channel: number, packet: Buffer): void {
    const frame = Buffer.alloc(4 + packet.length);
    frame[0] = 0x24;
    frame[1] = channel;
    frame.writeUInt16BE(packet.length, 2);
    packet.copy(frame, 4);
    // A publisher that reads nothing misses reports, nothing else.
    if (this.socket.writableLength < 64 * 1024) this.socket.write(frame);
  }

  #enqueue(request: RtspRequest): void {
    if (this.#unreadBytes > MAX_UNREAD_BYTES) {
      this.context.log.warn(`RTSP ${this.remoteAddr}: asks without reading the answers, closed`);
      this.close();
      return;
    }
    if (this.#queue.length >= MAX_WAITING) {
      this.#refuse(new HearthcamError('rtsp.flood', `more than ${MAX_WAITING} requests wait`, { status: 503 }));
      return;
    }
    this.#queue.push(request);
    if (!this.#busy) void this.#work();
  }

  async #work(): Promise<void> {
    this.#busy = true;
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
      try {
        await this.#handle(next);
      } catch (error) {
        this.#fail(next, error);
      }
    }
    this.#busy = false;
  }

  async #handle(request: RtspRequest): Promise<void> {
    const { context } = this;
    this.userAgent ??= request.headers.get('user-agent')?.slice(0, 200);
    const expected = this.#isExpected(request);
    if (!expected && !this.#authenticate(request)) return;
    const method = METHODS.get(request.method);
    if (method === undefined) {
      this.respond(request, 501, { Public: PUBLIC });
      return;
    }
    const { peer } = this;
    const [name] = parseTarget(request.url).names;
    if (!expected && !context.env.access.allows(peer, method.right, name)) {
      throw new HearthcamError('access.denied', `${request.method} needs the right to ${method.right}`, {
        status: 403,
      });
    }
    const required = request.headers.get('require');
    if (required !== undefined && required.trim() !== BACK_CHANNEL) {
      // RFC 2326 §12.32
      this.respond(request, 551, { Unsupported: required.slice(0, 200).replace(/[^\x20-\x7e]/g, '') });
      return;
    }
    const session = request.headers.get('session')?.split(';')[0]?.trim();
    if (session !== undefined && session !== '' && session !== this.sessionId) {
      throw new HearthcamError('rtsp.session', 'no such session', { status: 454 });
    }
    await method.run(this, request);
  }

  /**
   * The target of a program that a source of ours has started for this address, if it is one: it counts once.
   * Only for peers on this machine.
   */
  claimExpected(url: string): PublishTarget | undefined {
    const token = this.#tokenOf(url);
    const target = token === undefined ? undefined : this.context.env.hub.expected.claim(token);
    if (target !== undefined) this.#claimed = token;
    return target;
  }

  /** Whether the request is about the address that was made for a program of ours: it has no credentials to give. */
  #isExpected(request: RtspRequest): boolean {
    const token = this.#tokenOf(request.url);
    return token !== undefined && (token === this.#claimed || this.context.env.hub.expected.has(token));
  }

  /** The first part of the path, as sent by a peer on this machine. */
  #tokenOf(url: string): string | undefined {
    if (!isLoopback(this.remoteAddress) && this.remoteAddress !== this.localAddress) return undefined;
    const token = parseTarget(url).names[0]?.split('/')[0] ?? '';
    return looksLikeToken(token) ? token : undefined;
  }

  /** compatibility.md 2: without credentials 401 and go on; with wrong ones 401 and close. */
  #authenticate(request: RtspRequest): boolean {
    const { auth, log } = this.context;
    if (this.#authenticated || auth === undefined) return true;
    const nowMs = performance.now();
    const verdict = auth.verify(request.headers.get('authorization'), request.method, request.url, nowMs);
    if (verdict.status === 'ok') {
      this.#authenticated = true;
      return true;
    }
    this.respond(request, 401, { 'WWW-Authenticate': auth.challenges(nowMs, verdict.status === 'stale') });
    if (verdict.status === 'wrong') {
      log.warn(`RTSP ${this.remoteAddr}: wrong user or password`);
      this.finish();
    }
    return false;
  }

  #fail(request: RtspRequest, error: unknown): void {
    if (this.closed.signal.aborted) return;
    const known = error instanceof HearthcamError;
    const about = `RTSP ${this.remoteAddr}: ${request.method} ${request.url.slice(0, 200)}: ${describeError(error)}`;
    const { limiter, log } = this.context;
    // By address, not by connection: a client that tries again each second must not fill the disk.
    const repeated = limiter.admit(`${this.remoteAddress} ${request.method} ${known ? error.code : about}`);
    const fields = repeated === null || repeated === 0 ? {} : { repeated };
    if (repeated === null) log.debug(about);
    else if (known) log.warn(about, fields);
    else log.error(about, fields);
    const answer = known ? rtspStatus(error.status) : 500;
    this.respond(request, answer);
    if (answer === 404 || answer === 500) this.finish();
  }

  /** Ends a connection whose bytes make no sense. */
  #refuse(error: unknown): void {
    this.context.log.debug(`RTSP ${this.remoteAddr}: ${describeError(error)}`);
    if (!this.socket.destroyed) this.socket.write(serializeResponse({ status: 400 }, {}));
    this.finish();
  }
}

/** HTTP status codes that RTSP has too; others are the server's trouble. */
function rtspStatus(status: number): number {
  return [400, 401, 403, 404, 415, 454, 455, 461, 501, 503, 551].includes(status) ? status : 500;
}

/** `::ffff:192.0.2.1` is an IPv4 peer on an IPv6 socket. */
function plainAddress(address: string | undefined): string {
  return (address ?? '').replace(/^::ffff:(?=\d+\.)/i, '');
}

function isLoopback(address: string): boolean {
  return address === '::1' || address.startsWith('127.');
}
