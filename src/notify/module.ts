import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Env, OutputModule } from '../core/contracts.ts';
import { describeError, HearthcamError } from '../core/errors.ts';
import { readBody } from '../core/http-body.ts';
import type { Scope } from '../core/scope.ts';
import { makeTargets, Notifier, sendTest } from './notifier.ts';
import { type NotifySettings, notifySchema } from './settings.ts';

const MAX_BODY_BYTES = 8 * 1024;

/** Tells phones and programs of events: webhooks, ntfy, web push, by rules. */
export const notify: OutputModule<NotifySettings> = {
  name: 'notify',
  config: { key: 'notify', schema: notifySchema },
  start(env: Env, settings: NotifySettings, scope: Scope): void {
    const { log, dataDir, product } = env;
    const own = scope.child('notify');
    const options = { settings, dataDir, product };
    const { targets, push } = makeTargets(options, (problem) => log.warn(problem));
    const notifier = new Notifier(options, targets, log, own);
    own.defer(env.events.onEvent((event) => notifier.onEvent(event)));
    // Only if something waits: a server that tells nobody makes no folder.
    const folder = dataDir === null ? null : join(dataDir, 'notify');
    if (folder !== null && existsSync(folder) && readdirSync(folder).some((name) => name.startsWith('waiting-'))) {
      for (const queue of notifier.queues.values()) {
        queue.load().catch((error: unknown) => log.warn(`messages of the last run: ${describeError(error)}`));
      }
    }

    env.routes.route({
      methods: ['GET'],
      path: '/api/notify',
      right: 'configure',
      handler: () => [...notifier.queues.values()].map((queue) => queue.status),
    });
    env.routes.route({
      methods: ['POST'],
      path: '/api/notify/test',
      right: 'configure',
      handler: async (request) => {
        const to = new URL(request.url, 'http://localhost').searchParams.get('to') ?? '';
        await sendTest(targets, to);
        return { sent: to };
      },
    });
    env.routes.route({
      methods: ['GET'],
      path: '/api/push/key',
      right: 'view',
      handler: async () => ({ key: await push.publicKey() }),
    });
    env.routes.route({
      methods: ['POST', 'DELETE'],
      path: '/api/push/subscriptions',
      right: 'view',
      handler: async (request, reply) => {
        const body = parseJson(await readBody(request.raw, MAX_BODY_BYTES));
        if (request.method === 'POST') {
          await push.add(body);
          return reply.code(201).send();
        }
        const endpoint = typeof body === 'object' && body !== null && 'endpoint' in body ? body.endpoint : undefined;
        const removed = typeof endpoint === 'string' && (await push.remove(endpoint));
        return reply.code(removed ? 204 : 404).send();
      },
    });
  },
};

function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString());
  } catch (cause) {
    throw new HearthcamError('push.json', 'the request is no JSON', { status: 400, cause });
  }
}
