/**
 * What the application offers to the modules that manage it (the API): its settings file, its log, its own life.
 * Implemented by `config`, the log sink and `app.ts`; handed over by the composition root.
 */

/** The configuration file as the API sees it. All changes keep comments and order and are written atomically. */
export interface SettingsFile {
  /** The file that changes are written to; undefined when the program runs without one. */
  readonly path: string | undefined;
  /** @throws HearthcamError 404 when it can't be read, 410 when no file is in use. */
  readText(): Promise<string>;
  /** Writes `streams.<name>` as a list. @throws HearthcamError when there is no file or it can't be written. */
  setStream(name: string, sources: readonly string[]): Promise<void>;
  deleteStream(name: string): Promise<void>;
  setPreload(name: string, query: string): Promise<void>;
  deletePreload(name: string): Promise<void>;
  /** Replaces the whole file. @throws HearthcamError with line and column when it isn't a usable configuration. */
  replaceText(text: string): Promise<void>;
  /** Merges a piece of YAML into it: maps merge, lists and scalars replace. */
  mergePatch(text: string): Promise<void>;
}

/** The last lines of the log, as JSON lines (compatibility.md 1.1 `/api/log`), at most 1 MiB. */
export interface LogRing {
  /** Chunks of whole JSON lines, oldest first. */
  text(): string;
  clear(): void;
}

/** The process, as far as the API may command it. */
export interface AppControl {
  /** Stops in order, then starts again with the same arguments. Returns at once. */
  restart(): void;
  /** Stops in order, then ends the process with the code. Returns at once. */
  exit(code: number): void;
}
