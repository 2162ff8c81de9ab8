import { copyFile, mkdir, readdir, readFile, rm, stat } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type BuildOptions, build, type Metafile, type Plugin } from 'esbuild';

const HERE = dirname(fileURLToPath(import.meta.url));

/** What the whole player may weigh, without hls.js (which is loaded only where it is needed). */
export const PLAYER_BUDGET_BYTES = 75_000;

const COMMON: BuildOptions = {
  bundle: true,
  format: 'esm',
  target: ['es2022'],
  minify: true,
  legalComments: 'linked',
  metafile: true,
  logLevel: 'silent',
  // Decides how lit's class fields are compiled: `declare`d fields must stay accessors.
  tsconfigRaw: { compilerOptions: { useDefineForClassFields: true } },
};

export interface WebBuild {
  /** Output file (relative to the folder) → bytes. */
  readonly files: ReadonlyMap<string, number>;
}

/** esbuild leaves template literals as they are: the element's style sheet loses its indentation and comments here. */
const compactStyles: Plugin = {
  name: 'compact-styles',
  setup(setup) {
    setup.onLoad({ filter: /\/player\/styles\.ts$/ }, async ({ path }) => {
      const text = await readFile(path, 'utf8');
      const contents = text.replace(/css`([^`]*)`/g, (_all, style: string) => {
        const short = style
          .replace(/\/\*.*?\*\//gs, '')
          .replace(/\s+/g, ' ')
          .replace(/ ?([{};,]) ?/g, '$1');
        return `css\`${short.replace(/: /g, ':').trim()}\``;
      });
      return { contents, loader: 'ts' };
    });
  },
};

/**
 * Builds the web page into `outFolder`; files there that are not of this build are removed. `hearthcam-player.js` (one file besides the lazily
 * loaded hls.js), the modules for go2rtc's users, and the pages.
 * @throws Error with esbuild's messages when the sources don't build
 */
export async function buildWeb(outFolder: string): Promise<WebBuild> {
  await mkdir(outFolder, { recursive: true });
  const player = await build({
    ...COMMON,
    entryPoints: [join(HERE, 'player/hearthcam-player.ts')],
    outdir: outFolder,
    splitting: true,
    plugins: [compactStyles],
    chunkNames: 'chunks/[name]-[hash]',
  });
  const rest = await build({
    ...COMMON,
    entryPoints: {
      'video-rtc': join(HERE, 'compat/video-rtc.ts'),
      'video-stream': join(HERE, 'compat/video-stream.ts'),
      index: join(HERE, 'pages/index.ts'),
      stream: join(HERE, 'pages/stream.ts'),
      links: join(HERE, 'pages/links.ts'),
      redirect: join(HERE, 'pages/redirect.ts'),
      // At the top of the page's folder: a service worker looks after what lies beside it.
      sw: join(HERE, 'pages/sw.ts'),
    },
    outdir: outFolder,
    plugins: [
      {
        // One copy of each module that defines an element: the others import the built file.
        name: 'shared-modules',
        setup(setup) {
          setup.onResolve({ filter: /\/(hearthcam-player|video-rtc)\.ts$/ }, (args) =>
            args.kind === 'entry-point'
              ? undefined
              : { path: `./${args.path.split('/').pop()?.replace(/\.ts$/, '.js')}`, external: true },
          );
        },
      },
    ],
  });
  const files = new Map([...sizes(player.metafile, outFolder), ...sizes(rest.metafile, outFolder)]);
  for (const name of await readdir(join(HERE, 'pages'))) {
    if (!/\.(html|css|svg)$/.test(name)) continue;
    await copyFile(join(HERE, 'pages', name), join(outFolder, name));
    files.set(name, (await stat(join(outFolder, name))).size);
  }
  // Not emptied beforehand: a server may be serving the folder just now.
  for (const entry of await readdir(outFolder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile() && !files.has(relative(outFolder, path))) await rm(path, { force: true });
  }
  return { files };
}

function sizes(metafile: Metafile | undefined, outFolder: string): [string, number][] {
  return Object.entries(metafile?.outputs ?? {}).map(([path, output]) => [
    relative(outFolder, resolve(path)),
    output.bytes,
  ]);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { files } = await buildWeb(join(HERE, '..', 'dist', 'web'));
  for (const [name, bytes] of files) process.stdout.write(`${String(bytes).padStart(8)} ${name}\n`);
}
