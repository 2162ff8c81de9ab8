import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/**
 * File that a child process runs: `childEntry('transcode')` is `src/transcode/process/main.ts` when the program runs
 * from its sources, and `transcode/process/main.js` beside the bundle when it runs from `dist/`.
 * @param folder second-layer folder that the process belongs to, e.g. `transcode`, `outputs/webrtc`
 */
export function childEntry(folder: string): string {
  // In a bundle this module is part of a .js file at the top of dist/, among the sources it is src/core/process/child.ts.
  const fromSources = import.meta.url.endsWith('/core/process/child.ts');
  const relative = fromSources ? `../../${folder}/process/main.ts` : `./${folder}/process/main.js`;
  const path = fileURLToPath(new URL(relative, import.meta.url));
  if (!existsSync(path)) throw new Error(`the program file ${path} is missing: build or install again`);
  return path;
}
