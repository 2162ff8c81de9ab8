/** Why a mode gives no picture. */
export interface Reason {
  /**
   * `server`: it says why; `network`: it can't be reached; `unsupported`: this browser can't play what there is;
   * `timeout`: nothing came; `ended`: it played and the connection ended.
   */
  readonly kind: 'server' | 'network' | 'unsupported' | 'timeout' | 'ended';
  readonly text: string;
  /** The stream itself is the trouble, not the way it was asked for: other modes would hear the same. */
  readonly everywhere?: boolean;
}

const RANK: Readonly<Record<Reason['kind'], number>> = { server: 4, unsupported: 3, timeout: 2, ended: 1, network: 0 };

/** Of the reasons of a round's attempts the one that tells most: what the server said beats what we only guess. */
export function bestReason(reasons: Iterable<Reason>): Reason | null {
  let best: Reason | null = null;
  for (const reason of reasons) if (best === null || RANK[reason.kind] > RANK[best.kind]) best = reason;
  return best;
}

const NOT_FOUND = 'stream not found';
const FALLBACK = 'the server gave no reason';

/** A `{"type":"error"}` value: `mse: streams: dial tcp …` without the request's name and go2rtc's module name. */
export function reasonFromWs(value: unknown): Reason {
  const text = typeof value === 'string' ? value : '';
  const plain = text
    .replace(/^(mse|mp4|hls|mjpeg|webrtc(\/\w+)?):\s*/i, '')
    .replace(/^streams:\s*/i, '')
    .trim();
  return { kind: 'server', text: plain || FALLBACK, everywhere: plain === NOT_FOUND };
}

/** A refused HTTP request: a JSON body of ours, or plain text, or just the status. */
export function reasonFromHttp(status: number, body: string): Reason {
  const text = jsonMessage(body) ?? (body.trimStart().startsWith('<') ? '' : body.trim());
  const plain = text.replace(/^streams:\s*/i, '').slice(0, 300);
  if (status === 401) return { kind: 'server', text: 'the server asks for a user name and password' };
  // Bad Gateway and Gateway Timeout with a text are ours: the camera. A proxy's have an HTML page.
  const everywhere = plain === NOT_FOUND || (plain !== '' && (status === 502 || status === 504));
  if (plain !== '') return { kind: 'server', text: plain, everywhere };
  return { kind: 'server', text: status === 404 ? NOT_FOUND : `the server answered with status ${status}` };
}

function jsonMessage(body: string): string | undefined {
  if (!body.trimStart().startsWith('{')) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null || !('error' in value)) return undefined;
  const error: unknown = value.error;
  if (typeof error === 'string') return error;
  if (typeof error !== 'object' || error === null || !('message' in error)) return undefined;
  if (typeof error.message !== 'string') return undefined;
  const hint = 'hint' in error && typeof error.hint === 'string' && error.hint !== '' ? ` (${error.hint})` : '';
  return error.message + hint;
}
