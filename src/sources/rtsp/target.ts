import { HearthcamError } from '../../core/errors.ts';
import { SecretMask } from '../../core/secrets.ts';
import { type SourceSpec, specParam } from '../../core/source.ts';
import type { Credentials } from '../../wire/rtsp/auth.ts';

export interface RtspTarget {
  readonly scheme: 'rtsp' | 'rtsps' | 'rtspx';
  /** Without brackets. */
  readonly host: string;
  readonly port: number;
  /** For request lines: without user and password, `rtsps:` for `rtspx:`. */
  readonly url: string;
  readonly credentials: Credentials | null;
  /** For messages: nothing secret in it. */
  readonly display: string;
}

export interface RtspOptions {
  readonly transport: 'tcp' | 'udp';
  /** For the connection and for each answer. */
  readonly timeoutMs: number;
  readonly media: 'video' | 'audio' | undefined;
  /**
   * Whether the camera may be asked for its back channel; `all`: and that it is set up together with its picture and
   * sound.
   */
  readonly talk: 'no' | 'alone' | 'all';
}

const DEFAULT_TIMEOUT_MS = 5_000;
const MAX_TIMEOUT_MS = 60_000;
/** RFC 2326 §3.2 and RFC 7826 §4.2. */
const PORTS = { rtsp: 554, rtsps: 322, rtspx: 322 } as const;

/**
 * Takes an RTSP URL apart. Not by WHATWG rules: cameras have blanks and odd signs in paths, and owners paste passwords
 * with `@`, `/` or `#` left as they are (`#` has been cut by the caller and must be written as %23).
 * @throws HearthcamError 400
 */
export function parseTarget(text: string): RtspTarget {
  const match = /^(rtsps|rtspx|rtsp):\/\/(.+)$/is.exec(text.trim());
  const scheme = match?.[1]?.toLowerCase();
  const rest = match?.[2];
  if (rest === undefined || (scheme !== 'rtsp' && scheme !== 'rtsps' && scheme !== 'rtspx')) throw badUrl(text);
  const at = userInfoEnd(rest);
  const location = at < 0 ? rest : rest.slice(at + 1);
  const parts = /^(?:\[([0-9a-f:.%a-z]+)\]|([^:/?\s]+))(?::(\d{1,5}))?([/?].*)?$/is.exec(location);
  const host = parts?.[1] ?? parts?.[2];
  const port = parts?.[3] === undefined ? PORTS[scheme] : Number(parts[3]);
  if (parts === null || host === undefined || port < 1 || port > 65_535) throw badUrl(text);
  const hostText = host.includes(':') ? `[${host}]` : host;
  const path = encodeOdd(parts[4] ?? '/');
  const portText = parts[3] === undefined ? '' : `:${port}`;
  const url = `${scheme === 'rtsp' ? 'rtsp' : 'rtsps'}://${hostText}${portText}${path}`;
  return {
    scheme,
    host,
    port,
    url,
    credentials: at < 0 ? null : parseUserInfo(rest.slice(0, at)),
    display: new SecretMask().mask(`${scheme}://${hostText}:${port}${path}`),
  };
}

/** @throws HearthcamError 400 for a `#transport=` or `#timeout=` that we don't have */
export function readOptions(spec: SourceSpec): RtspOptions {
  const transport = specParam(spec, 'transport')?.toLowerCase() ?? 'tcp';
  if (transport !== 'tcp' && transport !== 'udp') {
    throw new HearthcamError('rtsp.transport', `RTSP transport "${transport.slice(0, 40)}" is not supported`, {
      status: 400,
      hint: 'use #transport=tcp (the default) or #transport=udp',
    });
  }
  const timeoutText = specParam(spec, 'timeout');
  const seconds = timeoutText === undefined ? DEFAULT_TIMEOUT_MS / 1000 : Number(timeoutText);
  if (!(seconds > 0)) {
    throw new HearthcamError('rtsp.timeout', `#timeout=${timeoutText?.slice(0, 40)} is no number of seconds`, {
      status: 400,
    });
  }
  const media = specParam(spec, 'media');
  const backchannel = specParam(spec, 'backchannel');
  return {
    transport,
    timeoutMs: Math.min(MAX_TIMEOUT_MS, seconds * 1000),
    media: media === 'video' || media === 'audio' ? media : undefined,
    talk: backchannel === '0' ? 'no' : backchannel === 'all' ? 'all' : 'alone',
  };
}

/** An address or a name with a dot: what follows the `@` of a real URL. */
const SURE_HOST = /^(\[[0-9a-f:.%a-z]+\]|[^:/?\s@]*\.[^:/?\s@]+|localhost)(:\d{1,5})?([/?]|$)/i;

/**
 * Where `user:password` ends; -1 where there is none. By RFC 3986 at the last `@` before the path; where no sure host
 * follows it, the password has a slash or an `@` in it, and the next `@` before a sure host ends it.
 */
function userInfoEnd(rest: string): number {
  const authorityEnd = rest.search(/[/?]/);
  const authority = authorityEnd < 0 ? rest : rest.slice(0, authorityEnd);
  const at = authority.lastIndexOf('@');
  if (at < 0 && (!authority.includes(':') || /:\d{1,5}$/.test(authority) || authority.startsWith('['))) return -1;
  if (at >= 0 && SURE_HOST.test(rest.slice(at + 1))) return at;
  for (let next = rest.indexOf('@', at + 1); next >= 0; next = rest.indexOf('@', next + 1)) {
    if (SURE_HOST.test(rest.slice(next + 1))) return next;
  }
  return at;
}

function parseUserInfo(text: string): Credentials {
  const colon = text.indexOf(':');
  const user = colon < 0 ? text : text.slice(0, colon);
  const password = colon < 0 ? '' : text.slice(colon + 1);
  return { user: decode(user), password: decode(password) };
}

/** A percent sign that begins no escape is part of the password. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Blanks, control and other characters outside ASCII can't stand in a request line. */
function encodeOdd(path: string): string {
  return path.replace(/[^\x21-\x7e]/gu, (char) => encodeURIComponent(char));
}

function badUrl(text: string): HearthcamError {
  return new HearthcamError('rtsp.url', `not an RTSP address: ${new SecretMask().mask(text).slice(0, 200)}`, {
    status: 400,
    hint: 'it looks like rtsp://192.168.1.20:554/stream1; a login stands before the host: user:password@',
  });
}

/**
 * Where a redirect leads. The password goes along to the same host only, and never from TLS to plain text.
 * @throws HearthcamError
 */
export function redirected(from: RtspTarget, location: string): RtspTarget {
  const to = parseTarget(location);
  if (from.scheme !== 'rtsp' && to.scheme === 'rtsp') {
    throw new HearthcamError('rtsp.redirect', `${from.display} redirects to ${to.display}, which is not encrypted`, {
      status: 502,
      hint: 'if that is right, put the new address into the configuration',
    });
  }
  const scheme = from.scheme === 'rtspx' && to.scheme === 'rtsps' ? 'rtspx' : to.scheme;
  const credentials = to.credentials ?? (to.host === from.host ? from.credentials : null);
  return { ...to, scheme, credentials };
}
