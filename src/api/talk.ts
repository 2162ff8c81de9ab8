import type { FastifyRequest } from 'fastify';
import { abortable } from '../core/abortable.ts';
import type { Env, Peer } from '../core/contracts.ts';
import { describeError, HearthcamError } from '../core/errors.ts';
import {
  parseSourceSpec,
  type SourceModule,
  type SourceSink,
  type SourceSpec,
  type SourceUnit,
} from '../core/source.ts';
import { allowedOverHttp } from '../core/source-policy.ts';
import type { Stream } from '../core/stream.ts';

/** What a source gave last is on its way through the codec process when it ends. */
const LAST_SOUND_MS = 400;
/** Units of a source that begins to play before the camera listens. */
const MAX_HELD = 2_000;

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
      const listening = Promise.withResolvers<void>();
      try {
        if (spec !== null) await voice.publish(spec, playedOnce(hub.moduleFor(spec), listening.promise, over.resolve));
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
        listening.resolve();
        void over.promise.then(() => setTimeout(() => playing.close(), LAST_SOUND_MS).unref());
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

/**
 * A source that is played once, not connected again and again, and from its beginning: what it gives before the camera
 * listens is held back.
 */
function playedOnce(module: SourceModule, listening: Promise<void>, onEnd: () => void): SourceModule {
  return {
    name: module.name,
    schemes: [],
    async run(request, sink) {
      const held: SourceUnit[] = [];
      // Where the form shows only by the first unit, that can't wait.
      let holding = false;
      let heard = false;
      const begun = listening.then(() => {
        heard = true;
        holding = false;
        for (const unit of held.splice(0)) sink.unit(unit);
        sink.flush();
      });
      const gate: SourceSink = {
        describe: (description) => {
          holding = !heard && description.tracks.every(({ format }) => format !== null);
          return sink.describe(description);
        },
        unit: (unit) => {
          if (holding && held.length < MAX_HELD) held.push(unit);
          else sink.unit(unit);
        },
        flush: () => sink.flush(),
        alive: (bytes) => sink.alive(bytes),
        sync: (track, ticks, ntpMs) => sink.sync(track, ticks, ntpMs),
      };
      try {
        await module.run(request, gate);
        if (!request.signal.aborted) await abortable(begun, request.signal);
      } finally {
        onEnd();
      }
    },
  };
}
