import { HearthcamError } from '../core/errors.ts';
import { isEventId } from './files.ts';
import type { EventFilter } from './repository.ts';

const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 1_000;
const MAX_NAMES = 100;
const DAY = /^\d{4}-\d{2}-\d{2}$/;
const MOMENT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:?\d{2})?$/;

/**
 * Reads `?camera=&detection=&from=&to=&limit=&before=`. Several cameras or detections: by commas, or by giving the
 * parameter again. Times: Unix milliseconds or ISO 8601 (without a zone: this server's; a day alone: in UTC).
 * @throws HearthcamError 400 that names the parameter
 */
export function parseEventQuery(query: URLSearchParams): EventFilter {
  const beforeId = query.get('before') || undefined;
  if (beforeId !== undefined && !isEventId(beforeId)) throw wrong('before', beforeId, 'the id of an event');
  return {
    cameras: names(query, 'camera'),
    detections: names(query, 'detection'),
    fromMs: moment(query, 'from'),
    toMs: moment(query, 'to'),
    beforeId,
    limit: limit(query.get('limit')),
  };
}

function names(query: URLSearchParams, key: string): readonly string[] | undefined {
  const found = query.getAll(key).flatMap((text) => text.split(','));
  const given = found.map((name) => name.trim()).filter((name) => name !== '');
  if (given.length > MAX_NAMES) throw wrong(key, given.join(','), `up to ${MAX_NAMES} names`);
  return given.length === 0 ? undefined : given;
}

function moment(query: URLSearchParams, key: string): number | undefined {
  const text = query.get(key);
  if (text === null || text === '') return undefined;
  // A plus sign that was not escaped arrives as a space.
  const iso = text.replace(' ', '+');
  const ms = /^\d{1,15}$/.test(text) ? Number(text) : DAY.test(iso) || MOMENT.test(iso) ? Date.parse(iso) : Number.NaN;
  if (!Number.isFinite(ms)) throw wrong(key, text, 'a time such as 2026-01-31T20:15:00Z, or Unix milliseconds');
  return ms;
}

function limit(text: string | null): number {
  if (text === null || text === '') return DEFAULT_LIMIT;
  const value = Number(text);
  if (!/^\d{1,9}$/.test(text) || value < 1 || value > MAX_LIMIT) {
    throw wrong('limit', text, `a whole number from 1 to ${MAX_LIMIT}`);
  }
  return value;
}

function wrong(key: string, text: string, expected: string): HearthcamError {
  return new HearthcamError('events.query', `events: ${key}=${text.slice(0, 50)} must be ${expected}`, { status: 400 });
}
