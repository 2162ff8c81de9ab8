import type { FastifyRequest } from 'fastify';
import type { Env, Peer, Right } from '../core/contracts.ts';
import { HearthcamError } from '../core/errors.ts';
import { type EventFiles, isEventId } from './files.ts';
import type { LiveEvents } from './live.ts';
import { matches } from './memory-repository.ts';
import { detailsOf, summaryOf } from './message.ts';
import { parseEventQuery } from './query.ts';
import { gone, jsonErrors, sendFile } from './reply.ts';
import type { StoredEvent } from './repository.ts';
import { scoresSvg } from './scores-svg.ts';
import type { EventStore } from './store.ts';

export interface EventsApi {
  readonly env: Env;
  readonly store: EventStore;
  readonly live: LiveEvents;
  /** Null where nothing can be kept on disk. */
  readonly files: EventFiles | null;
}

/** Pages that are looked through for events that the asker may see. */
const MAX_PAGES = 20;

/** `/api/events…`: what was noticed, with its curves and recordings. Everybody sees only what is of cameras they may see. */
export function mountEvents({ env, store, live, files }: EventsApi): void {
  const may = (peer: Peer, right: Right, event: StoredEvent): boolean => env.access.allows(peer, right, event.camera);
  const found = async (request: FastifyRequest, peer: Peer, right: Right): Promise<StoredEvent> => {
    const id = idOf(request);
    const event = isEventId(id) ? await store.get(id) : undefined;
    if (event === undefined || !may(peer, right, event)) {
      throw new HearthcamError('events.unknown', 'there is no such event', {
        status: 404,
        hint: 'old ones give way: see events.keep_days and events.max_mib',
      });
    }
    return event;
  };

  env.routes.route({
    methods: ['GET'],
    path: '/api/events',
    right: 'playback',
    handler: jsonErrors(async (request, _reply, peer) => {
      const filter = parseEventQuery(new URL(request.url, 'http://localhost').searchParams);
      const events: StoredEvent[] = [];
      let { beforeId } = filter;
      let more = true;
      for (let page = 0; page < MAX_PAGES && more && events.length < filter.limit; page++) {
        const next = await store.list({ ...filter, beforeId });
        more = next.length === filter.limit;
        beforeId = next.at(-1)?.id ?? beforeId;
        events.push(...next.filter((event) => may(peer, 'playback', event)));
      }
      const shown = events.slice(0, filter.limit);
      const next = events.length > filter.limit ? shown.at(-1)?.id : more ? beforeId : undefined;
      return { events: shown.map((event) => summaryOf(event)), next: next ?? null };
    }),
  });
  env.routes.route({
    methods: ['GET'],
    path: '/api/events/live',
    right: 'view',
    handler: jsonErrors((request, reply, peer) => {
      const filter = parseEventQuery(new URL(request.url, 'http://localhost').searchParams);
      return live.serve(request, reply, peer, (event) => matches(event, filter) && may(peer, 'view', event));
    }),
  });
  env.routes.route({
    methods: ['GET'],
    path: '/api/events/:id',
    right: 'playback',
    handler: jsonErrors(async (request, _reply, peer) => detailsOf(await found(request, peer, 'playback'))),
  });
  env.routes.route({
    methods: ['DELETE'],
    path: '/api/events/:id',
    right: 'configure',
    handler: jsonErrors(async (request, reply, peer) => {
      const { id, ended } = await found(request, peer, 'configure');
      if (!ended) {
        throw new HearthcamError('events.lasts', 'this event has not ended yet', { status: 409, hint: 'try again' });
      }
      await files?.remove(id);
      await store.delete([id]);
      return reply.code(204).send();
    }),
  });
  for (const [name, contentType] of [
    ['clip.mp4', 'video/mp4'],
    ['snapshot.jpeg', 'image/jpeg'],
  ] as const) {
    env.routes.route({
      methods: ['GET', 'HEAD'],
      path: `/api/events/:id/${name}`,
      right: 'playback',
      handler: jsonErrors(async (request, reply, peer) => {
        const { id, clipBytes, snapshotBytes } = await found(request, peer, 'playback');
        const isClip = name === 'clip.mp4';
        if (files === null || (isClip ? clipBytes : snapshotBytes) === null) throw gone();
        return sendFile(request, reply, isClip ? files.clip(id) : files.snapshot(id), contentType);
      }),
    });
  }
  env.routes.route({
    methods: ['GET'],
    path: '/api/events/:id/scores.svg',
    right: 'playback',
    handler: jsonErrors(async (request, reply, peer) =>
      reply
        .type('image/svg+xml')
        .header('content-security-policy', "default-src 'none'; style-src 'unsafe-inline'")
        .header('cache-control', 'no-cache')
        .send(scoresSvg(await found(request, peer, 'playback'))),
    ),
  });
}

function idOf(request: FastifyRequest): string {
  const { params } = request;
  return typeof params === 'object' && params !== null && 'id' in params && typeof params.id === 'string'
    ? params.id
    : '';
}
