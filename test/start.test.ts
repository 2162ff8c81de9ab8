import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const SCRIPT = fileURLToPath(new URL('../hearthcam', import.meta.url));

test('./hearthcam runs from any folder and through a symbolic link', (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'hearthcam-start-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  symlinkSync(SCRIPT, join(dir, 'first'));
  symlinkSync('first', join(dir, 'second'));
  const { status, stdout, stderr } = spawnSync(join(dir, 'second'), ['-v'], {
    cwd: dir,
    encoding: 'utf8',
    timeout: 120_000,
  });
  assert.equal(status, 0, stderr);
  assert.match(stdout, /^go2rtc version 1\./);
});

interface Tree {
  readonly root: string;
  /** Runs the script; gives what it said and what npm and node were told. */
  run(...args: string[]): { status: number | null; stderr: string; calls: string[] };
}

/** A tree with the real script, and programs called npm and node that write down how they were called. */
function tree(t: TestContext, options: { npm?: boolean; nodeVersion?: string } = {}): Tree {
  const root = mkdtempSync(join(tmpdir(), 'hearthcam-tree-'));
  t.after(() => rmSync(root, { recursive: true, force: true }));
  const calls = join(root, 'calls');
  const bin = join(root, 'bin');
  for (const name of ['bin', 'src', 'web', 'scripts']) mkdirSync(join(root, name));
  copyFileSync(SCRIPT, join(root, 'hearthcam'));
  for (const name of ['package.json', 'package-lock.json', 'scripts/build.ts', 'scripts/launcher.ts', 'src/a.ts']) {
    writeFileSync(join(root, name), '{}');
  }
  const program = (path: string, text: string): void => {
    writeFileSync(path, `#!/bin/sh\n${text}`);
    chmodSync(path, 0o755);
  };
  const node = `case $1 in
    --version) echo ${options.nodeVersion ?? 'v24.21.0'} ;;
    */build.ts) echo build >>'${calls}'; mkdir -p '${root}/dist'; : >'${root}/dist/.stamp'; : >'${root}/dist/hearthcam.js' ;;
    --max-semi-space-size=*) shift 4; echo "run $*" >>'${calls}' ;;
  esac\n`;
  program(join(root, 'node-to-install'), node);
  if (options.nodeVersion !== undefined) program(join(bin, 'node'), node);
  if (options.npm !== false) {
    const install =
      options.nodeVersion === undefined
        ? `mkdir -p node_modules/node/bin; cp node-to-install node_modules/node/bin/node`
        : 'mkdir -p node_modules';
    program(
      join(bin, 'npm'),
      `echo "npm $1 SKIP_FFMPEG=$SKIP_FFMPEG" >>'${calls}'\n${install}\n: >node_modules/.package-lock.json\n`,
    );
  }
  for (const name of ['sh', 'readlink', 'find', 'cmp', 'cp', 'mkdir']) {
    const found = spawnSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }).stdout.trim();
    symlinkSync(found, join(bin, name));
  }
  return {
    root,
    run(...args) {
      writeFileSync(calls, '');
      const { status, stderr } = spawnSync(join(root, 'hearthcam'), args, {
        cwd: '/',
        encoding: 'utf8',
        env: { PATH: bin },
        timeout: 60_000,
      });
      return { status, stderr, calls: readFileSync(calls, 'utf8').trim().split('\n') };
    },
  };
}

test('the first start installs and builds, the second just runs', (t) => {
  const { root, run } = tree(t);
  assert.deepEqual(run('serve').calls, ['npm ci SKIP_FFMPEG=true', 'build', 'run serve']);
  assert.deepEqual(run('serve', '-c', 'a b').calls, ['run serve -c a b']);
  // Somebody touched the lock file without changing it (git does).
  const later = new Date(Date.now() + 10_000);
  utimesSync(join(root, 'package-lock.json'), later, later);
  assert.deepEqual(run().calls, ['run']);
  appendFileSync(join(root, 'package-lock.json'), ' ');
  utimesSync(join(root, 'package-lock.json'), later, later);
  assert.deepEqual(run().calls, ['npm ci SKIP_FFMPEG=true', 'run']);
  utimesSync(join(root, 'src', 'a.ts'), later, later);
  assert.deepEqual(run().calls, ['build', 'run']);
});

test('without npm, or with an old Node, it says what to type', (t) => {
  const without = tree(t, { npm: false }).run();
  assert.equal(without.status, 1);
  assert.match(without.stderr, /npm is missing\. Install Node\.js 20\.19 or newer/);
  const old = tree(t, { nodeVersion: 'v20.19.0' }).run();
  assert.equal(old.status, 1);
  assert.match(old.stderr, /Node\.js 24 is missing \(found: v20\.19\.0\)[\s\S]*npm ci/);
  assert.deepEqual(tree(t, { nodeVersion: 'v26.1.0' }).run('demo').calls, [
    'npm ci SKIP_FFMPEG=true',
    'build',
    'run demo',
  ]);
});
