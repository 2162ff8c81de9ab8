import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { MemoryLog } from '../../testkit/memory-log.ts';
import { cameraEvent } from '../../testkit/mqtt-bench.ts';
import { type CameraEvent, eventMessage } from '../core/events.ts';
import { TodayCounters } from './today.ts';

let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'hearthcam-today-'));
});
after(() => rm(directory, { recursive: true, force: true }));

const MINUTE_MS = 60_000;
const noon = new Date(2026, 10, 24, 12).getTime();
const midnight = new Date(2026, 10, 25).getTime();

test('cries are counted from midnight to midnight, a restart loses none', async () => {
  const path = join(directory, 'today.json');
  let nowMs = noon;
  const open = async (): Promise<TodayCounters> => {
    const counters = new TodayCounters(path, new MemoryLog(), () => nowMs);
    await counters.load();
    return counters;
  };
  const tell = (counters: TodayCounters, over: Partial<CameraEvent>): void =>
    counters.take(eventMessage(cameraEvent(over)));
  const first = await open();
  assert.deepEqual(first.of('nursery'), { cries: 0, minutes: 0, lastCry: null });
  tell(first, { startMs: noon });
  tell(first, { startMs: noon, state: 'updated', durationMs: 3 * MINUTE_MS });
  assert.deepEqual(first.of('nursery'), { cries: 1, minutes: 3, lastCry: new Date(noon).toISOString() });
  tell(first, { startMs: noon, state: 'ended', durationMs: 4 * MINUTE_MS });
  await first.settle();
  const second = await open();
  assert.deepEqual(second.of('nursery'), { cries: 1, minutes: 4, lastCry: new Date(noon).toISOString() });
  // One that goes on over midnight: each day has its part.
  const startMs = midnight - 2 * MINUTE_MS;
  nowMs = startMs;
  tell(second, { id: 'e2', startMs });
  nowMs = midnight + MINUTE_MS;
  tell(second, { id: 'e2', startMs, state: 'updated', durationMs: 3 * MINUTE_MS });
  assert.deepEqual(second.of('nursery'), { cries: 0, minutes: 1, lastCry: new Date(startMs).toISOString() });
  tell(second, { id: 'e2', startMs, state: 'ended', durationMs: 3.5 * MINUTE_MS });
  assert.equal(second.of('nursery').minutes, 1.5);
  await second.settle();
});

test('a damaged file, or a folder that can not be written to, costs a line of the log', async () => {
  const path = join(directory, 'damaged.json');
  await writeFile(path, '{"nursery":{"day":7');
  for (const unusable of [path, join(path, 'today.json')]) {
    const log = new MemoryLog();
    const counters = new TodayCounters(unusable, log);
    await counters.load();
    for (const id of ['a', 'b']) counters.take(eventMessage(cameraEvent({ id })));
    await counters.settle();
    assert.equal(counters.of('nursery').cries, 2);
    assert.ok(log.find('warn', /./).length >= 1 && log.lines.length <= 2, log.text);
  }
});
