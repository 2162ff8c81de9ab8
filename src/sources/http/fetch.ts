import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import { HearthcamError } from '../../core/errors.ts';
import { ClientAuth, type Credentials, parseChallenges } from '../../wire/rtsp/auth.ts';

const MAX_REDIRECTS = 5;
const MAX_ATTEMPTS = 8;
const MAX_TEXT_BYTES = 1024 * 1024;

export interface FetchOptions {
  /** From `#header=`. */
  readonly headers: Readonly<Record<string, string>>;
  /** `httpx`: the certificate is not looked at. */
  readonly insecure: boolean;
  /** From the request to the head of the answer, and between two pieces of a body that must be read whole. */
  readonly timeoutMs: number;
  readonly userAgent: string;
}

export interface Answer {
  readonly response: IncomingMessage;
  /** Where it came from after redirects, without user and password. */
  readonly url: URL;
  readonly contentType: string;
}

/**
 * GETs things from one camera: keeps its connections and its answer to a digest challenge for all of them. Redirects
 * are followed within http and https only, and credentials never go to another host.
 */
export class HttpClient implements Disposable {
  readonly #options: FetchOptions;
  readonly #credentials: Credentials | null;
  readonly #host: string;
  readonly #http = new http.Agent({ keepAlive: true, maxSockets: 4 });
  readonly #https: https.Agent;
  #auth: ClientAuth | null = null;

  /** `url` as configured: its user and password are those for the host. */
  constructor(url: URL, options: FetchOptions) {
    this.#options = options;
    this.#host = url.host;
    this.#credentials =
      url.username === '' && url.password === ''
        ? null
        : { user: decode(url.username), password: decode(url.password) };
    this.#https = new https.Agent({ keepAlive: true, maxSockets: 4, rejectUnauthorized: !options.insecure });
  }

  /** @throws HearthcamError that says what to do when the answer isn't a 200. */
  async get(target: URL, signal: AbortSignal, extraHeaders: Readonly<Record<string, string>> = {}): Promise<Answer> {
    let url = withoutCredentials(target);
    let redirects = 0;
    let answered = false;
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const authorization = url.host === this.#host ? this.#auth?.authorize('GET', pathOf(url)) : undefined;
      const response = await this.#request(url, signal, {
        ...extraHeaders,
        ...(authorization === undefined ? {} : { authorization }),
      });
      const status = response.statusCode ?? 0;
      if (status === 200 || status === 206) {
        this.#auth?.accepted();
        return { response, url, contentType: (response.headers['content-type'] ?? '').trim() };
      }
      response.destroy();
      if (status === 401 && this.#answer(response, url, answered)) {
        answered = true;
        continue;
      }
      const { location } = response.headers;
      if (status >= 300 && status < 400 && location !== undefined) {
        if (++redirects > MAX_REDIRECTS) {
          throw new HearthcamError('http.redirects', `${url.host} redirects in a circle`, { status: 502 });
        }
        url = redirected(url, location);
        continue;
      }
      throw statusError(url, status, this.#credentials !== null);
    }
    throw new HearthcamError('http.attempts', `${url.host} asks for authentication without end`, { status: 502 });
  }

  /** Reads a small thing whole, for example a playlist. @throws HearthcamError above `maxBytes`. */
  async getAll(target: URL, signal: AbortSignal, maxBytes = MAX_TEXT_BYTES): Promise<{ body: Buffer; answer: Answer }> {
    const answer = await this.get(target, signal);
    const chunks: Buffer[] = [];
    let bytes = 0;
    await readBody(answer.response, signal, this.#options.timeoutMs, (chunk) => {
      bytes += chunk.length;
      if (bytes > maxBytes) {
        throw new HearthcamError('http.large', `${answer.url.pathname} is larger than ${maxBytes} bytes`, {
          status: 502,
        });
      }
      chunks.push(chunk);
    });
    return { body: Buffer.concat(chunks, bytes), answer };
  }

  [Symbol.dispose](): void {
    this.#http.destroy();
    this.#https.destroy();
  }

  #answer(response: IncomingMessage, url: URL, answered: boolean): boolean {
    if (this.#credentials === null || url.host !== this.#host) return false;
    const values = response.headersDistinct['www-authenticate'] ?? [];
    this.#auth ??= new ClientAuth(this.#credentials);
    return this.#auth.challenge(parseChallenges(values), answered);
  }

  #request(url: URL, signal: AbortSignal, headers: Readonly<Record<string, string>>): Promise<IncomingMessage> {
    const { timeoutMs, userAgent } = this.#options;
    const secure = url.protocol === 'https:';
    return new Promise((resolve, reject) => {
      const request = (secure ? https : http).get(url, {
        agent: secure ? this.#https : this.#http,
        signal,
        headers: { 'user-agent': userAgent, accept: '*/*', ...this.#options.headers, ...headers },
        // Cameras' HTTP servers are rarely correct to the letter.
        insecureHTTPParser: true,
        maxHeaderSize: 64 * 1024,
      });
      const timer = setTimeout(() => {
        request.destroy(
          new HearthcamError('http.timeout', `${url.host} did not answer within ${Math.round(timeoutMs / 1000)} s`, {
            status: 504,
            hint: 'is the camera on, and are address and port right?',
          }),
        );
      }, timeoutMs);
      request.on('response', (response) => {
        clearTimeout(timer);
        // What breaks later is told by the response itself; without a listener it would end the process.
        request.on('error', () => {});
        resolve(response);
      });
      request.once('error', (error) => {
        clearTimeout(timer);
        reject(connectError(error, url, signal));
      });
    });
  }
}

