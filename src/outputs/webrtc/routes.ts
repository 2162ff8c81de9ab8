import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Env, Peer, WsSession } from '../../core/contracts.ts';
import { HearthcamError } from '../../core/errors.ts';
import { readBody } from '../../core/http-body.ts';
import type { IceServer } from './link.ts';
import { openPublisher, type Publisher } from './publisher.ts';
import { MAX_SDP_BYTES } from './sdp/offer.ts';
import { asOfferError, type WebrtcService } from './service.ts';
import { openViewer } from './viewer.ts';

/** JSON and base64 add something to an offer of the largest size. */
const MAX_BODY_BYTES = MAX_SDP_BYTES * 2;

/** How an offer came and how the answer goes back (compat.md 1.6). */
interface Exchange {
  readonly sdp: string;
  readonly formatName: string;
  reply(reply: FastifyReply, answer: string): unknown;
}

/** `/api/webrtc`: WHEP, WHIP and go2rtc's own forms. */
export class WebrtcRoutes {
  readonly #env: Env;
  readonly #service: WebrtcService;
  /** By the id in the `Location` of a WHIP answer. */
  readonly #publishers = new Map<string, Publisher>();

  constructor(env: Env, service: WebrtcService) {
    this.#env = env;
    this.#service = service;
  }

  mount(): void {
    this.#env.routes.route({
      methods: ['POST', 'GET', 'PATCH', 'PUT', 'DELETE', 'OPTIONS'],
      path: '/api/webrtc',
      right: 'view',
      handler: (request, reply, peer) => this.#handle(request, reply, peer),
    });
  }

  async #handle(request: FastifyRequest, reply: FastifyReply, peer: Peer): Promise<unknown> {
    const query = queryOf(request.url);
    switch (request.method) {
      case 'OPTIONS':
        return reply.code(204).send();
      case 'POST': {
        const dst = query.get('dst') ?? '';
        const src = query.get('src') ?? '';
        if (dst !== '') return this.#publish(request, reply, peer, dst);
        if (src !== '') return this.#view(request, reply, src);
        throw new HearthcamError('http.query', 'src or dst is missing', { status: 400 });
      }
      case 'DELETE':
        return this.#end(reply, peer, query.get('id') ?? '');
      default:
        throw new HearthcamError('http.method', 'Method not allowed', { status: 405 });
    }
  }

  async #view(request: FastifyRequest, reply: FastifyReply, src: string): Promise<unknown> {
    const stream = this.#env.hub.require(src);
    const exchange = await readExchange(request);
    const abort = new AbortController();
    const onGone = (): void => abort.abort(new HearthcamError('http.gone', 'the viewer has left'));
    request.raw.socket.once('close', onGone);
    try {
      const viewer = await openViewer(this.#service, {
        stream,
        sdp: exchange.sdp,
        formatName: exchange.formatName,
        protocol: 'http+udp',
        ...whoAsks(request),
        iceServers: [],
        candidates: [],
        signal: abort.signal,
      });
      const { peer } = viewer;
      const candidates = peer.complete ? peer.candidates : await peer.gathered();
      return exchange.reply(reply, viewer.answer(candidates));
    } catch (error) {
      throw asOfferError(error);
    } finally {
      request.raw.socket.off('close', onGone);
    }
  }

  async #publish(request: FastifyRequest, reply: FastifyReply, peer: Peer, dst: string): Promise<unknown> {
    this.#requireControl(peer, dst);
    const stream = this.#env.hub.require(dst);
    const exchange = await readExchange(request);
    try {
      const publisher = await openPublisher(this.#service, {
        stream,
        sdp: exchange.sdp,
        protocol: 'http+udp',
        ...whoAsks(request),
        iceServers: [],
        candidates: [],
      });
      const id = String(publisher.peer.id);
      this.#publishers.set(id, publisher);
      void publisher.ended.then(() => this.#publishers.delete(id));
      const candidates = publisher.peer.complete ? publisher.peer.candidates : await publisher.peer.gathered();
      return reply
        .code(201)
        .header('location', `webrtc?id=${id}`)
        .type('application/sdp')
        .send(publisher.answer(candidates));
    } catch (error) {
      throw asOfferError(error);
    }
  }

  #end(reply: FastifyReply, peer: Peer, id: string): unknown {
    if (id === '') throw new HearthcamError('http.query', 'id is missing', { status: 400 });
    this.#requireControl(peer, undefined);
    const publisher = this.#publishers.get(id);
    if (publisher === undefined) throw new HearthcamError('webrtc.unknown', 'session not found', { status: 404 });
    publisher.close();
    return reply.code(200).send('');
  }

  #requireControl(peer: Peer, streamName: string | undefined): void {
    if (this.#env.access.allows(peer, 'control', streamName)) return;
    throw new HearthcamError('access.denied', 'publishing needs the right to control', { status: 403 });
  }
}

