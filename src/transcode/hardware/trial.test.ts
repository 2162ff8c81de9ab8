import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { MemoryLog } from '../../../testkit/memory-log.ts';
import { waitFor } from '../../../testkit/wait.ts';
import { tryHardware } from './trial.ts';

/** See `testkit/driver`. */
const DRIVER = '../testkit/driver';

/** Children of this process that run the fake driver. */
function drivers(): string[] {
  const pids = readFileSync(`/proc/${process.pid}/task/${process.pid}/children`, 'utf8').split(' ');
  return pids.filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('testkit/driver');
    } catch {
      return false;
    }
  });
}

const rows = [
  { device: 'good', encode: ['h264', 'h265'], error: undefined },
  { device: 'crash', encode: [], error: /the driver ended the process that tried it: .*SIGSEGV/ },
  { device: 'hang', encode: [], error: /the driver gave no answer for 4 s/ },
  { device: 'nonsense', encode: [], error: /makes no sense/ },
];
for (const { device, encode, error } of rows) {
  test(`a driver of the kind "${device}": what worked counts, the reason is told, no process is left`, async () => {
    const report = await tryHardware(
      { kind: 'vaapi', device },
      { log: new MemoryLog(), folder: DRIVER, timeoutMs: 4_000 },
    );
    assert.deepEqual([report.kind, report.device, report.decode, report.encode], ['vaapi', device, ['h264'], encode]);
    if (error === undefined) assert.equal(report.error, undefined);
    else {
      assert.match(report.error ?? '', error);
      if (device !== 'nonsense') assert.match(report.hint ?? '', /update the graphics driver/);
    }
    await waitFor(() => drivers().length === 0);
  });
}

test('a device that is not there is told by what FFmpeg says, and what to install', async () => {
  const report = await tryHardware({ kind: 'vaapi', device: '/dev/dri/renderD999' }, { log: new MemoryLog() });
  assert.deepEqual([report.decode, report.encode], [[], []]);
  assert.match(report.error ?? '', /VAAPI can't be opened: .* \(the driver says: .+\)/);
  assert.match(report.hint ?? '', /^install/);
});
