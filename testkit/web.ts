import { existsSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildWeb } from '../web/build.ts';

const WEB = fileURLToPath(new URL('../web', import.meta.url));
const OUT = fileURLToPath(new URL('../dist/web', import.meta.url));

/** Builds the web page where the test app serves it from, unless it is there and newer than its sources. */
export async function ensureWebBuilt(): Promise<string> {
  const built = join(OUT, 'hearthcam-player.js');
  if (existsSync(built)) {
    const builtMs = (await stat(built)).mtimeMs;
    const sources = await readdir(WEB, { recursive: true, withFileTypes: true });
    const times = await Promise.all(
      sources.filter((one) => one.isFile()).map(async (one) => (await stat(join(one.parentPath, one.name))).mtimeMs),
    );
    if (times.every((ms) => ms <= builtMs)) return OUT;
  }
  await buildWeb(OUT);
  return OUT;
}
