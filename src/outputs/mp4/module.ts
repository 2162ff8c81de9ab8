import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Env, OutputModule } from '../../core/contracts.ts';
import { viewerOf } from '../../core/live-response.ts';
import { requestedStream } from '../../core/requested-stream.ts';
import type { Scope } from '../../core/scope.ts';
import { serveLive } from './live.ts';
import { contentDisposition, parseMp4Query, wantsHls } from './query.ts';
import { stillMp4 } from './still.ts';

/** Home Assistant gives up after 10 s. */
const KEY_FRAME_TIMEOUT_MS = 8_000;

/** `/api/stream.mp4`: an endless (or, with `duration`, finished) MP4. `/api/frame.mp4`: one key frame as MP4. */
export const mp4: OutputModule = {
  name: 'mp4',
  start(env: Env, _config: unknown, scope: Scope): void {
    env.routes.route({
      methods: ['GET'],
      path: '/api/stream.mp4',
      right: 'view',
      handler: async (request, reply, peer) => {
        const params = paramsOf(request);
        if (wantsHls(request.headers['user-agent'], params)) {
          const search = new URL(request.url, 'http://localhost').search;
          return reply.redirect(`stream.m3u8${search}${params.has('mp4') ? '' : '&mp4'}`, 301);
        }
        const query = parseMp4Query(params);
        const stream = requestedStream(env, query, peer);
        return serveLive(stream, query, viewerOf(request, peer, 'mp4'), reply, env.log, scope);
      },
    });
    env.routes.route({
      methods: ['GET', 'HEAD'],
      path: '/api/frame.mp4',
      right: 'view',
      handler: async (request, reply, peer) => {
        const query = parseMp4Query(paramsOf(request));
        const stream = requestedStream(env, query, peer);
        const who = viewerOf(request, peer, 'keyframe');
        const still = await stillMp4(stream, who, KEY_FRAME_TIMEOUT_MS, query.init);
        return send(reply, still.mime, still.data, query.filename);
      },
    });
  },
};

function paramsOf(request: FastifyRequest): URLSearchParams {
  return new URL(request.url, 'http://localhost').searchParams;
}

function send(reply: FastifyReply, mime: string, data: Buffer, filename: string | undefined): FastifyReply {
  if (filename !== undefined) reply.header('content-disposition', contentDisposition(filename));
  return reply
    .header('content-type', mime)
    .header('content-length', data.length)
    .header('cache-control', 'no-cache')
    .send(data);
}
