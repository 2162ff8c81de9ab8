import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { MemoryLog } from '../../testkit/memory-log.ts';
import { cameraEvent } from '../../testkit/mqtt-bench.ts';
import { eventMessage } from '../core/events.ts';
import { Journal } from './journal.ts';
import { Outbox } from './outbox.ts';
import { Topics } from './topics.ts';

const runs = { numRuns: Math.ceil(Number(process.env['FUZZ_RUNS'] ?? 300) / 3) };
const topics = new Topics('hearthcam', 'homeassistant');
let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'hearthcam-journal-'));
});
after(() => rm(directory, { recursive: true, force: true }));

const line = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.json(),
  fc.tuple(fc.nat(5), fc.oneof(fc.string(), fc.json())).map((entry) => JSON.stringify(entry)),
  fc.nat(5).map((number) => `[${number}]`),
  fc.constant(JSON.stringify([3, JSON.stringify({ at: 1, message: eventMessage(cameraEvent()) })])),
);

test('whatever the file holds, the queue starts, and what is put in afterwards is kept', async () => {
  let count = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(line, { maxLength: 8 }), fc.boolean(), async (lines, ends) => {
      const path = join(directory, `${++count}.jsonl`);
      await writeFile(path, lines.join('\n') + (ends ? '\n' : ''));
      const first = new Outbox({ topics, log: new MemoryLog(), path });
      await first.load();
      const { size } = first;
      assert.ok(size <= lines.length);
      first.put(eventMessage(cameraEvent({ id: 'new' })));
      await first.close();
      const second = new Outbox({ topics, log: new MemoryLog(), path });
      await second.load();
      assert.equal(second.size, size + 1);
      await second.close();
    }),
    runs,
  );
});

test('a journal holds what was added and not removed, in order, whenever it is read', async () => {
  const step = fc.record({
    add: fc.boolean(),
    which: fc.nat(30),
    text: fc.string({ maxLength: 20_000 }),
    settle: fc.boolean(),
  });
  let count = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const path = join(directory, `j${++count}.jsonl`);
      const live = new Map<number, { number: number; text: string }>();
      const fail = (error: unknown): void => assert.fail(String(error));
      const journal = new Journal({ path, current: () => live.values(), onFailure: fail, onRecovery: () => undefined });
      await journal.read();
      for (const [number, { add, which, text, settle }] of steps.entries()) {
        const old = [...live.values()][which];
        if (add || old === undefined) {
          live.set(number, { number, text });
          journal.add({ number, text });
        } else {
          live.delete(old.number);
          journal.remove(old);
        }
        if (settle) await journal.settle();
      }
      await journal.close();
      const { kept, damaged } = await new Journal({
        path,
        current: () => [],
        onFailure: fail,
        onRecovery: () => undefined,
      }).read();
      assert.equal(damaged, 0);
      assert.deepEqual(kept, [...live.values()]);
    }),
    runs,
  );
});
