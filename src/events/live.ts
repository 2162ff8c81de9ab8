import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Peer } from '../core/contracts.ts';
import { describeError, HearthcamError } from '../core/errors.ts';
import { responseHead } from '../core/live-response.ts';
import type { Log } from '../core/log.ts';
import type { Scope } from '../core/scope.ts';
import { summaryOf } from './message.ts';
import type { StoredEvent } from './repository.ts';
import type { Change, EventStore } from './store.ts';

const HEARTBEAT_MS = 15_000;
/** A browser that reads nothing: it connects again, and is told what it has missed. */
const MAX_QUEUE_BYTES = 256 * 1024;
const MAX_VIEWERS = 200;
/** What somebody who comes back is told at most. */
const MAX_MISSED = 500;
const RECONNECT_MS = 3_000;

export interface LiveOptions {
  readonly store: EventStore;
  readonly log: Log;
  readonly scope: Scope;
  readonly heartbeatMs?: number;
}

/**
 * Server-sent events (HTML Standard §9.2): `event` for each state, `files` once clip or snapshot are there. The id is the
 * time of the change: who comes back with `Last-Event-ID` is told what changed since, each event once, as it is now.
 */
export class LiveEvents {
  readonly #options: LiveOptions;
  #viewers = 0;

  constructor(options: LiveOptions) {
    this.#options = options;
  }

  async serve(
    request: FastifyRequest,
    reply: FastifyReply,
    peer: Peer,
    wanted: (event: StoredEvent) => boolean,
  ): Promise<FastifyReply> {
    const { store, log, scope: parent, heartbeatMs = HEARTBEAT_MS } = this.#options;
    const socket = reply.raw.socket;
    if (socket === null) throw new HearthcamError('http.gone', 'the client has left', { status: 499 });
    if (this.#viewers >= MAX_VIEWERS) {
      throw new HearthcamError('events.viewers', `more than ${MAX_VIEWERS} clients follow the events`, { status: 503 });
    }
    const sinceMs = lastEventId(request);
    const scope = parent.child('events live');
    this.#viewers++;
    scope.defer(() => {
      this.#viewers--;
      socket.end();
    });
    socket.once('close', () => {
      scope.close().catch((error: unknown) => log.debug(`events to ${peer.remoteAddress}: ${describeError(error)}`));
    });

    const write = (text: string): void => {
      if (socket.writableLength > MAX_QUEUE_BYTES) socket.destroy();
      else socket.write(text);
    };
    let toldMs = sinceMs ?? 0;
    let missed: { event: StoredEvent; change: Change }[] | null = [];
    const tell = (event: StoredEvent, change: Change): void => {
      if (event.changedMs <= toldMs || !wanted(event)) return;
      toldMs = event.changedMs;
      write(message(event, change));
    };
    // Followed before the past is looked up, so that nothing falls between the two.
    const stop = store.onChange((event, change) => {
      if (missed === null) tell(event, change);
      else if (missed.length < MAX_MISSED) missed.push({ event, change });
      else socket.destroy();
    });
    scope.defer(stop);

    reply.hijack();
    socket.setNoDelay(true);
    socket.setTimeout(0);
    const headers = { 'content-type': 'text/event-stream', 'cache-control': 'no-store', 'x-accel-buffering': 'no' };
    socket.write(`${responseHead(reply, headers)}retry: ${RECONNECT_MS}\n\n`);
    scope.every(heartbeatMs, () => write(':\n\n'));
    if (sinceMs !== undefined) {
      for (const event of await store.changedAfter(sinceMs, MAX_MISSED)) {
        tell(event, event.ended ? 'ended' : 'updated');
      }
    }
    for (const { event, change } of missed) tell(event, change);
    missed = null;
    return reply;
  }
}

function message(event: StoredEvent, change: Change): string {
  const data = JSON.stringify(summaryOf(event, change === 'files' ? undefined : change));
  return `id: ${event.changedMs}\nevent: ${change === 'files' ? 'files' : 'event'}\ndata: ${data}\n\n`;
}

/** The browser's own header, or `?since=` for other clients. @throws HearthcamError 400 for what is no number */
function lastEventId(request: FastifyRequest): number | undefined {
  const header = request.headers['last-event-id'];
  const since = new URL(request.url, 'http://localhost').searchParams.get('since');
  const text = (Array.isArray(header) ? header[0] : header) ?? since ?? '';
  if (text === '') return undefined;
  if (!/^\d{1,15}$/.test(text)) {
    throw new HearthcamError('events.query', `events: "${text.slice(0, 50)}" is no id of a change`, { status: 400 });
  }
  return Number(text);
}
