import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryLog } from '../../../testkit/memory-log.ts';
import { waitFor } from '../../../testkit/wait.ts';
import { describeError, HearthcamError } from '../../core/errors.ts';
import { Scope } from '../../core/scope.ts';
import { Supervisor } from './supervisor.ts';

const config = { port: 0, bindAddress: '127.0.0.1', ownPorts: false };

function setUp(options: { idleMs?: number; silentMs?: number } = {}) {
  const scope = new Scope('test');
  const deaths: HearthcamError[] = [];
  const log = new MemoryLog();
  const supervisor = new Supervisor(
    { log, config, scope, onDeath: (reason) => deaths.push(reason), ...options },
    () => {},
  );
  return { supervisor, deaths, scope, [Symbol.asyncDispose]: () => scope.close() };
}

test('the process ends when nobody has needed it for a while, which is no death', { timeout: 30_000 }, async () => {
  await using set = setUp({ idleMs: 50 });
  const { link, release } = await set.supervisor.acquire();
  release();
  await link.ended;
  assert.equal(set.supervisor.pid, undefined);
  assert.deepEqual(set.deaths, []);
  // And it comes back when it is needed.
  const again = await set.supervisor.acquire();
  assert.ok(again.port > 0);
});

test('a process that is stuck is replaced', { timeout: 30_000 }, async () => {
  await using set = setUp({ silentMs: 1_500 });
  const { link } = await set.supervisor.acquire();
  process.kill(link.pid ?? 0, 'SIGSTOP');
  const reason = await link.ended;
  assert.match(describeError(reason), /did not answer/);
  const next = await set.supervisor.acquire();
  assert.notEqual(next.link.pid, link.pid);
});

test('a process that dies is started again at once; one that keeps dying is left alone for a while', {
  timeout: 60_000,
}, async () => {
  await using set = setUp();
  for (let death = 1; death <= 4; death++) {
    const { link } = await set.supervisor.acquire();
    process.kill(link.pid ?? 0, 'SIGKILL');
    await link.ended;
    await waitFor(() => set.deaths.length === death);
  }
  await assert.rejects(set.supervisor.acquire(), (error) => error instanceof HearthcamError && error.status === 503);
  // The delay after the fourth is a second.
  await waitFor(async () => (await set.supervisor.acquire().catch(() => undefined)) !== undefined, { everyMs: 50 });
});