async function readExchange(request: FastifyRequest): Promise<Exchange> {
  const body = (await readBody(request.raw, MAX_BODY_BYTES)).toString('utf8');
  const type = (request.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase() ?? '';
  switch (type) {
    case 'application/json': {
      return {
        sdp: jsonSdp(body),
        formatName: 'webrtc/json',
        reply: (reply, sdp) => reply.type('application/json').send(`${JSON.stringify({ type: 'answer', sdp })}\n`),
      };
    }
    case 'application/sdp':
      return {
        sdp: body,
        formatName: 'webrtc/whep',
        reply: (reply, sdp) => reply.code(201).type('application/sdp').send(sdp),
      };
    case 'application/x-www-form-urlencoded': {
      const data = new URLSearchParams(body).get('data') ?? '';
      return {
        sdp: Buffer.from(data, 'base64').toString('utf8'),
        formatName: 'webrtc/post',
        reply: (reply, sdp) => reply.type('text/plain; charset=utf-8').send(Buffer.from(sdp).toString('base64')),
      };
    }
    default:
      return {
        sdp: body,
        formatName: 'webrtc/post',
        reply: (reply, sdp) => reply.type('text/plain; charset=utf-8').send(sdp),
      };
  }
}

function jsonSdp(body: string): string {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch (error) {
    throw new HearthcamError('http.json', 'the body is not JSON', { status: 400, cause: error });
  }
  if (typeof value === 'object' && value !== null && 'sdp' in value && typeof value.sdp === 'string') return value.sdp;
  throw new HearthcamError('http.json', 'the body has no "sdp"', { status: 400 });
}

function whoAsks(request: FastifyRequest): { remoteAddr: string; userAgent: string | undefined; local: boolean } {
  const { remoteAddress = '', remotePort = 0 } = request.raw.socket;
  return {
    remoteAddr: `${remoteAddress.replace(/^::ffff:/, '')}:${remotePort}`,
    userAgent: request.headers['user-agent'],
    local: isLoopback(remoteAddress),
  };
}

function isLoopback(address: string): boolean {
  return address === '::1' || /^(::ffff:)?127\./.test(address) || address === '';
}

function queryOf(url: string): URLSearchParams {
  const at = url.indexOf('?');
  return new URLSearchParams(at < 0 ? '' : url.slice(at + 1));
}

const MAX_EARLY_CANDIDATES = 64;

/** What one WebSocket has under way: candidates may come before the offer, and while it is being answered. */
interface Signalling {
  readonly early: string[];
  add: ((candidate: string) => void) | undefined;
}

/** The `webrtc…` messages of `/api/ws` (compat.md 1.5). The connection outlives the socket. */
export class WebrtcMessages {
  readonly #env: Env;
  readonly #service: WebrtcService;
  readonly #signalling = new WeakMap<WsSession, Signalling>();

  constructor(env: Env, service: WebrtcService) {
    this.#env = env;
    this.#service = service;
  }

  mount(): void {
    const { routes, access } = this.#env;
    const mayName = (session: WsSession): boolean => access.allows(session.peer, 'configure', session.src);
    routes.message({
      type: 'webrtc/offer',
      right: 'view',
      handler: (session, value) => this.#offer(session, text(value), [], (sdp) => session.send('webrtc/answer', sdp)),
    });
    routes.message({
      type: 'webrtc',
      right: 'view',
      handler: (session, value) =>
        // Like a URL given as src, servers named in a request let whoever asks choose whom this server talks to.
        this.#offer(session, jsonOffer(value), mayName(session) ? iceServersOf(value) : [], (sdp) =>
          session.send('webrtc', { type: 'answer', sdp }),
        ),
    });
    routes.message({
      type: 'webrtc/candidate',
      right: 'view',
      handler: (session, value) => this.#candidate(session, text(value)),
    });
  }

  async #offer(
    session: WsSession,
    sdp: string,
    iceServers: readonly IceServer[],
    sendAnswer: (sdp: string) => void,
  ): Promise<void> {
    const signalling = this.#of(session);
    const { remoteAddr, userAgent } = session;
    const address = session.socket.remoteAddress ?? '';
    let answered = false;
    const late: string[] = [];
    const request = {
      sdp,
      protocol: 'ws+udp',
      remoteAddr,
      userAgent,
      local: isLoopback(address),
      iceServers,
      candidates: signalling.early.splice(0),
      onCandidate: (candidate: string) => {
        // Nothing may come before the answer.
        if (answered) session.send('webrtc/candidate', candidate);
        else late.push(candidate);
      },
    };
    try {
      const opened = await this.#open(session, request);
      const { peer } = opened;
      signalling.add = (candidate) => peer.addCandidate(candidate);
      for (const candidate of signalling.early.splice(0)) peer.addCandidate(candidate);
      sendAnswer(opened.answer([]));
      answered = true;
      for (const candidate of [...peer.candidates, ...late]) session.send('webrtc/candidate', candidate);
    } catch (error) {
      throw asOfferError(error);
    }
  }

  #open(session: WsSession, request: Omit<Parameters<typeof openPublisher>[1], 'stream'>) {
    const { hub, access } = this.#env;
    const dst = session.query.get('dst') ?? '';
    if (dst === '') {
      return openViewer(this.#service, {
        ...request,
        stream: hub.require(session.src),
        formatName: 'webrtc',
        signal: session.scope.signal,
      });
    }
    if (!access.allows(session.peer, 'control', dst)) {
      throw new HearthcamError('access.denied', 'publishing needs the right to control', { status: 403 });
    }
    return openPublisher(this.#service, { ...request, stream: hub.require(dst) });
  }

  #candidate(session: WsSession, candidate: string): void {
    const signalling = this.#of(session);
    if (signalling.add !== undefined) signalling.add(candidate);
    else if (signalling.early.length < MAX_EARLY_CANDIDATES) signalling.early.push(candidate);
  }

  #of(session: WsSession): Signalling {
    let signalling = this.#signalling.get(session);
    if (signalling === undefined) {
      signalling = { early: [], add: undefined };
      this.#signalling.set(session, signalling);
    }
    return signalling;
  }
}

