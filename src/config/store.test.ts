import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { parse } from 'yaml';
import type { Log } from '../core/log.ts';
import { Scope } from '../core/scope.ts';
import { SecretMask } from '../core/secrets.ts';
import { parseInput } from './inputs.ts';
import type { LoadedConfig } from './load.ts';
import { composeSections } from './section.ts';
import { camerasSection, coreSections, laterSections, streamsSection } from './sections.ts';
import { ConfigStore } from './store.ts';
import { diffStreams, layOut } from './streams.ts';
import { writeFileAtomically } from './write.ts';

const sections = composeSections([...coreSections], laterSections);

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'hearthcam-config-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

function open(inputs: string[], env: Record<string, string> = {}): ConfigStore {
  const mask = new SecretMask();
  return new ConfigStore({ inputs: inputs.map((input) => parseInput(input, '/')), sections, env, mask });
}

function memoryLog(): { log: Log; lines: string[] } {
  const lines: string[] = [];
  const write =
    (level: string) =>
    (message: string): void => {
      lines.push(`${level} ${message}`);
    };
  const log: Log = {
    trace: write('trace'),
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    child: () => log,
  };
  return { log, lines };
}

async function until(what: string, check: () => boolean, limitMs = 15_000): Promise<void> {
  const end = performance.now() + limitMs;
  while (!check()) {
    if (performance.now() > end) assert.fail(`not within ${limitMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const streamsOf = (config: LoadedConfig) => layOut(config.get(streamsSection), config.get(camerasSection)).streams;

test('two hundred changes at once all land in the file, comments kept', async (t) => {
  const path = join(folder(t), 'hearthcam.yaml');
  writeFileSync(path, '# mine\nstreams:\n  first: rtsp://h/0 # one\n', { mode: 0o640 });
  const store = open([path]);
  await Promise.all(
    Array.from({ length: 200 }, (_, index) =>
      index % 4 === 0 ? store.setPreload(`p${index}`, 'video') : store.setStream(`s${index}`, [`rtsp://h/${index}`]),
    ),
  );
  const text = readFileSync(path, 'utf8');
  assert.ok(text.startsWith('# mine\nstreams:\n  first: rtsp://h/0 # one\n'));
  const value = parse(text);
  assert.equal(Object.keys(value.streams).length, 151);
  assert.equal(Object.keys(value.preload).length, 50);
  assert.equal(statSync(path).mode & 0o777, 0o640);
  assert.deepEqual(readdirSync(join(path, '..')), ['hearthcam.yaml']);
});

test('the file is made when something is written and none is there', async (t) => {
  const path = join(folder(t), 'new.yaml');
  await open([path, '{log: {level: debug}}']).setStream('a', ['rtsp://u:p@h/1']);
  assert.equal(readFileSync(path, 'utf8'), 'streams:\n  a:\n    - rtsp://u:p@h/1\n');
  assert.equal(statSync(path).mode & 0o777, 0o600);
});

test('without a file nothing is written, and the reason is told', async () => {
  const store = open(['{streams: {a: "rtsp://h/1"}}']);
  assert.equal(store.path, undefined);
  await assert.rejects(store.setStream('b', ['x']), { code: 'config.none', status: 400 });
  await assert.rejects(store.readText(), { status: 410 });
  await assert.rejects(open(['/nowhere/x.yaml']).readText(), { status: 404 });
});

test('a stream that a camera makes is changed at the camera, not beside it', async (t) => {
  const path = join(folder(t), 'h.yaml');
  const text = 'cameras:\n  nursery: {main: rtsp://h/1, sub: rtsp://h/2}\n';
  writeFileSync(path, text);
  const store = open([path]);
  await assert.rejects(store.setStream('nursery_sub', ['x']), { code: 'config.camera', message: /camera "nursery"/ });
  await assert.rejects(store.deleteStream('nursery'), { code: 'config.camera' });
  assert.equal(readFileSync(path, 'utf8'), text);
});

test('a file that is invalid at the moment is not overwritten', async (t) => {
  const path = join(folder(t), 'h.yaml');
  writeFileSync(path, 'streams:\n  a: rtsp://h/1\n');
  const store = open([path]);
  writeFileSync(path, 'streams:\n  a: "rtsp://h/1\n');
  await assert.rejects(store.setStream('b', ['x']), { code: 'config.yaml' });
  assert.equal(readFileSync(path, 'utf8'), 'streams:\n  a: "rtsp://h/1\n');
  await assert.rejects(store.replaceText('log: {level: nonsense}\n'), {
    status: 400,
    message: /:1:14: error: log.level/,
  });
  await store.replaceText('# whole\nstreams: {}\n');
  assert.equal(readFileSync(path, 'utf8'), '# whole\nstreams: {}\n');
});

