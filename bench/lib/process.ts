import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

const PAGE_BYTES = 4096;

/** A program that prints lines, ended by its id. */
export class Program implements AsyncDisposable {
  readonly child: ChildProcess;
  readonly #lines: string[] = [];
  readonly #waiting: ((line: string | undefined) => void)[] = [];
  #ended = false;
  #errors = '';

  constructor(
    command: string,
    args: readonly string[],
    options: { input?: string; env?: NodeJS.ProcessEnv; cwd?: string } = {},
  ) {
    const { input, ...rest } = options;
    this.child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], ...rest });
    this.child.stdin?.end(input ?? '');
    this.child.stderr?.on('data', (chunk: Buffer) => {
      this.#errors = (this.#errors + chunk.toString()).slice(-4000);
    });
    if (this.child.stdout !== null) {
      const reader = createInterface({ input: this.child.stdout });
      reader.on('line', (line) => {
        const waiter = this.#waiting.shift();
        if (waiter === undefined) {
          this.#lines.push(line);
          if (this.#lines.length > 1000) this.#lines.shift();
        } else waiter(line);
      });
      reader.on('close', () => {
        this.#ended = true;
        for (const waiter of this.#waiting) waiter(undefined);
      });
    }
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** The next line it prints. @throws when it ends first */
  async line(): Promise<string> {
    const line =
      this.#lines.shift() ??
      (this.#ended ? undefined : await new Promise<string | undefined>((resolve) => this.#waiting.push(resolve)));
    if (line === undefined) throw new Error(`${this.child.spawnargs.join(' ')} ended: ${this.#errors}`);
    return line;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const gone = once(this.child, 'exit');
    this.child.kill('SIGTERM');
    const timer = setTimeout(() => this.child.kill('SIGKILL'), 4_000);
    await gone;
    clearTimeout(timer);
  }
}

function stat(pid: number): string[] {
  const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  return text.slice(text.lastIndexOf(')') + 2).split(' ');
}

/** The process and all its descendants. */
export function processTree(root: number): number[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const parent = Number(stat(Number(name))[1]);
      children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
    } catch {
      // It ended between the listing and the look.
    }
  }
  const found: number[] = [];
  const todo = [root];
  for (let pid = todo.pop(); pid !== undefined; pid = todo.pop()) {
    found.push(pid);
    todo.push(...(children.get(pid) ?? []));
  }
  return found;
}

/** Time on a processor of all threads of the tree so far, in seconds: nanoseconds of the scheduler, not ticks of 10 ms. */
export function cpuSeconds(root: number): number {
  let ns = 0;
  for (const pid of processTree(root)) {
    try {
      for (const thread of readdirSync(`/proc/${pid}/task`)) {
        ns += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'latin1').split(' ')[0]);
      }
    } catch {
      // As above.
    }
  }
  return ns / 1e9;
}

/** Resident memory of the tree in MB. */
export function residentMb(root: number): number {
  let pages = 0;
  for (const pid of processTree(root)) {
    try {
      pages += Number(readFileSync(`/proc/${pid}/statm`, 'latin1').split(' ')[1]);
    } catch {
      // As above.
    }
  }
  return (pages * PAGE_BYTES) / 1e6;
}
