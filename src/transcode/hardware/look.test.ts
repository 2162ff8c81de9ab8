import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { HARDWARE_KINDS } from '../../core/hardware.ts';
import { lookForHardware } from './look.ts';

/** A folder in the place of `/`. */
function machine(
  t: TestContext,
  files: Readonly<Record<string, string>>,
  links: Readonly<Record<string, string>> = {},
) {
  const root = mkdtempSync(join(tmpdir(), 'hearthcam-machine-'));
  t.after(() => rmSync(root, { recursive: true, force: true }));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  for (const [path, target] of Object.entries(links)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    symlinkSync(target, join(root, path));
  }
  return root;
}

test('a machine without any device has a reason and something to do for each kind', (t) => {
  const { candidates, absent } = lookForHardware(machine(t, {}), 'linux');
  assert.deepEqual(candidates, []);
  assert.deepEqual(absent.map(({ kind }) => kind).sort(), [...HARDWARE_KINDS].sort());
  assert.ok(absent.every(({ error, hint }) => error !== undefined && hint !== undefined));
  assert.match(absent.find(({ kind }) => kind === 'vaapi')?.hint ?? '', /devices: \[\/dev\/dri/);
});

test('elsewhere than on Linux nothing is looked for, and that is said', () => {
  const { candidates, absent } = lookForHardware('/', 'darwin');
  assert.deepEqual(candidates, []);
  assert.ok(absent.every(({ error }) => /only on Linux/.test(error ?? '')));
});

const rows = [
  {
    name: 'graphics of Intel are tried by VAAPI and Quick Sync',
    files: { 'dev/dri/renderD128': '', 'dev/dri/card0': '', 'sys/class/drm/renderD128/device/vendor': '0x8086\n' },
    want: ['vaapi /dev/dri/renderD128', 'qsv /dev/dri/renderD128'],
  },
  {
    name: 'graphics of AMD by VAAPI alone',
    files: { 'dev/dri/renderD128': '', 'sys/class/drm/renderD128/device/vendor': '0x1002\n' },
    want: ['vaapi /dev/dri/renderD128'],
  },
  {
    name: 'each of two graphics processors, and an NVIDIA driver once',
    files: {
      'dev/dri/renderD128': '',
      'dev/dri/renderD129': '',
      'dev/nvidiactl': '',
      'sys/class/drm/renderD129/device/vendor': '0x8086\n',
    },
    want: ['cuda null', 'vaapi /dev/dri/renderD128', 'vaapi /dev/dri/renderD129', 'qsv /dev/dri/renderD129'],
  },
  {
    name: 'the codecs of a Raspberry Pi, but no camera',
    files: {
      'dev/video0': '',
      'sys/class/video4linux/video0/name': 'HD Webcam\n',
      'dev/video10': '',
      'sys/class/video4linux/video10/name': 'bcm2835-codec-decode\n',
      'dev/video11': '',
      'sys/class/video4linux/video11/name': 'bcm2835-codec-encode\n',
    },
    want: ['v4l2m2m null'],
  },
  {
    name: 'a camera alone is none',
    files: { 'dev/video0': '', 'sys/class/video4linux/video0/name': 'Cam\n' },
    want: [],
  },
  { name: 'a board of Rockchip', files: { 'dev/mpp_service': '' }, want: ['rkmpp null'] },
];
for (const { name, files, want } of rows) {
  test(`what is tried: ${name}`, (t) => {
    const { candidates } = lookForHardware(machine(t, files), 'linux');
    assert.deepEqual(
      candidates.map(({ kind, device }) => `${kind} ${device}`),
      want,
    );
  });
}

test('a device that can not be opened is not tried, and the group that may is named', (t) => {
  const root = machine(t, {}, { 'dev/dri/renderD128': 'renderD128' });
  const { candidates, absent } = lookForHardware(root, 'linux');
  assert.deepEqual(candidates, []);
  const report = absent.find(({ kind }) => kind === 'vaapi');
  assert.match(report?.error ?? '', /\/dev\/dri\/renderD128 may not be opened/);
  assert.match(report?.hint ?? '', /group "render".*group_add/);
});

test('another driver or kernel changes what earlier results are kept under', (t) => {
  const files = { 'dev/nvidiactl': '', 'sys/module/nvidia/version': '550.1\n', 'proc/sys/kernel/osrelease': '6.1\n' };
  const prints = [
    files,
    { ...files, 'sys/module/nvidia/version': '560.2\n' },
    { ...files, 'proc/sys/kernel/osrelease': '6.2\n' },
  ].map((one) => lookForHardware(machine(t, one), 'linux').fingerprint);
  assert.equal(new Set(prints).size, 3);
  assert.equal(lookForHardware(machine(t, files), 'linux').fingerprint, prints[0]);
});
