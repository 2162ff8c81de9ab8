import { z } from 'zod';
import { HearthcamError } from '../../core/errors.ts';

/** Section `rtsp` of the configuration; keys as in go2rtc (compatibility.md 2, 4), `local_auth` is ours. */
export const rtspConfig = z.object({
  listen: z
    .string()
    .default('127.0.0.1:8554')
    .describe('Address of the RTSP server: ":8554" = every address, "" = off. This machine only unless set.'),
  username: z.string().default('').describe('User name for Digest and Basic; empty = nobody is asked.'),
  password: z.string().default('').describe('Password for Digest and Basic.'),
  default_query: z.string().default('video&audio').describe('Tracks for an address without a query.'),
  pkt_size: z
    .number()
    .int()
    .min(0)
    .max(65_000)
    .default(0)
    .describe('Largest RTP packet in bytes; 0 = 1400, and larger ones over TCP while a new viewer is caught up.'),
  local_auth: z.boolean().default(false).describe('Ask programs on this machine for the password too.'),
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

/** Whether everybody on the network may watch: no credentials, and not one address that the owner has chosen. */
export function isOpenToAll(config: RtspConfig): boolean {
  if (config.username !== '' || config.password !== '') return false;
  const address = parseListen(config.listen);
  return address !== null && [undefined, '0.0.0.0', '::'].includes(address.host);
}
