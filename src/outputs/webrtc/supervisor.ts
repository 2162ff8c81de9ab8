import { describeError, HearthcamError } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import { HelperProcess } from '../../core/process/helper.ts';
import type { Scope } from '../../core/scope.ts';
import { type DownMessage, encodeDown, parseUp, type TransportConfig, type UpMessage } from './link.ts';

export interface SupervisorOptions {
  readonly log: Log;
  readonly config: TransportConfig;
  readonly scope: Scope;
  /** Stopped when nobody has needed it for so long. */
  readonly idleMs?: number;
  /** Replaced when it has said nothing for so long. */
  readonly silentMs?: number;
  /** A life of the process has ended otherwise than by our wish. */
  readonly onDeath: (reason: HearthcamError) => void;
}

const NAME = 'WebRTC process';
const START_MS = 15_000;
const PING_MS = 1_000;
/** A process that doesn't answer is stuck. Generous, as a busy machine may not let it run for a while. */
const SILENT_MS = 6_000;
const QUICK_DEATH_MS = 5_000;
/** After more deaths in a row something is wrong for good; starting it on and on would only burn the processor. */
const QUICK_DEATHS = 3;
const MAX_RESTART_DELAY_MS = 30_000;
const IDLE_MS = 60_000;
/** What may wait in the link; beyond it the process isn't taking its media. */
export const LINK_HIGH_BYTES = 8 * 1024 * 1024;

/** One life of the WebRTC process. */
export class ProcessLink {
  readonly #process: HelperProcess;
  readonly #ready = Promise.withResolvers<number>();
  readonly #ended = Promise.withResolvers<HearthcamError>();
  readonly #watching: NodeJS.Timeout;
  #over = false;
  #pings = 0;
  #heardAtMs = performance.now();
  #limitMs = START_MS;

  constructor(config: TransportConfig, log: Log, silentMs: number, onMessage: (message: UpMessage) => void) {
    this.#ready.promise.catch(() => {});
    this.#process = new HelperProcess({
      name: NAME,
      folder: 'outputs/webrtc',
      passesOn: true,
      log,
      onMessage: ({ header, payload }) => {
        this.#heardAtMs = performance.now();
        const message = parseUp(header, payload);
        if (message.type === 'ready') {
          this.#limitMs = silentMs;
          this.#ready.resolve(message.port);
          log.debug(`${NAME} runs`, { pid: this.#process.pid, udp_port: message.port });
        } else if (message.type === 'log') {
          log[message.level](message.text);
        } else {
          onMessage(message);
        }
      },
      onExit: (reason) => this.#end(reason),
    });
    this.send({ type: 'config', ...config });
    this.#watching = setInterval(() => this.#watch(), PING_MS);
    this.#watching.unref();
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }
  /** Resolves with the UDP port once it takes connections; rejects when it ends before. */
  get ready(): Promise<number> {
    return this.#ready.promise;
  }
  /** Resolves with the reason when the process is gone. */
  get ended(): Promise<HearthcamError> {
    return this.#ended.promise;
  }
  get over(): boolean {
    return this.#over;
  }
  /** Bytes that wait in the link. */
  get waitingBytes(): number {
    return this.#process.waitingBytes;
  }

