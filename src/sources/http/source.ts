import type { IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FeedOptions } from '../../core/containers/feed.ts';
import { Problems } from '../../core/containers/input.ts';
import { PacedSink } from '../../core/containers/pace.ts';
import { HearthcamError } from '../../core/errors.ts';
import { LoginPause } from '../../core/login-pause.ts';
import type { SourceModule, SourceRequest, SourceSink } from '../../core/source.ts';
import { Body } from './body.ts';
import { type Answer, HttpClient, readBody } from './fetch.ts';
import { playHls } from './hls.ts';
import { type HttpSpec, parseHttpSpec } from './spec.ts';

const USER_AGENT = 'hearthcam';
/** A body of a length that a file may have is a recording: it plays at its own speed. Cameras write absurd lengths. */
const MAX_FILE_BYTES = 1024 ** 3;
/** Stills are fetched at most so often. */
const STILL_EVERY_MS = 100;

/** The source module, with a memory of refused logins. */
export function makeHttpSource(): SourceModule {
  const pauses = new LoginPauses();
  return {
    name: 'http',
    schemes: ['http', 'https', 'httpx'],
    validate: (spec) => void parseHttpSpec(spec),
    async run(request, sink) {
      const spec = parseHttpSpec(request.spec);
      const pause = pauses.of(spec.url.href);
      pause.check(null, now());
      using client = new HttpClient(spec.url, { ...spec, userAgent: USER_AGENT });
      const session = new Session(request, sink, spec, client);
      try {
        await session.run();
        pause.accepted();
      } catch (error) {
        if (error instanceof HearthcamError && error.code === 'http.auth') pause.refused(null, error, now());
        else pause.accepted();
        throw error;
      }
    },
  };
}

const MAX_ADDRESSES = 256;

/** One pause for each address with its login in it: another password is another address. Bounded. */
class LoginPauses {
  readonly #pauses = new Map<string, LoginPause>();

  of(href: string): LoginPause {
    let pause = this.#pauses.get(href);
    if (pause === undefined) {
      const [oldest] = this.#pauses.keys();
      if (this.#pauses.size >= MAX_ADDRESSES && oldest !== undefined) this.#pauses.delete(oldest);
      pause = new LoginPause();
      this.#pauses.set(href, pause);
    }
    return pause;
  }
}

class Session {
  readonly #request: SourceRequest;
  readonly #sink: SourceSink;
  readonly #spec: HttpSpec;
  readonly #client: HttpClient;
  readonly #problems: Problems;

  constructor(request: SourceRequest, sink: SourceSink, spec: HttpSpec, client: HttpClient) {
    this.#request = request;
    this.#sink = sink;
    this.#spec = spec;
    this.#client = client;
    this.#problems = new Problems(request.log, request.streamName);
  }

  async run(): Promise<void> {
    const { signal } = this.#request;
    const startedMs = performance.now();
    const answer = await this.#client.get(this.#spec.url, signal);
    this.#sink.alive(0);
    using paced = isFile(answer.response) ? new PacedSink(this.#sink, now) : null;
    const { host, pathname } = answer.url;
    const options = this.#feedOptions(answer, paced ?? this.#sink);
    const body = new Body(answer.contentType, host + pathname, pathname, options);
    await readBody(answer.response, signal, 0, (chunk) => {
      body.push(chunk);
      return paced?.room();
    });
    const { kind } = body.end();
    if (kind === 'hls') {
      await playHls({
        client: this.#client,
        playlist: { url: answer.url, text: body.text },
        sink: this.#sink,
        about: options.about,
        problems: this.#problems,
        signal,
        timeoutMs: this.#spec.timeoutMs,
      });
      return;
    }
    await paced?.drained();
    if (kind === 'jpeg') await this.#repeat(body, startedMs);
  }

  /** The answer was a JPEG: there is another one each time it is asked for. */
  async #repeat(body: Body, firstMs: number): Promise<void> {
    const { signal } = this.#request;
    let startedMs = firstMs;
    for (;;) {
      await sleep(Math.max(0, startedMs + STILL_EVERY_MS - performance.now()), undefined, { signal });
      startedMs = performance.now();
      const { response } = await this.#client.get(this.#spec.url, signal);
      await readBody(response, signal, this.#spec.timeoutMs, (chunk) => body.push(chunk));
    }
  }

  #feedOptions({ response }: Answer, sink: SourceSink): FeedOptions {
    const { remoteAddress = '', remotePort = 0 } = response.socket;
    return {
      sink,
      about: { protocol: 'http', remoteAddr: `${remoteAddress}:${remotePort}`, userAgent: USER_AGENT },
      problems: this.#problems,
      nowMs: now,
    };
  }
}

function now(): number {
  return performance.now();
}

function isFile(response: IncomingMessage): boolean {
  const bytes = Number(response.headers['content-length'] ?? Number.NaN);
  return bytes > 0 && bytes <= MAX_FILE_BYTES;
}

/** `http://`, `https://`, `httpx://` (certificate not checked): whatever a camera serves over HTTP. */
export const httpSource: SourceModule = makeHttpSource();
