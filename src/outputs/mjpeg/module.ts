import type { BurstMuxer } from '../../core/burst-feed.ts';
import type { Env, OutputModule, WsSession } from '../../core/contracts.ts';
import { type SharedFeed, serveLive, shareMuxer } from '../../core/live-response.ts';
import { type AccessUnit, EMPTY, type Track } from '../../core/media.ts';
import { knownFormats } from '../../core/mp4-tracks.ts';
import { requestedStream } from '../../core/requested-stream.ts';
import type { Scope } from '../../core/scope.ts';
import type { Stream } from '../../core/stream.ts';
import { MULTIPART_BEGIN, MULTIPART_CONTENT_TYPE, writeJpegParts } from '../../wire/multipart/writer.ts';
import { wsBinaryFrame } from '../../wire/websocket/frame.ts';
import { ANY_VIDEO, openPictures } from './open.ts';
import { type MjpegQuery, parseMjpegQuery } from './query.ts';
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

/** Pictures that come no faster than this are sent as stills are. */
const SLOW_MS = 500;

/**
 * `GET /api/stream.mjpeg?src=` and the WebSocket message `mjpeg`: JPEG pictures, what every browser shows. Those of a
 * JPEG camera are passed on, of all others they are made, once for all who want them alike. Where nothing may be made
 * the key frames are decoded.
 */
export const mjpeg: OutputModule = {
  name: 'mjpeg',
  start(env, _config, scope) {
    env.routes.route({
      methods: ['GET'],
      path: '/api/stream.mjpeg',
      right: 'view',
      handler: (request, reply, peer) => {
        const query = parseMjpegQuery(new URL(request.url, 'http://localhost').searchParams);
        return serveLive(env, request, reply, peer, scope, {
          formatName: 'mjpeg',
          contentType: MULTIPART_CONTENT_TYPE,
          wants: ANY_VIDEO,
          open: (stream, wanted) => openPictures(env, stream, query, wanted),
          share: (stream, tracks) => shareForm(env, stream, tracks, MULTIPART, query),
        });
      },
    });
    env.routes.message({ type: 'mjpeg', right: 'view', handler: (session) => serveMessages(env, session, scope) });
  },
};

function shareForm(
  env: Env,
  stream: Stream,
  tracks: readonly Track[],
  form: Form,
  query: MjpegQuery,
): SharedFeed | Promise<SharedFeed> {
  const track = tracks[0];
  if (track !== undefined && track.codec !== 'jpeg') {
    const { name, begin, stillTimes } = form;
    const wrap = (jpeg: Buffer): Buffer => form.wrap(...Array.from({ length: stillTimes }, () => jpeg));
    return StillFeed.share(stream, track, env.stills, env.log, { name: `${name}-stills`, begin, wrap });
  }
  return shareMuxer(form.name, () => new FormMuxer(form, query))(stream, tracks);
}

class FormMuxer implements BurstMuxer {
  readonly #form: Form;
  #gapMs: number;
  #lastMs: number | undefined;

  constructor(form: Form, { picture, asked }: MjpegQuery) {
    this.#form = form;
    this.#gapMs = asked ? 1000 / (picture.fps ?? 1000) : 0;
  }

  begin(first: AccessUnit | undefined): Buffer {
    const { begin } = this.#form;
    if (first === undefined || this.#times === 1) return begin;
    return Buffer.concat([begin, this.#form.wrap(first.data)]);
  }

  mux(units: readonly AccessUnit[]): Buffer {
    const jpegs = units.flatMap(({ data, arrivedMs }) => {
      if (this.#lastMs !== undefined) this.#gapMs = arrivedMs - this.#lastMs;
      this.#lastMs = arrivedMs;
      return Array.from({ length: this.#times }, () => data);
    });
    return this.#form.wrap(...jpegs);
  }

  get #times(): number {
    return this.#gapMs < SLOW_MS ? 1 : this.#form.stillTimes;
  }
}

/** One request over a WebSocket; it ends with the socket. @throws what the session tells the client as an error. */
async function serveMessages(env: Env, session: WsSession, parent: Scope): Promise<void> {
  const { src, query, peer } = session;
  const wanted = parseMjpegQuery(query);
  const stream = requestedStream(env, { src, name: query.get('name') ?? undefined }, peer);
  const scope = session.scope.child('mjpeg');
  const end = (): void => {
    scope.close().catch((error: unknown) => session.log.warn(`mjpeg viewer: close failed: ${String(error)}`));
  };
  parent.signal.addEventListener('abort', end, { once: true });
  scope.defer(() => parent.signal.removeEventListener('abort', end));
  try {
    const { remoteAddr, userAgent, socket } = session;
    const consumer = await openPictures(env, stream, wanted, {
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
    const shared = await shareForm(env, consumer.stream, tracks, MESSAGES, wanted);
    scope.defer(() => shared.release());
    scope.signal.throwIfAborted();
    session.send('mjpeg');
    scope.defer(shared.value.add({ socket, consumer, onStuck: () => socket.destroy() }));
  } catch (error) {
    await scope.close();
    throw error;
  }
}
