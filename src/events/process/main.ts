import { DatabaseSync, type SQLInputValue } from 'node:sqlite';
import { parentPort, workerData } from 'node:worker_threads';

/**
 * The thread that holds the SQLite file: a disk that is slow, asleep or far away makes it wait, and never those who pass
 * pictures on. Answers `{id, sql, parameters}` by `{id, rows, changes}` or `{id, error}`, in order.
 */

const BUSY_MS = 5_000;

const port = parentPort;
// Checked border: `SqliteThread` is the only one who starts this file, with these two.
const { path, maxPages } = workerData as { readonly path: string; readonly maxPages: number };

const db = new DatabaseSync(path);
// Another program may look into the file: it is waited for. In WAL mode readers and the writer don't wait for one another,
// and NORMAL loses at most the last moments before a power cut, never the file.
db.exec(`PRAGMA busy_timeout = ${BUSY_MS}`);
db.exec('PRAGMA journal_mode = WAL');
db.exec('PRAGMA synchronous = NORMAL');
db.exec('PRAGMA foreign_keys = ON');
db.exec('PRAGMA journal_size_limit = 4194304');
db.exec('PRAGMA cache_size = -1024');
db.exec(`PRAGMA max_page_count = ${maxPages}`);

interface Job {
  readonly id: number;
  readonly sql: string;
  readonly parameters: readonly SQLInputValue[];
}

port?.on('message', (message: Job | 'close') => {
  if (message === 'close') {
    db.close();
    port.close();
    return;
  }
  const { id, sql, parameters } = message;
  try {
    const statement = db.prepare(sql);
    if (statement.columns().length > 0) {
      port.postMessage({ id, rows: statement.all(...parameters) });
    } else {
      port.postMessage({ id, rows: [], changes: Number(statement.run(...parameters).changes) });
    }
  } catch (error) {
    port.postMessage({ id, error: error instanceof Error ? error.message : String(error) });
  }
});
port?.postMessage({ id: 0, rows: [] });
