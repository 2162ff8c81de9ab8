import { z } from 'zod';
import { describeError } from '../core/errors.ts';
import type { EventMessage } from '../core/events.ts';
import { type Log, LogLimiter } from '../core/log.ts';
import type { Session } from './connection.ts';
import { Journal, type Kept } from './journal.ts';
import type { Topics } from './topics.ts';

/** An event whose message left so long after it was noticed is marked `late`. */
const LATE_MS = 10_000;
/** So many are on their way to the broker at once. */
const WINDOW = 16;

export interface OutboxOptions {
  readonly topics: Topics;
  readonly log: Log;
  /** Where events wait that could not be delivered; null: in memory only. */
  readonly path: string | null;
  /** The oldest go first beyond that: number of messages, and bytes of them. */
  readonly maxEntries?: number;
  readonly maxBytes?: number;
  readonly nowMs?: () => number;
  /** See `JournalOptions`. */
  readonly retryMs?: number;
}

interface Entry extends Kept {
  readonly message: EventMessage;
  /** When it was noticed, in UTC milliseconds. */
  readonly atMs: number;
  /** Topics that the broker has confirmed. */
  readonly confirmed: Set<string>;
  inFlight: boolean;
}

const stored = z.object({
  at: z.number(),
  message: z.object({
    id: z.string(),
    camera: z.string(),
    detection: z.string(),
    state: z.enum(['started', 'updated', 'ended']),
    confidence: z.number(),
    timestamp: z.string(),
    duration: z.number(),
    peak_confidence: z.number().exactOptional(),
    mean_confidence: z.number().exactOptional(),
    clip: z.string().exactOptional(),
    snapshot: z.string().exactOptional(),
  }),
});

/**
 * Events on their way to the broker, in order. One leaves the queue when the broker has confirmed it (QoS 1), and lies
 * on disk until then, so that neither a broker nor this program that is away or restarted loses any. An `updated` that
 * waits is replaced by the next message about the same event: who was away wants to know how it began and ended.
 */
export class Outbox {
  readonly #options: OutboxOptions;
  readonly #journal: Journal | null;
  readonly #entries = new Map<number, Entry>();
  readonly #limiter = new LogLimiter(60_000);
  #bytes = 0;
  #lastNumber = 0;
  #session: Session | null = null;
  #inFlight = 0;

  constructor(options: OutboxOptions) {
    this.#options = options;
    const { path, log } = options;
    this.#journal =
      path === null
        ? null
        : new Journal({
            path,
            ...(options.retryMs === undefined ? {} : { retryMs: options.retryMs }),
            current: () => this.#entries.values(),
            onFailure: (error) =>
              log.error(
                `events that wait for the broker can't be kept in ${path}, they are kept in memory only: ${describeError(error)}`,
              ),
            onRecovery: () => log.info(`events that wait for the broker are kept in ${path} again`),
          });
  }

  /** How many messages wait. */
  get size(): number {
    return this.#entries.size;
  }

  /** Takes up what an earlier run left behind. */
  async load(): Promise<void> {
    if (this.#journal === null) return;
    const { log, path } = this.#options;
    try {
      const { kept, damaged } = await this.#journal.read();
      let unreadable = damaged;
      for (const { number, text } of kept) {
        this.#lastNumber = Math.max(this.#lastNumber, number);
        const parsed = stored.safeParse(jsonOf(text));
        if (parsed.success) this.#take({ number, text, message: parsed.data.message, atMs: parsed.data.at });
        else unreadable++;
      }
      if (unreadable > 0) log.warn(`${unreadable} lines of ${path} made no sense and were left out`);
      if (this.size > 0) log.info(`${this.size} events of the last run still wait for the broker`);
      this.#bound();
    } catch (error) {
      log.error(`events of the last run can't be read: ${describeError(error)}`);
    }
  }

  put(message: EventMessage): void {
    const atMs = (this.#options.nowMs ?? Date.now)();
    if (message.state !== 'started') this.#dropUpdates(message.id);
    const entry = { number: ++this.#lastNumber, text: JSON.stringify({ at: atMs, message }), message, atMs };
    this.#journal?.add(this.#take(entry));
    this.#bound();
    this.#pump();
  }

  /** Delivers what waits, and what comes, until the session ends. */
  attach(session: Session): void {
    this.#session = session;
    this.#inFlight = 0;
    for (const entry of this.#entries.values()) entry.inFlight = false;
    this.#pump();
  }

  /** Resolves when all is on disk that can be. */
  settle(): Promise<void> {
    return this.#journal?.settle() ?? Promise.resolve();
  }

  async close(): Promise<void> {
    this.#session = null;
    await this.#journal?.close();
  }

  #take(own: Omit<Entry, 'confirmed' | 'inFlight'>): Entry {
    const entry: Entry = { ...own, confirmed: new Set(), inFlight: false };
    this.#entries.set(entry.number, entry);
    this.#bytes += entry.text.length;
    return entry;
  }

  #drop(entry: Entry): void {
    if (!this.#entries.delete(entry.number)) return;
    this.#bytes -= entry.text.length;
    this.#journal?.remove(entry);
  }

  #dropUpdates(id: string): void {
    for (const entry of this.#entries.values()) {
      if (!entry.inFlight && entry.message.id === id && entry.message.state === 'updated') this.#drop(entry);
    }
  }

  #bound(): void {
    const { maxEntries = 10_000, maxBytes = 8 * 1024 * 1024, log } = this.#options;
    for (const entry of this.#entries.values()) {
      if (this.#entries.size <= maxEntries && this.#bytes <= maxBytes) return;
      this.#drop(entry);
      const before = this.#limiter.admit('full');
      if (before === null) continue;
      const more = before === 0 ? '' : `, and ${before} others before`;
      log.warn(`too many events wait for the broker: the oldest, of ${entry.message.timestamp}, is given up${more}`);
    }
  }

  #pump(): void {
    const session = this.#session;
    if (session === null || session.closed) return;
    for (const entry of this.#entries.values()) {
      if (this.#inFlight >= WINDOW) return;
      if (!entry.inFlight) this.#send(session, entry);
    }
  }

  #send(session: Session, entry: Entry): void {
    entry.inFlight = true;
    this.#inFlight++;
    const late = (this.#options.nowMs ?? Date.now)() - entry.atMs > LATE_MS;
    const message: EventMessage = late ? { ...entry.message, late } : entry.message;
    const confirmations = messagesOf(this.#options.topics, message).map(async ([topic, payload]) => {
      if (entry.confirmed.has(topic)) return;
      await session.publish(topic, payload, { qos: 1, retain: false });
      entry.confirmed.add(topic);
    });
    void Promise.all(confirmations).then(
      () => {
        this.#drop(entry);
        // The queue of a later session counts anew.
        if (session !== this.#session) return;
        this.#inFlight--;
        this.#pump();
      },
      // The session is over: the entry stays, and is sent again by the next one.
      () => undefined,
    );
  }
}

/** What is published for a message about an event: topics and payloads. */
export function messagesOf(
  topics: Topics,
  message: EventMessage,
): readonly (readonly [topic: string, payload: string])[] {
  const camera = topics.of(message.camera);
  const text = JSON.stringify(message);
  const both = [
    [camera.detection(message.detection), text],
    [topics.events, text],
  ] as const;
  if (message.state === 'updated') return both;
  const event_type = `${message.detection}_${message.state}`;
  return [...both, [camera.event, JSON.stringify({ event_type, ...message })]];
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
