import { HearthcamError } from '../../core/errors.ts';
import type { Scope } from '../../core/scope.ts';
import { programEnvironment } from './environment.ts';
import { Program, type ProgramOptions } from './program.ts';

/** What the owner lets programs do. */
export interface ProgramSettings {
  /** The server's own environment; programs get the usual part of it. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** `exec.allow_paths`, `echo.allow_paths`: the only programs that may be run; absent: all. */
  readonly allowed?: { readonly exec?: readonly string[] | undefined; readonly echo?: readonly string[] | undefined };
  /** At its close no program is left. */
  readonly scope?: Scope;
}

/** Starts programs, and knows which are running. */
export class ProgramHost {
  readonly #env: Readonly<Record<string, string>>;
  readonly #allowed: NonNullable<ProgramSettings['allowed']>;
  readonly #running = new Set<Program>();

  constructor(settings: ProgramSettings) {
    this.#env = programEnvironment(settings.environment);
    this.#allowed = settings.allowed ?? {};
    // Streams that are closed have told their programs to end; the server waits until they have.
    settings.scope?.defer(async () => {
      await Promise.all([...this.#running].map((program) => program.stop()));
    });
  }

  /** @throws HearthcamError 403 when the owner's list has not this program. Compared as written, like go2rtc. */
  checkAllowed(kind: 'exec' | 'echo', words: readonly string[]): void {
    const list = this.#allowed[kind];
    const [program = ''] = words;
    if (list === undefined || list.includes(program)) return;
    throw new HearthcamError('program.denied', `${kind}: ${JSON.stringify(program)} is not in ${kind}.allow_paths`, {
      status: 403,
      permanent: true,
      hint: `add it there, just as the command has it, or leave ${kind}.allow_paths out`,
    });
  }

  start(options: Omit<ProgramOptions, 'env'>): Program {
    const program = new Program({ ...options, env: this.#env });
    this.#running.add(program);
    void program.gone.then(() => this.#running.delete(program));
    return program;
  }
}
