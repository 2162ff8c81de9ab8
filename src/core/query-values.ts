import { HearthcamError } from './errors.ts';

/**
 * Reads the values of a request's query one by one. What makes no sense is a 400 that names the parameter:
 * `stream.mjpeg: fps=0 must be a number from 0.1 to 60`. Absent and empty are the same.
 */
export class QueryValues {
  readonly #what: string;
  readonly #code: string;
  readonly #query: URLSearchParams;

  /** @param what for messages, e.g. `frame.jpeg`; @param code of its errors */
  constructor(what: string, code: string, query: URLSearchParams) {
    this.#what = what;
    this.#code = code;
    this.#query = query;
  }

  text(key: string): string | undefined {
    return this.#query.get(key) ?? undefined;
  }

  whole(key: string, min: number, max: number): number | undefined {
    const text = this.#query.get(key);
    if (text === null || text === '') return undefined;
    const value = Number(text);
    if (!/^\d{1,9}$/.test(text) || value < min || value > max) {
      throw this.wrong(key, `a whole number from ${min} to ${max}`);
    }
    return value;
  }

  number(key: string, min: number, max: number): number | undefined {
    const text = this.#query.get(key);
    if (text === null || text === '') return undefined;
    const value = Number(text);
    if (!/^\d{1,9}(?:\.\d{1,6})?$/.test(text) || value < min || value > max) {
      throw this.wrong(key, `a number from ${min} to ${max}`);
    }
    return value;
  }

  /** Pixels by `width` or `w` (the long name counts when both are there). */
  side(long: string, short: string, min: number, max: number): number | undefined {
    const key = this.#query.has(long) ? long : short;
    // -1 is how FFmpeg's scale filter, which go2rtc hands the numbers to, says "as the other side demands".
    return this.#query.get(key) === '-1' ? undefined : this.whole(key, min, max);
  }

  /** Degrees clockwise. */
  rotation(key: string): 0 | 90 | 180 | 270 {
    switch (this.#query.get(key)) {
      case null:
      case '':
      case '0':
        return 0;
      case '90':
        return 90;
      case '180':
        return 180;
      case '270':
      case '-90':
        return 270;
      default:
        throw this.wrong(key, '90, 180, 270 or -90');
    }
  }

  /** Milliseconds of `5s`, `500ms`, `1.5s`, `1m` or bare seconds. */
  durationMs(key: string): number | undefined {
    const text = this.#query.get(key);
    if (text === null || text === '') return undefined;
    const match = /^(\d{1,6}(?:\.\d{1,3})?)(ms|s|m)?$/.exec(text);
    if (match === null) throw this.wrong(key, 'a duration such as 5s or 500ms');
    return Number(match[1]) * (UNITS_MS[match[2] ?? ''] ?? 1_000);
  }

  /** The error for a value of `key` that is not what was `expected`. */
  wrong(key: string, expected: string): HearthcamError {
    const text = (this.#query.get(key) ?? '').slice(0, 50);
    return new HearthcamError(this.#code, `${this.#what}: ${key}=${text} must be ${expected}`, { status: 400 });
  }
}

const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, '': 1_000 };
