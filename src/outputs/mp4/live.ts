import type { FastifyReply } from 'fastify';
import type { ConsumerInfo } from '../../core/consumer.ts';
import { HearthcamError } from '../../core/errors.ts';
import { type Framing, LiveMp4 } from '../../core/live-mp4.ts';
import { openForHttp, responseHead } from '../../core/live-response.ts';
import type { Log } from '../../core/log.ts';
import { knownFormats } from '../../core/mp4-tracks.ts';
import type { Scope } from '../../core/scope.ts';
import type { Stream } from '../../core/stream.ts';
import { mp4Mime } from '../../wire/mp4/mime.ts';
import { contentDisposition, type Mp4Query } from './query.ts';

/** RFC 9112 §7.1: says that the file is complete. */
const LAST_CHUNK = '0\r\n\r\n';

/**
 * Answers with an MP4 that begins with the last key frame, its time at 0, and goes on until the client leaves, the
 * stream ends, or `durationMs` have been written.
 * @throws HearthcamError as long as nothing was sent
 */
export async function serveLive(
  stream: Stream,
  query: Mp4Query,
  who: ConsumerInfo,
  reply: FastifyReply,
  log: Log,
  parent: Scope,
): Promise<FastifyReply> {
  const socket = reply.raw.socket;
  if (socket === null) throw new HearthcamError('http.gone', 'the client has left', { status: 499 });
  const scope = parent.child('mp4');
  const close = (): void => {
    scope.close().catch((error: unknown) => log.warn(`mp4 viewer ${who.remoteAddr}: close failed: ${String(error)}`));
  };
  socket.once('close', close);
  try {
    const framing: Framing = reply.request.raw.httpVersion === '1.0' ? 'bare' : 'chunked';
    let begun = false;
    const finish = (): void => {
      if (begun) socket.end(framing === 'chunked' ? LAST_CHUNK : '');
      close();
    };
    const consumer = await openForHttp(stream, { ...who, wants: query.wants, signal: scope.signal, onEnd: finish });
    scope.defer(() => consumer.close());
    const tracks = await knownFormats(consumer.stream, consumer.tracks, scope.signal);
    scope.signal.throwIfAborted();
    const shared = consumer.stream.share(LiveMp4.key(tracks), () => new LiveMp4(consumer.stream, tracks));
    scope.defer(() => shared.release());

    // The fragments are written to the socket as they are for all viewers, past the chunks of HTTP/1.1.
    reply.hijack();
    socket.setNoDelay(true);
    socket.setTimeout(0);
    const headers = {
      'content-type': mp4Mime(shared.value.formats),
      'cache-control': 'no-store',
      ...(framing === 'chunked' ? { 'transfer-encoding': 'chunked' } : {}),
      ...(query.filename === undefined ? {} : { 'content-disposition': contentDisposition(query.filename) }),
    };
    socket.write(responseHead(reply, headers));
    begun = true;
    const { durationMs } = query;
    const viewer = shared.value.add({
      socket,
      consumer,
      framing,
      atOnce: durationMs === undefined,
      init: query.init,
      onStuck: () => {
        log.warn(`viewer ${who.remoteAddr} (MP4) took nothing of "${stream.name}" for long: closed`);
        socket.destroy();
      },
      onProgress: (writtenMs) => {
        if (durationMs !== undefined && writtenMs >= durationMs) finish();
      },
    });
    scope.defer(() => shared.value.remove(viewer));
    scope.defer(() => {
      socket.end();
    });
    return reply;
  } catch (error) {
    socket.off('close', close);
    await scope.close();
    throw error;
  }
}