function text(value: unknown): string {
  if (typeof value === 'string') return value;
  throw new HearthcamError('ws.value', 'webrtc: the value must be a text', { status: 400 });
}

function jsonOffer(value: unknown): string {
  if (typeof value === 'object' && value !== null && 'sdp' in value && typeof value.sdp === 'string') return value.sdp;
  throw new HearthcamError('ws.value', 'webrtc: the value has no "sdp"', { status: 400 });
}

/** `ice_servers` of Home Assistant's message: TURN servers that the viewer will use, so that we can as well. */
function iceServersOf(value: unknown): IceServer[] {
  if (typeof value !== 'object' || value === null || !('ice_servers' in value) || !Array.isArray(value.ice_servers)) {
    return [];
  }
  const servers: IceServer[] = [];
  for (const one of value.ice_servers.slice(0, 10)) {
    if (typeof one !== 'object' || one === null) continue;
    // Checked border: an object from JSON; each field is looked at below.
    const { urls, username, credential } = one as Readonly<Record<string, unknown>>;
    for (const url of Array.isArray(urls) ? urls.slice(0, 10) : [urls]) {
      if (typeof url !== 'string' || !/^turns?:/i.test(url)) continue;
      servers.push({
        url,
        username: typeof username === 'string' ? username : '',
        credential: typeof credential === 'string' ? credential : '',
      });
    }
  }
  return servers;
}