  send(message: DownMessage): void {
    if (this.#over) return;
    const { header, payload } = encodeDown(message);
    this.#process.send(header, payload);
  }

  /** Several `send` within `work` become one write. */
  burst(work: () => void): void {
    this.#process.burst(work);
  }

  async stop(): Promise<void> {
    await this.#process[Symbol.asyncDispose]();
  }

  #watch(): void {
    if (performance.now() - this.#heardAtMs > this.#limitMs) {
      this.#process.kill(new HearthcamError('webrtc.stuck', `the ${NAME} did not answer any more`, { status: 503 }));
      return;
    }
    this.send({ type: 'ping', count: ++this.#pings });
  }

  #end(reason: HearthcamError): void {
    if (this.#over) return;
    this.#over = true;
    clearInterval(this.#watching);
    this.#ready.reject(
      new HearthcamError('webrtc.process', `the ${NAME} could not be started`, { status: 503, cause: reason }),
    );
    this.#ended.resolve(reason);
  }
}

/** Starts the WebRTC process when somebody needs it, again when it dies, and ends it when nobody does. */
export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #onMessage: (message: UpMessage) => void;
  #link: ProcessLink | undefined;
  #users = 0;
  #idle: NodeJS.Timeout | undefined;
  #stopping = new WeakSet<ProcessLink>();
  #quickDeaths = 0;
  #notBeforeMs = 0;
  #closed = false;

  constructor(options: SupervisorOptions, onMessage: (message: UpMessage) => void) {
    this.#options = options;
    this.#onMessage = onMessage;
    options.scope.defer(() => this.#close());
  }

  /** Of the running process; undefined while none runs. */
  get pid(): number | undefined {
    return this.#link?.pid;
  }

  /**
   * Takes part in the process's life: it stays at least until `release`.
   * @throws HearthcamError 503 when it can't be started
   */
  async acquire(): Promise<{ link: ProcessLink; port: number; release: () => void }> {
    this.#users++;
    clearTimeout(this.#idle);
    let released = false;
    const release = (): void => {
      if (released) return;
      released = true;
      this.#users--;
      if (this.#users === 0) this.#beginIdle();
    };
    try {
      const link = this.#running();
      const port = await link.ready;
      return { link, port, release };
    } catch (error) {
      release();
      throw error;
    }
  }

  #running(): ProcessLink {
    if (this.#closed) throw new HearthcamError('webrtc.closed', 'the server is shutting down', { status: 503 });
    if (this.#link !== undefined) return this.#link;
    if (performance.now() < this.#notBeforeMs) {
      throw new HearthcamError('webrtc.process', `the ${NAME} keeps dying and is tried again later`, {
        status: 503,
        hint: 'the log has the reason; other ways to watch are not affected',
      });
    }
    const startedMs = performance.now();
    const link = new ProcessLink(
      this.#options.config,
      this.#options.log,
      this.#options.silentMs ?? SILENT_MS,
      this.#onMessage,
    );
    this.#link = link;
    void link.ended.then((reason) => this.#onEnd(link, reason, performance.now() - startedMs));
    return link;
  }

  #onEnd(link: ProcessLink, reason: HearthcamError, livedMs: number): void {
    if (this.#link === link) this.#link = undefined;
    if (this.#closed || this.#stopping.has(link)) return;
    this.#quickDeaths = livedMs > QUICK_DEATH_MS ? 1 : this.#quickDeaths + 1;
    const extra = this.#quickDeaths - QUICK_DEATHS;
    const delayMs = extra <= 0 ? 0 : Math.min(MAX_RESTART_DELAY_MS, 500 * 2 ** extra);
    this.#notBeforeMs = performance.now() + delayMs;
    this.#options.onDeath(reason);
    if (delayMs > 0) return;
    // Its viewers come back within moments: the process is ready for them then.
    try {
      this.#running();
    } catch (error) {
      this.#options.log.error(`the ${NAME} could not be started again: ${describeError(error)}`);
    }
    if (this.#users === 0) this.#beginIdle();
  }

  #beginIdle(): void {
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => {
      const link = this.#link;
      if (this.#users > 0 || link === undefined) return;
      this.#stop(link).catch((error: unknown) => this.#options.log.warn(describeError(error)));
    }, this.#options.idleMs ?? IDLE_MS).unref();
  }

  async #stop(link: ProcessLink): Promise<void> {
    this.#stopping.add(link);
    if (this.#link === link) this.#link = undefined;
    await link.stop();
  }

  async #close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#idle);
    if (this.#link !== undefined) await this.#stop(this.#link);
  }
}
