import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cameraEvent, later } from '../../testkit/events.ts';
import type { EventState } from '../core/events.ts';
import { isQuiet, minuteOfDay, parseQuietHours, parseRateLimit, type Rule, RuleBook } from './rules.ts';

function rule(given: Partial<Rule> = {}): Rule {
  return {
    cameras: null,
    detections: null,
    states: new Set<EventState>(['started']),
    to: ['phone'],
    quietHours: [],
    minDurationMs: 0,
    rateLimit: null,
    ...given,
  };
}

const NOON = Date.UTC(2026, 0, 15, 12);

const rows: { name: string; rule: Partial<Rule>; event?: object; told: boolean; at?: number }[] = [
  { name: 'all events without conditions', rule: {}, told: true },
  { name: 'a camera that is named', rule: { cameras: new Set(['nursery']) }, told: true },
  { name: 'no other camera', rule: { cameras: new Set(['door']) }, told: false },
  { name: 'a detection that is named', rule: { detections: new Set(['cry']) }, told: true },
  { name: 'no other detection', rule: { detections: new Set(['bark']) }, told: false },
  { name: 'no state that is not asked for', rule: { states: new Set<EventState>(['ended']) }, told: false },
  { name: 'nothing in quiet hours', rule: { quietHours: [parseQuietHours('11:00-13:00')] }, told: false },
  { name: 'all after quiet hours', rule: { quietHours: [parseQuietHours('10:00-12:00')] }, told: true },
  {
    name: 'nothing in a night',
    rule: { quietHours: [parseQuietHours('22:00-06:00')] },
    told: false,
    at: NOON + 13 * 3.6e6,
  },
  { name: 'nothing that has not lasted', rule: { minDurationMs: 5_000 }, told: false },
];
for (const { name, rule: given, told, at = NOON } of rows) {
  test(`told: ${name}`, () => {
    const book = new RuleBook([rule(given)], 'UTC');
    assert.deepEqual(book.decide(cameraEvent(), at), told ? ['phone'] : []);
  });
}

test('an event that must last is told once it has, and its end only then', () => {
  const states = new Set<EventState>(['started', 'ended']);
  const book = new RuleBook([rule({ minDurationMs: 5_000, states })], 'UTC');
  const long = cameraEvent();
  const heard = [
    later(long, 'started', 0),
    later(long, 'updated', 5_000),
    later(long, 'updated', 10_000),
    later(long, 'ended', 12_000),
  ];
  assert.deepEqual(
    heard.map((event) => book.decide(event, NOON).length),
    [0, 1, 0, 1],
  );
  const short = cameraEvent();
  assert.deepEqual(
    [later(short, 'started', 0), later(short, 'ended', 3_000)].map((event) => book.decide(event, NOON).length),
    [0, 0],
  );
});

test('one event in five minutes of each camera, with its end', () => {
  const book = new RuleBook(
    [rule({ rateLimit: parseRateLimit('1/5m'), states: new Set<EventState>(['started', 'ended']) })],
    'UTC',
  );
  const at = (minutes: number): number => NOON + minutes * 60_000;
  const [first, second, third, other] = [cameraEvent(), cameraEvent(), cameraEvent(), cameraEvent({ camera: 'door' })];
  assert.equal(book.decide(first, at(0)).length, 1);
  assert.equal(book.decide(second, at(2)).length, 0);
  assert.equal(book.decide(other, at(2)).length, 1);
  assert.equal(book.decide(later(first, 'ended', 9), at(3)).length, 1);
  assert.equal(book.decide(later(second, 'ended', 9), at(6)).length, 0);
  assert.equal(book.decide(third, at(6)).length, 1);
});

test('who is named by several rules is told once', () => {
  const book = new RuleBook([rule({ to: ['phone', 'hook'] }), rule()], 'UTC');
  assert.deepEqual(book.decide(cameraEvent(), NOON), ['phone', 'hook']);
});

test('quiet hours keep to the clock on the wall when it is set forward and back', () => {
  // Berlin: 2026-03-29 at 01:00 UTC 02:00 becomes 03:00; 2026-10-25 at 01:00 UTC 03:00 becomes 02:00.
  const hours = [parseQuietHours('22:00-06:00')];
  for (const [utc, local, quiet] of [
    [Date.UTC(2026, 2, 28, 20, 59), '21:59', false],
    [Date.UTC(2026, 2, 28, 21, 0), '22:00', true],
    [Date.UTC(2026, 2, 29, 0, 59), '01:59', true],
    [Date.UTC(2026, 2, 29, 1, 0), '03:00', true],
    [Date.UTC(2026, 2, 29, 3, 59), '05:59', true],
    [Date.UTC(2026, 2, 29, 4, 0), '06:00', false],
    [Date.UTC(2026, 9, 25, 0, 30), '02:30', true],
    [Date.UTC(2026, 9, 25, 1, 30), '02:30', true],
    [Date.UTC(2026, 9, 25, 5, 0), '06:00', false],
  ] as const) {
    const minute = minuteOfDay(utc, 'Europe/Berlin');
    assert.equal(`${String(Math.floor(minute / 60)).padStart(2, '0')}:${String(minute % 60).padStart(2, '0')}`, local);
    assert.equal(isQuiet(hours, minute), quiet, local);
  }
});

test('a whole day is quiet from 00:00 to 24:00, an empty time never', () => {
  assert.ok(isQuiet([parseQuietHours('00:00-24:00')], 0) && isQuiet([parseQuietHours('0:00 – 24:00')], 1_439));
  assert.ok(!isQuiet([parseQuietHours('12:00-12:00')], 720));
});

for (const text of ['', '22-6', '25:00-06:00', '22:60-06:00', '22:00-24:30', '22:00', 'night']) {
  test(`"${text}" are no quiet hours`, () => assert.throws(() => parseQuietHours(text), /write "22:00-06:00"/));
}
for (const text of ['', '1', '0/5m', '1/0m', '1/5', '1/5y', '-1/5m', 'x/5m']) {
  test(`"${text}" is no rate limit`, () => assert.throws(() => parseRateLimit(text), /write "1\/5m"/));
}
test('limits in all units', () => {
  assert.deepEqual(parseRateLimit('3/h'), { events: 3, perMs: 3_600_000 });
  assert.deepEqual(parseRateLimit('10 / 2 d'), { events: 10, perMs: 172_800_000 });
});

test('what a rule remembers of events is bounded', () => {
  const book = new RuleBook([rule({ minDurationMs: 1_000 })], 'UTC');
  const events = Array.from({ length: 1_500 }, () => cameraEvent());
  for (const event of events) book.decide(event, NOON);
  assert.equal(book.decide(later(events[1_499] ?? cameraEvent(), 'updated', 5_000), NOON).length, 1);
});
