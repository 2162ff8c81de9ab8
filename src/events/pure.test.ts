import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cameraEvent } from '../../testkit/events.ts';
import { RecentLevels } from './levels.ts';
import { detailsOf, summaryOf } from './message.ts';
import { parseEventQuery } from './query.ts';
import { parseRange } from './reply.ts';
import type { StoredEvent } from './repository.ts';
import { scoresSvg } from './scores-svg.ts';

function stored(more: Partial<StoredEvent> = {}): StoredEvent {
  const { state: _state, ...event } = cameraEvent({ startMs: 1_700_000_000_000 });
  return { ...event, ended: true, changedMs: 1, levels: [], clipBytes: null, snapshotBytes: null, ...more };
}

const parse = (text: string) => parseEventQuery(new URLSearchParams(text));

test('the query: cameras, detections, times, pages', () => {
  const id = cameraEvent().id;
  assert.deepEqual(parse(''), {
    cameras: undefined,
    detections: undefined,
    fromMs: undefined,
    toMs: undefined,
    beforeId: undefined,
    limit: 100,
  });
  assert.deepEqual(parse('camera=door,nursery&camera=attic&detection=cry'), {
    ...parse(''),
    cameras: ['door', 'nursery', 'attic'],
    detections: ['cry'],
  });
  assert.deepEqual([parse('from=1700000000000').fromMs, parse('to=2023-11-14T22:13:20Z').toMs], [17e11, 17e11]);
  assert.equal(parse('from=2023-11-14T23:13:20+01:00').fromMs, 17e11);
  assert.equal(parse('from=2023-11-14').fromMs, Date.UTC(2023, 10, 14));
  assert.equal(parse(`before=${id}&limit=7`).limit, 7);
});

for (const text of [
  'from=yesterday',
  'to=2023-13-45T99:00Z',
  'from=-5',
  'limit=0',
  'limit=1001',
  'limit=1e3',
  'before=../../x',
  "before=' or 1=1 --",
  `camera=${'a,'.repeat(101)}`,
]) {
  test(`the query ${text.slice(0, 30)} is refused`, () => {
    assert.throws(() => parse(text), { status: 400, code: 'events.query' });
  });
}

test('a message links to what is there, and to nothing else', () => {
  const lasts = summaryOf(stored({ ended: false, durationMs: 5_000 }));
  assert.deepEqual([lasts.state, lasts.end, lasts.clip, lasts.duration], ['updated', null, undefined, 5]);
  const event = stored({ durationMs: 12_340, clipBytes: 5, scores: [0.5], levels: [-40] });
  const ended = detailsOf(event);
  assert.equal(ended.clip, `/api/events/${event.id}/clip.mp4`);
  assert.equal(ended.snapshot, undefined);
  assert.equal(ended.timestamp, '2023-11-14T22:13:20.000Z');
  assert.equal(ended.end, '2023-11-14T22:13:32.340Z');
  assert.deepEqual([ended.scores, ended.levels, ended.peak_confidence], [[0.5], [-40], 0.9]);
});

test('parts of a file', () => {
  assert.equal(parseRange(undefined, 100), undefined);
  assert.deepEqual(parseRange('bytes=0-', 100), { from: 0, to: 99 });
  assert.deepEqual(parseRange('bytes=10-19', 100), { from: 10, to: 19 });
  assert.deepEqual(parseRange('bytes=90-500', 100), { from: 90, to: 99 });
  assert.deepEqual(parseRange('bytes=-10', 100), { from: 90, to: 99 });
  assert.equal(parseRange('bytes=100-', 100), 'none');
  assert.equal(parseRange('bytes=-0', 100), 'none');
  assert.equal(parseRange('bytes=5-2', 100), undefined);
  assert.equal(parseRange('bytes=0-1,5-6', 100), undefined);
  assert.equal(parseRange('lines=0-1', 100), undefined);
});

test('the curve is a picture, whatever the names and numbers are', () => {
  const svg = scoresSvg(
    stored({
      camera: '<script>alert(1)</script>&"\u0000',
      scores: [0, 0.5, 1, Number.NaN, 7],
      levels: [-100, -30, Number.NEGATIVE_INFINITY],
      durationMs: 2_000,
    }),
  );
  assert.ok(svg.startsWith('<svg xmlns='));
  assert.ok(!svg.includes('<script') && svg.includes('&lt;script&gt;') && !svg.includes('\u0000'));
  assert.ok(!/NaN|Infinity|undefined/.test(svg), svg);
  assert.equal(svg.match(/<polyline/g)?.length, 2);
  assert.ok(scoresSvg(stored({ scores: [], durationMs: 0 })).includes('</svg>'));
  assert.ok(scoresSvg(stored({ scores: Array.from({ length: 7_200 }, () => 0.5) })).length < 200_000);
});

test('loudness by the second, with gaps filled', () => {
  const levels = new RecentLevels();
  for (const [atMs, dba] of [
    [500, -60],
    [1_500, -50],
    [4_500, -20],
  ] as const) {
    levels.add({ camera: 'a', atMs, dbfs: dba, dba });
  }
  assert.deepEqual(levels.of('a', 0, 6), [-60, -50, -50, -50, -20, -20]);
  assert.deepEqual(levels.of('b', 0, 6), []);
  for (let index = 0; index < 5_000; index++) levels.add({ camera: 'a', atMs: 10_000 + index, dbfs: -9, dba: -9 });
  assert.equal(levels.of('a', 0, 2)[0], -9);
  levels.keepOnly(new Set());
  assert.deepEqual(levels.of('a', 0, 6), []);
});
