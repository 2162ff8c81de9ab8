import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';

const LIFECYCLE = new URL('./lifecycle.ts', import.meta.url).href;
const SCOPE = new URL('../core/scope.ts', import.meta.url).href;

/** A program with a lifecycle, the given body, and a timer that keeps it running. */
async function program(
  t: TestContext,
  body: string,
): Promise<{ child: ChildProcess; text: () => string; said(what: string): Promise<void> }> {
  const code = `
    const { Lifecycle } = await import(${JSON.stringify(LIFECYCLE)});
    const { Scope } = await import(${JSON.stringify(SCOPE)});
    const scope = new Scope('test');
    const lifecycle = new Lifecycle(scope);
    const say = (level) => (text) => console.log(level + ' ' + text);
    const log = { trace: say('trace'), debug: say('debug'), info: say('info'), warn: say('warn'), error: say('error'), child: () => log };
    lifecycle.attach(log);
    setInterval(() => {}, 1000);
    ${body}
    console.log('ready');`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'pipe'] });
  t.after(() => child.kill('SIGKILL'));
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk: Buffer) => (text += chunk.toString()));
  const said = async (what: string): Promise<void> => {
    const end = performance.now() + 20_000;
    while (!text.includes(what)) {
      assert.ok(performance.now() < end && child.exitCode === null, text);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  };
  await said('ready');
  return { child, text: () => text, said };
}

async function exitOf(child: ChildProcess): Promise<number | null> {
  if (child.exitCode === null) await once(child, 'exit');
  return child.exitCode;
}

test('an exception and a rejection in one connection are written down with their cause, and the process goes on', async (t) => {
  const { child, text, said } = await program(
    t,
    `setTimeout(() => { throw new Error('viewer 7 failed', { cause: new Error('its socket') }); });
     void Promise.reject(new Error('nobody waits'));
     setTimeout(() => console.log('still here'), 50);`,
  );
  await said('still here');
  await said('nobody waits');
  assert.match(text(), /error an exception was not handled: viewer 7 failed: its socket/);
  assert.match(text(), /error a rejection was not handled: nobody waits/);
  child.kill('SIGTERM');
  assert.equal(await exitOf(child), 0);
});

test('what does not close is not waited for longer than 3 s', async (t) => {
  const { child, said } = await program(t, 'scope.defer(() => new Promise(() => {}));');
  const startedMs = performance.now();
  child.kill('SIGTERM');
  await said('ending anyway');
  assert.equal(await exitOf(child), 0);
  const tookMs = performance.now() - startedMs;
  assert.ok(tookMs > 1_000 && tookMs < 6_000, `${tookMs} ms`);
});

test('a second signal ends it at once', async (t) => {
  const { child, said } = await program(t, 'scope.defer(() => new Promise(() => {}));');
  child.kill('SIGTERM');
  await said('SIGTERM: stopping');
  const startedMs = performance.now();
  child.kill('SIGINT');
  assert.equal(await exitOf(child), 130);
  assert.ok(performance.now() - startedMs < 2_000);
});
