import type { Log, LogFields, LogLevel } from '../src/core/log.ts';

export interface MemoryLogLine {
  readonly level: LogLevel;
  readonly module: string;
  readonly message: string;
  readonly fields: LogFields;
}

/** A log that keeps its lines for a test to look at. Children write to the same list. */
export class MemoryLog implements Log {
  readonly lines: MemoryLogLine[];
  readonly #module: string;

  constructor(module = '', lines: MemoryLogLine[] = []) {
    this.#module = module;
    this.lines = lines;
  }

  trace(message: string, fields?: LogFields): void {
    this.#add('trace', message, fields);
  }
  debug(message: string, fields?: LogFields): void {
    this.#add('debug', message, fields);
  }
  info(message: string, fields?: LogFields): void {
    this.#add('info', message, fields);
  }
  warn(message: string, fields?: LogFields): void {
    this.#add('warn', message, fields);
  }
  error(message: string, fields?: LogFields): void {
    this.#add('error', message, fields);
  }
  child(module: string): MemoryLog {
    return new MemoryLog(module, this.lines);
  }

  /** All lines as text, one each: `level [module] message key=value`. */
  get text(): string {
    return this.lines
      .map(({ level, module, message, fields }) => {
        const pairs = Object.entries(fields).map(([key, value]) => ` ${key}=${value}`);
        return `${level} [${module}] ${message}${pairs.join('')}`;
      })
      .join('\n');
  }

  /** Lines of a level whose message matches. */
  find(level: LogLevel, pattern: RegExp): readonly MemoryLogLine[] {
    return this.lines.filter((line) => line.level === level && pattern.test(line.message));
  }

  #add(level: LogLevel, message: string, fields: LogFields = {}): void {
    this.lines.push({ level, module: this.#module, message, fields });
  }
}
