import type { EventFilter, EventRepository, StoredEvent } from './repository.ts';

/** Whether an event is one of those that are asked for. */
export function matches(event: StoredEvent, filter: EventFilter): boolean {
  const { cameras, detections, fromMs, toMs, beforeId } = filter;
  return (
    (cameras === undefined || cameras.includes(event.camera)) &&
    (detections === undefined || detections.includes(event.detection)) &&
    (fromMs === undefined || event.startMs >= fromMs) &&
    (toMs === undefined || event.startMs <= toMs) &&
    (beforeId === undefined || event.id < beforeId)
  );
}

export function newestFirst(one: StoredEvent, other: StoredEvent): number {
  return one.id < other.id ? 1 : one.id > other.id ? -1 : 0;
}

/** Events of one run, for a server that has no folder to keep them in; the oldest ones give way. */
export class MemoryRepository implements EventRepository {
  readonly lost = false;
  readonly #events = new Map<string, StoredEvent>();
  readonly #maxEvents: number;

  constructor(maxEvents: number) {
    this.#maxEvents = maxEvents;
  }

  async save(events: readonly StoredEvent[]): Promise<void> {
    for (const event of events) this.#events.set(event.id, event);
    for (const { id } of this.#sorted().slice(this.#maxEvents)) this.#events.delete(id);
  }
  async list(filter: EventFilter): Promise<readonly StoredEvent[]> {
    return this.#sorted()
      .filter((event) => matches(event, filter))
      .slice(0, filter.limit);
  }
  async get(id: string): Promise<StoredEvent | undefined> {
    return this.#events.get(id);
  }
  async changedAfter(changedMs: number, limit: number): Promise<readonly StoredEvent[]> {
    return [...this.#events.values()]
      .filter((event) => event.changedMs > changedMs)
      .sort((one, other) => one.changedMs - other.changedMs)
      .slice(0, limit);
  }
  async lastChangeMs(): Promise<number> {
    return Math.max(0, ...[...this.#events.values()].map((event) => event.changedMs));
  }
  async open(): Promise<readonly StoredEvent[]> {
    return this.#sorted().filter((event) => !event.ended);
  }
  async withFiles(limit: number): Promise<readonly StoredEvent[]> {
    const kept = this.#sorted().filter((event) => event.clipBytes !== null || event.snapshotBytes !== null);
    return kept.reverse().slice(0, limit);
  }
  async bytesOfFiles(): Promise<number> {
    let bytes = 0;
    for (const { clipBytes, snapshotBytes } of this.#events.values()) bytes += (clipBytes ?? 0) + (snapshotBytes ?? 0);
    return bytes;
  }
  async oldest(limit: number): Promise<readonly StoredEvent[]> {
    return this.#sorted().reverse().slice(0, limit);
  }
  async delete(ids: readonly string[]): Promise<void> {
    for (const id of ids) this.#events.delete(id);
  }
  async bytes(): Promise<number> {
    return 0;
  }
  async close(): Promise<void> {
    this.#events.clear();
  }

  #sorted(): StoredEvent[] {
    return [...this.#events.values()].sort(newestFirst);
  }
}
