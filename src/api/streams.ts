import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Env, Peer } from '../core/contracts.ts';
import { describeError, HearthcamError } from '../core/errors.ts';
import { allowedOverHttp, refuseProgram } from '../core/source-policy.ts';
import type { Stream } from '../core/stream.ts';
import { ANY_WANTS, wantsFromQuery } from '../core/wants.ts';
import type { StreamDescriber, StreamJson } from './describe.ts';
import { streamsDot } from './dot.ts';
import { queryOf, sendEmpty, sendJson } from './reply.ts';
import type { ApiServices } from './services.ts';
import type { TalkApi } from './talk.ts';

const MAX_NAME_LENGTH = 200;
const MAX_SOURCES = 20;
/** Clients wait 10 s for the whole answer (compatibility.md 5.3), and the camera may have to be connected before. */
const TALK_ANSWER_MS = 3_000;

/** `/api/streams` and `/api/streams.dot` (compatibility.md 1.2). No request waits for another one's camera. */
export class StreamsApi {
  readonly #env: Env;
  readonly #services: ApiServices;
  readonly #describer: StreamDescriber;
  readonly #talk: TalkApi;
  /** Sources with `{input}` as they were before the first PATCH filled it in. */
  readonly #templates = new Map<string, readonly string[]>();

  constructor(env: Env, services: ApiServices, describer: StreamDescriber, talk: TalkApi) {
    this.#env = env;
    this.#talk = talk;
    this.#services = services;
    this.#describer = describer;
  }

  mount(): void {
    const { routes } = this.#env;
    const path = '/api/streams';
    routes.route({
      methods: ['GET', 'HEAD'],
      path,
      right: 'view',
      handler: (request, reply, peer) => this.#get(request, reply, peer),
    });
    routes.route({
      methods: ['PUT'],
      path,
      right: 'configure',
      handler: (request, reply) => this.#put(request, reply),
    });
    routes.route({
      methods: ['PATCH'],
      path,
      right: 'configure',
      handler: (request, reply) => this.#patch(request, reply),
    });
    routes.route({
      methods: ['POST'],
      path,
      right: 'talk',
      handler: (request, reply, peer) => this.#post(request, reply, peer),
    });
    routes.route({
      methods: ['DELETE'],
      path,
      right: 'configure',
      handler: (request, reply) => this.#delete(request, reply),
    });
    routes.route({ methods: ['OPTIONS'], path, right: 'view', handler: (_request, reply) => sendEmpty(reply) });
    routes.route({
      methods: ['GET', 'HEAD'],
      path: '/api/streams.dot',
      right: 'view',
      handler: (request, reply) => this.#dot(request, reply),
    });
  }

  #all(): Record<string, StreamJson> {
    return Object.fromEntries(
      [...this.#env.hub.streams].map(([name, stream]) => [name, this.#describer.stream(stream)]),
    );
  }

  #get(request: FastifyRequest, reply: FastifyReply, peer: Peer): FastifyReply | Promise<FastifyReply> {
    const query = queryOf(request);
    const src = query.get('src');
    if (src === null || src === '') return sendJson(reply, this.#all());
    const stream = this.#env.hub.require(src);
    const probing = query.has('video') || query.has('audio') || query.has('microphone');
    return probing
      ? this.#probe(stream, query, request, reply, peer)
      : sendJson(reply, this.#describer.stream(stream), 2);
  }

  /** Connects the camera for a moment, so that the answer says what it has. */
  async #probe(
    stream: Stream,
    query: URLSearchParams,
    request: FastifyRequest,
    reply: FastifyReply,
    peer: Peer,
  ): Promise<FastifyReply> {
    const wants = wantsFromQuery(query);
    const gone = new AbortController();
    const onClose = (): void => gone.abort(new HearthcamError('http.closed', 'the client is gone', { status: 499 }));
    request.raw.socket.once('close', onClose);
    try {
      const { remoteAddress, remotePort } = request.raw.socket;
      const userAgent = request.headers['user-agent'];
      const consumer = await stream.open({
        formatName: 'probe',
        protocol: 'http',
        remoteAddr: remoteAddress === undefined ? '' : `${remoteAddress}:${remotePort ?? 0}`,
        ...(userAgent === undefined ? {} : { userAgent }),
        wants: wants.length > 0 ? wants : ANY_WANTS,
        // It asks what the camera has; nothing is made for that.
        remake: false,
        signal: gone.signal,
      });
      try {
        const talks = query.has('microphone') && this.#env.access.allows(peer, 'talk', stream.name);
        if (talks) await this.#askForTalk(stream, gone.signal);
        const answer = this.#describer.stream(stream, !query.has('microphone') || talks);
        if (!query.has('microphone')) return sendJson(reply, answer, 2);
        const consumers = (answer.consumers ?? []).map((one) =>
          one.id === consumer.id ? { ...one, medias: [...(one.medias ?? []), 'audio, recvonly, ANY'] } : one,
        );
        return sendJson(reply, { ...answer, consumers }, 2);
      } finally {
        consumer.close();
      }
    } catch (error) {
      if (error instanceof HearthcamError && error.status === 499) throw error;
      const reason = describeError(error).replace(/^streams: /, '');
      throw new HearthcamError('streams.probe', this.#services.mask(`streams: ${reason}`), { status: 500 });
    } finally {
      request.raw.socket.off('close', onClose);
    }
  }

  /** The connection that plays is not touched. A camera that takes its time is not waited for. */
  async #askForTalk(stream: Stream, signal: AbortSignal): Promise<void> {
    const late = AbortSignal.timeout(TALK_ANSWER_MS);
    try {
      await stream.talk.codecs(AbortSignal.any([signal, late]));
    } catch (error) {
      if (!late.aborted) throw error;
    }
  }

