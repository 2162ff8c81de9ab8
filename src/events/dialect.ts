import {
  CompiledQuery as Compiled,
  type CompiledQuery,
  type DatabaseConnection,
  type DatabaseIntrospector,
  type Dialect,
  type DialectAdapter,
  type Driver,
  type Kysely,
  type QueryCompiler,
  type QueryResult,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely';
import { describeError } from '../core/errors.ts';
import type { SqliteThread } from './sqlite-thread.ts';

/** Kysely over `node:sqlite` in its thread: the queries are Kysely's own for SQLite, only who runs them is ours. */
export class ThreadDialect implements Dialect {
  readonly #thread: SqliteThread;

  constructor(thread: SqliteThread) {
    this.#thread = thread;
  }

  createDriver(): Driver {
    return new ThreadDriver(this.#thread);
  }
  createQueryCompiler(): QueryCompiler {
    return new SqliteQueryCompiler();
  }
  createAdapter(): DialectAdapter {
    return new SqliteAdapter();
  }
  createIntrospector(db: Kysely<unknown>): DatabaseIntrospector {
    return new SqliteIntrospector(db);
  }
}

/** One connection, lent to one at a time: a transaction must not get another one's statements into it. */
class ThreadDriver implements Driver {
  readonly #thread: SqliteThread;
  #last: Promise<void> = Promise.resolve();
  #release: () => void = () => {};

  constructor(thread: SqliteThread) {
    this.#thread = thread;
  }

  init(): Promise<void> {
    return this.#thread.opened();
  }
  async acquireConnection(): Promise<DatabaseConnection> {
    const before = this.#last;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#last = promise;
    await before;
    this.#release = resolve;
    return new ThreadConnection(this.#thread);
  }
  async beginTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(Compiled.raw('begin immediate'));
  }
  async commitTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(Compiled.raw('commit'));
  }
  async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    try {
      await connection.executeQuery(Compiled.raw('rollback'));
    } catch (error) {
      // A full disk or an I/O error has rolled it back already (sqlite.org/lang_transaction.html, 3.1); its error counts.
      if (!/no transaction is active/.test(describeError(error))) throw error;
    }
  }
  async releaseConnection(): Promise<void> {
    this.#release();
  }
  destroy(): Promise<void> {
    return this.#thread.close();
  }
}

class ThreadConnection implements DatabaseConnection {
  readonly #thread: SqliteThread;

  constructor(thread: SqliteThread) {
    this.#thread = thread;
  }

  async executeQuery<R>({ sql, parameters }: CompiledQuery): Promise<QueryResult<R>> {
    const { rows, changes } = await this.#thread.run(sql, parameters);
    // Checked border: Kysely says by the query what its rows are.
    return { rows: rows as R[], numAffectedRows: BigInt(changes) };
  }

  /** Kysely asks for this by `stream()`, which nobody here calls; all rows at once are right for it, too. */
  async *streamQuery<R>(query: CompiledQuery): AsyncIterableIterator<QueryResult<R>> {
    yield await this.executeQuery<R>(query);
  }
}
