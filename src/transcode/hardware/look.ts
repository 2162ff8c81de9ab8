import { accessSync, constants, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { HardwareKind, HardwareReport } from '../../core/hardware.ts';

/** Something that is worth a try. */
export interface Candidate {
  readonly kind: HardwareKind;
  readonly device: string | null;
}

export interface Looked {
  readonly candidates: readonly Candidate[];
  /** Kinds of which there is nothing to be tried, with the reason. */
  readonly absent: readonly HardwareReport[];
  /** Changes when a driver or a device does. */
  readonly fingerprint: string;
}

const DOCKER = 'in Docker pass it on with';
const INTEL = '0x8086';
/** Where VAAPI's drivers are, in the order of Debian, Alpine and Arch, Fedora, and Debian on ARM. */
const DRIVER_FOLDERS = [
  '/usr/lib/x86_64-linux-gnu/dri',
  '/usr/lib/dri',
  '/usr/lib64/dri',
  '/usr/lib/aarch64-linux-gnu/dri',
  '/usr/local/lib/dri',
] as const;
const DRIVER_MODULES = ['i915', 'xe', 'amdgpu', 'nvidia', 'nouveau'] as const;

/**
 * What this machine may have, by the files of its devices alone: no driver is touched, nothing is started, and it takes a
 * few milliseconds.
 * @param root for tests: where `/dev`, `/sys` and `/usr` are
 */
export function lookForHardware(root = '/', platform: NodeJS.Platform = process.platform): Looked {
  if (platform !== 'linux') {
    const error = `is not looked for on this system (${platform}): only on Linux`;
    const kinds: readonly HardwareKind[] = ['cuda', 'vaapi', 'qsv', 'rkmpp', 'v4l2m2m'];
    return { candidates: [], absent: kinds.map((kind) => nothing(kind, null, error)), fingerprint: platform };
  }
  const candidates: Candidate[] = [];
  const absent: HardwareReport[] = [];
  const add = (kind: HardwareKind, found: Found): void => {
    for (const device of found.usable) candidates.push({ kind, device });
    for (const report of found.unusable) absent.push(nothing(kind, report.device, report.error, report.hint));
    if (found.usable.length + found.unusable.length === 0) {
      absent.push(nothing(kind, null, found.missing, found.hint));
    }
  };
  const nodes = list(join(root, 'dev/dri')).filter((name) => /^renderD\d+$/.test(name));
  add('cuda', lookForFiles(root, ['nvidiactl', 'dxg'], CUDA));
  add('vaapi', lookForFiles(root, nodes.map(inDri), RENDER));
  const intel = nodes.filter((node) => text(join(root, 'sys/class/drm', node, 'device/vendor')) === INTEL);
  add('qsv', lookForFiles(root, intel.map(inDri), nodes.length > 0 ? NOT_INTEL : RENDER));
  add('rkmpp', lookForFiles(root, ['mpp_service'], ROCKCHIP));
  add('v4l2m2m', lookForFiles(root, codecDevices(root), V4L2));
  return { candidates, absent, fingerprint: fingerprint(root, candidates) };
}

interface Words {
  readonly missing: string;
  readonly hint: string;
  /** The group that may use it. */
  readonly group: string;
  /** Only one, without its name: the driver finds it. */
  readonly unnamed?: boolean;
}

const RENDER: Words = {
  missing: 'there is no render node (/dev/dri/renderD128): no graphics processor, or no driver for it',
  hint: `install the graphics driver; ${DOCKER} "devices: [/dev/dri:/dev/dri]"`,
  group: 'render',
};
const NOT_INTEL: Words = { ...RENDER, missing: 'the graphics processor is not from Intel', hint: 'try vaapi' };
const CUDA: Words = {
  missing: 'there is no NVIDIA device (/dev/nvidiactl)',
  hint: 'install the NVIDIA driver; in Docker the NVIDIA Container Toolkit and "runtime: nvidia" with the capability "video"',
  group: 'video',
  unnamed: true,
};
const ROCKCHIP: Words = {
  missing: 'there is no /dev/mpp_service, which the kernels of Rockchip boards have',
  hint: `use a kernel of the board's maker; ${DOCKER} "devices: [/dev/mpp_service, /dev/dri, /dev/rga]"`,
  group: 'video',
  unnamed: true,
};
const V4L2: Words = {
  missing: 'no /dev/video* is a codec, as those of a Raspberry Pi are',
  hint: `${DOCKER} "devices: [/dev/video10, /dev/video11]"`,
  group: 'video',
  unnamed: true,
};

interface Found extends Words {
  readonly usable: readonly (string | null)[];
  readonly unusable: readonly { device: string; error: string; hint: string }[];
}

function lookForFiles(root: string, names: readonly string[], words: Words): Found {
  const usable: string[] = [];
  const unusable: { device: string; error: string; hint: string }[] = [];
  for (const name of names) {
    const device = `/dev/${name}`;
    const result = access(join(root, 'dev', name));
    if (result === 'ok') usable.push(device);
    if (result !== 'denied') continue;
    const hint = `add the user of Hearthcam to the group "${words.group}"; in Docker "group_add: [${words.group}]"`;
    unusable.push({ device, error: `${device} may not be opened by this user`, hint });
  }
  // Of those that have no name one that may be opened is enough.
  if (words.unnamed === true)
    return { ...words, usable: usable.length > 0 ? [null] : [], unusable: usable.length > 0 ? [] : unusable };
  return { ...words, usable, unusable };
}

/** Video devices that are neither cameras nor something else: their drivers call themselves codecs. */
function codecDevices(root: string): string[] {
  return list(join(root, 'dev')).filter((name) => {
    if (!/^video\d+$/.test(name)) return false;
    const folder = join(root, 'sys/class/video4linux', name);
    const driver = basename(link(join(folder, 'device/driver')));
    const words = `${text(join(folder, 'name'))} ${driver}`;
    return /codec|dec|enc|vpu|venus|hantro|wave|coda|mfc/i.test(words) && !/uvcvideo/i.test(words);
  });
}

function fingerprint(root: string, candidates: readonly Candidate[]): string {
  const devices = candidates.map(({ kind, device }) => {
    const folder = join(root, 'sys/class/drm', basename(device ?? ''), 'device');
    return [kind, device ?? '', text(join(folder, 'vendor')), text(join(folder, 'device'))].join(' ');
  });
  const modules = DRIVER_MODULES.map((name) => text(join(root, 'sys/module', name, 'version')));
  // A driver that is installed or updated changes the time of its folder.
  const folders = DRIVER_FOLDERS.map((folder) => changedMs(join(root, folder)));
  return [...devices, ...modules, ...folders, text(join(root, 'proc/sys/kernel/osrelease'))].join('|');
}

function nothing(kind: HardwareKind, device: string | null, error: string, hint?: string): HardwareReport {
  return { kind, device, decode: [], encode: [], error, ...(hint === undefined ? {} : { hint }) };
}

const inDri = (name: string): string => `dri/${name}`;

function access(path: string): 'ok' | 'denied' | 'missing' {
  try {
    accessSync(path, constants.R_OK | constants.W_OK);
    return 'ok';
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'ENOENT' ? 'missing' : 'denied';
  }
}

// What is not there, or may not be read, counts as empty: it is only looked at.

function list(folder: string): readonly string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
}

function text(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return '';
  }
}

function link(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

function changedMs(path: string): number {
  try {
    return statSync(path).mtimeMs;
  } catch {
    return 0;
  }
}