/**
 * Hands the body on as it comes; resolves at its end. Where `onChunk` gives a promise, nothing more is read before it
 * has resolved.
 * @param idleMs longest pause between two pieces; 0: somebody else watches over that
 * @param discard what becomes of a body that failed; default: its connection is closed
 * @throws what `onChunk` throws, and when the connection breaks
 */
export function readBody(
  response: IncomingMessage,
  signal: AbortSignal,
  idleMs: number,
  onChunk: (chunk: Buffer) => Promise<void> | void,
  discard: (body: IncomingMessage) => void = (body) => body.destroy(),
): Promise<void> {
  return new Promise((resolve, reject) => {
    let timer: NodeJS.Timeout | undefined;
    let finished = false;
    const finish = (error?: unknown): void => {
      if (finished) return;
      finished = true;
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      response.off('data', onData);
      if (error === undefined) {
        resolve();
        return;
      }
      discard(response);
      reject(error);
    };
    const onAbort = (): void => finish(signal.reason);
    const watch = (): void => {
      if (idleMs === 0 || finished) return;
      clearTimeout(timer);
      timer = setTimeout(() => {
        finish(new HearthcamError('http.idle', `the transfer stood still for ${idleMs} ms`, { status: 504 }));
      }, idleMs);
    };
    const onData = (chunk: Buffer): void => {
      watch();
      try {
        const wait = onChunk(chunk);
        if (wait === undefined) return;
        response.pause();
        clearTimeout(timer);
        wait.then(() => {
          response.resume();
          watch();
        }, finish);
      } catch (error) {
        finish(error);
      }
    };
    response.on('data', onData);
    response.once('end', () => finish());
    response.once('error', (error) => finish(brokenOff(error)));
    response.once('close', () => finish(response.complete ? undefined : brokenOff()));
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
    watch();
  });
}

function brokenOff(cause?: Error): HearthcamError {
  return new HearthcamError('http.broken', 'the camera broke the connection off', {
    status: 502,
    ...(cause === undefined ? {} : { cause }),
  });
}

/** @throws HearthcamError unless it is another http or https address. */
function redirected(from: URL, location: string): URL {
  const to = URL.canParse(location, from.href) ? new URL(location, from) : null;
  if (to === null || (to.protocol !== 'http:' && to.protocol !== 'https:')) {
    throw new HearthcamError('http.redirect', `${from.host} redirects to an address that is not http or https`, {
      status: 502,
    });
  }
  return withoutCredentials(to);
}

function withoutCredentials(url: URL): URL {
  const plain = new URL(url);
  plain.username = '';
  plain.password = '';
  plain.hash = '';
  return plain;
}

function pathOf(url: URL): string {
  return url.pathname + url.search;
}

/** Passwords with a stray `%` are taken as they stand. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function statusError(url: URL, status: number, hasCredentials: boolean): HearthcamError {
  const at = `${url.host}${url.pathname}`;
  switch (status) {
    case 401:
    case 403:
      return new HearthcamError(
        'http.auth',
        `${at} refused ${hasCredentials ? 'user and password' : 'us'} (${status})`,
        {
          status: 502,
          hint: hasCredentials
            ? 'check them in the camera'
            : 'put user and password into the address: user:password@ before the host',
        },
      );
    case 404:
      return new HearthcamError('http.missing', `${at} does not exist (404)`, {
        status: 502,
        hint: 'check the path in the manual of the camera; some need a setting to serve it',
      });
    default:
      return new HearthcamError('http.status', `${at} answered ${status}`, {
        status: 502,
        hint: 'open the address in a browser to see what the camera says; it may also be the port of something else',
      });
  }
}

function connectError(error: Error, url: URL, signal: AbortSignal): unknown {
  if (signal.aborted) return signal.reason;
  if (error instanceof HearthcamError) return error;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  const { text, hint } = explainConnect(code, error.message);
  return new HearthcamError('http.connect', `${url.host} ${text}`, {
    status: 502,
    ...(hint === undefined ? {} : { hint }),
  });
}

/** Node's errors of connecting and of TLS, in words. */
function explainConnect(code: string, message: string): { text: string; hint?: string } {
  switch (code) {
    case 'ECONNREFUSED':
      return {
        text: 'refused the connection',
        hint: 'nothing listens there: check the port, and whether HTTP is switched on in the camera',
      };
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return { text: 'is not a name that can be resolved', hint: 'use the IP address, or check the DNS' };
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
    case 'EHOSTDOWN':
    case 'ETIMEDOUT':
      return { text: 'cannot be reached', hint: 'is the camera on, and is its address still the same?' };
    case 'ECONNRESET':
    case 'EPIPE':
      return { text: 'broke the connection off' };
    case 'EPROTO':
    case 'ERR_SSL_WRONG_VERSION_NUMBER':
      return { text: 'does not speak TLS', hint: 'use http:// instead of https://' };
    default:
      break;
  }
  if (/CERT|SIGNED|ALTNAME|UNABLE_TO/.test(code)) {
    return {
      text: `has a certificate that cannot be verified (${code})`,
      hint: 'use httpx:// to accept the certificate that the camera made itself',
    };
  }
  return { text: `failed: ${message.slice(0, 200)}` };
}
