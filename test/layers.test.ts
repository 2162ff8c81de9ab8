import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
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
  { name: "outputs don't know one another", path: 'src/outputs/mse/x.ts', imports: '../hls/window.ts', allowed: false },
  {
    name: "outputs don't know one another by the long way either",
    path: 'src/outputs/mse/x.ts',
    imports: '../../outputs/hls/window.ts',
    allowed: false,
  },
  {
    name: 'the inner folders of an output know no other one',
    path: 'src/outputs/webrtc/sdp/x.ts',
    imports: '../../hls/window.ts',
    allowed: false,
  },
  {
    name: 'an output knows its own folders',
    path: 'src/outputs/webrtc/x.ts',
    imports: './sdp/offer.ts',
    allowed: true,
  },
  {
    name: 'the inner folders of an output know its other ones',
    path: 'src/outputs/webrtc/sdp/x.ts',
    imports: '../process/peer.ts',
    allowed: true,
  },
  { name: "MQTT doesn't know who listens", path: 'src/mqtt/x.ts', imports: '../listen/ears.ts', allowed: false },
  { name: 'MQTT knows what an event is', path: 'src/mqtt/x.ts', imports: '../core/events.ts', allowed: true },
  {
    name: 'the inner folders of an output know core',
    path: 'src/outputs/webrtc/sdp/x.ts',
    imports: '../../../core/media.ts',
    allowed: true,
  },
  {
    name: "sources don't know one another",
    path: 'src/sources/http/x.ts',
    imports: '../rtsp/index.ts',
    allowed: false,
  },
  { name: 'sources know core', path: 'src/sources/http/x.ts', imports: '../../core/source.ts', allowed: true },
  { name: 'the program knows no tests', path: 'src/http/x.ts', imports: '../../testkit/wait.ts', allowed: false },
  { name: 'the command line knows no tests', path: 'src/cli/x.ts', imports: '../../testkit/wait.ts', allowed: false },
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

/** One breach each, by the tool that must find it. */
const breaches: readonly { name: string; tool: 'biome' | 'eslint' | 'tsc'; rule: string; text: string }[] = [
  { name: 'any', tool: 'biome', rule: 'noExplicitAny', text: 'export const x: any = 1;\n' },
  {
    name: 'a non-null assertion',
    tool: 'biome',
    rule: 'noNonNullAssertion',
    text: 'export const x = (list: string[]): string => list[0]!;\n',
  },
  { name: 'an enum', tool: 'biome', rule: 'noEnum', text: 'export enum X {\n  A,\n}\n' },
  { name: 'console', tool: 'biome', rule: 'noConsole', text: "console.log('x');\n" },
  { name: 'a built-in module without node:', tool: 'biome', rule: 'useNodejsImportProtocol', text: "import 'fs';\n" },
  {
    name: 'a type imported as a value',
    tool: 'biome',
    rule: 'useImportType',
    text: "import { Log } from './log.ts';\n\nexport type X = Log;\n",
  },
  {
    name: 'a promise that nobody waits for',
    tool: 'eslint',
    rule: 'no-floating-promises',
    text: "import { rm } from 'node:fs/promises';\n\nrm('x');\n",
  },
  {
    name: 'an async listener',
    tool: 'eslint',
    rule: 'no-misused-promises',
    text: "import { EventEmitter } from 'node:events';\n\nnew EventEmitter().on('x', async () => {});\n",
  },
  {
    name: 'a case that was forgotten',
    tool: 'eslint',
    rule: 'switch-exhaustiveness-check',
    text: "export function x(kind: 'a' | 'b'): void {\n  switch (kind) {\n    case 'a':\n      break;\n  }\n}\n",
  },
  { name: 'a namespace', tool: 'tsc', rule: 'TS1294', text: 'export namespace X {\n  export const y = 1;\n}\n' },
  {
    name: 'a parameter property',
    tool: 'tsc',
    rule: 'TS1294',
    text: 'export class X {\n  constructor(readonly y: number) {}\n}\n',
  },
  {
    name: 'an element taken for present',
    tool: 'tsc',
    rule: 'TS2322',
    text: 'export const x = (list: string[]): string => list[0];\n',
  },
];
test('every house rule that a tool can check fails the build', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'hearthcam-rules-'));
  try {
    for (const name of ['biome.json', 'eslint.config.js', 'tsconfig.json', 'package.json']) {
      await copyFile(join(root, name), join(folder, name));
    }
    await symlink(join(root, 'node_modules'), join(folder, 'node_modules'));
    await mkdir(join(folder, 'src/core'), { recursive: true });
    await writeFile(join(folder, 'src/core/log.ts'), 'export type Log = number;\n');
    // Two files that need each other.
    await writeFile(
      join(folder, 'src/core/one.ts'),
      "import { two } from './two.ts';\n\nexport const one = (): number => two();\n",
    );
    await writeFile(
      join(folder, 'src/core/two.ts'),
      "import { one } from './one.ts';\n\nexport const two = (): number => one();\n",
    );
    for (const [index, { text }] of breaches.entries()) await writeFile(join(folder, `src/core/rule${index}.ts`), text);
    const run = (program: string, ...args: string[]): string => {
      const { stdout, stderr } = spawnSync(process.execPath, [join(root, 'node_modules', program), ...args], {
        cwd: folder,
        encoding: 'utf8',
      });
      return stdout + stderr;
    };
    const biome = spawnSync(
      join(root, 'node_modules/.bin/biome'),
      ['lint', '--reporter=github', '--max-diagnostics=none', '.'],
      {
        cwd: folder,
        encoding: 'utf8',
      },
    );
    const found = {
      biome: biome.stdout + biome.stderr,
      eslint: run('eslint/bin/eslint.js', '--format=json', 'src').replaceAll('},{', '},\n{'),
      tsc: run('typescript/bin/tsc', '--noEmit', '--pretty', 'false', '-p', '.'),
    };
    await t.test('a circle of imports', () => {
      const lines = found.biome.split('\n').filter((line) => line.includes('noImportCycles'));
      assert.ok(
        lines.some((line) => line.includes('one.ts')),
        found.biome,
      );
    });
    for (const [index, { name, tool, rule }] of breaches.entries()) {
      await t.test(name, () => {
        const lines = found[tool].split('\n').filter((line) => line.includes(rule));
        assert.ok(
          lines.some((line) => line.includes(`rule${index}.ts`)),
          `${tool} does not find it: ${found[tool]}`,
        );
      });
    }
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("nobody but the command line and the helper processes' own start reads the process's settings or ends it", () => {
  // A helper process has no command line of ours above it: its start is its `app.ts`.
  const allowed = /^(cli\/|app\.ts|core\/process\/|.*\/process\/main\.ts)/;
  const found = programFiles()
    .filter(([path]) => !allowed.test(path))
    .filter(([, text]) => /\bprocess\.(env|argv|exit|exitCode|cwd|chdir)\b/.test(text));
  assert.deepEqual(
    found.map(([path]) => path),
    [],
  );
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
  const long = programFiles().filter(([, text]) => text.split('\n').length > 500);
  assert.deepEqual(
    long.map(([path]) => path),
    [],
  );
});

/** Path below `src` and text of every file that is no test. */
function programFiles(): (readonly [string, string])[] {
  return readdirSync(`${root}/src`, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts') && !path.endsWith('.test.ts'))
    .map((path) => [path, readFileSync(`${root}/src/${path}`, 'utf8')] as const);
}
