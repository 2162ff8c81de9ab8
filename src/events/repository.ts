import type { CameraEvent } from '../core/events.ts';

/** An event as it is kept. */
export interface StoredEvent extends Omit<CameraEvent, 'state'> {
  /** False while it lasts. */
  readonly ended: boolean;
  /** Later than that of every change before it, of whatever event: UTC milliseconds, as far as these differ. */
  readonly changedMs: number;
  /** A-weighted loudness, one number a second from `scoresFromMs` on; empty where nothing measured it. */
  readonly levels: readonly number[];
  readonly clipBytes: number | null;
  readonly snapshotBytes: number | null;
}

/** Which events; what is absent may be anything. */
export interface EventFilter {
  readonly cameras?: readonly string[] | undefined;
  readonly detections?: readonly string[] | undefined;
  /** By their beginning, both inclusive. */
  readonly fromMs?: number | undefined;
  readonly toMs?: number | undefined;
  /** Only those before this one: where the page before ended. */
  readonly beforeId?: string | undefined;
  readonly limit: number;
}

/** Where events are kept, whatever the database. All may reject when it can't be reached or is full. */
export interface EventRepository {
  /** It can't answer any more, and has to be opened anew. */
  readonly lost: boolean;
  /** Makes or replaces them, all or none. */
  save(events: readonly StoredEvent[]): Promise<void>;
  /** Newest first. */
  list(filter: EventFilter): Promise<readonly StoredEvent[]>;
  get(id: string): Promise<StoredEvent | undefined>;
  /** Those that changed after that moment, in the order of their changes. */
  changedAfter(changedMs: number, limit: number): Promise<readonly StoredEvent[]>;
  /** Of all changes; 0 when there are none. */
  lastChangeMs(): Promise<number>;
  /** Those that have not ended. */
  open(): Promise<readonly StoredEvent[]>;
  /** With a clip or snapshot, oldest first. */
  withFiles(limit: number): Promise<readonly StoredEvent[]>;
  bytesOfFiles(): Promise<number>;
  /** The oldest ones. */
  oldest(limit: number): Promise<readonly StoredEvent[]>;
  delete(ids: readonly string[]): Promise<void>;
  /** What it takes on the disk. */
  bytes(): Promise<number>;
  close(): Promise<void>;
}
