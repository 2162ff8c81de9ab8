import { randomUUID } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Env, Peer } from '../../core/contracts.ts';
import { HearthcamError } from '../../core/errors.ts';
import { readBody } from '../../core/http-body.ts';
import { requirePublishRight } from '../../core/publish-right.ts';
import { requestedQuality } from '../../core/requested-quality.ts';
import { requireTalkRight } from '../../core/talk-right.ts';
import { isLoopback } from './local.ts';
import { openPublisher, type Publisher } from './publisher.ts';
import { MAX_SDP_BYTES } from './sdp/offer.ts';
import { asOfferError, type WebrtcService } from './service.ts';
import { isTalkOffer, openTalker, type Talker, type TalkerRequest } from './talker.ts';
import { openViewer, type Viewer } from './viewer.ts';
import { ViewerSessions, viewerState } from './viewer-sessions.ts';

/** JSON and base64 add something to an offer of the largest size. */
const MAX_BODY_BYTES = MAX_SDP_BYTES * 2;

/** How an offer came and how the answer goes back (compatibility.md 1.6). */
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
  readonly #viewers = new ViewerSessions();
  readonly #talkers = new Map<string, Talker>();

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
        if (src !== '') return this.#view(request, reply, peer, src, query.get('quality'));
        // POST and not PATCH, so that pages of other origins need no question before it.
        if (query.has('id') && query.has('quality')) return this.#change(reply, query);
        throw new HearthcamError('http.query', 'src or dst is missing', { status: 400 });
      }
      case 'DELETE':
        return this.#end(reply, peer, query.get('id') ?? '');
      case 'GET':
        if (query.has('id')) return this.#state(reply, query.get('id') ?? '');
        throw new HearthcamError('http.method', 'Method not allowed', { status: 405 });
      default:
        throw new HearthcamError('http.method', 'Method not allowed', { status: 405 });
    }
  }

  async #view(
    request: FastifyRequest,
    reply: FastifyReply,
    peer: Peer,
    src: string,
    wish: string | null,
  ): Promise<unknown> {
    const stream = this.#env.hub.require(src);
    const quality = requestedQuality(this.#env, stream.name, wish);
    const exchange = await readExchange(request);
    const abort = new AbortController();
    const onGone = (): void => abort.abort(new HearthcamError('http.gone', 'the viewer has left'));
    request.raw.socket.once('close', onGone);
    const common = {
      stream,
      sdp: exchange.sdp,
      formatName: exchange.formatName,
      protocol: 'http+udp',
      ...whoAsks(request),
      iceServers: [],
      candidates: [],
    };
    try {
      if (isTalkOffer(exchange.sdp)) {
        requireTalkRight(this.#env.access, peer, src);
        return await this.#talk(exchange, reply, { ...common, signal: abort.signal });
      }
      const viewer = await openViewer(this.#service, {
        ...common,
        mayTalk: this.#env.access.allows(peer, 'talk', src),
        env: this.#env,
        quality,
        signal: abort.signal,
      });
      if (quality !== null) {
        // go2rtc's answer has none, and what its clients would do with one is not known.
        const location = `webrtc?id=${this.#viewers.add(viewer)}`;
        reply.header('location', location).header('access-control-expose-headers', 'Location');
      }
      const candidates = viewer.peer.complete ? viewer.peer.candidates : await viewer.peer.gathered();
      return exchange.reply(reply, viewer.answer(candidates));
    } catch (error) {
      throw asOfferError(error);
    } finally {
      request.raw.socket.off('close', onGone);
    }
  }

  /** Somebody speaks to the camera. */
  async #talk(exchange: Exchange, reply: FastifyReply, request: TalkerRequest): Promise<unknown> {
    const talker = await openTalker(this.#service, request);
    const id = randomUUID();
    this.#talkers.set(id, talker);
    void talker.ended.then(() => this.#talkers.delete(id));
    reply.header('location', `webrtc?id=${id}`).header('access-control-expose-headers', 'Location');
    const { peer } = talker;
    return exchange.reply(reply, talker.answer(peer.complete ? peer.candidates : await peer.gathered()));
  }

  async #change(reply: FastifyReply, query: URLSearchParams): Promise<unknown> {
    const viewer = this.#viewer(query.get('id') ?? '');
    const wish = requestedQuality(this.#env, viewer.streamName, query.get('quality')) ?? 'auto';
    if (viewer.picture !== null) await viewer.picture.choose(wish);
    return reply.header('cache-control', 'no-store').send(viewerState(viewer));
  }

  #state(reply: FastifyReply, id: string): unknown {
    return reply.header('cache-control', 'no-store').send(viewerState(this.#viewer(id)));
  }

  #viewer(id: string): Viewer {
    const viewer = this.#viewers.get(id);
    if (viewer === undefined) throw new HearthcamError('webrtc.unknown', 'session not found', { status: 404 });
    return viewer;
  }

  async #publish(request: FastifyRequest, reply: FastifyReply, peer: Peer, dst: string): Promise<unknown> {
    requirePublishRight(this.#env.access, peer, dst);
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
    const viewer = this.#viewers.get(id) ?? this.#talkers.get(id);
    if (viewer !== undefined) {
      viewer.close();
      return reply.code(200).send('');
    }
    requirePublishRight(this.#env.access, peer);
    const publisher = this.#publishers.get(id);
    if (publisher === undefined) throw new HearthcamError('webrtc.unknown', 'session not found', { status: 404 });
    publisher.close();
    return reply.code(200).send('');
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

function queryOf(url: string): URLSearchParams {
  const at = url.indexOf('?');
  return new URLSearchParams(at < 0 ? '' : url.slice(at + 1));
}
