import { isIP } from 'node:net';
import { z } from 'zod';
import type { IceServer } from './link.ts';

/**
 * The `webrtc` section as go2rtc has it (compatibility.md 4), read leniently: keys that we don't know are ignored, and
 * what can't be done is told by `describeUnsupported`.
 */
export const webrtcConfig = z
  .looseObject({
    listen: z.string().default('127.0.0.1:8555').describe('UDP address for all viewers, ":8555" for all networks'),
    candidates: z
      .array(z.string())
      .nullish()
      .describe(
        'further addresses under which viewers reach this server: "192.0.2.1:8555", "host:8555", "stun:8555" (the public address, asked of a STUN server); without a port that of listen',
      ),
    ice_servers: z
      .array(
        z.looseObject({
          urls: z.union([z.string(), z.array(z.string())]),
          username: z.string().nullish(),
          credential: z.string().nullish(),
        }),
      )
      .nullish()
      .describe(
        'STUN servers (they tell the public address) and TURN servers (they relay; UDP only). None are asked unless listed. With a TURN server and no candidates each viewer has a UDP port of its own; with candidates TURN servers are not used',
      ),
    filters: z
      .looseObject({
        candidates: z.array(z.string()).nullish(),
        interfaces: z.array(z.string()).nullish(),
        ips: z.array(z.string()).nullish(),
        networks: z.array(z.string()).nullish(),
        udp_ports: z.array(z.number()).nullish(),
        loopback: z.boolean().nullish(),
      })
      .nullish(),
  })
  .describe('WebRTC: the picture in browsers with the least delay');

export type WebrtcConfig = z.infer<typeof webrtcConfig>;

export interface ListenAt {
  /** '' = all addresses. */
  readonly bindAddress: string;
  /** 0 = any free port. */
  readonly port: number;
  /** The text asks for TCP only, which the transport can't listen on. */
  readonly tcpOnly: boolean;
}

/** `:8555`, `127.0.0.1:8555/udp`, `[::]:8555`, `` (any port). Null when it is nothing of the kind. */
export function parseListen(listen: string): ListenAt | null {
  if (listen.trim() === '') return { bindAddress: '', port: 0, tcpOnly: false };
  const match = /^(.*):(\d{1,5})(?:\/(tcp|udp))?$/.exec(listen.trim());
  if (match === null) return null;
  const host = (match[1] ?? '').replace(/^\[|\]$/g, '');
  const port = Number(match[2]);
  if (port > 65_535) return null;
  if (host === 'localhost') return { bindAddress: '127.0.0.1', port, tcpOnly: match[3] === 'tcp' };
  if (host !== '' && isIP(host) === 0) return null;
  const all = host === '' || host === '0.0.0.0' || host === '::';
  return { bindAddress: all ? '' : host, port, tcpOnly: match[3] === 'tcp' };
}

export function configuredIceServers(config: WebrtcConfig): IceServer[] {
  return (config.ice_servers ?? []).flatMap((server) =>
    (typeof server.urls === 'string' ? [server.urls] : server.urls).map((url) => ({
      url,
      username: server.username ?? '',
      credential: server.credential ?? '',
    })),
  );
}

/** One of `webrtc.candidates`: an address or name, or the public address as a STUN server sees it. */
export interface CandidateAddress {
  /** `stun`: the public address. */
  readonly host: string;
  /** Undefined: the port of `webrtc.listen`. */
  readonly port: number | undefined;
}

/** `192.0.2.1:8555`, `[2001:db8::1]:8555`, `2001:db8::1`, `host`, `stun:8555`. Null when it is nothing of the kind. */
export function parseCandidateAddress(text: string): CandidateAddress | null {
  const trimmed = text.trim();
  if (isIP(trimmed) === 6) return { host: trimmed, port: undefined };
  const match = /^(?:\[([0-9a-f:.]+)\]|([\w.-]+))(?::(\d{1,5}))?(?:\/udp)?$/i.exec(trimmed);
  const host = match?.[1] ?? match?.[2];
  if (match === null || host === undefined || (match[1] !== undefined && isIP(host) !== 6)) return null;
  const port = match[3] === undefined ? undefined : Number(match[3]);
  return port !== undefined && (port < 1 || port > 65_535) ? null : { host, port };
}

/** A TURN server that libjuice can use: over UDP. */
export function isUsableRelay(url: string): boolean {
  return /^turn:/i.test(url) && !/[?&]transport=tcp/i.test(url);
}

/**
 * Whether relays are used: libjuice can't where all peers share one port, so each peer then has its own. Candidates
 * that are configured name the one port that was opened for viewers from outside, and are the better way in.
 */
export function usesRelay(config: WebrtcConfig): boolean {
  return (config.candidates ?? []).length === 0 && configuredIceServers(config).some(({ url }) => isUsableRelay(url));
}

/** What is as good as another value that the owner wrote: told, but nothing has to be done. */
export function describeTaken(config: WebrtcConfig): string[] {
  const listen = parseListen(config.listen);
  if (listen?.tcpOnly !== true) return [];
  return [`webrtc.listen: "${config.listen}" is taken as UDP port ${listen.port}, as media goes by UDP; nothing to do`];
}

/** Keys that are set but have no effect here, one sentence each. */
export function describeUnsupported(config: WebrtcConfig): string[] {
  const told: string[] = [];
  const filters = config.filters ?? {};
  for (const text of config.candidates ?? []) {
    if (parseCandidateAddress(text) !== null) continue;
    const what = text.endsWith('/tcp') ? 'media over TCP is not supported' : 'expected host:port or stun:port';
    told.push(`webrtc.candidates: "${text}" is left out: ${what}`);
  }
  if (filters.udp_ports != null) told.push('webrtc.filters.udp_ports: all viewers use the port of webrtc.listen');
  if (filters.networks != null && !filters.networks.some((network) => network.startsWith('udp'))) {
    told.push('webrtc.filters.networks: media over TCP is not supported, so no viewer can connect');
  }
  for (const server of configuredIceServers(config)) {
    if (!/^(stun|turns?):/i.test(server.url)) told.push(`webrtc.ice_servers: "${server.url}" is no stun: or turn: URL`);
    else if (/^turns?:/i.test(server.url) && !isUsableRelay(server.url)) {
      told.push(`webrtc.ice_servers: "${server.url}" is not used: only TURN over UDP is supported`);
    } else if (/^turn:/i.test(server.url) && !usesRelay(config)) {
      told.push(
        `webrtc.ice_servers: "${server.url}" is not used, as webrtc.candidates say how viewers get in; remove those to relay`,
      );
    }
  }
  return told;
}
