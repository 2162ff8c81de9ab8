import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { MemoryLog } from '../../../testkit/memory-log.ts';
import { waitFor } from '../../../testkit/wait.ts';
import { HelperProcess } from './helper.ts';

/** Nice values of all threads (proc(5): the 19th field of `stat`, the 17th behind the name). */
function niceValues(pid: number): number[] {
  return readdirSync(`/proc/${pid}/task`).map((thread) => {
    const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16]);
  });
}

function lives(pid: number): boolean {
  try {
    return !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
  } catch {
    return false;
  }
}

async function startHelper(passesOn: boolean): Promise<{ helper: HelperProcess; pid: number } & AsyncDisposable> {
  const ready = Promise.withResolvers<void>();
  const helper = new HelperProcess({
    name: 'helper',
    folder: 'transcode',
    log: new MemoryLog(),
    passesOn,
    onMessage: () => ready.resolve(),
    onExit: (reason) => ready.reject(reason),
  });
  await ready.promise;
  const { pid } = helper;
  assert.ok(pid !== undefined);
  return { helper, pid, [Symbol.asyncDispose]: () => helper[Symbol.asyncDispose]() };
}

for (const [passesOn, nice] of [
  [false, 5],
  [true, 0],
] as const) {
  test(`a helper that ${passesOn ? 'passes pictures on' : 'computes'} has nice value ${nice} in all its threads`, async () => {
    await using helper = await startHelper(passesOn);
    const all = niceValues(helper.pid);
    assert.ok(all.length > 4, `${all.length} threads`);
    assert.deepEqual([...new Set(all)], [nice]);
  });
}

test('a helper that is caught in a loop without end goes when the server is killed', async () => {
  const program = fileURLToPath(new URL('../../../testkit/endless/server.ts', import.meta.url));
  const server = spawn(process.execPath, [program], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = await once(server.stdout, 'data');
  const pid = Number(String(line));
  assert.ok(pid > 1 && lives(pid));
  server.kill('SIGKILL');
  try {
    await waitFor(() => !lives(pid), { what: 'the end of the helper', timeoutMs: 2_000 });
  } finally {
    if (lives(pid)) process.kill(pid, 'SIGKILL');
  }
});
