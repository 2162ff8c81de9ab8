import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Env, OutputModule, Peer } from '../../core/contracts.ts';
import { HearthcamError } from '../../core/errors.ts';
import { type KeyFrame, withKeyFrame } from '../../core/key-frame.ts';
import { viewerOf } from '../../core/live-response.ts';
import { requestedStream } from '../../core/requested-stream.ts';
import type { Scope } from '../../core/scope.ts';
import type { Stream } from '../../core/stream.ts';
import { mountAnimations } from './animation.ts';
import { type FrameQuery, parseFrameQuery } from './query.ts';
import { StillCache } from './still-cache.ts';

/** Home Assistant gives up after 10 s; decoding takes some milliseconds of these. */
const KEY_FRAME_TIMEOUT_MS = 8_000;
const MAX_CACHE_BYTES = 16 * 1024 * 1024;
const SWEEP_MS = 5_000;

/** `/api/frame.jpeg`: a still of any camera, from the key frame that the stream keeps for its viewers; and animations. */
export const frame: OutputModule = {
  name: 'frame',
  start(env: Env, _config: unknown, scope: Scope): void {
    const cache = new StillCache(MAX_CACHE_BYTES);
    scope.every(SWEEP_MS, () => cache.sweep(performance.now()));
    mountAnimations(env, cache);
    env.routes.route({
      methods: ['GET', 'HEAD'],
      path: '/api/frame.jpeg',
      right: 'view',
      handler: async (request, reply, peer) => {
        const url = new URL(request.url, 'http://localhost');
        const query = parseFrameQuery(url.searchParams);
        const stream = requestedStream(env, query, peer);
        const key = [stream.name, query.width, query.height, query.rotate, query.quality].join('\n');
        const jpeg = await cache.get(key, query.maxAgeMs, performance.now(), () =>
          makeStill(env, stream, query, request, peer),
        );
        return send(reply, jpeg);
      },
    });
  },
};

function makeStill(env: Env, stream: Stream, query: FrameQuery, request: FastifyRequest, peer: Peer): Promise<Buffer> {
  const use = (picture: KeyFrame): Promise<Buffer> => {
    if (picture.format.codec === 'jpeg' && isUnchanged(query)) return Promise.resolve(picture.data);
    const { width, height, rotate, quality } = query;
    return env.stills.still({
      ...picture,
      rotate,
      ...(width === undefined ? {} : { width }),
      ...(height === undefined ? {} : { height }),
      ...(quality === undefined ? {} : { quality }),
    });
  };
  // A picture that was damaged on its way from the camera: the next one may be whole.
  const damaged = (error: unknown): boolean => error instanceof HearthcamError && error.code === 'codec.input';
  const limits = { codecs: 'any', timeoutMs: KEY_FRAME_TIMEOUT_MS } as const;
  return withKeyFrame(stream, viewerOf(request, peer, 'keyframe'), limits, use, damaged);
}

function isUnchanged(query: FrameQuery): boolean {
  return query.width === undefined && query.height === undefined && query.rotate === 0 && query.quality === undefined;
}

function send(reply: FastifyReply, jpeg: Buffer): FastifyReply {
  return reply
    .header('content-type', 'image/jpeg')
    .header('content-length', jpeg.length)
    .header('cache-control', 'no-cache')
    .header('pragma', 'no-cache')
    .header('connection', 'close')
    .send(jpeg);
}
