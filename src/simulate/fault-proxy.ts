import { connect, createServer, type Server, type Socket } from 'node:net';
import { describeError, HearthcamError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import type { Scope } from '../core/scope.ts';
import { RtspParser } from '../wire/rtsp/parser.ts';
import { changeMessage, type FaultOptions, lossDice, PacketTamper } from './faults.ts';

export interface FaultProxyOptions {
  readonly host: string;
  /** 0: any. */
  readonly port: number;
  /** Where the RTSP server is, on this machine. */
  readonly targetPort: number;
  readonly faults: FaultOptions;
  readonly log: Log;
}

const FRAME_HEADER_BYTES = 4;
const RELISTEN_MS = 50;

/**
 * Stands between the viewers and the simulator's RTSP server and makes trouble: leaves packets out, falls silent, closes
 * connections and refuses new ones. The server behind it is the project's own and stays free of all this.
 */
export class FaultProxy {
  readonly #options: FaultProxyOptions;
  readonly #scope: Scope;
  readonly #links = new Set<Link>();
  readonly #isLost: () => boolean;
  #server: Server | undefined;
  #port = 0;
  #silentUntilMs = 0;
  #jumpS = 0;

  constructor(options: FaultProxyOptions, scope: Scope) {
    this.#options = options;
    this.#scope = scope;
    this.#isLost = lossDice(options.faults.lossPercent ?? 0);
  }

  get port(): number {
    return this.#port;
  }
  get connections(): number {
    return this.#links.size;
  }

  /** @throws HearthcamError when the port is taken */
  async start(): Promise<void> {
    this.#port = this.#options.port;
    try {
      await this.#listen();
    } catch (error) {
      throw new HearthcamError('simulate.listen', `the simulator can't listen on port ${this.#options.port}`, {
        cause: error,
        hint: 'is another simulator running?',
      });
    }
    this.#scope.defer(() => this.#stop());
    const { stallEveryS = 0, stallForS = 3, dropEveryS = 0, dropForS = 0 } = this.#options.faults;
    const { jumpEveryS = 0, jumpByS = 100 } = this.#options.faults;
    if (stallEveryS > 0) this.#scope.every(stallEveryS * 1000, () => this.stall(stallForS * 1000));
    if (dropEveryS > 0) this.#scope.every(dropEveryS * 1000, () => this.drop(dropForS * 1000));
    if (jumpEveryS > 0) this.#scope.every(jumpEveryS * 1000, () => this.jump(jumpByS));
  }

  /** Closes all connections; refuses new ones for so long. */
  drop(forMs: number): void {
    for (const link of [...this.#links]) link.destroy();
    if (forMs <= 0) return;
    const server = this.#server;
    this.#server = undefined;
    server?.close();
    this.#scope.after(forMs, () => this.#relisten());
  }

  /** Sends no packets for so long. */
  stall(forMs: number): void {
    this.#silentUntilMs = Math.max(this.#silentUntilMs, performance.now() + forMs);
  }

  /** Moves the time stamps of all that follows. */
  jump(seconds: number): void {
    this.#jumpS += seconds;
  }

  #listen(): Promise<void> {
    const server = createServer((client) => this.#accept(client));
    this.#server = server;
    return new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(this.#port, this.#options.host, () => {
        const address = server.address();
        if (address !== null && typeof address === 'object') this.#port = address.port;
        server.off('error', reject);
        server.on('error', (error) => this.#options.log.warn(`simulator: ${error.message}`));
        resolve();
      });
    });
  }

  #relisten(): void {
    if (this.#scope.closed || this.#server !== undefined) return;
    this.#listen().catch((error: unknown) => {
      this.#server = undefined;
      this.#options.log.debug(`simulator: can't listen again yet: ${describeError(error)}`);
      if (!this.#scope.closed) this.#scope.after(RELISTEN_MS, () => this.#relisten());
    });
  }

  async #stop(): Promise<void> {
    for (const link of [...this.#links]) link.destroy();
    const server = this.#server;
    if (server?.listening === true) await new Promise<void>((resolve) => server.close(() => resolve()));
  }

  #accept(client: Socket): void {
    const { targetPort, faults } = this.#options;
    const link = new Link(client, connect(targetPort, '127.0.0.1'), faults.paramSets, {
      jumpS: () => this.#jumpS,
      isLost: () => performance.now() < this.#silentUntilMs || this.#isLost(),
      onEnd: () => void this.#links.delete(link),
      onConfused: (error) => this.#options.log.error(`simulator: its RTSP server is confused: ${describeError(error)}`),
    });
    this.#links.add(link);
  }
}

interface LinkRules {
  jumpS(): number;
  isLost(): boolean;
  onEnd(): void;
  /** The server said something that is no RTSP. */
  onConfused(error: unknown): void;
}

/** One viewer's connection. */
class Link {
  readonly #client: Socket;
  readonly #target: Socket;
  readonly #rules: LinkRules;
  readonly #paramSets: FaultOptions['paramSets'];
  readonly #tamper: PacketTamper;
  readonly #parser: RtspParser;

  constructor(client: Socket, target: Socket, paramSets: FaultOptions['paramSets'], rules: LinkRules) {
    this.#client = client;
    this.#target = target;
    this.#rules = rules;
    this.#paramSets = paramSets;
    this.#tamper = new PacketTamper(paramSets);
    this.#parser = new RtspParser({
      onMessage: (message) => {
        const type = message.headers.get('content-type') ?? '';
        if (type.includes('sdp')) this.#tamper.learnSdp(message.body.toString('utf8'));
        client.write(changeMessage(message, this.#paramSets));
      },
      onInterleaved: (channel, data, start, end) => this.#forward(channel, data, start, end),
    });
    client.setNoDelay(true);
    target.setNoDelay(true);
    client.pipe(target);
    target.on('data', (chunk: Buffer) => this.#take(chunk));
    client.on('drain', () => target.resume());
    // Either side's end is passed on with all that came before it; errors end the connection, the reason is theirs.
    client.on('error', () => this.destroy());
    target.on('error', () => this.destroy());
    target.on('end', () => client.end());
    target.on('close', () => client.destroySoon());
    client.on('close', () => this.destroy());
  }

  destroy(): void {
    this.#client.destroy();
    this.#target.destroy();
    this.#rules.onEnd();
  }

  #take(chunk: Buffer): void {
    this.#client.cork();
    try {
      this.#parser.push(chunk);
    } catch (error) {
      this.#rules.onConfused(error);
      this.destroy();
    } finally {
      this.#client.uncork();
    }
    if (this.#client.writableNeedDrain) this.#target.pause();
  }

  #forward(channel: number, data: Buffer, start: number, end: number): void {
    if (this.#rules.isLost()) return;
    // The bytes are valid only now, and they are changed.
    const frame = Buffer.from(data.subarray(start - FRAME_HEADER_BYTES, end));
    if (this.#tamper.change(channel, frame.subarray(FRAME_HEADER_BYTES), this.#rules.jumpS()))
      this.#client.write(frame);
  }
}
