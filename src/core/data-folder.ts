import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { HearthcamError } from './errors.ts';

/**
 * A module's own folder below `Env.dataDir`, made with its parents when it is first wanted. What lies there is about
 * people at home: nobody but the owner gets in.
 * @throws HearthcamError 500 when it can't be made
 */
export async function makeDataFolder(dataDir: string, name: string): Promise<string> {
  const path = join(dataDir, name);
  try {
    await mkdir(path, { recursive: true, mode: 0o700 });
    return path;
  } catch (error) {
    throw new HearthcamError('data.folder', `the folder "${path}" can't be made`, {
      cause: error,
      hint: 'give the user of this program a folder that it may write to: data.dir in the configuration',
    });
  }
}
