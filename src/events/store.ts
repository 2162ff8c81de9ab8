import { describeError } from '../core/errors.ts';
import type { CameraEvent, EventState, SoundLevel } from '../core/events.ts';
import type { Log } from '../core/log.ts';
import type { Scope } from '../core/scope.ts';
import { RecentLevels } from './levels.ts';
import { matches, newestFirst } from './memory-repository.ts';
import type { EventFilter, EventRepository, StoredEvent } from './repository.ts';

/** What has changed: an event began, went on or ended, or a file of it was made. */
export type Change = EventState | 'files';

export interface EventStoreOptions {
  readonly log: Log;
  readonly scope: Scope;
  /** Called when something is to be written or read, again after a failure. */
  readonly open: () => Promise<EventRepository>;
  /** Whether something was stored earlier: else nothing is opened to find nothing. */
  readonly exists: () => boolean;
  /** After it was opened: the events that had been going on when the program ended have been ended. */
  readonly onOpened?: () => void;
  /** After the first failure to write, then ever longer. */
  readonly retryMs?: number;
}

/** What happens together is written together. */
const BATCH_MS = 250;
const RETRY_MS = 5_000;
const MAX_RETRY_MS = 60_000;
/** Kept in memory while they can't be written: the oldest ones give way. */
const MAX_WAITING = 500;
/** A curve is no longer than this. */
const MAX_CURVE_SECONDS = 2 * 3_600;

/**
 * Keeps events: takes them at once, writes them in batches, and answers from what is written and what waits for it.
 * A disk that is full or read-only costs nothing but old events: it is said once, and tried again.
 */
export class EventStore {
  readonly #options: EventStoreOptions;
  readonly #log: Log;
  readonly #levels = new RecentLevels();
  readonly #listeners = new Set<(event: StoredEvent, change: Change) => void>();
  /** Those of this run that have not ended, as they are now. */
  readonly #live = new Map<string, StoredEvent>();
  /** To be written. */
  readonly #waiting = new Map<string, StoredEvent>();
  #repository: Promise<EventRepository> | undefined;
  #opened: EventRepository | undefined;
  #flushing: Promise<boolean> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #lastChangeMs = 0;
  #failures = 0;
  #lost = 0;
  #closed = false;

