import { createServer, type Server } from 'node:net';
import type { Env, OutputModule } from '../../core/contracts.ts';
import { HearthcamError } from '../../core/errors.ts';
import { LogLimiter } from '../../core/log.ts';
import type { Scope } from '../../core/scope.ts';
import { DEFAULT_VIEWER_LIMITS, type ViewerLimits } from '../../core/viewer.ts';
import { ServerAuth } from '../../wire/rtsp/index.ts';
import { isOpenToAll, parseListen, type RtspConfig, rtspConfig } from './config.ts';
import { RtspConnection, type ServerContext } from './connection.ts';
import { UdpPorts } from './udp-shared.ts';

const MAX_CONNECTIONS = 1_000;
const CHECK_EVERY_MS = 1_000;

export interface RtspServer {
  /** Where it listens; useful when the configured port is 0. */
  readonly port: number;
}

/** Opens the listener; it and all its connections end with `scope`. @throws HearthcamError when the port is taken */
export async function startRtspServer(
  env: Env,
  config: RtspConfig,
  scope: Scope,
  limits: ViewerLimits = DEFAULT_VIEWER_LIMITS,
): Promise<RtspServer | null> {
  const address = parseListen(config.listen);
  if (address === null) return null;
  const log = env.log.child('rtsp');
  const udp = new UdpPorts(log);
  const context: ServerContext = {
    env,
    config,
    log,
    auth: makeAuth(config),
    limiter: new LogLimiter(10_000),
    limits,
    udp,
    publishers: new Map(),
  };
  const connections = new Set<RtspConnection>();
  const server = createServer((socket) => {
    if (connections.size >= MAX_CONNECTIONS) {
      log.warn(`RTSP: more than ${MAX_CONNECTIONS} connections, refused ${socket.remoteAddress ?? ''}`);
      socket.destroy();
      return;
    }
    const connection = new RtspConnection(socket, context);
    connections.add(connection);
    socket.once('close', () => connections.delete(connection));
    connection.start();
  });
  await listen(server, address, config.listen);
  scope.defer(async () => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const connection of connections) connection.close();
    await closed;
    await udp[Symbol.asyncDispose]();
  });
  scope.every(CHECK_EVERY_MS, () => {
    const nowMs = performance.now();
    for (const connection of connections) {
      connection.reportSlow(nowMs);
      if (!connection.isIdle(nowMs)) continue;
      log.info(`RTSP ${connection.remoteAddr}: silent for too long, closed`);
      connection.close();
    }
  });
  server.on('error', (error) => log.error(`RTSP listener: ${error.message}`));
  const bound = server.address();
  const port = bound !== null && typeof bound === 'object' ? bound.port : address.port;
  scope.defer(env.hub.expected.listening(`rtsp://${localHost(bound)}:${port}`));
  log.info('listen', { addr: `${address.host ?? ''}:${port}` });
  if (isOpenToAll(config)) {
    log.warn('everybody on this network can see the cameras over RTSP: set rtsp.username and rtsp.password');
  }
  return { port };
}

/** By which host programs on this machine reach the listener. */
function localHost(bound: ReturnType<Server['address']>): string {
  const address = bound === null || typeof bound === 'string' ? '' : bound.address;
  if (address === '' || address === '::' || address === '0.0.0.0') return '127.0.0.1';
  return address.includes(':') ? `[${address}]` : address;
}

function makeAuth(config: RtspConfig): ServerAuth | undefined {
  if (config.username === '' && config.password === '') return undefined;
  return new ServerAuth({
    realm: 'go2rtc',
    password: (user) => (user === config.username ? config.password : undefined),
  });
}

function listen(server: Server, address: { host: string | undefined; port: number }, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const onError = (error: NodeJS.ErrnoException): void => {
      reject(
        new HearthcamError('rtsp.listen', `the RTSP server can't listen on ${text}: ${error.message}`, {
          cause: error,
          hint:
            error.code === 'EADDRINUSE' ? 'is another server (go2rtc?) running? set rtsp.listen' : 'see rtsp.listen',
        }),
      );
    };
    server.once('error', onError);
    server.listen({ port: address.port, ...(address.host === undefined ? {} : { host: address.host }) }, () => {
      server.removeListener('error', onError);
      resolve();
    });
  });
}

/** RTSP server: view any stream, publish into an existing one. */
export const rtspOutput: OutputModule<RtspConfig> = {
  name: 'rtsp',
  config: { key: 'rtsp', schema: rtspConfig },
  async start(env, config, scope) {
    await startRtspServer(env, config, scope);
  },
};
