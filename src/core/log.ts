/** The level words are those of go2rtc's log lines, which Home Assistant parses (compatibility.md 5.1). */
export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error';

/** A place to write lines for the owner. Secrets are masked by the sink (see `secrets.ts`), never by the caller. */
export interface Log {
  /** `fields` follow the message as `key=value`. */
  trace(message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** The same sink under another module name, shown as `[name]`. */
  child(module: string): Log;
}

export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

/** Limits a repeating line to one per period and says how often it happened meanwhile. */
export class LogLimiter {
  readonly #periodMs: number;
  readonly #last = new Map<string, { atMs: number; suppressed: number }>();

  constructor(periodMs = 10_000) {
    this.#periodMs = periodMs;
  }

  /** Returns null when the line must not be written now, else how many were left out since the last one. */
  admit(key: string, nowMs: number = performance.now()): number | null {
    const entry = this.#last.get(key);
    if (entry !== undefined && nowMs - entry.atMs < this.#periodMs) {
      entry.suppressed++;
      return null;
    }
    if (this.#last.size > 1000) this.#last.clear();
    this.#last.set(key, { atMs: nowMs, suppressed: 0 });
    return entry?.suppressed ?? 0;
  }
}