  constructor(options: EventStoreOptions) {
    this.#options = options;
    this.#log = options.log;
    options.scope.defer(() => this.#close());
  }

  /** Called with every change, once it is in the store's hands. */
  onChange(listener: (event: StoredEvent, change: Change) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  get levels(): RecentLevels {
    return this.#levels;
  }

  addLevel(level: SoundLevel): void {
    this.#levels.add(level);
  }

  record(event: CameraEvent): void {
    const { state, ...rest } = event;
    const before = this.#live.get(event.id) ?? this.#waiting.get(event.id);
    const scores = event.scores.slice(0, MAX_CURVE_SECONDS);
    const stored: StoredEvent = {
      ...rest,
      scores,
      levels: this.#levels.of(event.camera, event.scoresFromMs, scores.length),
      ended: state === 'ended',
      changedMs: this.#nextChange(),
      clipBytes: before?.clipBytes ?? null,
      snapshotBytes: before?.snapshotBytes ?? null,
    };
    if (stored.ended) this.#live.delete(event.id);
    else this.#live.set(event.id, stored);
    this.#put(stored, state);
  }

  /** Notes that a file of an event is there now, or (null) no more. */
  async setFiles(id: string, files: Partial<Pick<StoredEvent, 'clipBytes' | 'snapshotBytes'>>): Promise<void> {
    const event = this.#live.get(id) ?? (await this.get(id));
    if (event === undefined) return;
    // It may have ended while it was looked for.
    const newest = this.#live.get(id) ?? this.#waiting.get(id) ?? event;
    const changed = { ...newest, ...files, changedMs: this.#nextChange() };
    if (this.#live.has(id)) this.#live.set(id, changed);
    this.#put(changed, 'files');
  }

  async list(filter: EventFilter): Promise<readonly StoredEvent[]> {
    const stored = await this.#read((repository) => repository.list(filter), []);
    return this.#overlay(stored, (event) => matches(event, filter))
      .sort(newestFirst)
      .slice(0, filter.limit);
  }

  async get(id: string): Promise<StoredEvent | undefined> {
    return this.#waiting.get(id) ?? (await this.#read((repository) => repository.get(id), undefined));
  }

  async changedAfter(changedMs: number, limit: number): Promise<readonly StoredEvent[]> {
    const stored = await this.#read((repository) => repository.changedAfter(changedMs, limit), []);
    return this.#overlay(stored, (event) => event.changedMs > changedMs)
      .sort((one, other) => one.changedMs - other.changedMs)
      .slice(0, limit);
  }

  /** @throws Error when the store can't be written */
  async delete(ids: readonly string[]): Promise<void> {
    for (const id of ids) {
      this.#live.delete(id);
      this.#waiting.delete(id);
    }
    if (this.#repository === undefined && !this.#options.exists()) return;
    await this.#flushing;
    await (await this.#open()).delete(ids);
  }

  /** Writes what waits. @returns whether it could */
  flush(): Promise<boolean> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#flushing ??= this.#flush().finally(() => {
      this.#flushing = undefined;
    });
    return this.#flushing;
  }

  /** For what looks after the size of the store. @throws Error when it can't be opened */
  async repository(): Promise<EventRepository> {
    await this.flush();
    return this.#open();
  }

  #put(event: StoredEvent, change: Change): void {
    this.#waiting.set(event.id, event);
    this.#makeRoom();
    for (const listener of this.#listeners) listener(event, change);
    // While writing fails, the time for the next try is set already.
    if (this.#failures === 0) this.#flushLater(BATCH_MS);
  }

  #makeRoom(): void {
    while (this.#waiting.size > MAX_WAITING) {
      const [oldest = ''] = [...this.#waiting.keys()].sort();
      this.#waiting.delete(oldest);
      this.#lost++;
    }
  }

  #flushLater(delayMs: number): void {
    if (this.#closed) return;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      void this.flush();
    }, delayMs).unref();
  }

  async #flush(): Promise<boolean> {
    const batch = [...this.#waiting.values()];
    if (batch.length === 0) return true;
    try {
      await (await this.#open()).save(batch);
    } catch (error) {
      this.#failed(error);
      return false;
    }
    // What changed meanwhile is another object, and waits on.
    for (const event of batch) if (this.#waiting.get(event.id) === event) this.#waiting.delete(event.id);
    if (this.#failures > 0) {
      const lost = this.#lost > 0 ? `, but ${this.#lost} were given up` : '';
      this.#log.info(`events are stored again${lost}`);
    }
    this.#failures = 0;
    this.#lost = 0;
    if (this.#waiting.size > 0) this.#flushLater(BATCH_MS);
    return true;
  }

  #failed(error: unknown): void {
    if (this.#failures === 0) {
      this.#log.error(
        `events can't be stored: ${describeError(error)}; the newest ${MAX_WAITING} are kept in memory until they can`,
      );
    }
    const { retryMs = RETRY_MS } = this.#options;
    this.#flushLater(Math.min(MAX_RETRY_MS, retryMs * 2 ** Math.min(10, this.#failures)));
    this.#failures++;
  }

  #nextChange(): number {
    this.#lastChangeMs = Math.max(Date.now(), this.#lastChangeMs + 1);
    return this.#lastChangeMs;
  }

  #open(): Promise<EventRepository> {
    if (this.#repository !== undefined && this.#opened?.lost !== true) return this.#repository;
    this.#opened?.close().catch((error: unknown) => this.#log.debug(`the lost store: ${describeError(error)}`));
    this.#opened = undefined;
    const opening = this.#openAndRecover();
    this.#repository = opening;
    opening.catch(() => {
      if (this.#repository === opening) this.#repository = undefined;
    });
    return opening;
  }

  async #openAndRecover(): Promise<EventRepository> {
    const repository = await this.#options.open();
    try {
      this.#lastChangeMs = Math.max(this.#lastChangeMs, await repository.lastChangeMs());
      const cut = (await repository.open()).filter(({ id }) => !this.#live.has(id) && !this.#waiting.has(id));
      const ended = cut.map((event) => ({ ...event, ended: true, changedMs: this.#nextChange() }));
      if (ended.length > 0) {
        this.#log.info(`${ended.length} events had not ended when the program did: ended now`);
        await repository.save(ended).catch((error: unknown) => this.#failed(error));
      }
    } catch (error) {
      await repository.close();
      throw error;
    }
    this.#opened = repository;
    this.#options.onOpened?.();
    return repository;
  }

  async #read<T>(work: (repository: EventRepository) => Promise<T>, nothing: T): Promise<T> {
    if (this.#repository === undefined && !this.#options.exists()) return nothing;
    try {
      return await work(await this.#open());
    } catch (error) {
      this.#log.warn(`events can't be read: ${describeError(error)}`);
      return nothing;
    }
  }

  /** What waits is newer than what is stored. */
  #overlay(stored: readonly StoredEvent[], wanted: (event: StoredEvent) => boolean): StoredEvent[] {
    const kept = stored.filter(({ id }) => !this.#waiting.has(id));
    return [...kept, ...[...this.#waiting.values()].filter(wanted)];
  }

  async #close(): Promise<void> {
    this.#closed = true;
    await this.flush();
    await this.#flushing;
    const opening = this.#repository;
    this.#repository = undefined;
    try {
      await (await opening)?.close();
    } catch (error) {
      this.#log.debug(`closing the store of events: ${describeError(error)}`);
    }
  }
}
