import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Env } from '../core/contracts.ts';
import { describeError, HearthcamError } from '../core/errors.ts';
import { refuseProgram } from '../core/source-policy.ts';
import { ANY_WANTS, wantsFromQuery } from '../core/wants.ts';
import { wantMedia } from './codec-names.ts';
import type { StreamDescriber } from './describe.ts';
import { queryOf, sendEmpty, sendJson, sendText } from './reply.ts';
import type { ApiServices } from './services.ts';

const DEFAULT_QUERY = 'video&audio';

/** `/api/preload` (compatibility.md 1.3). Nothing here waits for a camera: go2rtc blocks for 10 s when one is dead. */
export function mountPreload(env: Env, services: ApiServices, describer: StreamDescriber): void {
  const path = '/api/preload';
  const { routes, preloads, hub } = env;

  const get = (_request: FastifyRequest, reply: FastifyReply): FastifyReply => {
    const all = Object.fromEntries(
      [...preloads.entries].map(([name, { query, consumer }]) => {
        const wants = wantsFromQuery(new URLSearchParams(query));
        const waiting = { format_name: 'preload', medias: (wants.length > 0 ? wants : ANY_WANTS).map(wantMedia) };
        return [name, { consumer: consumer === undefined ? waiting : describer.consumer(consumer), query }];
      }),
    );
    return sendJson(reply, all);
  };

  const put = async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const query = queryOf(request);
    const name = query.get('src') ?? '';
    if (hub.get(name) === undefined) {
      refuseProgram(name);
      throw new HearthcamError('preload.stream', `streams: stream not found: ${name}`, { status: 500 });
    }
    const wanted = preloadQuery(query);
    preloads.set(name, wanted);
    await persist(env, services, name, () => services.settings.setPreload(name, wanted));
    return sendEmpty(reply);
  };

  const remove = async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const name = queryOf(request).get('src') ?? '';
    if (!preloads.delete(name)) {
      throw new HearthcamError('preload.none', `streams: preload not found: ${name}`, { status: 500 });
    }
    await persist(env, services, name, () => services.settings.deletePreload(name));
    return sendEmpty(reply);
  };

  routes.route({ methods: ['GET', 'HEAD'], path, right: 'view', handler: get });
  routes.route({ methods: ['PUT'], path, right: 'configure', handler: put });
  routes.route({ methods: ['DELETE'], path, right: 'configure', handler: remove });
  routes.route({
    methods: ['POST', 'PATCH'],
    path,
    right: 'view',
    handler: (_request, reply) => sendText(reply, 405, 'Method not allowed'),
  });
}

/** Only these parameters count; without any the first video and the first audio are held. */
export function preloadQuery(query: URLSearchParams): string {
  const parts: string[] = [];
  for (const key of ['video', 'audio', 'microphone']) {
    for (const value of query.getAll(key))
      parts.push(value === '' ? key : `${key}=${value.replaceAll(/[^\w,./-]/g, '')}`);
  }
  return parts.length === 0 ? DEFAULT_QUERY : parts.join('&');
}

async function persist(env: Env, services: ApiServices, name: string, write: () => Promise<void>): Promise<void> {
  if (services.settings.path === undefined) return;
  try {
    await write();
  } catch (error) {
    env.log.warn(`the preload of "${name}" is changed until the next start only: ${describeError(error)}`);
  }
}
