import type { Kysely, Migration } from 'kysely';

export interface EventRow {
  id: string;
  camera: string;
  detection: string;
  ended: number;
  start_ms: number;
  duration_ms: number;
  changed_ms: number;
  confidence: number;
  mean_confidence: number;
  scores_from_ms: number;
  /** JSON arrays of numbers. */
  scores: string;
  levels: string;
  clip_bytes: number | null;
  snapshot_bytes: number | null;
}

export interface EventDatabase {
  events: EventRow;
}

/** Only ever added to: a database that is at one step goes on from there. */
export const MIGRATIONS: Readonly<Record<string, Migration>> = {
  '001-events': {
    async up(db: Kysely<unknown>): Promise<void> {
      await db.schema
        .createTable('events')
        .addColumn('id', 'text', (column) => column.primaryKey())
        .addColumn('camera', 'text', (column) => column.notNull())
        .addColumn('detection', 'text', (column) => column.notNull())
        .addColumn('ended', 'integer', (column) => column.notNull())
        .addColumn('start_ms', 'bigint', (column) => column.notNull())
        .addColumn('duration_ms', 'bigint', (column) => column.notNull())
        .addColumn('changed_ms', 'bigint', (column) => column.notNull())
        .addColumn('confidence', 'real', (column) => column.notNull())
        .addColumn('mean_confidence', 'real', (column) => column.notNull())
        .addColumn('scores_from_ms', 'bigint', (column) => column.notNull())
        .addColumn('scores', 'text', (column) => column.notNull())
        .addColumn('levels', 'text', (column) => column.notNull())
        .addColumn('clip_bytes', 'bigint')
        .addColumn('snapshot_bytes', 'bigint')
        .execute();
      await db.schema.createIndex('events_camera').on('events').columns(['camera', 'id']).execute();
      await db.schema.createIndex('events_changed').on('events').column('changed_ms').execute();
      await db.schema.createIndex('events_start').on('events').column('start_ms').execute();
    },
  },
};
