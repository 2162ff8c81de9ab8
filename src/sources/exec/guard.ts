import { type ChildProcess, spawn } from 'node:child_process';
import type { Log } from '../../core/log.ts';

/** Its stdin: the number of a process group, then a line when that has ended; the end of it without one says more. */
const SCRIPT = 'read -r group && { read -r _ || kill -s KILL -- "-$group"; }';

/**
 * Ends a process group when the server is gone without having ended it: killed by force, or out of memory. It is a
 * small shell that waits for the pipe from the server to close. Where there is no shell, a program that writes still
 * ends when it finds its pipe or connection closed; one that does not is left behind. So is one that was being started
 * in the very moment.
 */
export class ProcessGuard {
  readonly #child: ChildProcess;
  #watching = false;

  /** To be made before the process that it is for, so that it is there in time. */
  constructor(log: Log) {
    // A group of its own: Ctrl-C in a terminal must not end it before the server.
    this.#child = spawn('/bin/sh', ['-c', SCRIPT, 'hearthcam-guard'], {
      detached: true,
      env: {},
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    this.#child.once('error', (error) => log.debug(`programs are not ended with a killed server: ${error.message}`));
    this.#child.stdin?.on('error', () => {
      // It has ended, which is what writing to it is for.
    });
    this.#child.unref();
  }

  watch(group: number): void {
    this.#watching = true;
    this.#child.stdin?.write(`${group}\n`);
  }

  /** The group has ended: nothing is to be done any more. */
  release(): void {
    this.#child.stdin?.end(this.#watching ? '\n' : '');
  }
}
