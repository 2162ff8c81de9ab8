import type { CameraEvent, EventState } from '../core/events.ts';

/** Which events go where. */
export interface Rule {
  readonly cameras: ReadonlySet<string> | null;
  readonly detections: ReadonlySet<string> | null;
  readonly states: ReadonlySet<EventState>;
  readonly to: readonly string[];
  readonly quietHours: readonly QuietHours[];
  readonly minDurationMs: number;
  readonly rateLimit: RateLimit | null;
}

/** Minutes of the day; an end before the beginning is on the next day. */
export interface QuietHours {
  readonly fromMinute: number;
  readonly toMinute: number;
}

export interface RateLimit {
  readonly events: number;
  readonly perMs: number;
}

/** What a rule knows of an event that goes on. */
type Course = 'waits' | 'told' | 'refused';

const MAX_EVENTS = 1_000;

/** `22:00-06:00`. @throws Error that says what is expected */
export function parseQuietHours(text: string): QuietHours {
  const match = /^\s*(\d{1,2}):(\d{2})\s*[-–]\s*(\d{1,2}):(\d{2})\s*$/.exec(text);
  const [h1 = 99, m1 = 99, h2 = 99, m2 = 99] = (match ?? []).slice(1).map(Number);
  if (match === null || h1 > 23 || h2 > 24 || m1 > 59 || m2 > 59 || (h2 === 24 && m2 > 0)) {
    throw new Error(`"${text.slice(0, 40)}" are no hours: write "22:00-06:00"`);
  }
  return { fromMinute: h1 * 60 + m1, toMinute: h2 * 60 + m2 };
}

/** `1/5m`: events, and a time in s, m, h or d. @throws Error that says what is expected */
export function parseRateLimit(text: string): RateLimit {
  const match = /^\s*(\d{1,4})\s*\/\s*(\d{0,5})\s*(s|m|h|d)\s*$/.exec(text);
  const events = Number(match?.[1]);
  const count = match?.[2] === '' ? 1 : Number(match?.[2]);
  const unitMs = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }[match?.[3] ?? ''];
  if (!(events > 0) || !(count > 0) || unitMs === undefined) {
    throw new Error(`"${text.slice(0, 40)}" is no limit: write "1/5m" for one in five minutes`);
  }
  return { events, perMs: count * unitMs };
}

/**
 * The time of the day where the owner lives: by the clock on the wall, so that quiet hours keep to it when it is set
 * forward or back.
 */
export function minuteOfDay(atMs: number, timeZone: string): number {
  const options = { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' } as const;
  const format = new Intl.DateTimeFormat('en-GB', timeZone === '' ? options : { ...options, timeZone });
  const parts = format.formatToParts(atMs);
  const number = (type: string): number => Number(parts.find((part) => part.type === type)?.value);
  return number('hour') * 60 + number('minute');
}

export function isQuiet(hours: readonly QuietHours[], minute: number): boolean {
  return hours.some(({ fromMinute, toMinute }) =>
    fromMinute <= toMinute ? minute >= fromMinute && minute < toMinute : minute >= fromMinute || minute < toMinute,
  );
}

/** Decides for each state of each event who is told. Knows no clock but the time it is given. */
export class RuleBook {
  readonly #rules: readonly {
    readonly rule: Rule;
    readonly courses: Map<string, Course>;
    readonly told: Map<string, number[]>;
  }[];
  readonly #timeZone: string;

  /** @param timeZone IANA name; '' for this machine's */
  constructor(rules: readonly Rule[], timeZone: string) {
    this.#rules = rules.map((rule) => ({ rule, courses: new Map(), told: new Map() }));
    this.#timeZone = timeZone;
  }

  /**
   * Names of those who are told of this state, each once. An event that has to last before it is told is told as begun
   * when it has; what a rule has not told the beginning of for its limit or its quiet hours, it does not tell the end of.
   */
  decide(event: CameraEvent, nowMs: number): readonly string[] {
    const to = new Set<string>();
    for (const { rule, courses, told } of this.#rules) {
      if (rule.cameras !== null && !rule.cameras.has(event.camera)) continue;
      if (rule.detections !== null && !rule.detections.has(event.detection)) continue;
      let course = courses.get(event.id) ?? 'waits';
      let begins = false;
      if (course === 'waits' && event.durationMs >= rule.minDurationMs) {
        const free = !this.#quiet(rule, nowMs) && admit(rule.rateLimit, told, event.camera, nowMs);
        course = free ? 'told' : 'refused';
        begins = true;
      }
      courses.set(event.id, course);
      if (event.state === 'ended') courses.delete(event.id);
      else if (courses.size > MAX_EVENTS) courses.delete(courses.keys().next().value ?? '');
      if (course !== 'told' || this.#quiet(rule, nowMs)) continue;
      if (rule.states.has(event.state) || (begins && rule.states.has('started'))) {
        for (const name of rule.to) to.add(name);
      }
    }
    return [...to];
  }

  #quiet(rule: Rule, nowMs: number): boolean {
    return rule.quietHours.length > 0 && isQuiet(rule.quietHours, minuteOfDay(nowMs, this.#timeZone));
  }
}

/** Counts the event of this camera in, unless there were as many as there may be. */
function admit(limit: RateLimit | null, told: Map<string, number[]>, camera: string, nowMs: number): boolean {
  if (limit === null) return true;
  const recent = (told.get(camera) ?? []).filter((atMs) => atMs > nowMs - limit.perMs && atMs <= nowMs);
  const free = recent.length < limit.events;
  if (free) recent.push(nowMs);
  told.set(camera, recent);
  return free;
}
