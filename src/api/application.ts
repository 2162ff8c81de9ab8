import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Env, HttpMethod } from '../core/contracts.ts';
import { HearthcamError } from '../core/errors.ts';
import { readBody } from '../core/http-body.ts';
import { queryOf, sendEmpty, sendJson, sendText } from './reply.ts';
import type { ApiServices } from './services.ts';

const MAX_CONFIG_BYTES = 2 * 1024 * 1024;
const READ: readonly HttpMethod[] = ['GET', 'HEAD'];

/** `/api`, `/api/config`, `/api/log`, `/api/restart`, … (compatibility.md 1.1) */
export function mountApplication(env: Env, services: ApiServices): void {
  const { routes } = env;
  // A body of its own is never needed here, so every method is answered alike, as go2rtc does.
  routes.route({
    methods: ['GET', 'HEAD', 'POST'],
    path: '/api',
    right: 'view',
    handler: (request, reply) => sendJson(reply, info(services, request.headers.host ?? '')),
  });
  routes.route({
    methods: READ,
    path: '/api/schemes',
    right: 'view',
    handler: (_request, reply) => sendJson(reply, [...new Set(env.hub.schemes)]),
  });
  routes.route({
    methods: READ,
    path: '/api/schema.json',
    right: 'view',
    handler: (_request, reply) =>
      reply.type('application/schema+json').send(`${JSON.stringify(services.schema(), null, 2)}\n`),
  });
  mountConfig(env, services);
  mountLog(env, services);
  mountLife(env, services);
}

function info(services: ApiServices, host: string) {
  const { listen, default_query, pkt_size } = services.rtsp;
  return {
    config_path: services.settings.path,
    host,
    revision: '',
    rtsp: { listen, default_query, ...(pkt_size > 0 ? { pkt_size } : {}) },
    version: services.version,
    hearthcam: services.ownVersion,
  };
}

/** Shows passwords as they are in the file: only who may configure reads it. */
function mountConfig({ routes }: Env, { settings }: ApiServices): void {
  const path = '/api/config';
  const body = async (request: FastifyRequest): Promise<string> =>
    new TextDecoder('utf-8', { fatal: false }).decode(await readBody(request.raw, MAX_CONFIG_BYTES));
  routes.route({
    methods: READ,
    path,
    right: 'configure',
    handler: async (_request, reply) =>
      reply
        .type('application/yaml')
        .header('cache-control', 'no-store')
        .send(await settings.readText()),
  });
  routes.route({
    methods: ['POST'],
    path,
    right: 'configure',
    handler: async (request, reply) => {
      await settings.replaceText(await body(request));
      return sendEmpty(reply);
    },
  });
  routes.route({
    methods: ['PATCH'],
    path,
    right: 'configure',
    handler: async (request, reply) => {
      await settings.mergePatch(await body(request));
      return sendEmpty(reply);
    },
  });
  routes.route({
    methods: ['PUT', 'DELETE'],
    path,
    right: 'configure',
    handler: (_request, reply) => sendEmpty(reply),
  });
}

function mountLog({ routes }: Env, { ring }: ApiServices): void {
  const path = '/api/log';
  routes.route({
    methods: READ,
    path,
    right: 'configure',
    handler: (_request, reply) => reply.type('application/jsonlines').send(ring.text()),
  });
  routes.route({
    methods: ['DELETE'],
    path,
    right: 'configure',
    handler: (_request, reply) => {
      ring.clear();
      return reply.type('text/plain; charset=utf-8').send('OK');
    },
  });
  routes.route({
    methods: ['POST', 'PUT', 'PATCH'],
    path,
    right: 'configure',
    handler: (_request, reply) => sendText(reply, 400, 'Method not allowed'),
  });
}

function mountLife({ routes }: Env, { control }: ApiServices): void {
  /** The answer goes out before the listeners close. */
  const after = (reply: FastifyReply, action: () => void): FastifyReply => {
    reply.raw.once('finish', () => setImmediate(action));
    return sendEmpty(reply);
  };
  const onlyPost = (path: string, handler: (request: FastifyRequest, reply: FastifyReply) => FastifyReply): void => {
    routes.route({ methods: ['POST'], path, right: 'configure', handler });
    routes.route({
      methods: ['GET', 'HEAD', 'PUT', 'PATCH', 'DELETE'],
      path,
      right: 'configure',
      handler: (_request, reply) => sendText(reply, 400, 'Method not allowed'),
    });
  };
  onlyPost('/api/restart', (_request, reply) => after(reply, () => control.restart()));
  onlyPost('/api/exit', (request, reply) => {
    const text = queryOf(request).get('code') ?? '';
    const code = text === '' ? 0 : Number(text);
    if (!Number.isInteger(code) || code < 0 || code > 125) {
      throw new HearthcamError('api.exit', 'Code must be in the range [0, 125]', { status: 400 });
    }
    return after(reply, () => control.exit(code));
  });
}
