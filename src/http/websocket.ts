import type { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import type { AccessPolicy, Peer, WsMessage, WsSession } from '../core/contracts.ts';
import { describeError, HearthcamError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import type { Scope } from '../core/scope.ts';
import { describePeer, header } from './peer.ts';

/** Control messages are small; an SDP offer is the largest. */
const MAX_MESSAGE_BYTES = 256 * 1024;
const MAX_SESSIONS = 1_000;
const PING_MS = 20_000;
/** Messages that a client may send at once, and each second in the long run: a page sends some dozens at its start. */
const MESSAGE_BURST = 200;
const MESSAGES_PER_SECOND = 20;

/** Serves `/api/ws` (compatibility.md 1.5): finds the handler for each message and looks at the right that it needs. */
export class WebSocketHub {
  readonly #messages = new Map<string, WsMessage>();
  readonly #server = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload: MAX_MESSAGE_BYTES });
  readonly #access: AccessPolicy;
  readonly #log: Log;
  readonly #scope: Scope;
  #sessions = 0;

  constructor(access: AccessPolicy, log: Log, scope: Scope) {
    this.#access = access;
    this.#log = log;
    this.#scope = scope;
  }

  add(message: WsMessage): void {
    if (this.#messages.has(message.type)) {
      throw new HearthcamError('ws.duplicate', `WebSocket message "${message.type}" is registered twice`);
    }
    this.#messages.set(message.type, message);
  }

  /** Takes over an upgraded connection that has been let in. */
  accept(request: IncomingMessage, socket: Duplex, head: Buffer, query: URLSearchParams, peer: Peer): void {
    if (this.#sessions >= MAX_SESSIONS || !(socket instanceof Socket) || this.#scope.closed) {
      socket.end('HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\r\n');
      return;
    }
    this.#server.handleUpgrade(request, socket, head, (ws) => this.#serve(ws, socket, request, query, peer));
  }

  #serve(ws: WebSocket, socket: Socket, request: IncomingMessage, query: URLSearchParams, peer: Peer): void {
    this.#sessions++;
    socket.setNoDelay(true);
    const scope = this.#scope.child('ws');
    const remoteAddr = describePeer(request);
    const session: WsSession = {
      src: query.get('src') ?? '',
      query,
      peer,
      remoteAddr,
      userAgent: header(request, 'user-agent'),
      log: this.#log,
      scope,
      socket,
      send(type, value) {
        if (ws.readyState === ws.OPEN) ws.send(`${JSON.stringify(value === undefined ? { type } : { type, value })}\n`);
      },
      sendBinary(data) {
        if (ws.readyState === ws.OPEN) ws.send(data, { binary: true });
      },
      fail: (requestType, error) => {
        this.#log.debug(`ws ${remoteAddr}: ${requestType}: ${describeError(error)}`);
        session.send('error', `${requestType}: ${describeError(error)}`);
      },
    };
    let alive = true;
    const close = (): void => {
      scope
        .close()
        .catch((error: unknown) => this.#log.warn(`ws ${remoteAddr}: close failed`, { error: describeError(error) }));
    };
    scope.defer(() => {
      this.#sessions--;
      ws.terminate();
    });
    scope.every(PING_MS, () => {
      if (!alive) {
        close();
        return;
      }
      alive = false;
      ws.ping();
    });
    ws.on('pong', () => {
      alive = true;
    });
    ws.on('error', (error) => this.#log.debug(`ws ${remoteAddr}: ${error.message}`));
    ws.on('close', close);
    const budget = new Budget(MESSAGE_BURST, MESSAGES_PER_SECOND);
    /** False for a client that floods us: each message costs work, and an answer that it may never read. */
    const admit = (): boolean => {
      if (scope.closed) return false;
      if (budget.take(performance.now())) return true;
      this.#log.warn(`ws ${remoteAddr}: more than ${MESSAGE_BURST} messages at once, closed`);
      close();
      return false;
    };
    ws.on('ping', admit);
    ws.on('message', (data, isBinary) => {
      if (!admit()) return;
      alive = true;
      if (!isBinary) this.#dispatch(session, peer, data.toString(), () => ws.close(1003, 'not JSON'));
    });
  }

  #dispatch(session: WsSession, peer: Peer, text: string, reject: () => void): void {
    const parsed = parseMessage(text);
    if (parsed === undefined) {
      reject();
      return;
    }
    const message = this.#messages.get(parsed.type);
    // go2rtc ignores what it doesn't know, and newer clients rely on it.
    if (message === undefined) return;
    if (!this.#access.allows(peer, message.right, session.src)) {
      session.fail(
        parsed.type,
        new HearthcamError('access.denied', `needs the right "${message.right}"`, { status: 403 }),
      );
      return;
    }
    try {
      const pending = message.handler(session, parsed.value);
      if (pending instanceof Promise) pending.catch((error: unknown) => session.fail(parsed.type, error));
    } catch (error) {
      session.fail(parsed.type, error);
    }
  }
}

/** So much at once, and so much each second in the long run. */
class Budget {
  readonly #most: number;
  readonly #perSecond: number;
  #left: number;
  #atMs = performance.now();

  constructor(most: number, perSecond: number) {
    this.#most = most;
    this.#perSecond = perSecond;
    this.#left = most;
  }

  take(nowMs: number): boolean {
    this.#left = Math.min(this.#most, this.#left + ((nowMs - this.#atMs) * this.#perSecond) / 1000);
    this.#atMs = nowMs;
    if (this.#left < 1) return false;
    this.#left--;
    return true;
  }
}

function parseMessage(text: string): { type: string; value: unknown } | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null || !('type' in value) || typeof value.type !== 'string') {
      return undefined;
    }
    return { type: value.type, value: 'value' in value ? value.value : undefined };
  } catch {
    return undefined;
  }
}
