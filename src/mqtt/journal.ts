import { type FileHandle, open, readFile, rename } from 'node:fs/promises';

/** What a file keeps of a queue: its entries' texts by number, in order. */
export interface Kept {
  readonly number: number;
  readonly text: string;
}

export interface JournalOptions {
  readonly path: string;
  /** What the queue holds at the moment, for a file that is written anew. */
  readonly current: () => Iterable<Kept>;
  /** A write failed; the queue goes on in memory. Called once until a write succeeds again. */
  readonly onFailure: (error: unknown) => void;
  readonly onRecovery: () => void;
  /** A failed file is tried again with the next write after that; default 30 s. */
  readonly retryMs?: number;
}

/** Above that a file is written anew when most of it is about entries that are gone. */
const MIN_DEAD_BYTES = 64 * 1024;

/**
 * A queue on disk: one JSON line for each entry, `[number, text]`, and one for each that is done, `[number]`. Lines are
 * only appended; when most are about what is gone, the rest is written to a new file that takes the place of the old
 * one. A line that was cut off by a crash is left out when it is read. Writes happen in order, one at a time.
 */
export class Journal {
  readonly #options: JournalOptions;
  #lines: string[] = [];
  #file: FileHandle | undefined;
  #work: Promise<void> | undefined;
  #fileBytes = 0;
  #liveBytes = 0;
  #rewrite = false;
  #failedMs: number | undefined;

  constructor(options: JournalOptions) {
    this.#options = options;
  }

  /** Entries of the file that are not done, in order, and how many lines made no sense. None where there is no file. */
  async read(): Promise<{ readonly kept: readonly Kept[]; readonly damaged: number }> {
    let text: string;
    try {
      text = await readFile(this.#options.path, 'utf8');
    } catch (error) {
      if (isCode(error, 'ENOENT')) return { kept: [], damaged: 0 };
      throw error;
    }
    const kept = new Map<number, string>();
    let damaged = 0;
    for (const line of text.split('\n')) {
      if (line === '') continue;
      const [number, entry] = parseLine(line);
      if (number === undefined) damaged++;
      else if (entry === undefined) kept.delete(number);
      else kept.set(number, entry);
    }
    this.#fileBytes = Buffer.byteLength(text);
    // Cut off in the middle: what comes next must not be appended to half a line.
    this.#rewrite = damaged > 0 || !(text === '' || text.endsWith('\n'));
    const entries = [...kept].map(([number, entry]) => ({ number, text: entry }));
    for (const entry of entries) this.#liveBytes += Buffer.byteLength(lineOf(entry));
    return { kept: entries.sort((a, b) => a.number - b.number), damaged };
  }

  add(entry: Kept): void {
    const line = lineOf(entry);
    this.#liveBytes += Buffer.byteLength(line);
    this.#append(line);
  }

  remove(entry: Kept): void {
    this.#liveBytes -= Buffer.byteLength(lineOf(entry));
    this.#append(`[${entry.number}]\n`);
  }

  /** Resolves when all that was added is written, or could not be. */
  async settle(): Promise<void> {
    while (this.#work !== undefined) await this.#work;
  }

  async close(): Promise<void> {
    await this.settle();
    await this.#file?.close();
    this.#file = undefined;
  }

  #append(line: string): void {
    const { retryMs = 30_000 } = this.#options;
    if (this.#failedMs !== undefined) {
      // What was not written meanwhile is written with the rest, once that works again.
      if (performance.now() - this.#failedMs < retryMs) return;
      this.#rewrite = true;
    }
    this.#lines.push(line);
    this.#work ??= this.#write().finally(() => {
      this.#work = undefined;
    });
  }

  async #write(): Promise<void> {
    // All that comes in one turn goes into one write.
    await Promise.resolve();
    while (this.#lines.length > 0) {
      const text = this.#lines.splice(0).join('');
      try {
        if (
          this.#rewrite ||
          this.#fileBytes + text.length - this.#liveBytes > Math.max(MIN_DEAD_BYTES, this.#liveBytes)
        )
          await this.#writeAnew();
        else await this.#writeOn(text);
        if (this.#failedMs !== undefined) this.#options.onRecovery();
        this.#failedMs = undefined;
      } catch (error) {
        this.#lines = [];
        this.#rewrite = true;
        await this.#file?.close().catch(() => undefined);
        this.#file = undefined;
        if (this.#failedMs === undefined) this.#options.onFailure(error);
        this.#failedMs = performance.now();
      }
    }
  }

  async #writeOn(text: string): Promise<void> {
    this.#file ??= await open(this.#options.path, 'a', 0o600);
    await this.#file.appendFile(text);
    this.#fileBytes += Buffer.byteLength(text);
  }

  /** The queue as it is now holds what the pending lines are about, too. */
  async #writeAnew(): Promise<void> {
    await this.#file?.close();
    this.#file = undefined;
    this.#lines = [];
    const text = [...this.#options.current()].map(lineOf).join('');
    const fresh = `${this.#options.path}.new`;
    const file = await open(fresh, 'w', 0o600);
    try {
      await file.writeFile(text);
      await file.datasync();
    } finally {
      await file.close();
    }
    await rename(fresh, this.#options.path);
    this.#rewrite = false;
    this.#fileBytes = Buffer.byteLength(text);
  }
}

function lineOf({ number, text }: Kept): string {
  return `${JSON.stringify([number, text])}\n`;
}

/** Number and text of an entry; the number alone of one that is done; nothing where the line makes no sense. */
function parseLine(line: string): readonly [number?: number, text?: string] {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return [];
  }
  if (!Array.isArray(value)) return [];
  // Checked border: of an array from JSON nothing is known, and both are looked at.
  const [number, text] = value as readonly unknown[];
  if (typeof number !== 'number' || !Number.isSafeInteger(number)) return [];
  if (value.length === 1) return [number];
  return value.length === 2 && typeof text === 'string' ? [number, text] : [];
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
