import { z } from 'zod';
import { HearthcamError } from '../../core/errors.ts';

/** Section `rtsp` of the configuration; keys as in go2rtc (compat.md §2, §4), `local_auth` is ours. */
export const rtspConfig = z.object({
  /** `:8554` = all addresses, `host:port`, '' = off. Loopback unless the owner names an address. */
  listen: z.string().default('127.0.0.1:8554'),
  username: z.string().default(''),
  password: z.string().default(''),
  /** Tracks for a URL without query. */
  default_query: z.string().default('video&audio'),
  /** Largest RTP packet in bytes; 0 = 1400 (and larger ones over TCP where a new viewer is given the last picture). */
  pkt_size: z.number().int().min(0).max(65_000).default(0),
  /** Ask peers on this machine for credentials too. */
  local_auth: z.boolean().default(false),
});
export type RtspConfig = z.infer<typeof rtspConfig>;

/** Takes `host:port`, `[v6]:port` or `:port` apart. Null for ''. @throws HearthcamError */
export function parseListen(text: string): { host: string | undefined; port: number } | null {
  if (text === '') return null;
  const match = /^(?:\[([^\]]+)\]|([^:]*)):(\d{1,5})$/.exec(text.trim());
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) {
    throw new HearthcamError('rtsp.listen', `rtsp.listen is ${JSON.stringify(text)}, expected host:port`, {
      status: 400,
      hint: 'for example 127.0.0.1:8554, or :8554 for all addresses',
    });
  }
  const host = match[1] ?? match[2] ?? '';
  return { host: host === '' ? undefined : host, port };
}
