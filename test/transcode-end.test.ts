import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { freePort } from '../testkit/free-port.ts';
import { startTestSimulator } from '../testkit/simulator.ts';
import { waitFor } from '../testkit/wait.ts';

const ENTRY = fileURLToPath(new URL('../src/cli/hearthcam.ts', import.meta.url));

/** Parent and state of a process; undefined when it is gone, or waits only to be noticed. */
function parentOf(pid: string | number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return state === 'Z' ? undefined : Number(parent);
  } catch {
    return undefined;
  }
}

function childrenOf(parent: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && parentOf(name) === parent)
    .map(Number);
}

for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
  test(`a server that transcodes and gets ${signal} leaves no process behind`, { timeout: 60_000 }, async (t) => {
    const cameras = [{ name: 'nursery', main: { width: 320, height: 180, bitRateKbps: 400 }, sub: false as const }];
    await using simulator = await startTestSimulator({ cameras });
    const dir = mkdtempSync(join(tmpdir(), 'hearthcam-end-'));
    t.after(() => rmSync(dir, { recursive: true, force: true }));
    const [api, rtsp, webrtc] = await Promise.all([freePort(), freePort(), freePort()]);
    const file = join(dir, 'hearthcam.yaml');
    writeFileSync(
      file,
      [
        `api: {listen: "127.0.0.1:${api}"}`,
        `rtsp: {listen: "127.0.0.1:${rtsp}"}`,
        `webrtc: {listen: "127.0.0.1:${webrtc}", ice_servers: []}`,
        `streams: {cam: "${simulator.url('nursery')}"}`,
        '',
      ].join('\n'),
    );
    const server = spawn(process.execPath, [ENTRY, '-c', file], { cwd: dir, stdio: 'ignore' });
    t.after(() => server.kill('SIGKILL'));
    const { pid = 0 } = server;
    const url = `http://127.0.0.1:${api}/api`;
    const answers = (): Promise<boolean> =>
      fetch(url).then(
        ({ ok }) => ok,
        () => false,
      );
    await waitFor(answers, { everyMs: 50, timeoutMs: 20_000, what: 'the server' });
    const leave = new AbortController();
    t.after(() => leave.abort());
    const get = async (path: string): Promise<void> => {
      const response = await fetch(`${url}/${path}`, { signal: leave.signal });
      let bytes = 0;
      for await (const chunk of response.body ?? []) {
        bytes += chunk.length;
        if (bytes > 5_000) return;
      }
    };
    await Promise.all([
      get('stream.mp4?src=cam&video=h264&audio=opus'),
      get('stream.mjpeg?src=cam&width=160'),
      get('frame.jpeg?src=cam'),
    ]);
    const helpers = childrenOf(pid);
    assert.ok(helpers.length >= 3, `${helpers.length} processes`);
    server.kill(signal);
    const left = (): number[] => [pid, ...helpers].filter((one) => parentOf(one) !== undefined);
    await waitFor(() => left().length === 0, { what: 'the end of all', timeoutMs: 5_000 }).catch((error: unknown) => {
      for (const one of left()) process.kill(one, 'SIGKILL');
      throw error;
    });
  });
}
