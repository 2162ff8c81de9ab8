import { type FSWatcher, realpathSync, type Stats, statSync, watch } from 'node:fs';
import { basename, dirname } from 'node:path';
import type { Log } from '../core/log.ts';
import type { Scope } from '../core/scope.ts';

const DEBOUNCE_MS = 150;
/** Shared folders and some container mounts give no events. */
const POLL_MS = 5_000;

/**
 * Calls `onChange` soon after one of the files may have changed. Folders are watched, not files: editors replace the
 * file, and Kubernetes and Home Assistant switch a symbolic link beside it.
 */
export function watchFiles(paths: readonly string[], log: Log, scope: Scope, onChange: () => void): void {
  let cancel: (() => void) | undefined;
  const soon = (): void => {
    cancel?.();
    if (scope.closed) return;
    cancel = scope.after(DEBOUNCE_MS, onChange);
  };
  const watchers = new Map<string, FSWatcher>();
  scope.defer(() => {
    for (const watcher of watchers.values()) watcher.close();
  });
  const add = (folder: string, accepts: (name: string | null) => boolean): void => {
    if (watchers.has(folder) || scope.closed) return;
    try {
      const watcher = watch(folder, { persistent: false }, (_event, name) => {
        if (accepts(name)) soon();
      });
      watcher.on('error', (error) => {
        log.debug(`no change events for ${folder}: ${error.message}`);
        watcher.close();
        watchers.delete(folder);
      });
      watchers.set(folder, watcher);
    } catch (error) {
      log.debug(`no change events for ${folder}: ${error instanceof Error ? error.message : String(error)}`);
    }
  };
  const watchAll = (): void => {
    for (const path of paths) {
      const name = basename(path);
      // `..data` is the link that Kubernetes switches (AtomicWriter).
      add(dirname(path), (changed) => changed === null || changed === name || changed.startsWith('..'));
      try {
        const real = realpathSync(path);
        const realName = basename(real);
        if (dirname(real) !== dirname(path)) add(dirname(real), (changed) => changed === null || changed === realName);
      } catch {
        // Not there yet: its folder is watched.
      }
    }
  };
  let seen = paths.map(fingerprint);
  scope.every(POLL_MS, () => {
    const now = paths.map(fingerprint);
    if (now.some((one, index) => one !== seen[index])) {
      watchAll();
      soon();
    }
    seen = now;
  });
  watchAll();
}

function fingerprint(path: string): string {
  let stats: Stats | undefined;
  try {
    stats = statSync(path, { throwIfNoEntry: false });
  } catch {
    // Unreadable: the same as missing.
  }
  return stats === undefined ? '' : `${stats.ino} ${stats.size} ${stats.mtimeMs}`;
}
