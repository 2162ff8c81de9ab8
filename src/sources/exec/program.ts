import { type ChildProcess, spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { HearthcamError } from '../../core/errors.ts';
import { type Log, LogLimiter } from '../../core/log.ts';
import { groupEnds, signalGroup } from './group.ts';
import { ProcessGuard } from './guard.ts';

export interface ProgramOptions {
  /** `exec` or `echo`, for texts. */
  readonly kind: 'exec' | 'echo';
  readonly words: readonly string[];
  /** The command as it may be shown. */
  readonly shown?: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly log: Log;
  readonly streamName: string;
  readonly killSignal: NodeJS.Signals;
  readonly killTimeoutMs: number;
}

/** How a program ended. */
interface End {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** It could not be started. */
  readonly error?: NodeJS.ErrnoException;
}

const MAX_LINE_CHARS = 500;
const MAX_LINES_TOLD = 3;
/** How long the system may take to end what was ended by force. */
const FORCED_MS = 1_000;
const STDERR_MS = 200;

/**
 * A program that the owner's configuration names. It leads a process group of its own, so that whatever it starts
 * itself ends with it; and it ends when the server does, however that comes about (`guard.ts`).
 */
export class Program {
  /** `exec: ffmpeg` */
  readonly label: string;
  readonly stdout: Readable | null;
  /** When the program itself has ended; what it has started may still be there. Never rejects. */
  readonly ended: Promise<End>;
  /** When nothing of it is left. */
  readonly gone: Promise<void>;
  readonly #options: ProgramOptions;
  readonly #child: ChildProcess;
  readonly #guard: ProcessGuard;
  #stderrClosed: Promise<void> = Promise.resolve();
  readonly #limiter = new LogLimiter(10_000);
  #lines: string[] = [];
  #end: End | undefined;
  /** How it had ended by the time it was stopped. */
  #ownEnd: End | undefined;
  readonly #gone = Promise.withResolvers<void>();
  #stopping: Promise<void> | undefined;

  constructor(options: ProgramOptions) {
    const { words, shown = words, env, kind, log, streamName } = options;
    const [file = '', ...args] = words;
    this.#options = options;
    this.label = `${kind}: ${file.split('/').at(-1)}`;
    log.debug(`camera "${streamName}": ${this.label} starts`, { command: shown.join(' ').slice(0, 1000) });
    this.#guard = new ProcessGuard(log);
    // Its stdin is open and silent: it is closed when the server ends, which programs that read it can see.
    this.#child = spawn(file, args, { detached: true, env, shell: false, stdio: ['pipe', 'pipe', 'pipe'] });
    const { pid, stdin, stdout, stderr } = this.#child;
    // Without free file descriptors there is no stdio at all.
    this.stdout = stdout ?? null;
    this.gone = this.#gone.promise;
    this.ended = new Promise((resolve) => {
      const end = (how: End): void => {
        this.#end ??= how;
        resolve(this.#end);
      };
      this.#child.once('error', (error) => {
        end({ code: null, signal: null, error });
        // Not closed by itself when there was no program.
        stdout?.destroy();
      });
      this.#child.once('exit', (code, signal) => end({ code, signal }));
    });
    for (const pipe of [stdin, stdout, stderr]) {
      pipe?.on('error', (error) => log.debug(`camera "${streamName}": ${this.label}: ${error.message}`));
    }
    if (stderr) this.#readLines(stderr);
    if (pid !== undefined) this.#guard.watch(pid);
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Ends it and all that it has started: by its signal first, by force when that does not help. Repeatable. */
  stop(): Promise<void> {
    this.#ownEnd ??= this.#end;
    this.#stopping ??= this.#stop().finally(this.#gone.resolve);
    return this.#stopping;
  }

  /** Its exit code, if it ends within `waitMs`. */
  async codeWithin(waitMs: number): Promise<number | null> {
    const waited = new AbortController();
    const end = await Promise.race([this.ended, sleep(waitMs, null, { signal: waited.signal }).catch(() => null)]);
    waited.abort();
    return end?.code ?? null;
  }

  /** The last lines of its stderr, to be put behind a sentence. */
  get lastWords(): string {
    return this.#lines.length === 0 ? '' : `: ${this.#lines.join(' / ')}`;
  }

  /** Why its media came to an end, once it has been stopped; in its own last words where it left some. */
  failure(before: string): HearthcamError {
    const { code = null, signal = null, error } = this.#ownEnd ?? {};
    if (error !== undefined) return cannotStart(this.label, error);
    const ended = signal !== null ? `was ended by ${signal}` : 'closed its output';
    const how = code !== null ? `ended with code ${code}` : ended;
    return new HearthcamError('program.ended', `${this.label} ${how}${before}${this.lastWords}`, {
      status: 502,
      hint: 'run the command by hand to see more of what it says',
    });
  }

  async #stop(): Promise<void> {
    const { pid } = this;
    if (pid === undefined) {
      await this.ended;
      this.#guard.release();
      return;
    }
    this.#child.stdin?.destroy();
    // Nobody reads any more: a program that is writing must not wait for that before it hears the signal.
    this.#child.stdout?.destroy();
    const { log, streamName, killSignal, killTimeoutMs } = this.#options;
    signalGroup(pid, killSignal);
    if (!(await groupEnds(pid, killTimeoutMs))) {
      log.debug(`camera "${streamName}": ${this.label} does not end by ${killSignal}: ended by force`);
      signalGroup(pid, 'SIGKILL');
      await groupEnds(pid, FORCED_MS);
    }
    this.#guard.release();
    // What it wrote last is still to be read; who has left the group may hold the pipe open.
    await Promise.race([this.#stderrClosed, sleep(STDERR_MS)]);
    this.#child.stderr?.destroy();
  }

  #readLines(stderr: Readable): void {
    const { log, streamName } = this.#options;
    let rest = '';
    const take = (line: string): void => {
      // biome-ignore lint/suspicious/noControlCharactersInRegex: colours and cursor movements of terminals are left out
      const text = line.replace(/\u001b\[[0-9;]*[A-Za-z]|[\u0000-\u001f]/g, '').trim();
      if (text === '') return;
      this.#lines = [...this.#lines, text.slice(0, MAX_LINE_CHARS)].slice(-MAX_LINES_TOLD);
      // By its words: counters in a line that repeats must not make it a new one.
      const repeated = this.#limiter.admit(text.replace(/\d+/g, '0').slice(0, 80));
      if (repeated === null) return;
      log.debug(`camera "${streamName}": ${this.label}: ${text.slice(0, MAX_LINE_CHARS)}`, {
        ...(repeated > 0 ? { repeated } : {}),
      });
    };
    this.#stderrClosed = new Promise((resolve) => stderr.once('close', resolve));
    stderr.setEncoding('utf8');
    stderr.on('data', (text: string) => {
      const lines = (rest + text).split(/[\r\n]+/);
      rest = (lines.pop() ?? '').slice(0, MAX_LINE_CHARS);
      for (const line of lines) take(line);
    });
    stderr.on('end', () => take(rest));
  }
}

function cannotStart(label: string, error: NodeJS.ErrnoException): HearthcamError {
  const missing = error.code === 'ENOENT';
  return new HearthcamError(
    'program.start',
    `${label} can't be started: ${missing ? 'there is no such program' : error.message}`,
    {
      status: 502,
      cause: error,
      permanent: missing || error.code === 'EACCES',
      hint: missing
        ? 'is it installed? write its whole path, and mind that in a container only its own programs are there'
        : 'is it a program that this user may run?',
    },
  );
}
