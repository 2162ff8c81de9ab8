import { HearthcamError } from '../../core/errors.ts';

/** What a client wants of a still. */
export interface FrameQuery {
  readonly src: string | undefined;
  readonly name: string | undefined;
  /** Pixels, before rotation. */
  readonly width: number | undefined;
  readonly height: number | undefined;
  readonly rotate: 0 | 90 | 180 | 270;
  readonly quality: number | undefined;
  /** A still that is not older than this will do. */
  readonly maxAgeMs: number;
}

const MAX_SIDE = 8192;
/** Every still is shared for so long by all who ask. */
const DEFAULT_AGE_MS = 1_000;
const MAX_AGE_MS = 60_000;

/**
 * Reads the query of `/api/frame.jpeg` (compatibility.md 1.4): `src`, `name`, `width`|`w`, `height`|`h`, `rotate`,
 * `cache`, and our own `quality`. `hardware` and `hw` are go2rtc's and change nothing here.
 * @throws HearthcamError 400 that names the parameter
 */
export function parseFrameQuery(query: URLSearchParams): FrameQuery {
  return {
    src: query.get('src') ?? undefined,
    name: query.get('name') ?? undefined,
    width: readSide(query, 'width', 'w'),
    height: readSide(query, 'height', 'h'),
    rotate: readRotation(query.get('rotate')),
    quality: readWhole(query, 'quality', 1, 100),
    maxAgeMs: readAge(query.get('cache')),
  };
}

function readSide(query: URLSearchParams, long: string, short: string): number | undefined {
  const key = query.has(long) ? long : short;
  // -1 is how FFmpeg's scale filter, which go2rtc hands the numbers to, says "as the other side demands".
  return query.get(key) === '-1' ? undefined : readWhole(query, key, 1, MAX_SIDE);
}

function readWhole(query: URLSearchParams, key: string, min: number, max: number): number | undefined {
  const text = query.get(key);
  if (text === null || text === '') return undefined;
  const value = Number(text);
  if (!/^\d{1,9}$/.test(text) || value < min || value > max) {
    throw wrong(key, text, `a whole number from ${min} to ${max}`);
  }
  return value;
}

function readRotation(text: string | null): FrameQuery['rotate'] {
  switch (text) {
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
      throw wrong('rotate', text, '90, 180, 270 or -90');
  }
}

const AGE_UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, '': 1_000 };

function readAge(text: string | null): number {
  if (text === null || text === '') return DEFAULT_AGE_MS;
  const match = /^(\d{1,6}(?:\.\d{1,3})?)(ms|s|m)?$/.exec(text);
  if (match === null) throw wrong('cache', text, 'a duration such as 5s or 500ms');
  const ageMs = Number(match[1]) * (AGE_UNITS_MS[match[2] ?? ''] ?? 1_000);
  return Math.min(MAX_AGE_MS, Math.max(DEFAULT_AGE_MS, ageMs));
}

function wrong(key: string, text: string, expected: string): HearthcamError {
  return new HearthcamError('frame.query', `frame.jpeg: ${key}=${text.slice(0, 50)} must be ${expected}`, {
    status: 400,
  });
}
