import { HearthcamError } from '../core/errors.ts';

export interface Outgoing {
  readonly url: string;
  readonly method: 'POST' | 'PUT';
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  readonly timeoutMs: number;
}

const MAX_REDIRECTS = 3;

/** Why a message was not taken. */
export class SendError extends HearthcamError {
  /** HTTP status of the answer; 0 when there was none. */
  readonly answer: number;
  /** Trying again can't help. */
  readonly lasting: boolean;

  constructor(message: string, answer: number, lasting: boolean, cause?: unknown) {
    super('notify.send', message, { status: 502, ...(cause === undefined ? {} : { cause }) });
    this.answer = answer;
    this.lasting = lasting;
  }
}

/**
 * Sends one request to where the owner said, and nowhere else: a redirect is followed on the same host only, and
 * never from HTTPS to HTTP.
 * @throws SendError unless the answer is 2xx; its text holds no part of the address, which may be a secret
 */
export async function send(outgoing: Outgoing): Promise<void> {
  const { method, headers, body, timeoutMs } = outgoing;
  let url = new URL(outgoing.url);
  const signal = AbortSignal.timeout(timeoutMs);
  for (let redirects = 0; ; redirects++) {
    let response: Response;
    try {
      response = await fetch(url, { method, headers, body: new Uint8Array(body), redirect: 'manual', signal });
    } catch (error) {
      const late = signal.aborted;
      throw new SendError(
        late ? `no answer in ${timeoutMs / 1_000} s` : 'no connection',
        0,
        false,
        late ? undefined : rootOf(error),
      );
    }
    // Nobody reads it; without this the connection would stay taken.
    await response.body?.cancel().catch(() => {});
    const { status } = response;
    if (status >= 200 && status < 300) return;
    if (status === 307 || status === 308) {
      const next = URL.parse(response.headers.get('location') ?? '', url.href);
      const same =
        next !== null &&
        next.hostname === url.hostname &&
        (next.protocol === url.protocol || next.protocol === 'https:');
      if (next === null || !same || redirects >= MAX_REDIRECTS)
        throw new SendError('it redirects elsewhere, which is not followed', status, true);
      url = next;
      continue;
    }
    // 408, 425 and 429 ask for patience; the others of 4xx, and redirects, say that the request is wrong.
    const lasting = status < 500 && ![408, 425, 429].includes(status);
    throw new SendError(`it answers ${status}`, status, lasting);
  }
}

/** Of `fetch failed` only what is below says why. */
function rootOf(error: unknown): unknown {
  return error instanceof Error && error.cause !== undefined ? error.cause : error;
}
