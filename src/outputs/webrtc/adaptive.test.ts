import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { AdaptiveQuality, type LinkReport } from './adaptive.ts';

const MAIN = 4_000_000;
const MEDIUM = 1_500_000;
const SUB = 300_000;
const RATES = [MAIN, MEDIUM, SUB];

/** A connection in a second: what it carries and loses. */
interface Link {
  /** 0 = no limit. */
  readonly carriesBps?: number;
  readonly loss?: number;
  readonly resent?: number;
  readonly rttMs?: number;
  /** What the viewer's browser says; by default as Chromium: what it carries, at most 1.5 times what arrives. */
  readonly estimateBps?: number;
}

/** Runs a second-by-second trace; gives the changes as `second: level`. */
function simulate(
  link: (second: number, sentBps: number) => Link,
  seconds: number,
  options: { level?: number; rates?: readonly number[]; estimates?: boolean } = {},
): string[] {
  const { level = 0, rates = RATES, estimates = true } = options;
  const decision = new AdaptiveQuality(level);
  const changes: string[] = [];
  for (let second = 0; second < seconds; second++) {
    const sentBps = rates[decision.level] ?? 0;
    const { carriesBps = 0, loss, resent = 0, rttMs = 20, estimateBps } = link(second, sentBps);
    const limit = carriesBps === 0 ? Number.POSITIVE_INFINITY : carriesBps;
    const report: LinkReport = {
      atMs: second * 1_000,
      loss: loss ?? Math.max(0, 1 - limit / sentBps),
      resent,
      rttMs,
      estimateBps: estimates ? (estimateBps ?? Math.min(limit, sentBps * 1.5)) : 0,
    };
    const verdict = decision.report(report, rates);
    if (verdict !== null) changes.push(`${second}: ${verdict.level}`);
  }
  return changes;
}

