import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { setPriority } from 'node:os';
import { describeError } from '../errors.ts';
import type { Log } from '../log.ts';

/** What computes must not take the time of those who pass pictures on (nice value, -20…19). */
const NICENESS = 5;
const SETPRIV = '/usr/bin/setpriv';
let binds: boolean | undefined;

/**
 * The command that starts a program which the kernel ends with this process, whatever it is doing. A helper ends by itself
 * when its socket closes, but one that is caught in native code for ever would not notice, and go on for ever when the
 * server was killed. Node can't ask for this (prctl PR_SET_PDEATHSIG), util-linux's setpriv does, where there is one.
 */
export function boundCommand(program: string, args: readonly string[]): [command: string, args: string[]] {
  // BusyBox has a setpriv of its own that can't: tried once.
  binds ??=
    process.platform === 'linux' &&
    existsSync(SETPRIV) &&
    spawnSync(SETPRIV, ['--pdeathsig', 'KILL', '--', SETPRIV, '--version'], { stdio: 'ignore', timeout: 1_000 })
      .status === 0;
  return binds ? [SETPRIV, ['--pdeathsig', 'KILL', '--', program, ...args]] : [program, [...args]];
}

/** Lowers the priority of a process of ours: of all threads that it has, for on Linux each has its own. */
export function lowerPriority(pid: number, log: Log): void {
  try {
    setPriority(pid, NICENESS);
    if (process.platform !== 'linux') return;
    for (const thread of readdirSync(`/proc/${pid}/task`)) setPriority(Number(thread), NICENESS);
  } catch (error) {
    // It, or one of its threads, has ended already, or the system does not let us: it works all the same.
    log.debug(`priority of process ${pid}: ${describeError(error)}`);
  }
}
