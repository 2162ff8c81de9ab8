import type { FastifyReply, FastifyRequest } from 'fastify';
import type { AnimationRequest, Env, Peer } from '../../core/contracts.ts';
import { HearthcamError } from '../../core/errors.ts';
import { viewerOf } from '../../core/live-response.ts';
import { QueryValues } from '../../core/query-values.ts';
import { requestedStream } from '../../core/requested-stream.ts';
import type { Stream } from '../../core/stream.ts';
import { maxAgeMs } from './query.ts';
import { recordPictures } from './recording.ts';
import type { StillCache } from './still-cache.ts';

/** What a client wants of an animation. */
export interface AnimationQuery {
  readonly src: string | undefined;
  readonly name: string | undefined;
  readonly durationMs: number;
  readonly fps: number;
  readonly width: number | undefined;
  readonly height: number | undefined;
  readonly rotate: 0 | 90 | 180 | 270;
  readonly quality: number | undefined;
  readonly maxAgeMs: number;
}

const DURATION_MS = [500, 10_000] as const;
const FPS = [1, 15] as const;
const SIDE = [16, 960] as const;
const DEFAULT_DURATION_MS = 3_000;
const DEFAULT_FPS = 5;
/** What a telephone shows of a notification. */
const DEFAULT_WIDTH = 480;

/** @throws HearthcamError 400 that names the parameter */
export function parseAnimationQuery(form: AnimationRequest['form'], query: URLSearchParams): AnimationQuery {
  const values = new QueryValues(`frame.${form}`, 'frame.query', query);
  const durationMs = values.durationMs('duration') ?? DEFAULT_DURATION_MS;
  if (durationMs < DURATION_MS[0] || durationMs > DURATION_MS[1]) throw values.wrong('duration', 'from 500ms to 10s');
  const width = values.side('width', 'w', ...SIDE);
  const height = values.side('height', 'h', ...SIDE);
  return {
    src: values.text('src'),
    name: values.text('name'),
    durationMs,
    fps: values.number('fps', ...FPS) ?? DEFAULT_FPS,
    width: width ?? (height === undefined ? DEFAULT_WIDTH : undefined),
    height,
    rotate: values.rotation('rotate'),
    quality: values.whole('quality', 1, 100),
    maxAgeMs: maxAgeMs(values),
  };
}

/** `/api/frame.webp` and `/api/frame.gif`: the last seconds of a stream, as far as they are there, and the next ones. */
export function mountAnimations(env: Env, cache: StillCache): void {
  for (const form of ['webp', 'gif'] as const) {
    env.routes.route({
      methods: ['GET', 'HEAD'],
      path: `/api/frame.${form}`,
      right: 'view',
      handler: async (request, reply, peer) => {
        const query = parseAnimationQuery(form, new URL(request.url, 'http://localhost').searchParams);
        const stream = requestedStream(env, query, peer);
        const { durationMs, fps, width, height, rotate, quality } = query;
        const key = [stream.name, form, durationMs, fps, width, height, rotate, quality].join('\n');
        const file = await cache.get(key, durationMs + query.maxAgeMs, performance.now(), () =>
          make(env, stream, form, query, request, peer),
        );
        return send(reply, form, file);
      },
    });
  }
}

async function make(
  env: Env,
  stream: Stream,
  form: AnimationRequest['form'],
  query: AnimationQuery,
  request: FastifyRequest,
  peer: Peer,
): Promise<Buffer> {
  const { stills } = env;
  if (stills.animation === undefined) {
    throw new HearthcamError('frame.animation', 'animations can not be made here', { status: 501 });
  }
  const recording = await recordPictures(stream, viewerOf(request, peer, form), query.durationMs);
  const { fps, width, height, rotate, quality } = query;
  return await stills.animation({
    form,
    ...recording,
    fps,
    rotate,
    ...(width === undefined ? {} : { width }),
    ...(height === undefined ? {} : { height }),
    ...(quality === undefined ? {} : { quality }),
  });
}

function send(reply: FastifyReply, form: string, file: Buffer): FastifyReply {
  return reply
    .header('content-type', `image/${form}`)
    .header('content-length', file.length)
    .header('cache-control', 'no-cache')
    .send(file);
}
