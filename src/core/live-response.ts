import type { FastifyReply, FastifyRequest } from 'fastify';
import { BurstFeed, type BurstMuxer, type LiveFeed } from './burst-feed.ts';
import type { Consumer, ConsumerInfo, ConsumerRequest } from './consumer.ts';
import type { Env, OutputModule, Peer, Right } from './contracts.ts';
import { HearthcamError } from './errors.ts';
import type { Track } from './media.ts';
import { knownFormats } from './mp4-tracks.ts';
import type { MediaWant } from './negotiate.ts';
import { requestedStream } from './requested-stream.ts';
import type { Scope } from './scope.ts';
import type { Stream } from './stream.ts';

export interface LiveResponse {
  /** For the log and for `/api/streams`: `mpegts`, `flv`, … */
  readonly formatName: string;
  readonly contentType: string;
  readonly wants: readonly MediaWant[];
  /** How the stream is opened where that is not just by `wants`. */
  open?(stream: Stream, request: ConsumerRequest): Promise<Consumer>;
  /** The feed that all viewers of these tracks share; the formats of the tracks are known. Nothing was sent yet. */
  share(stream: Stream, tracks: readonly Track[], scope: Scope): SharedFeed | Promise<SharedFeed>;
}

export interface SharedFeed {
  readonly value: LiveFeed;
  release(): void;
}

/** The usual `share`: one muxer for all viewers of the same tracks. `key` names the container. */
export function shareMuxer(key: string, makeMuxer: (tracks: readonly Track[]) => BurstMuxer) {
  return (stream: Stream, tracks: readonly Track[]): SharedFeed =>
    stream.share(
      `${key}:${tracks.map((track) => track.id).join()}`,
      () => new BurstFeed(stream, tracks, makeMuxer(tracks)),
    );
}

/** An output that is one endless response: `GET path?src=`. */
export function liveOutput(name: string, path: string, right: Right, response: LiveResponse): OutputModule {
  return {
    name,
    start(env, _config, scope) {
      env.routes.route({
        methods: ['GET'],
        path,
        right,
        handler: (request, reply, peer) => serveLive(env, request, reply, peer, scope, response),
      });
    },
  };
}

/**
 * Answers with an endless body until the client leaves or the stream ends; its end is that of the connection. The
 * bytes go to the socket as they are for all viewers, past the chunks of HTTP/1.1.
 * @throws HearthcamError as long as nothing was sent: 404 unknown stream, 5xx with the reason for a dead camera
 */
export async function serveLive(
  env: Env,
  request: FastifyRequest,
  reply: FastifyReply,
  peer: Peer,
  parent: Scope,
  response: LiveResponse,
): Promise<FastifyReply> {
  const { searchParams } = new URL(request.url, 'http://localhost');
  const stream = requestedStream(env, { src: searchParams.get('src') ?? '' }, peer);
  const socket = reply.raw.socket;
  if (socket === null) throw new HearthcamError('http.gone', 'the client has left', { status: 499 });
  const who = viewerOf(request, peer, response.formatName);
  const scope = parent.child(response.formatName);
  const close = (): void => {
    scope.close().catch((error: unknown) => env.log.warn(`viewer ${who.remoteAddr}: close failed: ${String(error)}`));
  };
  socket.once('close', close);
  try {
    const { wants, open = openForHttp } = response;
    const consumer = await open(stream, { ...who, wants, signal: scope.signal, onEnd: close });
    scope.defer(() => consumer.close());
    const tracks = await knownFormats(consumer.stream, consumer.tracks, scope.signal);
    scope.signal.throwIfAborted();
    const shared = await response.share(consumer.stream, tracks, scope);
    scope.defer(() => shared.release());
    scope.signal.throwIfAborted();

    reply.hijack();
    socket.setNoDelay(true);
    socket.setTimeout(0);
    const { contentType } = response;
    socket.write(responseHead(reply, { 'content-type': contentType, 'cache-control': 'no-cache, no-store' }));
    const onStuck = (): void => {
      env.log.warn(`viewer ${who.remoteAddr} (${who.formatName}) took nothing of "${stream.name}" for long: closed`);
      socket.destroy();
    };
    const remove = shared.value.add({ socket, consumer, onStuck });
    scope.defer(() => {
      remove();
      socket.end();
    });
    return reply;
  } catch (error) {
    socket.off('close', close);
    await scope.close();
    throw error;
  }
}

/**
 * Opens a consumer for an HTTP request.
 * @throws HearthcamError 400 when what is asked for can't be made, 5xx for whatever is wrong with the camera: its 401 or 404 is no answer about this request
 */
export async function openForHttp(stream: Stream, request: ConsumerRequest): Promise<Consumer> {
  try {
    return await stream.open(request);
  } catch (error) {
    const known = error instanceof HearthcamError;
    const ofRequest = known && (error.code.startsWith('stream.') || error.code === 'codec.request');
    if (ofRequest || (known && error.status >= 500)) throw error;
    throw new HearthcamError('stream.camera', `camera "${stream.name}" can't be reached`, {
      cause: error,
      status: 502,
    });
  }
}

/** Who sent an HTTP request, for `/api/streams`. */
export function viewerOf(request: FastifyRequest, peer: Peer, formatName: string): ConsumerInfo {
  const userAgent = request.headers['user-agent'];
  return {
    formatName,
    protocol: 'http',
    remoteAddr: `${peer.remoteAddress}:${request.socket.remotePort ?? 0}`,
    ...(userAgent === undefined ? {} : { userAgent }),
  };
}

/**
 * A response's head by hand, for a body that is written to the socket itself: `headers` and what the server set for every
 * response (CORS, nosniff). The connection ends with the body.
 */
export function responseHead(reply: FastifyReply, headers: Readonly<Record<string, string>>): string {
  const all = { ...reply.getHeaders(), ...headers, connection: 'close' };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${String(value)}\r\n`);
  return `HTTP/1.1 200 OK\r\n${lines.join('')}\r\n`;
}
