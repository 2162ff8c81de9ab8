import { type ChildProcess, spawn } from 'node:child_process';
import { Duplex, type Readable } from 'node:stream';
import { describeError, HearthcamError } from '../errors.ts';
import { type Log, LogLimiter } from '../log.ts';
import { childEntry } from './child.ts';
import { boundCommand, lowerPriority } from './child-limits.ts';
import { encodeIpcHead, IPC_FD, type IpcMessage, IpcReader } from './ipc.ts';

export interface HelperOptions {
  /** For the log, e.g. `codec process`. */
  readonly name: string;
  /** Folder of its program, see `childEntry`. */
  readonly folder: string;
  readonly log: Log;
  /**
   * It works on pictures all the time: memory that it freed is kept for the next one. Default: given back at once.
   */
  readonly keepsMemory?: boolean;
  /**
   * It passes pictures on, and does not compute: it has the server's own priority. Default: a lower one, so that those
   * who pass pictures on come first.
   */
  readonly passesOn?: boolean;
  /** Must parse the header. What it throws ends the process. */
  readonly onMessage: (message: IpcMessage) => void;
  /** Called once when the process is gone, whatever the reason. */
  readonly onExit: (reason: HearthcamError) => void;
}

/**
 * glibc gives pictures back to the system at once instead of keeping what was freed: measured on 1440p stills,
 * 120 MB instead of 215 MB after 300 of them (other C libraries ignore these).
 */
const MALLOC_ENV = { MALLOC_MMAP_THRESHOLD_: '131072', MALLOC_TRIM_THRESHOLD_: '131072' };
/**
 * Pictures of 1080p stay in the heap for the next one, what is larger is given back. Without a fixed threshold glibc moves
 * its own, and the holes of large encoders are split by small objects: measured, 280 MB after 60 rounds of all audio
 * encoders, and nothing with this.
 */
const KEEPING_MALLOC_ENV = { MALLOC_MMAP_THRESHOLD_: '4194304' };

/** How long a process may take to end by itself after its socket was closed. */
const END_MS = 1_000;
const MAX_STDERR_LINE = 500;

/**
 * A process of ours that does work which must not endanger the server: native code, or much computing. It talks over
 * a socket of its own (`ipc.ts`), what it writes to stderr becomes log lines, and it ends when that socket closes, so
 * that it never outlives the server.
 */
export class HelperProcess implements AsyncDisposable {
  readonly #options: HelperOptions;
  readonly #child: ChildProcess;
  readonly #socket: Duplex | undefined;
  readonly #limiter = new LogLimiter(10_000);
  readonly #gone = Promise.withResolvers<void>();
  #reason: HearthcamError | undefined;
  #exited = false;
  #heard = false;

  /** Starts the process. A failure to start is reported by `onExit` like any other end. */
  constructor(options: HelperOptions) {
    this.#options = options;
    const [command, args] = boundCommand(process.execPath, [childEntry(options.folder)]);
    this.#child = spawn(command, args, {
      stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
      // Settings of the server are none of the helper's business, but the libraries' own variables must get through.
      env: { ...process.env, ...(options.keepsMemory === true ? KEEPING_MALLOC_ENV : MALLOC_ENV) },
    });
    this.#child.once('error', (error) => this.#end(`can't run: ${error.message}`));
    this.#child.once('exit', (code, signal) => this.#end(`ended (${signal ?? `exit code ${code ?? 0}`})`));
    this.#lowerPriority();
    // Without free file descriptors Node makes no stdio at all, and tells why by 'error' in a moment.
    const socket = this.#child.stdio?.[IPC_FD];
    if (!(socket instanceof Duplex)) return;
    this.#socket = socket;
    const reader = new IpcReader();
    socket.on('data', (chunk: Buffer) => {
      // Threads that began before the priority was lowered; all later ones inherit it.
      if (!this.#heard) this.#lowerPriority();
      this.#heard = true;
      try {
        for (const message of reader.push(chunk)) options.onMessage(message);
      } catch (error) {
        this.kill(new HearthcamError('helper.talk', `${options.name}: its answer makes no sense`, { cause: error }));
      }
    });
    // A broken pipe is the process's end, which 'exit' reports with the reason.
    socket.on('error', (error) => options.log.debug(`${options.name}: ${error.message}`));
    if (this.#child.stderr !== null) this.#logLines(this.#child.stderr);
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Bytes that wait because the process does not read them. */
  get waitingBytes(): number {
    return this.#socket?.writableLength ?? 0;
  }

  send(header: object, payload?: Buffer): void {
    const socket = this.#socket;
    if (this.#exited || socket === undefined || !socket.writable) return;
    socket.cork();
    socket.write(encodeIpcHead(header, payload?.length ?? 0));
    if (payload !== undefined && payload.length > 0) socket.write(payload);
    socket.uncork();
  }

  /** Several `send` within `work` become one write. */
  burst(work: () => void): void {
    this.#socket?.cork();
    try {
      work();
    } finally {
      this.#socket?.uncork();
    }
  }

  /** Ends it at once, for the given reason. */
  kill(reason: HearthcamError): void {
    this.#reason ??= reason;
    this.#child.kill('SIGKILL');
  }

  /** Lets it end by itself, or ends it after a second. Resolves when it is gone. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#exited) return;
    this.#reason ??= new HearthcamError('helper.closed', `${this.#options.name} was closed`);
    this.#socket?.end();
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), END_MS);
    await this.#gone.promise;
    clearTimeout(timer);
  }

  #lowerPriority(): void {
    const { pid } = this.#child;
    if (this.#options.passesOn !== true && pid !== undefined && !this.#exited) lowerPriority(pid, this.#options.log);
  }

  #end(how: string): void {
    if (this.#exited) return;
    this.#exited = true;
    this.#socket?.destroy();
    this.#gone.resolve();
    const reason = this.#reason ?? new HearthcamError('helper.died', `${this.#options.name} ${how}`, { status: 502 });
    this.#options.onExit(reason);
  }

  #logLines(stderr: Readable): void {
    const { log, name } = this.#options;
    let rest = '';
    stderr.setEncoding('utf8');
    stderr.on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = (lines.pop() ?? '').slice(0, MAX_STDERR_LINE);
      for (const line of lines) {
        const repeated = line.trim() === '' ? null : this.#limiter.admit(line);
        if (repeated === null) continue;
        log.warn(`${name}: ${line.slice(0, MAX_STDERR_LINE)}`, repeated > 0 ? { repeated } : {});
      }
    });
    stderr.on('error', (error) => log.debug(`${name}: ${describeError(error)}`));
  }
}