describe('the quality that the connection decides', () => {
  const cases: readonly {
    readonly promise: string;
    readonly link: Parameters<typeof simulate>[0];
    readonly seconds: number;
    readonly options?: Parameters<typeof simulate>[2];
    readonly changes: readonly string[];
  }[] = [
    { promise: 'stays on a good connection', link: () => ({}), seconds: 300, changes: [] },
    {
      promise: 'stays when single seconds are bad',
      link: (second) => (second % 7 === 0 ? { loss: 0.15 } : {}),
      seconds: 120,
      changes: [],
    },
    {
      promise: 'goes down when loss lasts for more than two seconds',
      link: (second) => ({ loss: second >= 10 && second < 14 ? 0.08 : 0.005 }),
      seconds: 16,
      changes: ['12: 1'],
    },
    {
      promise: 'goes down at once to the smallest when little comes through',
      link: (second) => ({ loss: second >= 10 && second < 12 ? 0.5 : 0 }),
      seconds: 13,
      changes: ['10: 2'],
    },
    {
      promise: 'goes down when much has to be sent again, also if nothing stays lost',
      link: (second) => ({ loss: 0, resent: second >= 10 && second < 14 ? 0.12 : 0 }),
      seconds: 16,
      changes: ['12: 1'],
    },
    {
      promise: 'goes down when a queue fills up',
      link: (second) => ({ rttMs: second >= 10 && second < 14 ? 600 : 30 }),
      seconds: 16,
      changes: ['12: 1'],
    },
    {
      promise: 'stays when the round trip is long but steady',
      link: () => ({ rttMs: 400 }),
      seconds: 60,
      changes: [],
    },
    {
      promise: 'goes to what an estimate has room for',
      link: (second) => (second < 10 ? {} : { loss: 0.02, estimateBps: 2_000_000 }),
      seconds: 20,
      changes: ['12: 1'],
    },
    {
      promise: 'goes to the smallest when an estimate has room for none',
      link: (second) => (second < 10 ? {} : { loss: 0.02, estimateBps: 200_000 }),
      seconds: 20,
      changes: ['12: 2'],
    },
    {
      promise: 'returns step by step after ten clean seconds each',
      link: (second) => ({ loss: second < 5 ? 0.5 : 0 }),
      seconds: 60,
      changes: ['3: 2', '15: 1', '26: 0'],
    },
    {
      promise: 'returns also where the viewer gives no estimate',
      link: (second) => ({ loss: second < 5 ? 0.5 : 0 }),
      seconds: 60,
      options: { estimates: false },
      changes: ['3: 2', '15: 1', '26: 0'],
    },
    {
      promise: 'stays when an estimate is low but everything arrives in time',
      link: () => ({ loss: 0, estimateBps: 1_000_000 }),
      seconds: 120,
      changes: [],
    },
    {
      promise: 'tries a larger picture rarely when an estimate leaves no room for it',
      link: (_second, sentBps) => ({ loss: sentBps > SUB ? 0.3 : 0, estimateBps: 310_000 }),
      seconds: 300,
      options: { level: 2 },
      changes: ['40: 1', '43: 2', '124: 1', '127: 2', '288: 1', '291: 2'],
    },
    {
      promise: 'stays when it is bad and there is nothing smaller',
      link: () => ({ loss: 0.3 }),
      seconds: 60,
      options: { level: 2 },
      changes: [],
    },
  ];
  for (const { promise, link, seconds, options, changes } of cases) {
    test(promise, () => assert.deepEqual(simulate(link, seconds, options), changes));
  }

  test('never flaps on a connection that carries the middle one only: attempts become rarer', () => {
    const changes = simulate(() => ({ carriesBps: 2_000_000 }), 900);
    const ups = changes.filter((one) => one.endsWith(': 0')).map((one) => Number.parseInt(one, 10));
    assert.ok(ups.length >= 2 && ups.length <= 6, `attempts at ${ups.join(', ')} s`);
    const gaps = ups.slice(1).map((second, index) => second - (ups[index] ?? 0));
    for (const [index, gap] of gaps.entries()) {
      if (index > 0) assert.ok(gap > (gaps[index - 1] ?? 0), `attempts at ${ups.join(', ')} s`);
    }
    const secondsOnMiddle = timeAt(changes, 1, 900);
    assert.ok(secondsOnMiddle > 800, `${secondsOnMiddle} of 900 s`);
  });

  test('an attempt that failed is forgotten once the connection has carried the larger picture for a minute', () => {
    // Narrow, then good for long, then bad for a moment: the way back takes ten seconds again, not longer.
    const link = (second: number): Link =>
      second < 120 ? { carriesBps: 2_000_000 } : second >= 400 && second < 404 ? { loss: 0.1, estimateBps: 0 } : {};
    const changes = simulate(link, 460).map((one) => one.split(': ').map(Number));
    const down = changes.find(([second, level]) => (second ?? 0) >= 400 && level === 1)?.[0] ?? 0;
    const up = changes.find(([second, level]) => (second ?? 0) > down && level === 0)?.[0] ?? 0;
    assert.ok(up - down <= 15, `${down} s to ${up} s`);
  });

  test('a picture that can’t be had is left out for a while, and the next smaller one is given', () => {
    const decision = new AdaptiveQuality(0);
    const bad = (atMs: number): LinkReport => ({ atMs, loss: 0.1, resent: 0, rttMs: 20, estimateBps: 0 });
    let given: number | undefined;
    let atMs = 0;
    const until = (): number => {
      for (given = undefined; given === undefined && atMs < 30_000; atMs += 1_000) {
        given = decision.report(bad(atMs), RATES)?.level;
      }
      return given ?? -1;
    };
    assert.equal(until(), 1);
    decision.failed(0, atMs, 60_000);
    assert.equal(until(), 2);
    // Clean from now on: the middle one stays out until its time is over.
    const seen: string[] = [];
    for (const end = atMs + 90_000; atMs < end; atMs += 1_000) {
      const verdict = decision.report({ atMs, loss: 0, resent: 0, rttMs: 20, estimateBps: 0 }, RATES);
      if (verdict !== null) seen.push(String(verdict.level));
    }
    assert.equal(seen[0], '0');
  });
});

function timeAt(changes: readonly string[], level: number, seconds: number): number {
  let at = 0;
  let since = 0;
  let sum = 0;
  for (const [second = 0, next = 0] of changes.map((one) => one.split(': ').map(Number))) {
    if (at === level) sum += second - since;
    at = next;
    since = second;
  }
  return sum + (at === level ? seconds - since : 0);
}
