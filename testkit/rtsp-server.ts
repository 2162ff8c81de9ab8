import { type AddressInfo, connect, type Socket } from 'node:net';
import { ownerPolicy } from '../src/access/policy.ts';
import type { Env } from '../src/core/contracts.ts';
import { HearthcamError } from '../src/core/errors.ts';
import { EventBus } from '../src/core/events.ts';
import { Scope } from '../src/core/scope.ts';
import type { SourceModule } from '../src/core/source.ts';
import type { ViewerLimits } from '../src/core/viewer.ts';
import { rtspConfig } from '../src/outputs/rtsp/config.ts';
import { startRtspServer } from '../src/outputs/rtsp/module.ts';
import { type RtspMessage, RtspParser } from '../src/wire/rtsp/index.ts';
import { makeTestHub, type TestHub, type TestHubOptions } from './hub.ts';
import { waitFor } from './wait.ts';

export interface TestRtspServer extends AsyncDisposable, TestHub {
  readonly port: number;
  /** `rtsp://127.0.0.1:PORT` */
  readonly url: string;
}

/** A hub with nothing but the RTSP server, on a free port. */
export async function startTestRtspServer(options: {
  readonly sources: readonly SourceModule[];
  readonly streams: Readonly<Record<string, readonly string[]>>;
  readonly config?: Readonly<Record<string, unknown>>;
  readonly limits?: ViewerLimits;
  readonly hub?: Partial<TestHubOptions>;
}): Promise<TestRtspServer> {
  const { sources, streams } = options;
  const testHub = makeTestHub({ sources, streams, ...options.hub });
  const scope = new Scope('test');
  const refuse = (): never => {
    throw new HearthcamError('test.unused', 'not part of this test');
  };
  const unused = new Proxy({}, { get: refuse });
  const env: Env = {
    log: testHub.log,
    hub: testHub.hub,
    routes: { route: refuse, message: refuse },
    access: ownerPolicy(),
    stills: { still: refuse },
    // Checked border: the RTSP server uses neither; whoever touches them gets an error.
    preloads: unused as Env['preloads'],
    cameras: unused as Env['cameras'],
    renditions: { of: () => [] },
    hardware: { reports: async () => [] },
    events: new EventBus(testHub.log),
    dataDir: null,
    modelsDir: null,
    product: 'hearthcam/test',
  };
  const config = rtspConfig.parse({ listen: '127.0.0.1:0', ...options.config });
  const server = await startRtspServer(env, config, scope, options.limits);
  const port = server?.port ?? 0;
  return {
    ...testHub,
    port,
    url: `rtsp://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      await scope.close();
      await testHub[Symbol.asyncDispose]();
    },
  };
}

export interface InterleavedPacket {
  readonly channel: number;
  readonly data: Buffer;
  readonly atMs: number;
}

export interface RtspAnswer {
  readonly status: number;
  header(name: string): string | undefined;
  readonly body: string;
}

/** A client that does just what the test says. */
export class RawRtspClient implements Disposable {
  readonly socket: Socket;
  readonly packets: InterleavedPacket[] = [];
  readonly messages: RtspMessage[] = [];
  /** All bytes received, while `keepBytes` is on. */
  readonly chunks: Buffer[] = [];
  keepBytes = false;
  closed = false;
  #cseq = 0;
  readonly #parser: RtspParser;
  readonly #url: string;

  private constructor(socket: Socket, url: string) {
    this.socket = socket;
    this.#url = url;
    this.#parser = new RtspParser({
      onMessage: (message) => this.messages.push(message),
      onInterleaved: (channel, data, start, end) =>
        this.packets.push({ channel, data: Buffer.from(data.subarray(start, end)), atMs: performance.now() }),
    });
    socket.on('data', (chunk: Buffer) => {
      if (this.keepBytes) this.chunks.push(chunk);
      this.#parser.push(chunk);
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.closed = true;
    });
  }

  /** @param url of the presentation */
  static async open(url: string, localAddress?: string): Promise<RawRtspClient> {
    const { hostname, port } = new URL(url.replace(/^rtsp/, 'http'));
    const socket = connect({
      host: hostname,
      port: Number(port),
      ...(localAddress === undefined ? {} : { localAddress }),
    });
    await new Promise((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    return new RawRtspClient(socket, url);
  }

  get localPort(): number {
    // Checked border: a connected TCP socket has such an address.
    return (this.socket.address() as AddressInfo).port;
  }

  /** Sends a request and waits for its answer. `path` is appended to the URL. */
  async request(method: string, path = '', headers: Record<string, string> = {}, body = ''): Promise<RtspAnswer> {
    const cseq = this.send(method, path, headers, body);
    const found = await waitFor(
      () => this.messages.find((message) => message.kind === 'response' && message.cseq === cseq),
      { what: `the answer to ${method}`, timeoutMs: 20_000 },
    );
    if (found.kind !== 'response') throw new Error('not a response');
    return {
      status: found.status,
      header: (name) => found.headers.get(name),
      body: found.body.toString(),
    };
  }

  send(method: string, path = '', headers: Record<string, string> = {}, body = ''): number {
    const cseq = ++this.#cseq;
    const lines = [`${method} ${this.#url}${path} RTSP/1.0`, `CSeq: ${cseq}`];
    for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`);
    if (body !== '') lines.push(`Content-Length: ${Buffer.byteLength(body)}`);
    this.socket.write(`${lines.join('\r\n')}\r\n\r\n${body}`);
    return cseq;
  }

  /** DESCRIBE, SETUP of all tracks over TCP, PLAY; returns the answer to PLAY. */
  async play(channels: readonly string[] = ['0-1', '2-3']): Promise<RtspAnswer> {
    const described = await this.request('DESCRIBE');
    if (described.status !== 200) throw new Error(`DESCRIBE: ${described.status}`);
    const count = described.body.split('\nm=').length - 1;
    for (let track = 0; track < count; track++) {
      const answer = await this.request('SETUP', `/trackID=${track}`, {
        Transport: `RTP/AVP/TCP;unicast;interleaved=${channels[track] ?? `${track * 2}-${track * 2 + 1}`}`,
      });
      if (answer.status !== 200) throw new Error(`SETUP: ${answer.status}`);
    }
    return this.request('PLAY');
  }

  on(channel: number): InterleavedPacket[] {
    return this.packets.filter((packet) => packet.channel === channel);
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}
