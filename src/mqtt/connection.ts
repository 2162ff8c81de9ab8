import { readFile } from 'node:fs/promises';
import type { IClientOptions, MqttClient } from 'mqtt';
import { describeError, HearthcamError } from '../core/errors.ts';
import { type Log, LogLimiter } from '../core/log.ts';
import type { Scope } from '../core/scope.ts';
import type { BrokerAddress } from './config.ts';

export interface PublishOptions {
  readonly qos: 0 | 1;
  readonly retain: boolean;
}

/** One connection to the broker, from the greeting to the end. */
export interface Session {
  readonly closed: boolean;
  /** Resolves when the broker has it (QoS 1) or it is written (QoS 0). @throws HearthcamError when the session ends before */
  publish(topic: string, payload: string | Buffer, options: PublishOptions): Promise<void>;
}

export interface ConnectionOptions {
  readonly address: BrokerAddress;
  readonly log: Log;
  readonly scope: Scope;
  /** Retained: told by the broker when we are gone without a word. */
  readonly will: { readonly topic: string; readonly payload: string };
  readonly subscriptions: readonly string[];
  readonly onSession: (session: Session) => void;
  readonly onMessage: (topic: string, payload: Buffer, retained: boolean) => void;
  /** Waits between attempts double from the first to the longest. */
  readonly retry?: { readonly firstMs: number; readonly maxMs: number };
}

const CONNECT_TIMEOUT_MS = 10_000;
/** A broker that is there, but confirms nothing. */
const CONFIRM_TIMEOUT_MS = 20_000;
const KEEPALIVE_S = 30;
/** A broker that refuses a login is asked less often: some shut out who tries too much. */
const REFUSED_MS = 10_000;
const MAX_REFUSED_MS = 60_000;
const GOODBYE_MS = 1_500;

/**
 * Stays connected to a broker for ever. Every attempt is a client of its own: what was not confirmed belongs to the
 * caller, who publishes it again in the next session, so nothing is kept twice.
 */
