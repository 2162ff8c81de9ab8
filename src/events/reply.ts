import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Peer, Route } from '../core/contracts.ts';
import { HearthcamError } from '../core/errors.ts';

/** What is wrong with a request is told as JSON here, whoever asks. */
export function jsonErrors(handler: Route['handler']): Route['handler'] {
  return async (request: FastifyRequest, reply: FastifyReply, peer: Peer) => {
    try {
      return await handler(request, reply, peer);
    } catch (error) {
      if (!(error instanceof HearthcamError) || error.status >= 500 || reply.sent) throw error;
      const { code, message, hint } = error;
      return reply
        .code(error.status)
        .type('application/json')
        .send(`${JSON.stringify({ error: { code, message, hint } })}\n`);
    }
  };
}

/** A file, or the part of it that is asked for: Safari plays nothing without `Range` (RFC 9110 §14). */
export async function sendFile(
  request: FastifyRequest,
  reply: FastifyReply,
  path: string,
  contentType: string,
): Promise<FastifyReply> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) throw gone();
  const { size } = found;
  const range = parseRange(request.headers.range, size);
  reply.header('content-type', contentType).header('accept-ranges', 'bytes').header('cache-control', 'private');
  if (range === 'none') {
    return reply.code(416).header('content-range', `bytes */${size}`).send();
  }
  const { from, to } = range ?? { from: 0, to: size - 1 };
  if (range !== undefined) reply.code(206).header('content-range', `bytes ${from}-${to}/${size}`);
  reply.header('content-length', size === 0 ? 0 : to - from + 1);
  if (request.method === 'HEAD' || size === 0) return reply.send();
  return reply.send(createReadStream(path, { start: from, end: to }));
}

export function gone(): HearthcamError {
  return new HearthcamError('events.file', 'there is no such recording of this event', {
    status: 404,
    hint: 'it is made some seconds after the event, kept as long as events.clips has room, and needs a camera with a picture or sound',
  });
}

/** One range; several at once are answered by the whole file, which is allowed. */
export function parseRange(
  header: string | undefined,
  size: number,
): { from: number; to: number } | 'none' | undefined {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header ?? '');
  if (match === null) return undefined;
  const [, first = '', last = ''] = match;
  if (first === '' && last === '') return undefined;
  const from = first === '' ? Math.max(0, size - Number(last)) : Number(first);
  const to = first === '' || last === '' ? size - 1 : Math.min(size - 1, Number(last));
  if (from >= size || (first === '' && Number(last) === 0)) return 'none';
  return from > to ? undefined : { from, to };
}