test('a file that is mounted by itself into a container is written in place', async (t) => {
  const dir = folder(t);
  const path = join(dir, 'h.yaml');
  writeFileSync(path, '#'.repeat(300));
  const inode = statSync(path).ino;
  await writeFileAtomically(path, 'streams: {}\n', async () => {
    throw Object.assign(new Error('resource busy'), { code: 'EBUSY' });
  });
  assert.equal(readFileSync(path, 'utf8'), 'streams: {}\n');
  assert.equal(statSync(path).ino, inode);
  assert.deepEqual(readdirSync(dir), ['h.yaml']);
});

test('what a killed process left behind is removed with the next change', async (t) => {
  const dir = folder(t);
  const path = join(dir, 'h.yaml');
  const left = join(dir, '.h.yaml.0123456789ab.tmp');
  writeFileSync(left, 'password');
  utimesSync(left, 1_000, 1_000);
  await open([path]).setStream('a', ['x://1']);
  assert.deepEqual(readdirSync(dir), ['h.yaml']);
});

test('a link stays a link when its file is changed', async (t) => {
  const dir = folder(t);
  mkdirSync(join(dir, 'real'));
  writeFileSync(join(dir, 'real', 'c.yaml'), 'streams:\n');
  symlinkSync('real/c.yaml', join(dir, 'h.yaml'));
  await open([join(dir, 'h.yaml')]).setStream('a', ['x://1']);
  assert.equal(readFileSync(join(dir, 'real', 'c.yaml'), 'utf8'), 'streams:\n  a:\n    - x://1\n');
});

