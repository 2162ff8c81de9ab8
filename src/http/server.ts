import { readFile } from 'node:fs/promises';
import http from 'node:http';
import https from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { AccessPolicy, Route, Routes, WsMessage } from '../core/contracts.ts';
import { describeError, HearthcamError } from '../core/errors.ts';
import { type Log, LogLimiter } from '../core/log.ts';
import type { Scope } from '../core/scope.ts';
import { type AuthOptions, describePeer, header, identifyPeer, isHomeHost, originMatches } from './peer.ts';
import { listStatic, type StaticFile } from './static.ts';
import { removeDeadSocket } from './unix.ts';
import { WebSocketHub } from './websocket.ts';

export interface HttpOptions extends AuthOptions {
  /** `host:port`, `:port` (all addresses) or '' (off). */
  readonly listen: string;
  readonly tlsListen: string;
  /** PEM text. */
  readonly tlsCert: string;
  readonly tlsKey: string;
  readonly unixListen: string;
  readonly basePath: string;
  /** `*` lets pages of any origin in. */
  readonly origin: string;
  /** Exact paths that exist; empty = all. */
  readonly allowPaths: readonly string[];
  /** Host names besides those of a home network that may name this server while it has no password. */
  readonly hosts: readonly string[];
  /** Within which the head of a request must have come. */
  readonly headTimeoutMs?: number;
  /** Folder of the web page. */
  readonly webRoot: string;
}

/** Requests that one connection may have under way. Browsers send the next one when the last is answered. */
const MAX_PIPELINED = 64;
/** Within which the head of a request must have come. */
const HEAD_TIMEOUT_MS = 15_000;
/** So long what is left of a body that nobody wants is still taken: closed at once, the client may miss the answer. */
const UNREAD_BODY_MS = 1_000;
const MAX_CONNECTIONS = 2_000;
/** A failure that repeats is told once in this time. */
const REPEAT_MS = 10_000;

/** Paths that go2rtc never prefixes with `base_path` (compatibility.md 1.0). */
const UNPREFIXED = /^\/(onvif\/|static(\?|$)|streams(\?|$)|stream\/)/;

/** One HTTP service behind all its listeners (TCP, TLS, unix socket). Modules mount routes before `listen`. */
export class HttpServer implements Routes {
  readonly #app: FastifyInstance;
  readonly #options: HttpOptions;
  readonly #access: AccessPolicy;
  readonly #log: Log;
  readonly #scope: Scope;
  readonly #sockets: WebSocketHub;
  readonly #connections = new Set<Socket>();
  readonly #paths = new Set<string>();
  readonly #limiter = new LogLimiter(REPEAT_MS);
  readonly #underWay = new WeakMap<Socket, number>();
  #handler: http.RequestListener = () => {};
  #files: Promise<ReadonlyMap<string, StaticFile>> | undefined;
  /** Where it listens, for the log and for tests. */
  readonly addresses: AddressInfo[] = [];

