import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open, readdir, readlink, realpath, rename, stat, unlink } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { HearthcamError } from '../core/errors.ts';

const STALE_MS = 60_000;

/**
 * Replaces a file's content so that whoever reads it, also after a power cut, finds the old or the new text whole:
 * temporary file beside it, fsync, rename, fsync of the folder. Keeps mode and owner; writes through symbolic links.
 *
 * A file that is itself a mount point (one file bind-mounted into a container) can't be renamed over, and a folder may
 * not be writable although the file is: then the file is written in place, which is all that is possible.
 */
export async function writeFileAtomically(path: string, text: string, move: typeof rename = rename): Promise<void> {
  try {
    const target = await followLinks(path);
    const mode = await stat(target).catch(() => undefined);
    const temporary = join(dirname(target), `.${basename(target)}.${randomBytes(6).toString('hex')}.tmp`);
    try {
      await writeNew(temporary, text, mode);
      await move(temporary, target);
    } catch (error) {
      await unlink(temporary).catch(() => {
        // It may not have been made, or is renamed already.
      });
      if (mode === undefined || !isMountOrFolderProblem(error)) throw error;
      await writeInPlace(target, text);
      return;
    }
    await syncFolder(dirname(target));
    await sweep(target);
  } catch (error) {
    throw new HearthcamError('config.write', `the configuration file "${path}" can't be written`, {
      cause: error,
      hint: 'is the file or its folder read-only, or does it belong to another user?',
    });
  }
}

/** Removes temporary files that a killed process left: they hold passwords. */
async function sweep(target: string): Promise<void> {
  const folder = dirname(target);
  const names = await readdir(folder);
  const left = names.filter((name) => name.startsWith(`.${basename(target)}.`) && /\.[0-9a-f]{12}\.tmp$/.test(name));
  for (const name of left) {
    const path = join(folder, name);
    const stats = await stat(path).catch(() => undefined);
    // A young one may be another process's, at work right now.
    if (stats !== undefined && Date.now() - stats.mtimeMs > STALE_MS) await unlink(path).catch(() => {});
  }
}

/** Where a link leads, also when its target doesn't exist yet. */
async function followLinks(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch {
    const link = await readlink(path).catch(() => undefined);
    return link === undefined ? path : resolve(dirname(path), link);
  }
}

async function writeNew(
  path: string,
  text: string,
  like: { mode: number; uid: number; gid: number } | undefined,
): Promise<void> {
  // Private from the start: the configuration holds the cameras' passwords.
  const file = await open(path, 'wx', like === undefined ? 0o600 : like.mode & 0o777);
  try {
    if (like !== undefined) {
      await file.chmod(like.mode & 0o7777);
      await file.chown(like.uid, like.gid).catch(() => {
        // Only root may give files away; the mode is what protects it.
      });
    }
    await writeAndSync(file, text);
  } finally {
    await file.close();
  }
}

async function writeInPlace(path: string, text: string): Promise<void> {
  const file = await open(path, constants.O_WRONLY);
  try {
    await file.writeFile(text);
    await file.truncate(Buffer.byteLength(text));
    await file.sync();
  } finally {
    await file.close();
  }
}

async function writeAndSync(file: FileHandle, text: string): Promise<void> {
  await file.writeFile(text);
  await file.sync();
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r').catch(() => undefined);
  if (folder === undefined) return;
  try {
    await folder.sync();
  } catch {
    // Some file systems (network shares) can't; the file itself is on disk.
  } finally {
    await folder.close();
  }
}

function isMountOrFolderProblem(error: unknown): boolean {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
  return code === 'EBUSY' || code === 'EXDEV' || code === 'EACCES' || code === 'EPERM' || code === 'EROFS';
}
