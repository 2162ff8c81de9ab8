import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

/** One challenge of a WWW-Authenticate header (RFC 7235 §2.1); parameter names in lower case. */
export interface AuthChallenge {
  /** Lower case: `basic`, `digest`, … */
  readonly scheme: string;
  readonly params: ReadonlyMap<string, string>;
}

/** Schemes that we can answer, best first. */
export type AuthKind = 'digest-sha-256' | 'digest-md5' | 'basic';

const MAX_HEADER_CHARS = 8192;

/**
 * All challenges of one or more WWW-Authenticate values: a server may send several headers or several challenges in
 * one, separated by commas.
 */
export function parseChallenges(values: readonly string[]): readonly AuthChallenge[] {
  return values.flatMap((value) => parseOne(value.slice(0, MAX_HEADER_CHARS)));
}

/** Parses the value of an Authorization header. Null when it holds no scheme. */
export function parseAuthorization(
  value: string,
): { scheme: string; token: string; params: ReadonlyMap<string, string> } | null {
  const match = /^\s*([A-Za-z0-9!#$%&'*+.^_`|~-]+)(?:\s+(.*))?$/s.exec(value.slice(0, MAX_HEADER_CHARS));
  if (match === null) return null;
  const rest = match[2]?.trim() ?? '';
  const params = new Map<string, string>();
  readParams(rest, 0, params);
  return { scheme: (match[1] ?? '').toLowerCase(), token: rest, params };
}

function parseOne(text: string): AuthChallenge[] {
  const found: AuthChallenge[] = [];
  const scheme = /[\s,]*([A-Za-z][A-Za-z0-9_-]*)(?=\s|$|,)[ \t]*/y;
  let at = 0;
  while (at < text.length) {
    scheme.lastIndex = at;
    const match = scheme.exec(text);
    if (match === null) break;
    const params = new Map<string, string>();
    at = readParams(text, scheme.lastIndex, params);
    found.push({ scheme: (match[1] ?? '').toLowerCase(), params });
    if (found.length >= 8) break;
  }
  return found;
}

/** Reads `key=value, key="value"…` until something else comes; returns where that is. */
function readParams(text: string, from: number, into: Map<string, string>): number {
  const param = /[\s,;]*([A-Za-z][A-Za-z0-9_*-]*)\s*=\s*(?:"((?:[^"\\]|\\.)*)"?|([^\s,;"]*))/y;
  let at = from;
  for (;;) {
    param.lastIndex = at;
    const match = param.exec(text);
    if (match === null) return at;
    at = param.lastIndex;
    const key = (match[1] ?? '').toLowerCase();
    const value = match[2] === undefined ? (match[3] ?? '') : match[2].replace(/\\(.)/g, '$1');
    if (!into.has(key)) into.set(key, value);
  }
}

function kindOf(challenge: AuthChallenge): AuthKind | null {
  if (challenge.scheme === 'basic') return 'basic';
  if (challenge.scheme !== 'digest' || !challenge.params.has('nonce')) return null;
  const qop = challenge.params.get('qop');
  if (qop !== undefined && qop !== '' && !/(^|[\s,])auth([\s,]|$)/i.test(qop)) return null;
  switch (algorithmOf(challenge.params).toUpperCase()) {
    case 'MD5':
    case 'MD5-SESS':
      return 'digest-md5';
    case 'SHA-256':
    case 'SHA-256-SESS':
    case 'SHA256':
      return 'digest-sha-256';
    default:
      return null;
  }
}

function algorithmOf(params: ReadonlyMap<string, string>): string {
  const text = params.get('algorithm')?.trim();
  return text === undefined || text === '' ? 'MD5' : text;
}

export interface Credentials {
  readonly user: string;
  readonly password: string;
}

const PREFERENCE: readonly AuthKind[] = ['digest-sha-256', 'digest-md5', 'basic'];

/** Answers a camera's challenges (RFC 7616, RFC 7617; RFC 2326 §14 refers to both). One per connection. */
export class ClientAuth {
  readonly #credentials: Credentials;
  readonly #newCnonce: () => string;
  #chosen: { kind: AuthKind; challenge: AuthChallenge; uses: number } | null = null;
  #refused = new Set<AuthKind>();

  constructor(credentials: Credentials, newCnonce: () => string = () => randomBytes(8).toString('hex')) {
    this.#credentials = credentials;
    this.#newCnonce = newCnonce;
  }

  /** The scheme in use; null before the first challenge. */
  get kind(): AuthKind | null {
    return this.#chosen?.kind ?? null;
  }

