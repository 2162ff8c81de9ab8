import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { HardwareReport } from '../../core/hardware.ts';
import { IpcFields } from '../../core/process/ipc.ts';
import { formatReports, parseReports } from './report.ts';

/** What didn't work may have been put right by what the fingerprint does not show. */
const VALID_MS = 7 * 24 * 3_600_000;
const VALID_FAILURE_MS = 24 * 3_600_000;

/**
 * What was found the last time, in a small file, so that a start of the server needs no new trial. Never required: one
 * that can't be read or written is the same as none.
 */
export class HardwareCache {
  readonly #file: string | null;
  readonly #key: string;

  /** @param key what the reports depend on */
  constructor(file: string | null, key: string) {
    this.#file = file;
    this.#key = key;
  }

  /** Null when there is nothing that still counts. */
  async read(): Promise<readonly HardwareReport[] | null> {
    if (this.#file === null) return null;
    try {
      const fields = new IpcFields(JSON.parse(await readFile(this.#file, 'utf8')));
      if (fields.text('key') !== this.#key) return null;
      const ageMs = Date.now() - fields.number('madeMs', 0, Number.MAX_SAFE_INTEGER);
      const reports = parseReports(fields.text('reports'));
      const failed = reports.some(({ error }) => error !== undefined);
      return ageMs >= 0 && ageMs < (failed ? VALID_FAILURE_MS : VALID_MS) ? reports : null;
    } catch {
      return null;
    }
  }

  /** @returns why it was not written, or null */
  async write(reports: readonly HardwareReport[]): Promise<unknown> {
    if (this.#file === null) return null;
    const text = JSON.stringify({ key: this.#key, madeMs: Date.now(), reports: formatReports(reports) });
    try {
      await mkdir(dirname(this.#file), { recursive: true });
      // Whoever reads it at the same time sees the old one or the new one.
      const made = `${this.#file}.${process.pid}`;
      await writeFile(made, text, { mode: 0o600 });
      await rename(made, this.#file);
      return null;
    } catch (error) {
      return error;
    }
  }
}
