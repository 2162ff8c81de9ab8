import { readFile, rename, writeFile } from 'node:fs/promises';
import { z } from 'zod';
import { describeError } from '../core/errors.ts';
import type { EventMessage } from '../core/events.ts';
import type { Log } from '../core/log.ts';

export interface Today {
  readonly cries: number;
  readonly minutes: number;
  /** ISO 8601; null before the first one. */
  readonly lastCry: string | null;
}

interface Count {
  /** Local date. */
  day: string;
  cries: number;
  /** Of events that are over. */
  ms: number;
  lastCry: string | null;
}

const stored = z.record(
  z.string(),
  z.object({ day: z.string(), cries: z.number(), ms: z.number(), lastCry: z.string().nullable() }),
);

/** Counts each camera's cries from one local midnight to the next; kept in a file, so that a restart loses none. */
export class TodayCounters {
  readonly #path: string | null;
  readonly #log: Log;
  readonly #nowMs: () => number;
  readonly #counts = new Map<string, Count>();
  /** Cries that go on, by camera: since when and how long. */
  readonly #running = new Map<string, { startMs: number; durationMs: number }>();
  #writing: Promise<void> | undefined;
  #dirty = false;
  #failed = false;

  constructor(path: string | null, log: Log, nowMs: () => number = Date.now) {
    this.#path = path;
    this.#log = log;
    this.#nowMs = nowMs;
  }

  async load(): Promise<void> {
    if (this.#path === null) return;
    try {
      const counts = stored.parse(JSON.parse(await readFile(this.#path, 'utf8')));
      for (const [camera, count] of Object.entries(counts)) this.#counts.set(camera, count);
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return;
      this.#log.warn(`the cries of today are counted anew: ${describeError(error)}`);
    }
  }

  take({ camera, state, timestamp, duration }: EventMessage): void {
    const startMs = Date.parse(timestamp);
    const count = this.#today(camera);
    if (state === 'started') {
      count.cries++;
      count.lastCry = timestamp;
    }
    if (state === 'ended') {
      this.#running.delete(camera);
      count.ms += this.#partOfToday(startMs, duration * 1000);
    } else {
      this.#running.set(camera, { startMs, durationMs: duration * 1000 });
    }
    if (state !== 'updated') this.#save();
  }

  of(camera: string): Today {
    const { cries, ms, lastCry } = this.#today(camera);
    const running = this.#running.get(camera);
    const runningMs = running === undefined ? 0 : this.#partOfToday(running.startMs, running.durationMs);
    return { cries, minutes: Math.round((ms + runningMs) / 6_000) / 10, lastCry };
  }

  /** A camera that is no more. */
  forget(camera: string): void {
    this.#running.delete(camera);
    if (this.#counts.delete(camera)) this.#save();
  }

  async settle(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing;
  }

  #today(camera: string): Count {
    const day = localDay(this.#nowMs());
    const count = this.#counts.get(camera);
    if (count === undefined) {
      const fresh = { day, cries: 0, ms: 0, lastCry: null };
      this.#counts.set(camera, fresh);
      return fresh;
    }
    if (count.day !== day) Object.assign(count, { day, cries: 0, ms: 0 });
    return count;
  }

  /** What an event that began yesterday has cried since midnight. */
  #partOfToday(startMs: number, durationMs: number): number {
    const midnight = new Date(this.#nowMs()).setHours(0, 0, 0, 0);
    return Math.max(0, Math.min(durationMs, startMs + durationMs - midnight));
  }

  #save(): void {
    this.#dirty = true;
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined;
    });
  }

  async #write(): Promise<void> {
    const path = this.#path;
    while (path !== null && this.#dirty) {
      this.#dirty = false;
      try {
        await writeFile(`${path}.new`, JSON.stringify(Object.fromEntries(this.#counts)), { mode: 0o600 });
        await rename(`${path}.new`, path);
        this.#failed = false;
      } catch (error) {
        if (!this.#failed) this.#log.warn(`the cries of today can't be kept in ${path}: ${describeError(error)}`);
        this.#failed = true;
      }
    }
  }
}

function localDay(ms: number): string {
  const date = new Date(ms);
  return [date.getFullYear(), date.getMonth() + 1, date.getDate()].join('-');
}