export class Connection {
  readonly #options: ConnectionOptions;
  readonly #clientId: string;
  readonly #limiter = new LogLimiter(300_000);
  #session: OpenSession | null = null;
  #dialling: OpenSession | null = null;
  #everConnected = false;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#clientId = options.address.clientId ?? `hearthcam-${Math.random().toString(16).slice(2, 10).padEnd(8, '0')}`;
  }

  get session(): Session | null {
    return this.#session;
  }

  /** Connects, and connects again, until the scope is closed. */
  async run(): Promise<void> {
    const { scope, retry = { firstMs: 1_000, maxMs: 30_000 }, log } = this.#options;
    let waitMs = retry.firstMs;
    while (!scope.closed) {
      const startMs = performance.now();
      let refused = false;
      try {
        const session = await this.#connect();
        const reason = await session.ended;
        this.#session = null;
        if (scope.closed) return;
        this.#warn(`the connection to the broker ${this.#options.address.url} is lost: ${describeError(reason)}`);
        // One that lasted was a good one.
        if (performance.now() - startMs > 2 * retry.firstMs) waitMs = retry.firstMs;
      } catch (error) {
        if (scope.closed) return;
        refused = error instanceof HearthcamError && error.code === 'mqtt.refused';
        this.#warn(describeError(error));
      }
      if (refused && retry.firstMs >= 1_000) waitMs = Math.max(waitMs, REFUSED_MS);
      log.debug(`the broker is tried again in ${Math.round(waitMs)} ms`);
      // Spread, so that those who lost the same broker don't come back all at once.
      await scope.sleep(waitMs * (0.75 + Math.random() / 2));
      waitMs = Math.min(waitMs * 2, refused ? MAX_REFUSED_MS : retry.maxMs);
    }
  }

  /** Says goodbye with `payload` as the last word on the topic of the will. To be called when the scope closes. */
  async close(payload: string): Promise<void> {
    this.#dialling?.abandon();
    const session = this.#session;
    if (session === null) return;
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, GOODBYE_MS);
    });
    const word = session.publish(this.#options.will.topic, payload, { qos: 1, retain: true });
    await Promise.race([word.catch(() => undefined), patience]);
    clearTimeout(timer);
    await session.close();
  }

  async #connect(): Promise<OpenSession> {
    const { address, will, subscriptions, onMessage, onSession, log } = this.#options;
    const options: IClientOptions = {
      ...serverOf(address.url),
      ...(await certificates(address)),
      clientId: this.#clientId,
      clean: true,
      keepalive: KEEPALIVE_S,
      connectTimeout: CONNECT_TIMEOUT_MS,
      reconnectPeriod: 0,
      resubscribe: false,
      protocolVersion: 4,
      will: { topic: will.topic, payload: Buffer.from(will.payload), qos: 1, retain: true },
      ...(address.username === undefined ? {} : { username: address.username }),
      ...(address.password === undefined ? {} : { password: address.password }),
    };
    // The default of a CommonJS package is all of it, here and in the bundle.
    const { default: mqtt } = await import('mqtt');
    const client = mqtt.connect(options);
    const session = new OpenSession(client);
    this.#dialling = session;
    client.on('message', (topic, payload, packet) => onMessage(topic, payload, packet.retain));
    try {
      await session.greeted(address.url);
      await Promise.all(subscriptions.map((topic) => this.#subscribe(session, topic)));
      if (session.closed) throw failure(address.url, await session.ended);
    } catch (error) {
      await session.close();
      throw error;
    }
    this.#session = session;
    this.#dialling = null;
    log.info(`connected to the broker ${address.url}${this.#everConnected ? ' again' : ''}`);
    this.#everConnected = true;
    onSession(session);
    return session;
  }

  /** A topic that the broker's rights keep from us doesn't take the others away. */
  async #subscribe(session: OpenSession, topic: string): Promise<void> {
    try {
      await session.subscribe(topic);
    } catch (error) {
      if (!session.closed) this.#warn(`the broker doesn't let us hear "${topic}": ${describeError(error)}`);
    }
  }

  #warn(text: string): void {
    const before = this.#limiter.admit(text);
    if (before !== null) this.#options.log.warn(text, before > 0 ? { before } : {});
  }
}

class OpenSession implements Session {
  readonly #client: MqttClient;
  readonly #pending = new Set<(error: HearthcamError) => void>();
  readonly #end: (reason: unknown) => void;
  /** Resolves with the reason. */
  readonly ended: Promise<unknown>;
  #closed = false;

  constructor(client: MqttClient) {
    this.#client = client;
    const { promise, resolve } = Promise.withResolvers<unknown>();
    this.ended = promise;
    this.#end = (reason) => {
      if (this.#closed) return;
      this.#closed = true;
      const error = new HearthcamError('mqtt.lost', 'the connection to the broker is lost', {
        cause: reason,
        status: 502,
      });
      for (const reject of this.#pending) reject(error);
      this.#pending.clear();
      this.#client.end(true);
      resolve(reason);
    };
    // Also of a packet that makes no sense: after that nothing can be read any more.
    client.on('error', (error: unknown) => this.#end(error));
    client.on('close', () => this.#end('the broker has hung up'));
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** @throws HearthcamError when the broker is away, refuses, or says nothing in time */
  greeted(url: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#client.once('connect', () => resolve());
      void this.ended.then((reason) => reject(failure(url, reason)));
    });
  }

  /** @throws Error when the broker doesn't allow it, or is gone */
  subscribe(topic: string): Promise<void> {
    return this.#confirmed((done) => this.#client.subscribe(topic, { qos: 1 }, (error) => done(error)));
  }

  publish(topic: string, payload: string | Buffer, options: PublishOptions): Promise<void> {
    return this.#confirmed((done) => this.#client.publish(topic, payload, options, (error) => done(error)));
  }

  /** Without a word. */
  abandon(): void {
    this.#end('this program ends');
  }

  /** Takes leave: the broker doesn't tell our will. */
  async close(): Promise<void> {
    if (this.#closed) return;
    let timer: NodeJS.Timeout | undefined;
    await Promise.race([
      new Promise<void>((resolve) => void this.#client.end(false, {}, () => resolve())),
      new Promise<void>((resolve) => {
        timer = setTimeout(resolve, GOODBYE_MS);
      }),
    ]);
    clearTimeout(timer);
    this.#end('closed');
  }

  #confirmed(send: (done: (error?: Error | null) => void) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#closed) {
        reject(new HearthcamError('mqtt.lost', 'the connection to the broker is lost', { status: 502 }));
        return;
      }
      const timer = setTimeout(
        () => this.#end(`it confirmed nothing for ${CONFIRM_TIMEOUT_MS / 1000} s`),
        CONFIRM_TIMEOUT_MS,
      );
      const settle = (error?: Error | null): void => {
        clearTimeout(timer);
        this.#pending.delete(settle);
        if (error === undefined || error === null) resolve();
        else reject(error);
      };
      this.#pending.add(settle);
      send(settle);
    });
  }
}

