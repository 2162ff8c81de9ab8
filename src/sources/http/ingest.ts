import type { FastifyReply, FastifyRequest } from 'fastify';
import { Problems } from '../../core/containers/input.ts';
import type { Env, OutputModule } from '../../core/contracts.ts';
import { HearthcamError } from '../../core/errors.ts';
import { PUBLISH_RIGHT } from '../../core/publish-right.ts';
import { parseSourceSpec, type SourceModule } from '../../core/source.ts';
import { Body } from './body.ts';
import { readBody } from './fetch.ts';

/** Where media may be posted to (compatibility.md 1.4); the last takes whatever its bytes are. */
const PATHS = ['/api/stream.ts', '/api/stream.flv', '/api/stream.mjpeg', '/api/stream'] as const;

/**
 * POST `…?dst=name`: whoever sends becomes a source of the stream for as long as the request lasts. Listed among the
 * outputs because that is what mounts routes; what it takes in goes the way of every HTTP source.
 */
export const httpIngest: OutputModule = {
  name: 'ingest',
  start(env) {
    for (const path of PATHS) {
      env.routes.route({
        methods: ['POST'],
        path,
        right: PUBLISH_RIGHT,
        handler: (request, reply) => ingest(env, request, reply),
      });
    }
  },
};

async function ingest(env: Env, request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
  const name = new URL(request.url, 'http://localhost').searchParams.get('dst') ?? '';
  if (name === '') throw new HearthcamError('ingest.dst', 'dst is missing: the stream to publish to', { status: 400 });
  const stream = env.hub.require(name);
  const body = request.raw;
  // A sender may take as long as it likes; the producer watches for stalls.
  body.socket.setTimeout(0);
  const over = Promise.withResolvers<void>();
  over.promise.catch(() => {});
  const userAgent = request.headers['user-agent'];
  const module: SourceModule = {
    name: 'ingest',
    schemes: [],
    async run({ signal, log, streamName }, sink) {
      try {
        const media = new Body(request.headers['content-type'] ?? '', `the sender to "${streamName}"`, '', {
          sink,
          about: {
            protocol: 'http',
            remoteAddr: `${body.socket.remoteAddress ?? ''}:${body.socket.remotePort ?? 0}`,
            ...(userAgent === undefined ? {} : { userAgent }),
          },
          problems: new Problems(log, streamName),
          nowMs: () => performance.now(),
        });
        await readBody(
          body,
          signal,
          0,
          (chunk) => media.push(chunk),
          (unread) => unread.resume(),
        );
        if (media.end().kind === 'hls') {
          throw new HearthcamError('ingest.format', 'a playlist can not be published, send the media', { status: 415 });
        }
        over.resolve();
      } catch (error) {
        over.reject(error);
        throw error;
      }
    },
  };
  try {
    await stream.publish(parseSourceSpec(`${request.protocol}-publish:${name}`), module);
    await over.promise;
  } catch (cause) {
    // The sender may go on sending: it is told, and the connection ends with the answer.
    reply.header('connection', 'close');
    throw new HearthcamError('ingest.failed', `what was published to "${name}" can't be used`, { status: 400, cause });
  }
  return reply.code(200).send('');
}
