import pino from 'pino';
import type { Log, LogFields, LogLevel } from '../core/log.ts';

export interface LogOptions {
  readonly level: LogLevel;
  /** Levels by module name, e.g. `{rtsp: 'debug'}`. */
  readonly moduleLevels?: Readonly<Record<string, LogLevel>>;
  /** `text` as go2rtc's lines, `color` the same for a terminal, `json` one object a line. */
  readonly format: 'text' | 'color' | 'json';
  /** Takes whole lines with their newline. */
  readonly write: (line: string) => void;
  /** Removes secrets from a line; see `SecretMask`. */
  readonly mask: (text: string) => string;
  /** Keeps the last lines as JSON for `/api/log`. */
  readonly ring: LogRing;
}

const WORDS: Readonly<Record<string, { word: string; color: string }>> = {
  trace: { word: 'TRC', color: '34' },
  debug: { word: 'DBG', color: '33' },
  info: { word: 'INF', color: '32' },
  warn: { word: 'WRN', color: '31' },
  error: { word: 'ERR', color: '31;1' },
};

/** The last log lines as JSON lines, bounded in bytes (compatibility.md 1.1 `/api/log`: 1 MiB). */
export class LogRing {
  readonly #maxBytes: number;
  #lines: string[] = [];
  #bytes = 0;

  constructor(maxBytes = 1024 * 1024) {
    this.#maxBytes = maxBytes;
  }

  push(line: string): void {
    this.#lines.push(line);
    this.#bytes += line.length;
    if (this.#bytes <= this.#maxBytes) return;
    // Halves at once, so that a full ring doesn't shift its array for each line.
    let drop = 0;
    while (this.#bytes > this.#maxBytes / 2) this.#bytes -= this.#lines[drop++]?.length ?? 0;
    this.#lines = this.#lines.slice(drop);
  }

  text(): string {
    return this.#lines.join('');
  }

  clear(): void {
    this.#lines = [];
    this.#bytes = 0;
  }
}

/** Makes the root log. Lines go to `write` in the chosen format and to the ring as JSON, both masked. */
export function createLog(options: LogOptions): Log {
  const root = pino(
    {
      level: options.level,
      base: null,
      messageKey: 'message',
      formatters: { level: (label) => ({ level: label }) },
      timestamp: () => `,"time":${Date.now()}`,
    },
    {
      write(raw: string): void {
        const line = options.mask(raw);
        options.ring.push(line);
        options.write(options.format === 'json' ? line : formatText(line, options.format === 'color'));
      },
    },
  );
  return new PinoLog(root, root, options);
}

class PinoLog implements Log {
  readonly #pino: pino.Logger;
  readonly #root: pino.Logger;
  readonly #options: LogOptions;

  constructor(logger: pino.Logger, root: pino.Logger, options: LogOptions) {
    this.#pino = logger;
    this.#root = root;
    this.#options = options;
  }

  trace(message: string, fields?: LogFields): void {
    this.#pino.trace(fields ?? {}, message);
  }
  debug(message: string, fields?: LogFields): void {
    this.#pino.debug(fields ?? {}, message);
  }
  info(message: string, fields?: LogFields): void {
    this.#pino.info(fields ?? {}, message);
  }
  warn(message: string, fields?: LogFields): void {
    this.#pino.warn(fields ?? {}, message);
  }
  error(message: string, fields?: LogFields): void {
    this.#pino.error(fields ?? {}, message);
  }
  child(module: string): Log {
    const level = this.#options.moduleLevels?.[module] ?? this.#options.level;
    // From the root: a child of a child would carry both names.
    return new PinoLog(this.#root.child({ module }, { level }), this.#root, this.#options);
  }
}

/** A line stays one line, and no terminal obeys it, whatever a camera has answered. */
const LINE_BREAKS = /\p{Cc}+/gu;

/** `HH:MM:SS.mmm INF [api] listen addr=:1984`: the second word is parsed by Home Assistant (compatibility.md 5.1). */
function formatText(line: string, color: boolean): string {
  const entry = parseLine(line);
  if (entry === undefined) return line;
  const { level, time, module, message, ...fields } = entry;
  const at = new Date(typeof time === 'number' ? time : Date.now());
  const pad = (value: number, digits = 2): string => String(value).padStart(digits, '0');
  const clock = `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}.${pad(at.getMilliseconds(), 3)}`;
  const known = WORDS[String(level)] ?? { word: '???', color: '0' };
  const word = color ? `\u001b[${known.color}m${known.word}\u001b[0m` : known.word;
  const extra = Object.entries(fields)
    .map(
      ([key, value]) =>
        ` ${key}=${typeof value === 'string' && /[\s"\p{Cc}]/u.test(value) ? JSON.stringify(value) : value}`,
    )
    .join('');
  return `${clock} ${word} ${module === undefined ? '' : `[${String(module)}] `}${String(message).replaceAll(LINE_BREAKS, ' ').trimEnd()}${extra}\n`;
}

function parseLine(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}