/** An address in parts: taken apart by the package, it would be by a function that Node.js warns of. */
function serverOf(url: string): Pick<IClientOptions, 'protocol' | 'host' | 'hostname' | 'port' | 'path'> {
  const { protocol: scheme, hostname, port, pathname, search } = new URL(url);
  const protocol = (['mqtt', 'mqtts', 'ws', 'wss'] as const).find((one) => scheme === `${one}:`);
  if (protocol === undefined) throw new HearthcamError('mqtt.url', `${url} is no address of a broker`, { status: 400 });
  const web = protocol === 'ws' || protocol === 'wss';
  // Within the address of a WebSocket, the brackets of an IPv6 address belong to it.
  const host = web ? hostname : hostname.replace(/^\[(.*)\]$/, '$1');
  return {
    ...{ protocol, host, hostname: host, path: `${pathname === '' ? '/' : pathname}${search}` },
    port: port === '' ? DEFAULT_PORTS[protocol] : Number(port),
  };
}

const DEFAULT_PORTS = { mqtt: 1883, mqtts: 8883, ws: 80, wss: 443 } as const;

/** Read for every attempt, since certificates are renewed. */
async function certificates({ tls }: BrokerAddress): Promise<Pick<IClientOptions, 'ca' | 'cert' | 'key'>> {
  const read = async (key: 'ca' | 'cert' | 'key'): Promise<Partial<Record<'ca' | 'cert' | 'key', Buffer>>> => {
    const path = tls[key];
    if (path === undefined) return {};
    try {
      return { [key]: await readFile(path) };
    } catch (error) {
      throw new HearthcamError('mqtt.file', `mqtt.tls.${key}: the file "${path}" can't be read`, { cause: error });
    }
  };
  return { ...(await read('ca')), ...(await read('cert')), ...(await read('key')) };
}

/** CONNACK return codes, MQTT 3.1.1 §3.2.2.3. */
const BAD_LOGIN = 4;
const NOT_AUTHORISED = 5;

function failure(url: string, reason: unknown): HearthcamError {
  const cause = reason instanceof AggregateError ? (reason.errors[0] ?? reason) : reason;
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
  if (code === BAD_LOGIN || code === NOT_AUTHORISED) {
    return new HearthcamError('mqtt.refused', `the broker ${url} refuses the login`, {
      cause,
      status: 502,
      hint: 'see mqtt.username and mqtt.password; a broker with a list of rights must know this user',
    });
  }
  return new HearthcamError('mqtt.connect', `the broker ${url} can't be reached`, {
    cause,
    status: 502,
    hint: 'is it running, and is mqtt.url right? Events wait on disk until it is back',
  });
}
