import { existsSync } from 'node:fs';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { z } from 'zod';
import { describeError } from '../core/errors.ts';
import type { EventMessage } from '../core/events.ts';
import type { Log } from '../core/log.ts';
import type { Scope } from '../core/scope.ts';
import { SendError } from './send.ts';

export interface Target {
  readonly name: string;
  readonly kind: 'webhook' | 'ntfy' | 'push';
  /** @throws SendError */
  deliver(message: EventMessage): Promise<void>;
}

export interface QueueOptions {
  readonly target: Target;
  readonly log: Log;
  readonly scope: Scope;
  /** Where what could not be sent waits for the next start; null: nowhere. */
  readonly file: () => Promise<string> | null;
  readonly retryMs?: number;
  readonly maxAgeMs?: number;
}

interface Entry {
  readonly message: EventMessage;
  readonly atMs: number;
}

const MAX_WAITING = 200;
const MAX_AGE_MS = 12 * 3_600_000;
const RETRY_MS = 2_000;
const MAX_RETRY_MS = 10 * 60_000;
/** Told later than this, a message says so. */
const LATE_MS = 30_000;

/**
 * Sends messages to one target in order, one at a time, and again for hours when it can't be reached. What waits is
 * bounded, and outlives a restart.
 */
export class DeliveryQueue {
  readonly #options: QueueOptions;
  #waiting: Entry[] = [];
  #failures = 0;
  #dropped = 0;
  #lastError: string | null = null;
  #lastSentMs: number | null = null;
  #working: Promise<void> | undefined;
  #onDisk = false;

  constructor(options: QueueOptions) {
    this.#options = options;
    options.scope.defer(async () => {
      if (this.#waiting.length > 0) await this.#save();
    });
  }

  get status() {
    const { name, kind } = this.#options.target;
    return {
      name,
      kind,
      waiting: this.#waiting.length,
      last_sent: this.#lastSentMs === null ? null : new Date(this.#lastSentMs).toISOString(),
      last_error: this.#lastError,
    };
  }

  push(message: EventMessage): void {
    this.#waiting.push({ message, atMs: Date.now() });
    this.#makeRoom();
    if (this.#failures > 0) void this.#save();
    this.#work();
  }

  /** Takes up what the last run could not send. */
  async load(): Promise<void> {
    const path = await this.#options.file();
    if (path === null || !existsSync(path)) return;
    this.#onDisk = true;
    try {
      const found = stored.parse(JSON.parse(await readFile(path, 'utf8')));
      // Checked border: its shape was parsed, and it was written from messages.
      this.#waiting = [...(found as readonly Entry[]), ...this.#waiting];
      this.#makeRoom();
    } catch (error) {
      this.#options.log.warn(`what waits for ${this.#options.target.name} can't be read: ${describeError(error)}`);
    }
    this.#work();
  }

  #makeRoom(): void {
    const over = this.#waiting.length - MAX_WAITING;
    if (over <= 0) return;
    // The first one may be on its way.
    this.#waiting.splice(1, over);
    this.#dropped += over;
  }

  #work(): void {
    if (this.#working !== undefined || this.#options.scope.closed) return;
    this.#working = this.#run().finally(() => {
      this.#working = undefined;
      if (this.#waiting.length > 0) this.#work();
    });
  }

  async #run(): Promise<void> {
    const { target, scope, maxAgeMs = MAX_AGE_MS, retryMs = RETRY_MS } = this.#options;
    for (let entry = this.#waiting[0]; entry !== undefined && !scope.closed; entry = this.#waiting[0]) {
      const { message, atMs } = entry;
      if (Date.now() - atMs > maxAgeMs) {
        this.#waiting.shift();
        this.#dropped++;
        continue;
      }
      const late = Date.now() - atMs > LATE_MS ? { late: true } : {};
      try {
        await target.deliver({ ...message, ...late });
        this.#waiting.shift();
        this.#sent();
      } catch (error) {
        this.#failed(error);
        if (error instanceof SendError && error.lasting) {
          this.#waiting.shift();
          continue;
        }
        await this.#save();
        const pauseMs = Math.min(MAX_RETRY_MS, retryMs * 2 ** Math.min(12, this.#failures - 1));
        // Spread, so that all servers of a house don't come back in the same second.
        await scope.sleep(pauseMs * (0.8 + Math.random() * 0.4));
      }
    }
    if (this.#onDisk || this.#waiting.length > 0) await this.#save();
  }

  #sent(): void {
    const { log, target } = this.#options;
    if (this.#failures > 0) {
      log.info(`${target.name} is told again${this.#dropped > 0 ? `, ${this.#dropped} messages were given up` : ''}`);
    }
    this.#failures = 0;
    this.#dropped = 0;
    this.#lastError = null;
    this.#lastSentMs = Date.now();
  }

  #failed(error: unknown): void {
    const text = describeError(error);
    if (text !== this.#lastError) this.#options.log.warn(`${this.#options.target.name} could not be told: ${text}`);
    this.#lastError = text;
    this.#failures++;
  }

  async #save(): Promise<void> {
    try {
      const path = await this.#options.file();
      if (path === null) return;
      if (this.#waiting.length === 0) {
        await rm(path, { force: true });
        this.#onDisk = false;
        return;
      }
      this.#onDisk = true;
      await writeFile(`${path}.new`, JSON.stringify(this.#waiting), { mode: 0o600 });
      await rename(`${path}.new`, path);
    } catch (error) {
      this.#options.log.debug(`what waits for ${this.#options.target.name} is in memory only: ${describeError(error)}`);
    }
  }
}

const stored = z
  .array(
    z.object({
      atMs: z.number(),
      message: z.looseObject({
        id: z.string(),
        camera: z.string(),
        detection: z.string(),
        state: z.enum(['started', 'updated', 'ended']),
        confidence: z.number(),
        timestamp: z.string(),
        duration: z.number(),
      }),
    }),
  )
  .max(MAX_WAITING * 2);