  /**
   * Takes the challenges of a 401. `afterAnswer`: the refused request carried our answer. Returns whether it is worth
   * asking again: false when every scheme offered has been refused, which means wrong user or password.
   */
  challenge(challenges: readonly AuthChallenge[], afterAnswer: boolean): boolean {
    const stale = challenges.some((one) => one.params.get('stale')?.toLowerCase() === 'true');
    // Some cameras offer Digest and Basic but accept only one of them: a refused one is not tried again.
    if (afterAnswer && !stale && this.#chosen !== null) this.#refused.add(this.#chosen.kind);
    for (const kind of PREFERENCE) {
      if (this.#refused.has(kind)) continue;
      const challenge = challenges.find((one) => kindOf(one) === kind);
      if (challenge === undefined) continue;
      this.#chosen = { kind, challenge, uses: 0 };
      return true;
    }
    return false;
  }

  /** The last request was accepted: what was refused on the way may be tried again should a nonce expire later. */
  accepted(): void {
    if (this.#refused.size > 0 && this.#chosen !== null) {
      const { kind } = this.#chosen;
      this.#refused = new Set(PREFERENCE.slice(0, PREFERENCE.indexOf(kind)));
    }
  }

  /** The Authorization value for a request; undefined before the first challenge. */
  authorize(method: string, uri: string): string | undefined {
    const chosen = this.#chosen;
    if (chosen === null) return undefined;
    const { user, password } = this.#credentials;
    if (chosen.kind === 'basic') return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
    chosen.uses++;
    const { params } = chosen.challenge;
    const fields = {
      algorithm: algorithmOf(params),
      user,
      password,
      realm: params.get('realm') ?? '',
      nonce: params.get('nonce') ?? '',
      method,
      uri,
      qop: (params.get('qop') ?? '') === '' ? '' : 'auth',
      cnonce: this.#newCnonce(),
      nc: chosen.uses.toString(16).padStart(8, '0'),
    };
    const parts = [
      `username="${quoteText(user)}"`,
      `realm="${quoteText(fields.realm)}"`,
      `nonce="${quoteText(fields.nonce)}"`,
      `uri="${quoteText(uri)}"`,
      `response="${digestResponse(fields)}"`,
    ];
    if (params.has('algorithm')) parts.push(`algorithm=${fields.algorithm}`);
    const opaque = params.get('opaque');
    if (opaque !== undefined) parts.push(`opaque="${quoteText(opaque)}"`);
    if (fields.qop !== '') parts.push('qop=auth', `nc=${fields.nc}`, `cnonce="${fields.cnonce}"`);
    return `Digest ${parts.join(', ')}`;
  }
}

interface DigestFields {
  readonly algorithm: string;
  readonly user: string;
  readonly password: string;
  readonly realm: string;
  readonly nonce: string;
  readonly method: string;
  readonly uri: string;
  /** '' or 'auth'. */
  readonly qop: string;
  readonly cnonce: string;
  readonly nc: string;
}

/** RFC 7616 §3.4.1; without qop as in RFC 2069 §2.1.2. */
export function digestResponse(fields: DigestFields): string {
  const name = fields.algorithm.toUpperCase();
  const hashName = name.startsWith('SHA') ? 'sha256' : 'md5';
  const hash = (text: string): string => createHash(hashName).update(text).digest('hex');
  let ha1 = hash(`${fields.user}:${fields.realm}:${fields.password}`);
  if (name.endsWith('-SESS')) ha1 = hash(`${ha1}:${fields.nonce}:${fields.cnonce}`);
  const ha2 = hash(`${fields.method}:${fields.uri}`);
  return fields.qop === ''
    ? hash(`${ha1}:${fields.nonce}:${ha2}`)
    : hash(`${ha1}:${fields.nonce}:${fields.nc}:${fields.cnonce}:${fields.qop}:${ha2}`);
}

function quoteText(text: string): string {
  return text.replace(/["\\]/g, '\\$&');
}

export type AuthVerdict =
  | { readonly status: 'ok'; readonly user: string }
  /** No Authorization header, or a scheme that is not offered: answer 401 with `challenges`. */
  | { readonly status: 'missing' }
  /** Right answer to a nonce that has expired: 401 with `challenges(nowMs, true)`. */
  | { readonly status: 'stale' }
  | { readonly status: 'wrong' };

export interface ServerAuthOptions {
  readonly realm: string;
  /** The password of a user; undefined where there is no such user. */
  readonly password: (user: string) => string | undefined;
  /** Offered in this order. Default: SHA-256 and MD5 digest, then Basic. */
  readonly kinds?: readonly AuthKind[];
  /** How long a nonce is good. Default 10 minutes. */
  readonly nonceLifeMs?: number;
  /** Signs the nonces; random by default. Nonces are stateless: nothing is kept per client. */
  readonly secret?: Buffer;
}

/** Verifies clients of our RTSP server. Pure: time comes in by argument (any monotonic clock in ms). */
export class ServerAuth {
  readonly #realm: string;
  readonly #password: (user: string) => string | undefined;
  readonly #kinds: readonly AuthKind[];
  readonly #nonceLifeMs: number;
  readonly #secret: Buffer;

  constructor(options: ServerAuthOptions) {
    this.#realm = options.realm;
    this.#password = options.password;
    this.#kinds = options.kinds ?? PREFERENCE;
    this.#nonceLifeMs = options.nonceLifeMs ?? 600_000;
    this.#secret = options.secret ?? randomBytes(32);
  }

  /** Values for WWW-Authenticate headers, one each. */
  challenges(nowMs: number, stale = false): readonly string[] {
    const realm = `realm="${quoteText(this.#realm)}"`;
    const nonce = this.#nonce(nowMs);
    return this.#kinds.map((kind) => {
      if (kind === 'basic') return `Basic ${realm}`;
      const algorithm = kind === 'digest-md5' ? 'MD5' : 'SHA-256';
      return `Digest ${realm}, nonce="${nonce}", algorithm=${algorithm}, qop="auth"${stale ? ', stale=true' : ''}`;
    });
  }

  /** Checks the Authorization header of a request; `url` is the one in the request line. */
  verify(authorization: string | undefined, method: string, url: string, nowMs: number): AuthVerdict {
    if (authorization === undefined) return { status: 'missing' };
    const parsed = parseAuthorization(authorization);
    if (parsed === null) return { status: 'missing' };
    if (parsed.scheme === 'basic') return this.#basic(parsed.token);
    if (parsed.scheme === 'digest') return this.#digest(parsed.params, method, url, nowMs);
    return { status: 'missing' };
  }

  #basic(token: string): AuthVerdict {
    if (!this.#kinds.includes('basic')) return { status: 'missing' };
    const text = Buffer.from(token, 'base64').toString('utf8');
    const colon = text.indexOf(':');
    if (colon < 0) return { status: 'wrong' };
    const user = text.slice(0, colon);
    // An unknown user costs the same comparison as a wrong password.
    const expected = this.#password(user);
    const same = sameText(text.slice(colon + 1), expected ?? '');
    return expected !== undefined && same ? { status: 'ok', user } : { status: 'wrong' };
  }

  #digest(params: ReadonlyMap<string, string>, method: string, url: string, nowMs: number): AuthVerdict {
    const algorithm = algorithmOf(params);
    const upper = algorithm.toUpperCase();
    const kind = upper === 'MD5' ? 'digest-md5' : upper === 'SHA-256' ? 'digest-sha-256' : null;
    if (kind === null || !this.#kinds.includes(kind)) return { status: 'missing' };
    const user = params.get('username') ?? '';
    const nonce = params.get('nonce') ?? '';
    const uri = params.get('uri') ?? '';
    const age = this.#nonceAgeMs(nonce, nowMs);
    // Not one of ours, for example from before a restart: the client may try again with a new one.
    if (age === null) return { status: 'stale' };
    if (!refersTo(uri, url)) return { status: 'wrong' };
    const expected = this.#password(user);
    const response = digestResponse({
      algorithm,
      user,
      password: expected ?? '',
      realm: this.#realm,
      nonce,
      method,
      uri,
      qop: params.get('qop')?.toLowerCase() === 'auth' ? 'auth' : '',
      cnonce: params.get('cnonce') ?? '',
      nc: params.get('nc') ?? '',
    });
    const same = sameText(response, (params.get('response') ?? '').toLowerCase());
    if (expected === undefined || !same) return { status: 'wrong' };
    return age > this.#nonceLifeMs ? { status: 'stale' } : { status: 'ok', user };
  }

  #nonce(nowMs: number): string {
    const stamp = Math.max(0, Math.floor(nowMs)).toString(16);
    return `${stamp}-${this.#sign(stamp)}`;
  }

  /** Null when the nonce is not ours. */
  #nonceAgeMs(nonce: string, nowMs: number): number | null {
    const [stamp = '', signature = ''] = nonce.split('-');
    if (!/^[0-9a-f]{1,13}$/.test(stamp) || !sameText(signature, this.#sign(stamp))) return null;
    return nowMs - Number.parseInt(stamp, 16);
  }

  #sign(stamp: string): string {
    return createHmac('sha256', this.#secret).update(stamp).digest('hex').slice(0, 32);
  }
}

/**
 * Whether the digest's `uri` names what is asked for. VLC answers SETUP with the URL of the presentation, without the
 * track, so one that the request's URL begins with will do.
 */
function refersTo(uri: string, url: string): boolean {
  if (uri === url) return true;
  const base = uri.endsWith('/') ? uri.slice(0, -1) : uri;
  return base !== '' && (url === base || url.startsWith(`${base}/`) || url.startsWith(`${base}?`));
}

/** Compares without telling by the time it takes how much is right. */
function sameText(a: string, b: string): boolean {
  const hash = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(hash(a), hash(b));
}