  async #put(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const query = queryOf(request);
    const sources = query.getAll('src').filter((source) => source !== '');
    const [first] = sources;
    if (first === undefined) return sendJson(reply, this.#all());
    const name = query.get('name') ?? first;
    this.#check(name, sources);
    const { hub } = this.#env;
    const existing = hub.get(name);
    // Home Assistant repeats its PUT at each view: nothing may happen to the camera or to those who watch.
    if (existing !== undefined && sameSources(existing, sources)) return sendEmpty(reply);
    hub.set(name, sources);
    this.#templates.delete(name);
    await this.#persist(`stream "${name}"`, () => this.#services.settings.setStream(name, sources));
    return sendEmpty(reply);
  }

  /** In memory only: gives a stream another source, makes an alias, or fills in `{input}`. */
  #patch(request: FastifyRequest, reply: FastifyReply): FastifyReply {
    const query = queryOf(request);
    const name = query.get('name') ?? '';
    const src = query.get('src') ?? '';
    if (name === '' || src === '') {
      throw new HearthcamError('streams.patch', 'streams: PATCH needs name and src', { status: 400 });
    }
    const { hub } = this.#env;
    const target = this.#existingStream(src);
    if (target === name)
      throw new HearthcamError('streams.alias', 'streams: a stream can not be its own source', { status: 400 });
    const configured = hub.get(name)?.producers.map((producer) => producer.spec.text) ?? [];
    const templates = this.#templates.get(name) ?? configured.filter((text) => text.includes('{input}'));
    const sources =
      templates.length > 0 ? templates.map((text) => text.replaceAll('{input}', target ?? src)) : [target ?? src];
    this.#check(name, sources);
    hub.set(name, sources);
    if (templates.length > 0) this.#templates.set(name, templates);
    return sendEmpty(reply);
  }

  /** `front`, or `rtsp://<any host>/front` where such a stream exists. */
  #existingStream(src: string): string | undefined {
    if (this.#env.hub.get(src) !== undefined) return src;
    const path = /^rtsp:\/\/[^/]+\/([^?#]+)/.exec(src)?.[1];
    return path !== undefined && this.#env.hub.get(path) !== undefined ? path : undefined;
  }

  /** Talking to a camera, and sending a stream to another server. */
  async #post(request: FastifyRequest, reply: FastifyReply, peer: Peer): Promise<FastifyReply> {
    const query = queryOf(request);
    const { hub } = this.#env;
    const dst = query.get('dst') ?? '';
    const src = query.get('src') ?? '';
    refuseProgram(src);
    if (dst === '') throw new HearthcamError('streams.post', 'streams: POST needs dst', { status: 400 });
    const camera = hub.get(dst);
    if (camera !== undefined) {
      await this.#talk.play(camera, src, request, peer);
      if (src === '') return sendEmpty(reply);
      return sendJson(reply, this.#describer.stream(camera), 2);
    }
    hub.require(src);
    throw new HearthcamError('streams.publish', 'streams: sending a stream to another server is not offered', {
      status: 400,
      hint: 'let the other server read it: RTSP, HLS or /api/stream.flv',
    });
  }

  async #delete(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const src = queryOf(request).get('src') ?? '';
    if (src === '') return sendEmpty(reply);
    const removed = this.#env.hub.remove(src);
    this.#templates.delete(src);
    await Promise.all([removed, this.#persist(`stream "${src}"`, () => this.#services.settings.deleteStream(src))]);
    return sendEmpty(reply);
  }

  #dot(request: FastifyRequest, reply: FastifyReply): FastifyReply {
    const src = queryOf(request).get('src');
    const streams =
      src === null || src === '' ? this.#all() : { [src]: this.#describer.stream(this.#env.hub.require(src)) };
    return reply.type('text/vnd.graphviz').send(streamsDot(streams));
  }

  /** @throws HearthcamError 400 with go2rtc's words for what may not be added over HTTP */
  #check(name: string, sources: readonly string[]): void {
    if (name === '' || name === '__proto__' || name.length > MAX_NAME_LENGTH || hasControlCharacter(name)) {
      throw new HearthcamError('streams.name', 'streams: this name can not be used', { status: 400 });
    }
    if (sources.length > MAX_SOURCES) {
      throw new HearthcamError('streams.sources', `streams: more than ${MAX_SOURCES} sources`, { status: 400 });
    }
    for (const source of sources) {
      // Once in the file it would be replaced by what the environment holds, and sent to whoever the source names.
      if (source.includes('${') || name.includes('${')) {
        throw new HearthcamError('source.reference', 'streams: references are only for the configuration file', {
          status: 400,
        });
      }
      allowedOverHttp(source, this.#env.hub, [name]);
    }
  }

  /** The stream is in force already: that it can't be kept for the next start is told in the log. */
  async #persist(what: string, write: () => Promise<void>): Promise<void> {
    if (this.#services.settings.path === undefined) return;
    try {
      await write();
    } catch (error) {
      this.#env.log.warn(`${what} is changed until the next start only: ${describeError(error)}`);
    }
  }
}

function sameSources(stream: Stream, sources: readonly string[]): boolean {
  const have = stream.producers.map((producer) => producer.spec.text);
  return have.length === sources.length && have.every((text, index) => text === sources[index]);
}

function hasControlCharacter(text: string): boolean {
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code < 0x20 || code === 0x7f) return true;
  }
  return false;
}
