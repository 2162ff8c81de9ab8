import { existsSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { describeError, HearthcamError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import type { Scope } from '../core/scope.ts';
import type { SecretMask } from '../core/secrets.ts';
import type { SettingsFile } from '../core/services.ts';
import { deleteEntry, mergeText, setEntry } from './edit.ts';
import type { ConfigInput } from './inputs.ts';
import { type LoadedConfig, loadConfig } from './load.ts';
import { formatProblem } from './problems.ts';
import { refuseNewPrograms } from './programs.ts';
import type { ConfigSection } from './section.ts';
import { camerasSection } from './sections.ts';
import { layOut } from './streams.ts';
import { watchFiles } from './watch.ts';
import { writeFileAtomically } from './write.ts';

export interface ConfigStoreOptions {
  readonly inputs: readonly ConfigInput[];
  readonly sections: readonly ConfigSection[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly mask: SecretMask;
}

export type ConfigListener = (next: LoadedConfig, previous: LoadedConfig) => void | Promise<void>;

/** An empty file is taken seriously only when it stays so: editors empty a file before they write it. */
const EMPTY_GRACE_MS = 2_000;

/** The configuration in force, its file, and the changes to both. */
export class ConfigStore implements SettingsFile {
  readonly #options: ConfigStoreOptions;
  #current: LoadedConfig;
  #lastTexts = '';
  #queue: Promise<void> = Promise.resolve();
  #listener: { readonly log: Log; readonly scope: Scope; readonly onChange: ConfigListener } | undefined;
  #reloading: Promise<void> = Promise.resolve();

  constructor(options: ConfigStoreOptions) {
    this.#options = options;
    this.#current = this.#load();
    this.#lastTexts = textsKey(this.#current);
  }

  get current(): LoadedConfig {
    return this.#current;
  }

  /** The first file among the `-c` values (compatibility.md 4); it needn't exist yet. */
  get path(): string | undefined {
    for (const input of this.#options.inputs) if (input.kind === 'file') return input.path;
    return undefined;
  }

  /**
   * Applies changes of the files until `scope` closes. A change that can't be used is logged with line and column, and
   * the configuration before it stays in force.
   */
  watch(log: Log, scope: Scope, onChange: ConfigListener): void {
    this.#listener = { log, scope, onChange };
    const paths = this.#options.inputs.flatMap((input) => (input.kind === 'file' ? [input.path] : []));
    if (paths.length === 0) return;
    watchFiles(paths, log, scope, () => void this.reload());
    // What was saved while the program started.
    void this.reload();
  }

  /** Reads the files again if their text changed, and tells the listener. Calls are served one after the other. */
  reload(): Promise<void> {
    this.#reloading = this.#reloading.then(() => this.#reload());
    return this.#reloading;
  }

  async readText(): Promise<string> {
    const { path } = this;
    if (path === undefined) throw noFile(410);
    try {
      return await readFile(path, 'utf8');
    } catch (error) {
      throw new HearthcamError('config.read', `the configuration file "${path}" can't be read`, {
        status: 404,
        cause: error,
      });
    }
  }

  setStream(name: string, sources: readonly string[]): Promise<void> {
    return this.#edit((text) => {
      this.#refuseCameraStream(name);
      return setEntry(text, 'streams', name, sources);
    });
  }
  deleteStream(name: string): Promise<void> {
    return this.#edit((text) => {
      this.#refuseCameraStream(name);
      return deleteEntry(text, 'streams', name);
    });
  }
  setPreload(name: string, query: string): Promise<void> {
    return this.#edit((text) => setEntry(text, 'preload', name, query));
  }
  deletePreload(name: string): Promise<void> {
    return this.#edit((text) => deleteEntry(text, 'preload', name));
  }
  mergePatch(patch: string): Promise<void> {
    return this.#edit((text) => this.#checked(mergeText(text, patch)));
  }
  replaceText(text: string): Promise<void> {
    return this.#edit(() => this.#checked(text));
  }

  /** An entry under `streams:` would lose against that of `cameras:`. */
  #refuseCameraStream(name: string): void {
    const { cameras } = layOut({}, this.#current.get(camerasSection));
    const camera = Object.keys(cameras).find((one) => cameras[one]?.includes(name));
    if (camera === undefined) return;
    throw new HearthcamError(
      'config.camera',
      `stream "${name}" is made by camera "${camera}" in the configuration file`,
      {
        status: 409,
        hint: 'change it there',
      },
    );
  }

  /** One change after the other, each on what the file holds by then: no request undoes another one's change. */
  #edit(change: (text: string) => string): Promise<void> {
    const done = this.#queue.then(async () => {
      const { path } = this;
      if (path === undefined) throw noFile(400);
      const before = existsSync(path) ? await readFile(path, 'utf8') : '';
      const after = change(before);
      if (after === before) return;
      await writeFileAtomically(path, after);
      await this.reload();
    });
    this.#queue = done.catch(() => {
      // The caller has it; those behind go on.
    });
    return done;
  }

  /** Refuses a text that would not be taken over. */
  #checked(text: string): string {
    const { path } = this;
    const loaded = loadConfig({
      inputs: this.#options.inputs,
      sections: this.#options.sections,
      references: this.#references(),
      readFile: (name) => (name === path ? text : readIfThere(name)),
    });
    if (!loaded.fatal) {
      const before = this.#load();
      refuseNewPrograms(before.fatal ? this.#current : before, loaded);
      return text;
    }
    const errors = loaded.problems.filter((problem) => problem.severity === 'error').map(formatProblem);
    throw new HearthcamError('config.invalid', errors.slice(0, 10).join('\n'), { status: 400 });
  }

  async #reload(): Promise<void> {
    const listener = this.#listener;
    if (listener === undefined || listener.scope.closed) return;
    const { log, scope, onChange } = listener;
    try {
      let next = this.#load();
      if (becameEmpty(this.#current, next)) {
        await scope.sleep(EMPTY_GRACE_MS);
        if (scope.closed) return;
        next = this.#load();
      }
      const texts = textsKey(next);
      if (texts === this.#lastTexts) return;
      this.#lastTexts = texts;
      const missing = [...next.texts].find(
        ([path, text]) => text === undefined && this.#current.texts.get(path) !== undefined,
      );
      if (missing !== undefined) {
        log.warn(`the configuration file ${missing[0]} is gone: the configuration stays as it was`);
        return;
      }
      // What was told before is not told again with each change, wherever it stands by now.
      const told = new Set(this.#current.problems.map((problem) => problem.message));
      for (const problem of next.problems) {
        if (told.has(problem.message)) continue;
        if (problem.severity === 'error') log.error(formatProblem(problem));
        else log.warn(formatProblem(problem));
      }
      if (next.fatal) {
        log.error('the configuration file has errors: the configuration stays as it was');
        return;
      }
      const previous = this.#current;
      this.#current = next;
      await onChange(next, previous);
    } catch (error) {
      log.error(`the changed configuration can't be applied: ${describeError(error)}`);
    }
  }

  #load(): LoadedConfig {
    const loaded = loadConfig({
      inputs: this.#options.inputs,
      sections: this.#options.sections,
      references: this.#references(),
      readFile: readIfThere,
    });
    for (const secret of loaded.secrets) this.#options.mask.add(secret);
    return loaded;
  }

  #references() {
    const { env } = this.#options;
    return {
      env,
      credentialsDirectory: env['CREDENTIALS_DIRECTORY'],
      readFile: (path: string) => readFileSync(path, 'utf8'),
    };
  }
}

function noFile(status: number): HearthcamError {
  return new HearthcamError('config.none', 'no configuration file is in use', {
    status,
    hint: 'start with -c hearthcam.yaml: the file is made when something is written',
  });
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (typeof error === 'object' && error !== null && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

function textsKey(config: LoadedConfig): string {
  return JSON.stringify([...config.texts]);
}

function becameEmpty(before: LoadedConfig, after: LoadedConfig): boolean {
  return [...after.texts].some(
    ([path, text]) => (text ?? '').trim() === '' && (before.texts.get(path) ?? '').trim() !== '',
  );
}
