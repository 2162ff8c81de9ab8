import { isIP } from 'node:net';
import { z } from 'zod';
import type { IceServer } from './link.ts';

/**
 * The `webrtc` section as go2rtc has it (compat.md §4), read leniently: keys that we don't know are ignored, and what
 * can't be done is told by `describeUnsupported`.
 */
export const webrtcConfig = z
  .looseObject({
    listen: z.string().default('127.0.0.1:8555').describe('UDP address for all viewers, ":8555" for all networks'),
    candidates: z
      .array(z.string())
      .nullish()
      .describe('further addresses under which viewers reach this server: "192.0.2.1:8555", "host:8555", "stun:8555"'),
    ice_servers: z
      .array(
        z.looseObject({
          urls: z.union([z.string(), z.array(z.string())]),
          username: z.string().nullish(),
          credential: z.string().nullish(),
        }),
      )
      .nullish()
      .describe('STUN and TURN servers; none are asked unless they are listed here'),
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

/** Keys that are set but have no effect here, one sentence each. */
export function describeUnsupported(config: WebrtcConfig): string[] {
  const told: string[] = [];
  const filters = config.filters ?? {};
  if (parseListen(config.listen)?.tcpOnly === true) {
    told.push('webrtc.listen: media over TCP is not supported; UDP is used on the same port');
  }
  if (filters.udp_ports != null) told.push('webrtc.filters.udp_ports: all viewers use the port of webrtc.listen');
  if (filters.networks != null && !filters.networks.some((network) => network.startsWith('udp'))) {
    told.push('webrtc.filters.networks: media over TCP is not supported, so no viewer can connect');
  }
  for (const server of configuredIceServers(config)) {
    if (!/^(stun|turns?):/i.test(server.url)) told.push(`webrtc.ice_servers: "${server.url}" is no stun: or turn: URL`);
    else if (/^turn/i.test(server.url)) {
      // libjuice: "TURN servers are not supported in mux mode", which is what puts all viewers on one port.
      told.push(
        `webrtc.ice_servers: "${server.url}" is of no use to the server; viewers may relay through it themselves`,
      );
    }
  }
  return told;
}
