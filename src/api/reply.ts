import type { FastifyReply, FastifyRequest } from 'fastify';

/** All values of all parameters; a parameter without `=` has the value ''. */
export function queryOf(request: FastifyRequest): URLSearchParams {
  const url = request.raw.url ?? '/';
  const at = url.indexOf('?');
  return new URLSearchParams(at < 0 ? '' : url.slice(at + 1));
}

/** go2rtc's errors: one line of plain text (compatibility.md 1.0). */
export function sendText(reply: FastifyReply, status: number, text: string): FastifyReply {
  return reply
    .code(status)
    .header('x-content-type-options', 'nosniff')
    .type('text/plain; charset=utf-8')
    .send(`${text}\n`);
}

/** JSON with go2rtc's newline at the end. */
export function sendJson(reply: FastifyReply, value: unknown, indent?: number): FastifyReply {
  return reply
    .header('cache-control', 'no-cache')
    .type('application/json')
    .send(`${JSON.stringify(value, undefined, indent)}\n`);
}

/** 200 without a body, go2rtc's answer to what was done. */
export function sendEmpty(reply: FastifyReply): FastifyReply {
  return reply.code(200).type('text/plain; charset=utf-8').send('');
}
