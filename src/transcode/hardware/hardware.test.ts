import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { MemoryLog } from '../../../testkit/memory-log.ts';
import type { HardwareReport } from '../../core/hardware.ts';
import { HardwareService } from './hardware.ts';
import type { Candidate, Looked } from './look.ts';

const NODE = '/dev/dri/renderD128';
const VAAPI: HardwareReport = { kind: 'vaapi', device: NODE, decode: ['h264', 'h265'], encode: ['h264'] };
const QSV: HardwareReport = { kind: 'qsv', device: NODE, decode: [], encode: [], error: 'broken', hint: 'mend it' };
const ABSENT: HardwareReport = {
  kind: 'cuda',
  device: null,
  decode: [],
  encode: [],
  error: 'no card',
  hint: 'buy one',
};

interface Setup {
  readonly found?: readonly HardwareReport[];
  readonly cacheFile?: string | null;
  readonly version?: string;
  readonly fingerprint?: string;
}

function make({ found = [VAAPI, QSV], cacheFile = null, version = '1', fingerprint = 'a' }: Setup = {}) {
  const tried: string[] = [];
  const log = new MemoryLog();
  const service = new HardwareService({
    log,
    cacheFile,
    version,
    look: (): Looked => ({ candidates: found, absent: [ABSENT], fingerprint }),
    attempt: async ({ kind }: Candidate) => {
      tried.push(kind);
      const report = found.find((one) => one.kind === kind);
      if (report === undefined) throw new Error('no such device');
      return report;
    },
  });
  return { service, tried, log };
}

function cacheFile(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'hearthcam-cache-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, 'deep', 'hardware.json');
}

test('where no device is there that is known at once, and nothing is tried', () => {
  const { service, tried } = make({ found: [] });
  assert.equal(service.makes('auto', 'h265', 'h264'), false);
  assert.deepEqual(service.known, [ABSENT]);
  assert.deepEqual(tried, []);
});

test('until it is known nothing is made by hardware, then what works is; everything is tried once', async () => {
  const { service, tried, log } = make();
  assert.equal(service.problem('qsv'), null);
  assert.deepEqual(tried, [], 'a question for the reason tries nothing');
  assert.equal(service.makes('auto', 'h265', 'h264'), false);
  assert.equal(service.makes('auto', 'h265', 'h264'), false);
  assert.deepEqual(await service.reports(), [VAAPI, ABSENT, QSV]);
  assert.equal(service.makes('auto', 'h265', 'h264'), true);
  assert.deepEqual(tried, ['vaapi', 'qsv']);
  assert.match(log.text, /VAAPI \(\/dev\/dri\/renderD128\) decodes h264, h265, codes h264/);
  assert.match(log.text, /Intel Quick Sync \(\/dev\/dri\/renderD128\) does not work: broken/);
});

const makes = [
  { setting: 'auto', from: 'h265', to: 'h264', want: true },
  { setting: 'vaapi', from: 'h265', to: 'h264', want: true },
  { setting: 'qsv', from: 'h265', to: 'h264', want: false },
  { setting: 'off', from: 'h265', to: 'h264', want: false },
  { setting: 'auto', from: 'h264', to: 'h265', want: false },
  { setting: 'auto', from: 'av1', to: 'h264', want: false },
  { setting: 'auto', from: 'h264', to: 'jpeg', want: false },
] as const;
for (const { setting, from, to, want } of makes) {
  test(`with hardware: ${setting}, ${to} is ${want ? '' : 'not '}made of ${from} by hardware`, async () => {
    const { service } = make();
    await service.reports();
    assert.equal(service.makes(setting, from, to), want);
  });
}

test('why a kind can not be used is told with what to do; one that works and "auto" have no reason', async () => {
  const { service } = make();
  assert.match(service.problem('cuda') ?? '', /NVIDIA \(CUDA\) does not work on this machine: no card; buy one/);
  await service.reports();
  assert.match(service.problem('qsv') ?? '', /Intel Quick Sync .*: broken; mend it/);
  assert.equal(service.problem('vaapi'), null);
  assert.equal(service.problem('auto'), null);
});

test('a trial that fails in an unforeseen way is a report like others', async () => {
  const { service } = make({ found: [VAAPI] });
  const broken = new HardwareService({
    log: new MemoryLog(),
    cacheFile: null,
    version: '1',
    look: () => ({ candidates: [VAAPI], absent: [], fingerprint: '' }),
    attempt: () => Promise.reject(new Error('out of memory')),
  });
  assert.equal((await broken.reports())[0]?.error, 'out of memory');
  assert.deepEqual((await service.reports())[0], VAAPI);
});

test('the next start finds the result in the file, unless something changed or it is damaged', async (t) => {
  const file = cacheFile(t);
  const first = make({ cacheFile: file });
  const reports = await first.service.reports();
  const again = make({ cacheFile: file });
  assert.deepEqual(await again.service.reports(), reports);
  assert.deepEqual(again.tried, []);
  const twice = await again.service.tryAgain();
  assert.deepEqual([twice, again.tried], [reports, ['vaapi', 'qsv']]);
  for (const change of [{ version: '2' }, { fingerprint: 'b' }]) {
    const other = make({ cacheFile: file, ...change });
    await other.service.reports();
    assert.deepEqual(other.tried, ['vaapi', 'qsv'], JSON.stringify(change));
  }
  const kept = readFileSync(file, 'utf8');
  for (const damage of [
    '',
    '{',
    kept.slice(0, -9),
    kept.replace('vaapi', 'abacus'),
    JSON.stringify([1]),
    '{"key":1}',
  ]) {
    writeFileSync(file, damage);
    const other = make({ cacheFile: file, fingerprint: 'b' });
    assert.deepEqual(await other.service.reports(), reports);
    assert.deepEqual(other.tried, ['vaapi', 'qsv'], damage.slice(0, 20));
  }
});

test('a file that can not be written changes nothing', async (t) => {
  const taken = cacheFile(t).replace('/deep/hardware.json', '/taken');
  writeFileSync(taken, 'a file where a folder should be');
  const { service, log } = make({ cacheFile: `${taken}/hardware.json` });
  assert.equal((await service.reports()).length, 3);
  assert.match(log.text, /debug .*is not kept/);
});

test('a result that is a week old is not believed, one with failures not after a day', async (t) => {
  for (const [found, days, tries] of [
    [[VAAPI], 6, 0],
    [[VAAPI], 8, 1],
    [[QSV], 0.5, 0],
    [[QSV], 2, 1],
  ] as const) {
    const file = cacheFile(t);
    await make({ found, cacheFile: file }).service.reports();
    const madeMs = Date.now() - days * 24 * 3_600_000;
    writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), madeMs }));
    const later = make({ found, cacheFile: file });
    await later.service.reports();
    assert.equal(later.tried.length, tries, `${days} days`);
  }
});