test('a process that is killed while it writes leaves a whole file', { timeout: 60_000 }, async (t) => {
  const path = join(folder(t), 'h.yaml');
  const module = new URL('./write.ts', import.meta.url).href;
  const script = `
    const { writeFileAtomically } = await import(${JSON.stringify(module)});
    for (let n = 0; ; n++) {
      await writeFileAtomically(process.argv[1], 'n: ' + n + '\\nfill: ' + String(n % 10).repeat(300000) + '\\nend: ' + n + '\\n');
      if (n === 0) console.log('ready');
    }`;
  for (let round = 0; round < 4; round++) {
    const child: ChildProcess = spawn(process.execPath, ['--input-type=module', '-e', script, path], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    if (child.stdout === null) throw new Error('no stdout');
    await once(child.stdout, 'data');
    await new Promise((resolve) => setTimeout(resolve, 7 * round + Math.random() * 20));
    child.kill('SIGKILL');
    await once(child, 'exit');
    const value = parse(readFileSync(path, 'utf8'));
    assert.equal(value.n, value.end);
  }
});

interface Watched {
  store: ConfigStore;
  lines: string[];
  changes: ReturnType<typeof diffStreams>[];
}

function watched(t: TestContext, path: string): Watched {
  const store = open([path]);
  const scope = new Scope('test');
  const { log, lines } = memoryLog();
  const changes: ReturnType<typeof diffStreams>[] = [];
  store.watch(log, scope, (next, previous) => void changes.push(diffStreams(streamsOf(previous), streamsOf(next))));
  t.after(() => scope.close());
  return { store, lines, changes };
}

test('an edit is applied without a restart, and only what changed is reported', async (t) => {
  const path = join(folder(t), 'h.yaml');
  writeFileSync(path, 'streams:\n  a: rtsp://h/1\n  b: rtsp://h/2\n');
  const { changes } = watched(t, path);
  writeFileSync(path, 'streams:\n  a: rtsp://h/1\n  c: rtsp://h/3\n');
  await until('first change', () => changes.length === 1);
  assert.deepEqual(changes[0], { set: { c: ['rtsp://h/3'] }, removed: ['b'] });
  // As editors do: a new file is renamed over the old one.
  writeFileSync(`${path}.new`, 'streams:\n  a: rtsp://h/9\n  c: rtsp://h/3\n');
  renameSync(`${path}.new`, path);
  await until('second change', () => changes.length === 2);
  assert.deepEqual(changes[1], { set: { a: ['rtsp://h/9'] }, removed: [] });
});

test('a warning is not repeated with each change of the file', async (t) => {
  const path = join(folder(t), 'h.yaml');
  writeFileSync(path, 'streams:\n  a: rtsp://h/1\nquux: 1\n');
  const { store, lines } = watched(t, path);
  await store.setStream('b', ['rtsp://h/2']);
  await store.mergePatch('corge: 1\n');
  assert.deepEqual(
    lines.map((line) => line.replace(path, 'f')),
    ['warn f:6:1: warning: unknown key "corge"'],
  );
});

test('an edit made while the program started is not missed', async (t) => {
  const path = join(folder(t), 'h.yaml');
  writeFileSync(path, 'streams:\n  a: rtsp://h/1\n');
  const store = open([path]);
  writeFileSync(path, 'streams:\n  b: rtsp://h/1\n');
  const scope = new Scope('test');
  t.after(() => scope.close());
  store.watch(memoryLog().log, scope, () => {});
  await store.reload();
  assert.deepEqual(streamsOf(store.current), { b: ['rtsp://h/1'] });
});

test('a broken edit keeps what was, says where it is broken, and a right one is taken again', async (t) => {
  const path = join(folder(t), 'h.yaml');
  writeFileSync(path, 'streams:\n  a: rtsp://h/1\n');
  const { store, lines, changes } = watched(t, path);
  writeFileSync(path, 'streams:\n  a: rtsp://h/1\n  b: "rtsp://h/2\n');
  await until('the error', () => lines.some((line) => line.includes(':4:1: error:')));
  assert.deepEqual(streamsOf(store.current), { a: ['rtsp://h/1'] });
  writeFileSync(path, 'streams:\n  a: rtsp://h/1\n  b: "rtsp://h/2"\n');
  await until('the repaired file', () => changes.length === 1);
  assert.deepEqual(changes[0], { set: { b: ['rtsp://h/2'] }, removed: [] });
});

test('a file that is emptied for a moment or deleted stops no camera', async (t) => {
  const path = join(folder(t), 'h.yaml');
  writeFileSync(path, 'streams:\n  a: rtsp://h/1\n');
  const { store, lines, changes } = watched(t, path);
  writeFileSync(path, '');
  const emptied = store.reload();
  writeFileSync(path, 'streams:\n  a: rtsp://h/1\n  b: rtsp://h/2\n');
  await emptied;
  assert.deepEqual(changes, [{ set: { b: ['rtsp://h/2'] }, removed: [] }]);
  rmSync(path);
  await until('the warning', () => lines.some((line) => line.includes('is gone')));
  assert.deepEqual(Object.keys(streamsOf(store.current)), ['a', 'b']);
});

test('a configuration behind links, as Kubernetes mounts it, is followed when the link is switched', async (t) => {
  const dir = folder(t);
  for (const [version, name] of [
    ['..v1', 'a'],
    ['..v2', 'b'],
  ] as const) {
    mkdirSync(join(dir, version));
    writeFileSync(join(dir, version, 'h.yaml'), `streams:\n  ${name}: rtsp://h/1\n`);
  }
  symlinkSync('..v1', join(dir, '..data'));
  symlinkSync('..data/h.yaml', join(dir, 'h.yaml'));
  const { changes } = watched(t, join(dir, 'h.yaml'));
  symlinkSync('..v2', join(dir, '..data_tmp'));
  renameSync(join(dir, '..data_tmp'), join(dir, '..data'));
  await until('the change', () => changes.length === 1);
  assert.deepEqual(changes[0], { set: { b: ['rtsp://h/1'] }, removed: ['a'] });
});

test('the program’s own change is reported like an edit by hand', async (t) => {
  const path = join(folder(t), 'h.yaml');
  writeFileSync(path, 'streams:\n  a: rtsp://h/1\n');
  const { store, changes } = watched(t, path);
  await store.setStream('a', ['rtsp://h/1']);
  assert.deepEqual(changes, [{ set: {}, removed: [] }]);
  await store.setStream('a', ['rtsp://h/1']);
  await store.mergePatch('streams: {b: rtsp://h/2}\n');
  await store.deleteStream('a');
  assert.deepEqual(changes.slice(1), [
    { set: { b: ['rtsp://h/2'] }, removed: [] },
    { set: {}, removed: ['a'] },
  ]);
});
