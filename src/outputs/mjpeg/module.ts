import type { BurstMuxer } from '../../core/burst-feed.ts';
import type { Env, OutputModule, WsSession } from '../../core/contracts.ts';
import { openForHttp, type SharedFeed, serveLive, shareMuxer } from '../../core/live-response.ts';
import { EMPTY, type Track } from '../../core/media.ts';
import { knownFormats } from '../../core/mp4-tracks.ts';
import type { MediaWant } from '../../core/negotiate.ts';
import { requestedStream } from '../../core/requested-stream.ts';
import type { Scope } from '../../core/scope.ts';
import type { Stream } from '../../core/stream.ts';
import { MULTIPART_BEGIN, MULTIPART_CONTENT_TYPE, writeJpegParts } from '../../wire/multipart/writer.ts';
import { wsBinaryFrame } from '../../wire/websocket/frame.ts';
import { StillFeed } from './stills.ts';

/** How JPEG pictures are put one behind the other. */
interface Form {
  readonly name: string;
  readonly begin: Buffer;
  wrap(...jpegs: readonly Buffer[]): Buffer;
  /** How often a picture is sent that none will follow soon. */
  readonly stillTimes: number;
}

/**
 * Chromium shows a part when the headers of the next one have come (`ImageResource::OnePartInMultipartReceived`): a
 * still is sent twice, or it would be shown when the next key frame has made it old.
 */
const MULTIPART: Form = {
  name: 'mjpeg-multipart',
  begin: MULTIPART_BEGIN,
  wrap: (...jpegs) => writeJpegParts(jpegs),
  stillTimes: 2,
};
const MESSAGES: Form = {
  name: 'mjpeg-messages',
  begin: EMPTY,
  wrap: (...jpegs) => Buffer.concat(jpegs.map((jpeg) => wsBinaryFrame(jpeg))),
  stillTimes: 1,
};

const ANY_VIDEO: readonly MediaWant[] = [{ kind: 'video', codecs: 'any' }];

/**
 * `GET /api/stream.mjpeg?src=` and the WebSocket message `mjpeg`: JPEG pictures, what every browser shows. Those of a
 * JPEG camera are passed on, of all others the key frames are decoded.
 */
export const mjpeg: OutputModule = {
  name: 'mjpeg',
  start(env, _config, scope) {
    env.routes.route({
      methods: ['GET'],
      path: '/api/stream.mjpeg',
      right: 'view',
      handler: (request, reply, peer) =>
        serveLive(env, request, reply, peer, scope, {
          formatName: 'mjpeg',
          contentType: MULTIPART_CONTENT_TYPE,
          wants: ANY_VIDEO,
          share: (stream, tracks) => shareForm(env, stream, tracks, MULTIPART),
        }),
    });
    env.routes.message({ type: 'mjpeg', right: 'view', handler: (session) => serveMessages(env, session, scope) });
  },
};

function shareForm(env: Env, stream: Stream, tracks: readonly Track[], form: Form): SharedFeed | Promise<SharedFeed> {
  const track = tracks[0];
  if (track !== undefined && track.codec !== 'jpeg') {
    const { name, begin, stillTimes } = form;
    const wrap = (jpeg: Buffer): Buffer => form.wrap(...Array.from({ length: stillTimes }, () => jpeg));
    return StillFeed.share(stream, track, env.stills, env.log, { name, begin, wrap });
  }
  const makeMuxer = (): BurstMuxer => ({
    begin: () => form.begin,
    mux: (units) => form.wrap(...units.map((unit) => unit.data)),
  });
  return shareMuxer(form.name, makeMuxer)(stream, tracks);
}

/** One request over a WebSocket; it ends with the socket. @throws what the session tells the client as an error. */
async function serveMessages(env: Env, session: WsSession, parent: Scope): Promise<void> {
  const { src, query, peer } = session;
  const stream = requestedStream(env, { src, name: query.get('name') ?? undefined }, peer);
  const scope = session.scope.child('mjpeg');
  const end = (): void => {
    scope.close().catch((error: unknown) => session.log.warn(`mjpeg viewer: close failed: ${String(error)}`));
  };
  parent.signal.addEventListener('abort', end, { once: true });
  scope.defer(() => parent.signal.removeEventListener('abort', end));
  try {
    const { remoteAddr, userAgent, socket } = session;
    const consumer = await openForHttp(stream, {
      formatName: 'mjpeg',
      protocol: 'ws',
      remoteAddr,
      ...(userAgent === undefined ? {} : { userAgent }),
      wants: ANY_VIDEO,
      signal: scope.signal,
      onEnd: (reason) => {
        session.fail('mjpeg', reason);
        end();
      },
    });
    scope.defer(() => consumer.close());
    const tracks = await knownFormats(consumer.stream, consumer.tracks, scope.signal);
    const shared = await shareForm(env, consumer.stream, tracks, MESSAGES);
    scope.defer(() => shared.release());
    scope.signal.throwIfAborted();
    session.send('mjpeg');
    scope.defer(shared.value.add({ socket, consumer, onStuck: () => socket.destroy() }));
  } catch (error) {
    await scope.close();
    throw error;
  }
}
