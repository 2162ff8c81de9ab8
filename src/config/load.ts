import { HearthcamError } from '../core/errors.ts';
import { type ConfigDocument, type ConfigMap, isConfigMap, parseConfigText } from './document.ts';
import type { ConfigInput } from './inputs.ts';
import { mergeMaps } from './merge.ts';
import { type ConfigProblem, formatProblem } from './problems.ts';
import { type ReferenceSources, unreadable } from './references.ts';
import type { ConfigSection } from './section.ts';
import { type Finding, unknownKey, validateSection } from './validate.ts';

export interface LoadOptions {
  readonly inputs: readonly ConfigInput[];
  readonly sections: readonly ConfigSection[];
  readonly references: ReferenceSources;
  /** Returns undefined when there is no such file. @throws when it can't be read. */
  readonly readFile: (path: string) => string | undefined;
}

export interface Place {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** How many parts of the path exist. */
  readonly depth: number;
}

/** A configuration that was read, merged and checked. */
export class LoadedConfig {
  readonly problems: readonly ConfigProblem[];
  /** True when it can't be used: no YAML, or a section is wrong as a whole. */
  readonly fatal: boolean;
  /** Values that were substituted for references. */
  readonly secrets: readonly string[];
  /** Text of each file that was read; undefined where there was none. */
  readonly texts: ReadonlyMap<string, string | undefined>;
  /** Where a value stands: in the last input that has it, else its nearest parent. */
  readonly locate: (path: readonly string[], atKey?: boolean) => Place;
  readonly #inputs: ReadonlyMap<string, unknown>;

  constructor(parts: {
    problems: readonly ConfigProblem[];
    fatal: boolean;
    secrets: readonly string[];
    texts: ReadonlyMap<string, string | undefined>;
    inputs: ReadonlyMap<string, unknown>;
    locate: LoadedConfig['locate'];
  }) {
    this.problems = parts.problems;
    this.fatal = parts.fatal;
    this.secrets = parts.secrets;
    this.texts = parts.texts;
    this.locate = parts.locate;
    this.#inputs = parts.inputs;
  }

  /** The section's value, complete with defaults. */
  get<T>(section: ConfigSection<T>): T {
    return section.schema.parse(this.#inputs.get(section.key));
  }

  /** @throws HearthcamError that lists the errors when the configuration can't be used. */
  throwIfFatal(): void {
    if (!this.fatal) return;
    const errors = this.problems.filter((problem) => problem.severity === 'error').map(formatProblem);
    throw new HearthcamError('config.invalid', errors.slice(0, 10).join('\n'), { status: 400 });
  }
}

/** Reads and merges the inputs in order (later wins) and checks every section. Never throws for their content. */
export function loadConfig(options: LoadOptions): LoadedConfig {
  const documents: ConfigDocument[] = [];
  const texts = new Map<string, string | undefined>();
  const problems: ConfigProblem[] = [];
  for (const input of options.inputs) {
    if (input.kind === 'text') {
      documents.push(parseConfigText(input.text, { label: input.label }));
      continue;
    }
    let text: string | undefined;
    try {
      text = options.readFile(input.path);
    } catch (error) {
      const message = unreadable(input.path, error);
      problems.push({ severity: 'error', message, file: input.label, line: 0, column: 0, path: [] });
    }
    texts.set(input.path, text);
    if (text !== undefined)
      documents.push(parseConfigText(text, { label: input.label, references: options.references }));
  }
  let fatal = problems.length > 0 || documents.some((document) => !document.valid);
  for (const document of documents) problems.push(...document.problems);
  const merged = documents.reduce<ConfigMap>((all, document) => mergeMaps(all, document.values), {});
  const inputs = new Map<string, unknown>();
  const locate = (path: readonly string[], atKey = false): Place => locateIn(documents, path, atKey);
  const place = ({ atKey, ...finding }: Finding): ConfigProblem => {
    const { file, line, column } = locate(finding.path, atKey);
    return { ...finding, file, line, column };
  };
  for (const section of options.sections) {
    const raw = Object.hasOwn(merged, section.key) ? merged[section.key] : undefined;
    const result = validateSection(section, raw, (path) => sourceText(documents, path));
    inputs.set(section.key, result.input);
    problems.push(...result.findings.map(place));
    if (!result.usable) fatal = true;
  }
  const known = options.sections.map((section) => section.key);
  for (const key of Object.keys(merged)) {
    if (!known.includes(key) && !key.startsWith('x-')) problems.push(place(unknownKey([key], known)));
  }
  for (const [key, value] of Object.entries(merged)) {
    if (!isConfigMap(value) || !Object.hasOwn(value, '__proto__')) continue;
    problems.push(place({ severity: 'error', message: '"__proto__" can not be a name', path: [key, '__proto__'] }));
  }
  const secrets = documents.flatMap((document) => document.secrets);
  return new LoadedConfig({ problems: sortProblems(problems), fatal, secrets, texts, inputs, locate });
}

/** Looks in the input that decides: the last one that has the value. */
function locateIn(documents: readonly ConfigDocument[], path: readonly string[], atKey: boolean): Place {
  let best: Place = { file: documents[0]?.label ?? 'configuration', line: 0, column: 0, depth: -1 };
  for (const document of documents) {
    const found = document.locate(path, atKey);
    if (best.depth < 0 || (found.depth > 0 && found.depth >= best.depth)) best = { file: document.label, ...found };
  }
  return best;
}

function sourceText(documents: readonly ConfigDocument[], path: readonly string[]): string | undefined {
  for (const document of documents.toReversed()) {
    const text = document.sourceText(path);
    if (text !== undefined) return text;
  }
  return undefined;
}

/** In the order of the files and of their lines. */
export function sortProblems(problems: readonly ConfigProblem[]): readonly ConfigProblem[] {
  const files = [...new Set(problems.map((problem) => problem.file))];
  return problems.toSorted(
    (a, b) => files.indexOf(a.file) - files.indexOf(b.file) || a.line - b.line || a.column - b.column,
  );
}
