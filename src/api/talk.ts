import type { FastifyRequest } from 'fastify';
import type { Env, Peer } from '../core/contracts.ts';
import { describeError, HearthcamError } from '../core/errors.ts';
import { parseSourceSpec, type SourceModule, type SourceSpec } from '../core/source.ts';
import { allowedOverHttp } from '../core/source-policy.ts';
import type { Stream } from '../core/stream.ts';

/** Playing streams and addresses to a camera (compatibility.md 1.2 `POST ?dst`, 1.7 `/api/ffmpeg`). */
export class TalkApi {
  readonly #env: Env;

  constructor(env: Env) {
    this.#env = env;
  }

  /**
   * Plays `src` (the name of a stream, or an address) to the camera of `stream`; resolves when it plays. An empty `src`
   * stops what is played.
   * @throws HearthcamError 500 `can't find consumer` when the camera takes no sound, 409 while somebody speaks to it
   */
  async play(stream: Stream, src: string, request: FastifyRequest, peer: Peer): Promise<void> {
    const { hub, log } = this.#env;
    const { session } = stream.talk;
    if (src === '') {
      // Whoever speaks there now is not cut off by who stops a song.
      if (session !== undefined && !session.live) session.close();
      return;
    }
    const leaving = new AbortController();
    const onClose = (): void => leaving.abort(new HearthcamError('http.closed', 'the client is gone', { status: 499 }));
    request.raw.socket.once('close', onClose);
    try {
      const asked = hub.get(src) === undefined ? this.#allowed(src, peer) : null;
      const named = asked === null || asked.scheme === '' ? hub.require(asked?.url ?? src) : undefined;
      const spec = named === undefined ? asked : null;
      await stream.talk.requireCodecs(leaving.signal);
      const voice = named ?? stream.talk.makeVoice();
      const closeVoice = (): void => {
        if (named !== undefined) return;
        voice.close().catch((error: unknown) => log.warn(`closing what was played: ${describeError(error)}`));
      };
      const over = Promise.withResolvers<void>();
      try {
        if (spec !== null) await voice.publish(spec, playedOnce(hub.moduleFor(spec), over.resolve));
        const { remoteAddress = '', remotePort = 0 } = request.raw.socket;
        const userAgent = request.headers['user-agent'];
        const playing = await stream.talk.open({
          formatName: 'talk',
          protocol: 'http',
          remoteAddr: `${remoteAddress.replace(/^::ffff:/, '')}:${remotePort}`,
          ...(userAgent === undefined ? {} : { userAgent }),
          voice,
          live: false,
          signal: leaving.signal,
        });
        void over.promise.then(() => playing.close());
        void playing.gone.then(closeVoice);
      } catch (error) {
        closeVoice();
        throw error;
      }
    } finally {
      request.raw.socket.off('close', onClose);
    }
  }

  /** `/api/ffmpeg`: `file` or `live` as the source. */
  async playMedia(stream: Stream, query: URLSearchParams, request: FastifyRequest, peer: Peer): Promise<void> {
    const [file, live, text] = ['file', 'live', 'text'].map((key) => query.get(key) ?? '');
    const input = file || live || '';
    if (input === '' && !text) {
      throw new HearthcamError('talk.nothing', 'one of file, live and text is needed', { status: 400 });
    }
    await stream.talk.requireCodecs();
    if (input === '') {
      throw new HearthcamError('talk.text', "text can't be spoken: this server has no voice", {
        status: 501,
        hint: 'let Home Assistant make it sound (tts.speak), and play the address of that',
      });
    }
    await this.play(stream, `ffmpeg:${input}`, request, peer);
  }

  /** As whoever names an address lets this server connect to any host, that needs the right to configure. */
  #allowed(src: string, peer: Peer): SourceSpec {
    const { hub, access } = this.#env;
    const spec = parseSourceSpec(src);
    // Says that there is no such stream.
    if (spec.scheme === '') hub.require(src);
    if (!access.allows(peer, 'configure')) {
      throw new HearthcamError('access.denied', 'only who may configure the server may name an address to be played', {
        status: 403,
        hint: 'use the name of a stream',
      });
    }
    allowedOverHttp(spec, hub);
    return withoutFfmpeg(hub.parse(src));
  }
}

/** What the camera takes is made in any case, so that of `ffmpeg:URL#audio=pcma#input=file` only the address counts. */
function withoutFfmpeg(spec: SourceSpec): SourceSpec {
  if (spec.scheme !== 'ffmpeg') return spec;
  const inner = parseSourceSpec(spec.url.slice('ffmpeg:'.length));
  // A stream's name may have a query behind it: `ffmpeg:nursery?audio`.
  return inner.scheme === '' ? { ...inner, url: inner.url.split('?', 1)[0] ?? '' } : inner;
}

/** A source that tells when it has ended: it is played once, not connected again and again. */
function playedOnce(module: SourceModule, onEnd: () => void): SourceModule {
  return {
    name: module.name,
    schemes: [],
    async run(request, sink) {
      try {
        await module.run(request, sink);
      } finally {
        onEnd();
      }
    },
  };
}
