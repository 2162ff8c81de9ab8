import { globSync } from 'node:fs';
import { copyFile, mkdir, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type BuildOptions, build, type Plugin } from 'esbuild';
import { buildWeb } from '../web/build.ts';

/**
 * Bundles the program into `dist/`: `hearthcam.js` (what `./hearthcam` and the container run), the helper processes
 * beside it, and the web page. Bundled because one file starts several times faster than some hundred.
 */

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const DIST = join(ROOT, 'dist');

/** zod's messages in fifty languages: none is used, and they would be a third of the program. */
const withoutLocales: Plugin = {
  name: 'without-locales',
  setup(setup) {
    setup.onLoad({ filter: /zod\/v4\/locales\/index\.js$/ }, () => ({
      contents: "export { default as en } from './en.js';",
      resolveDir: join(ROOT, 'node_modules/zod/v4/locales'),
    }));
  },
};

const COMMON: BuildOptions = {
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: ['node24'],
  // Stack traces in the log stay readable, and V8 compiles it lazily anyway.
  minifySyntax: true,
  minifyWhitespace: true,
  keepNames: false,
  legalComments: 'none',
  logLevel: 'warning',
  metafile: true,
  plugins: [withoutLocales],
  // Native modules come as files of their own, and only the helper processes load them.
  external: ['node-av', 'node-datachannel', 'node-av/*', 'node-datachannel/*'],
  // CommonJS packages within an ES module still call require for node's own modules.
  banner: {
    js: "import { createRequire as hearthcamRequire } from 'node:module'; const require = hearthcamRequire(import.meta.url);",
  },
};

/** Removes what an earlier build left; not emptied beforehand, since a server may be running from it. */
async function prune(kept: ReadonlySet<string>): Promise<void> {
  for (const entry of await readdir(DIST, { recursive: true, withFileTypes: true })) {
    const path = relative(DIST, join(entry.parentPath, entry.name));
    if (!entry.isFile() || path.startsWith('web/') || path.startsWith('cache/') || path.startsWith('.stamp')) continue;
    if (!kept.has(path)) await rm(join(DIST, path), { force: true });
  }
}

async function buildServer(): Promise<void> {
  const children = globSync('src/**/process/main.ts', { cwd: ROOT });
  const program = await build({
    ...COMMON,
    absWorkingDir: ROOT,
    entryPoints: { hearthcam: 'scripts/launcher.ts', program: 'src/cli/hearthcam.ts' },
    // Commands that are seldom used stay out of the file that every start reads. All parts lie at the top of dist/,
    // where `childEntry` looks for the helpers from.
    splitting: true,
    chunkNames: 'part-[hash]',
    outdir: 'dist',
  });
  const helpers = await build({
    ...COMMON,
    absWorkingDir: ROOT,
    entryPoints: Object.fromEntries(children.map((path) => [path.replace(/^src\//, '').replace(/\.ts$/, ''), path])),
    // Keeps `import()` late: a helper whose native package is missing can still say so.
    splitting: true,
    chunkNames: 'helpers/part-[hash]',
    outdir: 'dist',
  });
  const outputs = [program, helpers].flatMap((result) => Object.keys(result.metafile?.outputs ?? {}));
  await prune(new Set([...outputs.map((path) => relative('dist', path)), ...(await copyRuntime())]));
}

/** The WebAssembly that runs the model that hears; its worker thread looks for it beside itself. */
async function copyRuntime(): Promise<readonly string[]> {
  const files = ['litert_wasm_internal.js', 'litert_wasm_internal.wasm'];
  const target = 'listen/process/litert';
  await mkdir(join(DIST, target), { recursive: true });
  for (const file of files) {
    await copyFile(join(ROOT, 'node_modules/@litertjs/core/wasm', file), join(DIST, target, file));
  }
  return files.map((file) => `${target}/${file}`);
}

const startedAt = new Date();
await mkdir(DIST, { recursive: true });
await Promise.all([buildServer(), buildWeb(join(DIST, 'web'))]);
// For `./hearthcam`: a source that is newer, also one that was edited meanwhile, is built the next time.
const stamp = join(DIST, '.stamp');
await writeFile(stamp, '');
await utimes(stamp, startedAt, startedAt);
