import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

const rows: { name: string; path: string; imports: string; allowed: boolean }[] = [
  { name: 'wire opens no sockets', path: 'src/wire/h264/x.ts', imports: 'node:net', allowed: false },
  { name: 'wire reads no files', path: 'src/wire/h264/x.ts', imports: 'node:fs/promises', allowed: false },
  { name: 'wire may use digests', path: 'src/wire/rtsp/x.ts', imports: 'node:crypto', allowed: true },
  { name: 'wire knows errors', path: 'src/wire/h264/x.ts', imports: '../../core/errors.ts', allowed: true },
  { name: 'wire knows no streams', path: 'src/wire/h264/x.ts', imports: '../../core/stream.ts', allowed: false },
  { name: 'core knows no outputs', path: 'src/core/x.ts', imports: '../outputs/mse/module.ts', allowed: false },
  {
    name: 'sources know no outputs',
    path: 'src/sources/rtsp/x.ts',
    imports: '../../outputs/rtsp/server.ts',
    allowed: false,
  },
  {
    name: 'outputs know no HTTP server',
    path: 'src/outputs/mse/x.ts',
    imports: '../../http/server.ts',
    allowed: false,
  },
  { name: 'outputs know wire', path: 'src/outputs/mse/x.ts', imports: '../../wire/mp4/x.ts', allowed: true },
  { name: 'nobody reaches up to the app', path: 'src/api/x.ts', imports: '../app.ts', allowed: false },
];
test('the arrows between folders are kept by a lint rule', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'hearthcam-layers-'));
  try {
    await copyFile(join(root, 'biome.json'), join(folder, 'biome.json'));
    const files = rows.map((row, index) => join(dirname(row.path), `row${index}.ts`));
    for (const [index, row] of rows.entries()) {
      const file = join(folder, files[index] ?? '');
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, `import { x } from '${row.imports}';\n\nexport const y = x;\n`);
    }
    const result = spawnSync(join(root, 'node_modules/.bin/biome'), ['lint', '--reporter=github', '.'], {
      cwd: folder,
      encoding: 'utf8',
    });
    const refused = (result.stdout + result.stderr).split('\n').filter((line) => line.includes('noRestrictedImports'));
    for (const [index, row] of rows.entries()) {
      await t.test(row.name, () => {
        const found = refused.some((line) => line.includes(files[index] ?? '?'));
        assert.equal(!found, row.allowed, refused.join('\n'));
      });
    }
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('every source and output folder is registered in modules.ts', () => {
  const modules = readFileSync(`${root}/src/modules.ts`, 'utf8');
  for (const kind of ['sources', 'outputs']) {
    for (const entry of readdirSync(`${root}/src/${kind}`, { withFileTypes: true })) {
      if (entry.isDirectory()) assert.ok(modules.includes(`./${kind}/${entry.name}/`), `${kind}/${entry.name}`);
    }
  }
});

test('every module folder says in a README what it does', () => {
  for (const kind of ['sources', 'outputs']) {
    for (const entry of readdirSync(`${root}/src/${kind}`, { withFileTypes: true })) {
      if (!entry.isDirectory()) continue;
      const text = readFileSync(`${root}/src/${kind}/${entry.name}/README.md`, 'utf8');
      assert.ok(text.length > 100, `${kind}/${entry.name}/README.md is empty`);
    }
  }
});

test('no file of the program is longer than a reader can hold in mind', () => {
  const long = readdirSync(`${root}/src`, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts') && !entry.name.endsWith('.test.ts'))
    .map((entry) => `${entry.parentPath}/${entry.name}`)
    .filter((path) => readFileSync(path, 'utf8').split('\n').length > 500);
  assert.deepEqual(long, []);
});