  constructor(options: HttpOptions, access: AccessPolicy, log: Log, scope: Scope) {
    this.#options = options;
    this.#access = access;
    this.#log = log;
    this.#scope = scope;
    this.#sockets = new WebSocketHub(access, log, scope);
    this.#app = fastify({
      exposeHeadRoutes: false,
      forceCloseConnections: true,
      // What the router itself refuses (a path that can't be decoded) is told in the same form as everything else.
      frameworkErrors: (error, request, reply) => void this.#sendError(error, request, reply),
      routerOptions: { ignoreTrailingSlash: false, maxParamLength: 500 },
      serverFactory: (handler) => {
        this.#handler = handler;
        return http.createServer();
      },
    });
    // Handlers read bodies themselves, with a limit and a time-out (`readBody`), or as a stream (ingest).
    this.#app.removeAllContentTypeParsers();
    this.#app.addContentTypeParser('*', (_request, payload, done) => done(null, payload));
    this.#app.addHook('onRequest', async (request, reply) => this.#guard(request, reply));
    this.#app.setErrorHandler((error, request, reply) => this.#sendError(error, request, reply));
    this.#app.setNotFoundHandler((request, reply) => this.#serveFile(request, reply));
  }

  route(route: Route): void {
    // A route without a right can't be typed; data from a plug-in could still lack it.
    if (typeof route.right !== 'string') throw new HearthcamError('http.right', `route ${route.path} names no right`);
    this.#paths.add(route.path);
    this.#app.route({
      method: [...route.methods],
      url: route.path,
      handler: async (request, reply) => {
        const peer = identifyPeer(request.raw, this.#options);
        if (!this.#access.allows(peer, route.right, querySrc(request)))
          return this.#deny(request, reply, peer.authenticated);
        return route.handler(request, reply, peer);
      },
    });
  }

  /** Node's own limits: none for a body, which may be a camera's and go on for months; who reads it looks after it. */
  get #timing() {
    const headersTimeout = this.#options.headTimeoutMs ?? HEAD_TIMEOUT_MS;
    return { headersTimeout, requestTimeout: 0, connectionsCheckingInterval: Math.ceil(headersTimeout / 5) };
  }

  message(message: WsMessage): void {
    this.#sockets.add(message);
  }

  async listen(): Promise<void> {
    await this.#app.ready();
    const { listen, tlsListen, unixListen } = this.#options;
    const timing = this.#timing;
    if (listen !== '') await this.#open(http.createServer(timing), parseListen(listen), 'listen');
    if (tlsListen !== '') {
      const { tlsCert, tlsKey } = this.#options;
      await this.#open(
        https.createServer({ ...timing, cert: tlsCert, key: tlsKey }),
        parseListen(tlsListen),
        'tls_listen',
      );
    }
    if (unixListen !== '') {
      await removeDeadSocket(unixListen);
      await this.#open(http.createServer(timing), { path: unixListen }, 'unix_listen');
    }
  }

  async #open(server: http.Server | https.Server, where: ListenAt, what: string): Promise<void> {
    server.on('request', (request, response) => {
      if (!this.#admit(request, response)) return;
      const { basePath } = this.#options;
      if (basePath !== '' && !this.#stripBase(request, response, basePath)) return;
      this.#handler(request, response);
    });
    server.on('upgrade', (request, socket, head) => {
      // What is thrown here would reach nobody who could close the socket.
      try {
        this.#upgrade(request, socket, head);
      } catch (error) {
        this.#log.debug(`upgrade of ${describePeer(request)} refused: ${describeError(error)}`);
        refuse(socket, '400 Bad Request');
      }
    });
    server.maxConnections = MAX_CONNECTIONS;
    server.on('connection', (socket) => {
      this.#connections.add(socket);
      socket.once('close', () => this.#connections.delete(socket));
    });
    server.on('clientError', (_error, socket) => {
      if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n');
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(where, () => {
        server.off('error', reject);
        resolve();
      });
    }).catch((error: unknown) => {
      throw new HearthcamError('http.listen', `api: can't listen on ${describeListen(where)}`, {
        cause: error,
        hint: `another program may use it: change api.${what}`,
      });
    });
    server.on('error', (error) => this.#log.error(`listener failed: ${error.message}`));
    const address = server.address();
    if (address !== null && typeof address === 'object') this.addresses.push(address);
    // Home Assistant waits for this line (compatibility.md 5.1).
    this.#log.info(what === 'tls_listen' ? 'tls listen' : 'listen', { addr: describeListen(where, address) });
    if (what !== 'unix_listen' && this.#options.username === '' && isEverywhere(where.host)) {
      this.#log.warn('everybody on this network can see the cameras: set api.username and api.password');
    }
    this.#scope.defer(async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of this.#connections) socket.destroy();
      await closed;
    });
  }

  /** Ends a connection that sends requests without waiting for answers: each read of it would begin thousands. */
  #admit(request: http.IncomingMessage, response: http.ServerResponse): boolean {
    const { socket } = request;
    const count = (this.#underWay.get(socket) ?? 0) + 1;
    if (count > MAX_PIPELINED) {
      if (!socket.destroyed) this.#log.debug(`${describePeer(request)}: more than ${MAX_PIPELINED} requests at once`);
      socket.destroy();
      return false;
    }
    this.#underWay.set(socket, count);
    // Node reads on what was sent to a handler that wanted none of it, also when it has no end.
    response.once('finish', () => {
      if (request.complete) return;
      setTimeout(() => {
        if (!request.complete) socket.destroy();
      }, UNREAD_BODY_MS).unref();
    });
    response.once('close', () => this.#underWay.set(socket, (this.#underWay.get(socket) ?? 1) - 1));
    return true;
  }

  #stripBase(request: http.IncomingMessage, response: http.ServerResponse, basePath: string): boolean {
    const url = request.url ?? '/';
    if (UNPREFIXED.test(url)) return true;
    const rest = withoutBase(url, basePath);
    if (rest?.startsWith('/') === true) {
      request.url = rest;
      return true;
    }
    if (rest === undefined) {
      response.writeHead(404, { 'content-type': 'text/plain; charset=utf-8' }).end('404 page not found\n');
    } else {
      response.writeHead(307, { location: `${basePath}/${rest}` }).end();
    }
    return false;
  }

  /** What holds for every request, before its route: origin, host, credentials, allowed paths. */
  async #guard(request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
    const { origin, allowPaths, hosts, username } = this.#options;
    const peer = identifyPeer(request.raw, this.#options);
    if (!peer.authenticated) return this.#deny(request, reply, false);
    if (origin === '*') {
      reply.header('access-control-allow-origin', '*');
      reply.header('access-control-allow-methods', 'GET, POST, PUT, DELETE, OPTIONS');
      reply.header('access-control-allow-headers', 'Authorization, Content-Type');
      if (request.method === 'OPTIONS') return reply.code(200).send('');
    } else if (request.method !== 'GET' && request.method !== 'HEAD' && request.method !== 'OPTIONS') {
      // A page elsewhere must not change anything here through its visitor's browser (CVE-2024-29192).
      if (!originMatches(header(request.raw, 'origin'), request.headers.host)) {
        throw new HearthcamError('http.origin', 'requests from pages of another origin are refused', {
          status: 403,
          hint: 'set api.origin: "*" to allow them',
        });
      }
    }
    if (
      username === '' &&
      header(request.raw, 'x-forwarded-for') === undefined &&
      !isHomeHost(request.headers.host, hosts)
    ) {
      throw new HearthcamError('http.host', `"${request.headers.host}" is not a name of this server`, {
        status: 403,
        hint: 'set api.username and api.password, or add the name to api.hosts',
      });
    }
    const path = request.url.split('?')[0] ?? '/';
    if (allowPaths.length > 0 && !allowPaths.includes(path)) {
      return reply.code(404).type('text/plain; charset=utf-8').send('404 page not found\n');
    }
    reply.header('x-content-type-options', 'nosniff');
    return undefined;
  }

  #deny(request: FastifyRequest, reply: FastifyReply, authenticated: boolean): FastifyReply {
    if (authenticated) {
      throw new HearthcamError('access.denied', `you may not do that: ${request.method} ${request.url.split('?')[0]}`, {
        status: 403,
      });
    }
    return reply
      .code(401)
      .header('www-authenticate', 'Basic realm="go2rtc"')
      .type('text/plain; charset=utf-8')
      .send('Unauthorized\n');
  }

  /** go2rtc's clients read plain text (compatibility.md 1.0); those that ask for JSON get code, message and hint. */
  #sendError(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
    const known = error instanceof HearthcamError ? error : undefined;
    const status = known?.status ?? statusOf(error) ?? 500;
    if (status >= 500) this.#warn(error, request, known?.code);
    if (reply.raw.headersSent) return reply;
    reply.code(status).header('x-content-type-options', 'nosniff');
    if (header(request.raw, 'accept')?.includes('application/json') === true) {
      const body = { error: { code: known?.code ?? 'internal', message: messageOf(error), hint: known?.hint } };
      return reply.type('application/json').send(`${JSON.stringify(body)}\n`);
    }
    return reply.type('text/plain; charset=utf-8').send(`${describeError(error)}\n`);
  }

  #warn(error: unknown, request: FastifyRequest, code = ''): void {
    const src = querySrc(request);
    const stream = src === undefined ? '' : ` for "${src.slice(0, 200)}"`;
    const what = `${request.method} ${request.url.split('?')[0]}${stream}`;
    const repeated = this.#limiter.admit(`${what} ${code}`);
    if (repeated === null) return;
    this.#log.warn(`${what}: ${describeError(error)}`, repeated > 0 ? { repeated } : {});
  }

  async #serveFile(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const path = request.url.split('?')[0] ?? '/';
    // go2rtc's handlers ignore the method: an OPTIONS that no route wants is answered, for what exists.
    if (request.method === 'OPTIONS' && this.#paths.has(path)) return reply.type('text/plain; charset=utf-8').send('');
    this.#files ??= listStatic(this.#options.webRoot);
    if (path === '/index.html') return reply.redirect('./', 301);
    const file = (await this.#files).get(path === '/' ? '/index.html' : path);
    const peer = identifyPeer(request.raw, this.#options);
    if (file === undefined || !this.#access.allows(peer, 'view')) {
      return reply.code(404).type('text/plain; charset=utf-8').send('404 page not found\n');
    }
    reply
      .header('etag', file.etag)
      .header('cache-control', 'no-cache')
      .header(
        'content-security-policy',
        "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; connect-src 'self' ws: wss:; style-src 'self' 'unsafe-inline'; worker-src 'self' blob:; object-src 'none'; base-uri 'none'",
      )
      .type(file.contentType);
    if (header(request.raw, 'if-none-match') === file.etag) return reply.code(304).send();
    if (request.method === 'HEAD') return reply.send();
    return reply.send(await readFile(file.path));
  }

  #upgrade(request: http.IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => socket.destroy());
    const { basePath, origin, allowPaths, hosts, username } = this.#options;
    const url = new URL(request.url ?? '/', 'http://localhost');
    const path = withoutBase(url.pathname, basePath);
    if (path !== '/api/ws' || (allowPaths.length > 0 && !allowPaths.includes(path)))
      return void refuse(socket, '404 Not Found');
    const peer = identifyPeer(request, this.#options);
    if (!peer.authenticated)
      return void refuse(socket, '401 Unauthorized', 'WWW-Authenticate: Basic realm="go2rtc"\r\n');
    if (origin !== '*' && !originMatches(header(request, 'origin'), request.headers.host))
      return void refuse(socket, '403 Forbidden');
    if (
      username === '' &&
      header(request, 'x-forwarded-for') === undefined &&
      !isHomeHost(request.headers.host, hosts)
    ) {
      return void refuse(socket, '403 Forbidden');
    }
    this.#sockets.accept(request, socket, head, url.searchParams, peer);
  }
}

/** What stands behind the base path: a path, or '' or a query where it is named itself; undefined elsewhere. */
function withoutBase(url: string, basePath: string): string | undefined {
  return url.startsWith(basePath) && /^($|[/?])/.test(url.slice(basePath.length))
    ? url.slice(basePath.length)
    : undefined;
}

/** Answers a request for an upgrade with a status alone. */
function refuse(socket: Duplex, status: string, extra = ''): void {
  socket.end(`HTTP/1.1 ${status}\r\n${extra}Content-Length: 0\r\nConnection: close\r\n\r\n`);
}

function isEverywhere(host: string | undefined): boolean {
  return host === undefined || host === '0.0.0.0' || host === '::';
}

export type ListenAt = { host?: string; port?: number; path?: string };

/** `:1984`, `127.0.0.1:1984`, `[::1]:1984`, `1984`. @throws HearthcamError when it is none of these. */
export function parseListen(text: string): ListenAt & { port: number } {
  const match = /^(?:\[([0-9a-f:.]+)\]|([^:]*)):(\d{1,5})$/i.exec(/^\d+$/.test(text) ? `:${text}` : text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) {
    throw new HearthcamError('config.listen', `"${text}" is not an address to listen on`, {
      hint: 'write ":1984" or "127.0.0.1:1984"',
    });
  }
  const host = match[1] ?? match[2] ?? '';
  return host === '' ? { port } : { host, port };
}

function describeListen(where: ListenAt, address?: ReturnType<http.Server['address']>): string {
  if (where.path !== undefined) return where.path;
  const port = typeof address === 'object' && address !== null ? address.port : where.port;
  return `${where.host ?? ''}:${port}`;
}

function querySrc(request: FastifyRequest): string | undefined {
  const query: unknown = request.query;
  if (typeof query !== 'object' || query === null || !('src' in query)) return undefined;
  return typeof query.src === 'string' ? query.src : undefined;
}

function statusOf(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('statusCode' in error)) return undefined;
  return typeof error.statusCode === 'number' ? error.statusCode : undefined;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
