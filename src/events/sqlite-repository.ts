import { existsSync } from 'node:fs';
import { rename } from 'node:fs/promises';
import { Kysely, Migrator, type Selectable, sql } from 'kysely';
import { z } from 'zod';
import { describeError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import { ThreadDialect } from './dialect.ts';
import type { EventFilter, EventRepository, StoredEvent } from './repository.ts';
import { type EventDatabase, type EventRow, MIGRATIONS } from './schema.ts';
import { SqliteThread } from './sqlite-thread.ts';

export const PAGE_BYTES = 4_096;

/**
 * Opens the file, makes it where there is none, and brings it up to date. One that is no database any more is put aside.
 * @throws Error as SQLite says it: no room, no rights, …
 */
export async function openSqlite(path: string, maxBytes: number, log: Log): Promise<EventRepository> {
  const maxPages = Math.ceil(maxBytes / PAGE_BYTES);
  try {
    return await open(path, maxPages);
  } catch (error) {
    if (!/not a database|malformed/i.test(describeError(error)) || !existsSync(path)) throw error;
    const aside = `${path}.broken-${Date.now()}`;
    log.error(`the store of events is damaged: it is put aside as ${aside}, and a new one is begun`);
    await rename(path, aside);
    for (const rest of ['-wal', '-shm']) {
      if (existsSync(path + rest)) await rename(path + rest, aside + rest);
    }
    return open(path, maxPages);
  }
}

async function open(path: string, maxPages: number): Promise<EventRepository> {
  const thread = new SqliteThread(path, maxPages);
  const db = new Kysely<EventDatabase>({ dialect: new ThreadDialect(thread) });
  const provider = { getMigrations: () => Promise.resolve({ ...MIGRATIONS }) };
  const { error } = await new Migrator({ db, provider }).migrateToLatest();
  if (error !== undefined) {
    await db.destroy();
    throw error;
  }
  return new SqlRepository(db, () => thread.failed);
}

class SqlRepository implements EventRepository {
  readonly #db: Kysely<EventDatabase>;
  readonly #isLost: () => boolean;

  constructor(db: Kysely<EventDatabase>, isLost: () => boolean) {
    this.#db = db;
    this.#isLost = isLost;
  }

  get lost(): boolean {
    return this.#isLost();
  }

  async save(events: readonly StoredEvent[]): Promise<void> {
    if (events.length === 0) return;
    await this.#db.transaction().execute(async (transaction) => {
      for (const event of events) {
        const { id, ...rest } = toRow(event);
        await transaction
          .insertInto('events')
          .values({ id, ...rest })
          .onConflict((conflict) => conflict.column('id').doUpdateSet(rest))
          .execute();
      }
    });
  }

  async list(filter: EventFilter): Promise<readonly StoredEvent[]> {
    const { cameras, detections, fromMs, toMs, beforeId, limit } = filter;
    let query = this.#db.selectFrom('events').selectAll().orderBy('id', 'desc').limit(limit);
    // No list of none in SQL: it would be an error in some databases.
    if (cameras?.length === 0 || detections?.length === 0) return [];
    if (cameras !== undefined) query = query.where('camera', 'in', [...cameras]);
    if (detections !== undefined) query = query.where('detection', 'in', [...detections]);
    if (fromMs !== undefined) query = query.where('start_ms', '>=', fromMs);
    if (toMs !== undefined) query = query.where('start_ms', '<=', toMs);
    if (beforeId !== undefined) query = query.where('id', '<', beforeId);
    return (await query.execute()).map(fromRow);
  }

  async get(id: string): Promise<StoredEvent | undefined> {
    const row = await this.#db.selectFrom('events').selectAll().where('id', '=', id).executeTakeFirst();
    return row === undefined ? undefined : fromRow(row);
  }

  async changedAfter(changedMs: number, limit: number): Promise<readonly StoredEvent[]> {
    const query = this.#db.selectFrom('events').selectAll().where('changed_ms', '>', changedMs);
    return (await query.orderBy('changed_ms', 'asc').limit(limit).execute()).map(fromRow);
  }

  async lastChangeMs(): Promise<number> {
    const row = await this.#db
      .selectFrom('events')
      .select(({ fn }) => fn.max('changed_ms').as('last'))
      .executeTakeFirst();
    return Number(row?.last ?? 0);
  }

  async open(): Promise<readonly StoredEvent[]> {
    return (await this.#db.selectFrom('events').selectAll().where('ended', '=', 0).execute()).map(fromRow);
  }

  async withFiles(limit: number): Promise<readonly StoredEvent[]> {
    const query = this.#db
      .selectFrom('events')
      .selectAll()
      .where(({ eb, or }) => or([eb('clip_bytes', 'is not', null), eb('snapshot_bytes', 'is not', null)]));
    return (await query.orderBy('id', 'asc').limit(limit).execute()).map(fromRow);
  }

  async bytesOfFiles(): Promise<number> {
    const row = await this.#db
      .selectFrom('events')
      .select(({ fn }) => [fn.sum('clip_bytes').as('clips'), fn.sum('snapshot_bytes').as('snapshots')])
      .executeTakeFirst();
    return Number(row?.clips ?? 0) + Number(row?.snapshots ?? 0);
  }

  async oldest(limit: number): Promise<readonly StoredEvent[]> {
    return (await this.#db.selectFrom('events').selectAll().orderBy('id', 'asc').limit(limit).execute()).map(fromRow);
  }

  async delete(ids: readonly string[]): Promise<void> {
    if (ids.length === 0) return;
    await this.#db
      .deleteFrom('events')
      .where('id', 'in', [...ids])
      .execute();
  }

  /** Pages that are in use: those that were freed are used again, the file itself does not shrink. */
  async bytes(): Promise<number> {
    const number = async (name: string): Promise<number> => {
      const { rows } = await sql<Record<string, number>>`${sql.raw(`PRAGMA ${name}`)}`.execute(this.#db);
      return Number(rows[0]?.[name] ?? 0);
    };
    return ((await number('page_count')) - (await number('freelist_count'))) * PAGE_BYTES;
  }

  close(): Promise<void> {
    return this.#db.destroy();
  }
}

function toRow(event: StoredEvent): EventRow {
  return {
    id: event.id,
    camera: event.camera,
    detection: event.detection,
    ended: event.ended ? 1 : 0,
    start_ms: Math.round(event.startMs),
    duration_ms: Math.round(event.durationMs),
    changed_ms: event.changedMs,
    confidence: event.confidence,
    mean_confidence: event.meanConfidence,
    scores_from_ms: Math.round(event.scoresFromMs),
    scores: JSON.stringify(event.scores.map((score) => round(score, 1_000))),
    levels: JSON.stringify(event.levels.map((level) => round(level, 10))),
    clip_bytes: event.clipBytes,
    snapshot_bytes: event.snapshotBytes,
  };
}

const numbers = z.array(z.number());

function fromRow(row: Selectable<EventRow>): StoredEvent {
  return {
    id: row.id,
    camera: row.camera,
    detection: row.detection,
    ended: row.ended !== 0,
    startMs: Number(row.start_ms),
    durationMs: Number(row.duration_ms),
    changedMs: Number(row.changed_ms),
    confidence: row.confidence,
    meanConfidence: row.mean_confidence,
    scoresFromMs: Number(row.scores_from_ms),
    scores: parseNumbers(row.scores),
    levels: parseNumbers(row.levels),
    clipBytes: row.clip_bytes === null ? null : Number(row.clip_bytes),
    snapshotBytes: row.snapshot_bytes === null ? null : Number(row.snapshot_bytes),
  };
}

/** What somebody else wrote into the file is no curve, and no reason not to show the event. */
function parseNumbers(text: string): readonly number[] {
  try {
    return numbers.safeParse(JSON.parse(text)).data ?? [];
  } catch {
    return [];
  }
}

function round(value: number, parts: number): number {
  return Number.isFinite(value) ? Math.round(value * parts) / parts : 0;
}
