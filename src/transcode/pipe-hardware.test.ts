import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryLog } from '../../testkit/memory-log.ts';
import { waitFor } from '../../testkit/wait.ts';
import type { HardwareReport } from '../core/hardware.ts';
import type { Hardware, Target } from '../core/targets.ts';
import { HardwareService } from './hardware/hardware.ts';
import { PipeHardware } from './pipe-hardware.ts';

const VAAPI: HardwareReport = { kind: 'vaapi', device: '/dev/dri/renderD128', decode: ['h264'], encode: ['h264'] };
const NO_CUDA: HardwareReport = { kind: 'cuda', device: null, decode: [], encode: [], error: 'no card' };
const H264: Target = { kind: 'video', codec: 'h264', width: 640 };

function make(setting: Hardware | 'off', found: readonly HardwareReport[] = [VAAPI], answer?: Promise<HardwareReport>) {
  const log = new MemoryLog();
  const service = new HardwareService({
    log: new MemoryLog(),
    cacheFile: null,
    version: '1',
    look: () => ({ candidates: found, absent: [NO_CUDA], fingerprint: '' }),
    attempt: () => answer ?? Promise.resolve(VAAPI),
  });
  return { log, service, pipe: new PipeHardware({ service, setting: () => setting, log, name: '"cam"', waitMs: 100 }) };
}

const rows: readonly {
  setting: Hardware | 'off';
  asked?: Hardware;
  used?: Hardware;
  warning?: RegExp;
}[] = [
  { setting: 'auto', used: 'auto' },
  { setting: 'vaapi', used: 'vaapi' },
  { setting: 'cuda' },
  { setting: 'off' },
  { setting: 'cuda', asked: 'vaapi', used: 'vaapi' },
  { setting: 'auto', asked: 'cuda', warning: /"cam" asks for hardware \(cuda\), but .*no card.*: software does it/ },
  { setting: 'off', asked: 'vaapi', warning: /transcode\.hardware is off: software does it/ },
];
for (const { setting, asked, used, warning } of rows) {
  test(`with hardware: ${setting} and ${asked ?? 'nothing'} asked for, ${used ?? 'software'} is used`, async () => {
    const { pipe, service, log } = make(setting);
    await service.reports();
    const order = (): Target => pipe.order(asked === undefined ? H264 : { ...H264, hardware: asked });
    assert.deepEqual(order(), used === undefined ? H264 : { ...H264, hardware: used });
    order();
    assert.equal(log.lines.length, warning === undefined ? 0 : 1, 'told once');
    if (warning !== undefined) assert.match(log.text, warning);
  });
}

test('sound has nothing to do with it', () => {
  const opus: Target = { kind: 'audio', codec: 'opus' };
  assert.equal(make('auto').pipe.order(opus), opus);
});

test('a process that died while it worked with hardware is followed by software, with one warning', async () => {
  const { pipe, service, log } = make('auto');
  await service.reports();
  pipe.onStart(false);
  assert.deepEqual(pipe.reports(), [VAAPI]);
  pipe.onStart(true);
  pipe.onStart(true);
  assert.deepEqual([pipe.reports(), pipe.order(H264)], [[], H264]);
  assert.equal(log.lines.length, 1);
  assert.match(log.text, /warn .*worked on "cam" with hardware died: it is done by software/);
});

test('a death has nothing to do with hardware where none was used', async () => {
  const { pipe, service, log } = make('off');
  await service.reports();
  pipe.reports();
  pipe.onStart(true);
  assert.deepEqual(log.lines, []);
});

test('what is known already is not waited for; what is being tried is, but not for ever', async () => {
  let begun = 0;
  const go = (): void => {
    begun++;
  };
  make('auto', []).pipe.whenKnown(go);
  make('off').pipe.whenKnown(go);
  assert.equal(begun, 2, 'no device, or none wanted: at once');
  const trial = Promise.withResolvers<HardwareReport>();
  const slow = make('auto', [VAAPI], trial.promise);
  slow.pipe.whenKnown(go);
  assert.equal(begun, 2);
  trial.resolve(VAAPI);
  await waitFor(() => begun === 3);
  assert.deepEqual(slow.pipe.reports(), [VAAPI]);
  make('auto', [VAAPI], new Promise(() => {})).pipe.whenKnown(go);
  await waitFor(() => begun === 4);
});
