import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const POLL_MS = 20;
/** Looking through all processes costs some milliseconds. */
const LOOK_MS = 200;

export function signalGroup(group: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-group, signal);
  } catch {
    // It is gone.
  }
}

/** Waits until nothing of a process group runs any more. @returns false when that takes longer than `waitMs` */
export async function groupEnds(group: number, waitMs: number): Promise<boolean> {
  const startMs = performance.now();
  let lookedMs = startMs;
  while (exists(group)) {
    const nowMs = performance.now();
    if (nowMs - lookedMs >= LOOK_MS) {
      if (isDefunct(group)) return true;
      lookedMs = performance.now();
    }
    if (nowMs - startMs >= waitMs) return isDefunct(group);
    await sleep(POLL_MS);
  }
  return true;
}

function exists(group: number): boolean {
  try {
    process.kill(-group, 0);
    return true;
  } catch (error) {
    // Without the permission it still exists: a program may have changed its user.
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

/**
 * Whether all that is left of a group has ended and only waits for somebody to take notice. In a container without an
 * init process nobody ever does, for those whose parent has ended before them. False where there is no /proc.
 */
function isDefunct(group: number): boolean {
  let entries: readonly string[];
  try {
    entries = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  } catch {
    return false;
  }
  return !entries.some((pid) => {
    try {
      // proc(5): pid (name) state ppid pgrp …; the name may hold anything, so what counts is behind the last ).
      const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
      const [state, , pgrp] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return Number(pgrp) === group && state !== 'Z' && state !== 'X';
    } catch {
      return false;
    }
  });
}
