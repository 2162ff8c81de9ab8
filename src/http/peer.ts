import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Peer } from '../core/contracts.ts';

export interface AuthOptions {
  readonly username: string;
  readonly password: string;
  /** Ask loopback peers for credentials too (compatibility.md 1.0). */
  readonly localAuth: boolean;
}

/** `127.0.0.0/8`, `::1`, IPv4-mapped loopback, and the unix socket (no address). */
function isLoopback(address: string | undefined): boolean {
  if (address === undefined || address === '') return true;
  return address === '::1' || /^(::ffff:)?127\./.test(address);
}

/**
 * Who sent a request. A request that a proxy on this machine forwards for somebody else is not a local one: go2rtc's
 * loopback exception let strangers in that way (AlexxIT/go2rtc#316).
 */
export function identifyPeer(request: IncomingMessage, auth: AuthOptions): Peer {
  const socketAddress = request.socket.remoteAddress;
  const forwarded = header(request, 'x-forwarded-for')?.split(',')[0]?.trim();
  const remoteAddress = socketAddress ?? 'unix';
  if (auth.username === '' && auth.password === '') return { remoteAddress, authenticated: true };
  const local = isLoopback(socketAddress) && (forwarded === undefined || isLoopback(forwarded));
  const authenticated = (local && !auth.localAuth) || basicMatches(request.headers.authorization, auth);
  return { remoteAddress, authenticated };
}

function basicMatches(authorization: string | undefined, auth: AuthOptions): boolean {
  const match = /^basic\s+([a-z0-9+/=_-]+)$/i.exec(authorization ?? '');
  if (match?.[1] === undefined) return false;
  const given = Buffer.from(match[1], 'base64').toString('utf8');
  // Hashed first, so that the comparison takes the same time whatever the lengths.
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(`${auth.username}:${auth.password}`));
}

/** The first value of a header; `name` in lower case. */
export function header(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value[0] : value;
}

/** Peer for `/api/streams`: `address:port`, or `a forwarded b` behind a proxy (compatibility.md 1.2). */
export function describePeer(request: IncomingMessage): string {
  const { remoteAddress, remotePort } = request.socket;
  const address = remoteAddress === undefined ? 'unix' : `${remoteAddress.replace(/^::ffff:/, '')}:${remotePort ?? 0}`;
  const forwarded = header(request, 'x-forwarded-for');
  return forwarded === undefined ? address : `${address} forwarded ${forwarded.slice(0, 100)}`;
}

/**
 * Guards an installation without password against web pages elsewhere that name this machine by a host name of their
 * own (DNS rebinding): names that only a home network or an explicit entry can have are let through.
 */
export function isHomeHost(host: string | undefined, allowed: readonly string[]): boolean {
  if (host === undefined || host === '') return true;
  const name = host
    .replace(/:\d+$/, '')
    .replace(/^\[|\]$/g, '')
    .toLowerCase();
  if (allowed.includes(name)) return true;
  if (/^[\d.]+$/.test(name) || name.includes(':') || !name.includes('.')) return true;
  return /\.(local|lan|home|internal|localhost|localdomain|box|home\.arpa)$/.test(name);
}

/**
 * go2rtc's rule: an Origin must name the Host; an Origin with a port also matches a Host without
 * (compatibility.md 1.0).
 */
export function originMatches(origin: string | undefined, host: string | undefined): boolean {
  if (origin === undefined || origin === '') return true;
  const match = /^[a-z]+:\/\/([^/]+)$/i.exec(origin);
  if (match?.[1] === undefined || host === undefined) return false;
  const given = match[1].toLowerCase();
  const wanted = host.toLowerCase();
  return given === wanted || given.replace(/:\d+$/, '') === wanted;
}
