import {
  type Document,
  isAlias,
  isMap,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parse,
  parseDocument,
  visit,
} from 'yaml';
import { explainThrown, explainYaml, unknownAlias } from './explain.ts';
import type { ConfigProblem } from './problems.ts';
import {
  fillTokens,
  hasToken,
  type ReferenceSources,
  type Resolution,
  resolveReference,
  tokenise,
  untokenise,
} from './references.ts';

/** A configuration for thousands of cameras is far below this; more is a mistake or an attack. */
export const MAX_CONFIG_BYTES = 2 * 1024 * 1024;
/** How often aliases may expand nodes: enough for a template per camera, little enough against "billion laughs". */
const MAX_ALIASES = 1_000;
const MAX_DEPTH = 100;
const MAX_PROBLEMS = 50;

export type ConfigMap = Record<string, unknown>;

/** One parsed `-c` value. */
export interface ConfigDocument {
  readonly label: string;
  readonly values: ConfigMap;
  readonly problems: readonly ConfigProblem[];
  /** False when it isn't YAML at all; `values` is empty then. */
  readonly valid: boolean;
  /** Values that were substituted and must be masked. */
  readonly secrets: readonly string[];
  /** Where the value (or, with `atKey`, its key) stands; the nearest parent when it isn't there itself. */
  locate(path: readonly string[], atKey?: boolean): { line: number; column: number; depth: number };
  /** A scalar as it is written, without quotes: `0123` stays `0123`. Undefined for maps and lists. */
  sourceText(path: readonly string[]): string | undefined;
}

export interface ParseOptions {
  readonly label: string;
  /** Absent: `${…}` stays as it is (inline values on the command line, compatibility.md 4). */
  readonly references?: ReferenceSources;
}

/** Reads YAML or JSON into plain values; never throws for what the text contains. */
export function parseConfigText(text: string, options: ParseOptions): ConfigDocument {
  const { label } = options;
  if (Buffer.byteLength(text) > MAX_CONFIG_BYTES) {
    return broken(label, `larger than ${MAX_CONFIG_BYTES / 1024 / 1024} MiB`);
  }
  const depth = flowDepth(text);
  if (depth > MAX_DEPTH) return broken(label, `nested deeper than ${MAX_DEPTH} levels`);
  const lines = new LineCounter();
  const tokenised = options.references === undefined ? { text, references: [] } : tokenise(text);
  const problems: ConfigProblem[] = [];
  try {
    const document = parseYaml(tokenised.text, lines);
    const told = new Set<number>();
    for (const error of document.errors.slice(0, MAX_PROBLEMS)) {
      const place = lines.linePos(error.pos[0]);
      // The parser goes on and finds further things wrong with the same line.
      if (told.has(place.line)) continue;
      told.add(place.line);
      problems.push({
        severity: 'error',
        message: untokenise(explainYaml(error.code, error.message), tokenised.references),
        file: label,
        line: place.line,
        column: place.col,
        path: [],
      });
    }
    if (problems.length > 0) return { ...broken(label, ''), problems };
    const secrets = new Set<string>();
    if (options.references !== undefined) {
      substitute(document, tokenised.references, options.references, lines, label, problems, secrets);
    }
    const values: unknown = document.toJS({ maxAliasCount: MAX_ALIASES });
    if (values !== null && values !== undefined && !isConfigMap(values)) {
      return broken(label, 'the top level must be a map such as "streams:"', 1, 1);
    }
    if (tooDeep(values, 0)) return broken(label, `nested deeper than ${MAX_DEPTH} levels, or an alias names itself`);
    return {
      label,
      values: isConfigMap(values) ? values : {},
      problems,
      valid: true,
      secrets: [...secrets],
      locate: (path, atKey) => locate(document, lines, path, atKey === true),
      sourceText: (path) => sourceText(document, path),
    };
  } catch (error) {
    if (!(error instanceof Error)) return broken(label, String(error));
    const alias = unknownAlias(error);
    const place = alias === undefined ? undefined : lines.linePos(Math.max(0, tokenised.text.indexOf(`*${alias}`)));
    return broken(label, explainThrown(error), place?.line, place?.col);
  }
}

/** YAML 1.2 with `<<` merges, as go2rtc's parser has them. */
export function parseYaml(text: string, lines?: LineCounter): Document.Parsed {
  return parseDocument(text, {
    ...(lines === undefined ? {} : { lineCounter: lines }),
    merge: true,
    prettyErrors: false,
    uniqueKeys: true,
    logLevel: 'silent',
    stringKeys: false,
  });
}

export function isConfigMap(value: unknown): value is ConfigMap {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Also true for a value that contains itself. */
function tooDeep(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (depth > MAX_DEPTH) return true;
  return Object.values(value).some((one) => tooDeep(one, depth + 1));
}

function broken(label: string, message: string, line = 0, column = 0): ConfigDocument {
  return {
    label,
    values: {},
    problems: message === '' ? [] : [{ severity: 'error', message, file: label, line, column, path: [] }],
    valid: false,
    secrets: [],
    locate: () => ({ line: 0, column: 0, depth: -1 }),
    sourceText: () => undefined,
  };
}

/** Nesting by brackets and by indentation marks, over-counted at worst: guards the recursive parser's stack. */
function flowDepth(text: string): number {
  let depth = 0;
  let deepest = 0;
  let dashes = 0;
  for (let index = 0; index < text.length; index++) {
    const char = text.charCodeAt(index);
    if (char === 0x5b || char === 0x7b) deepest = Math.max(deepest, ++depth);
    else if (char === 0x5d || char === 0x7d) depth = Math.max(0, depth - 1);
    else if (char === 0x0a) {
      dashes = 0;
      // Brackets inside plain texts are rarely closed in another line.
      if (text.charCodeAt(index + 1) > 0x20) depth = 0;
    } else if (char === 0x2d || char === 0x3f || char === 0x3a) {
      if (text.charCodeAt(index + 1) === 0x20) deepest = Math.max(deepest, ++dashes);
    }
  }
  return deepest;
}

function substitute(
  document: Document.Parsed,
  references: ReturnType<typeof tokenise>['references'],
  sources: ReferenceSources,
  lines: LineCounter,
  label: string,
  problems: ConfigProblem[],
  secrets: Set<string>,
): void {
  if (references.length === 0) return;
  const resolved = new Map<string, Resolution>();
  let fileEnv: Readonly<Record<string, string>> = {};
  const fill = (node: { value?: unknown; source?: string; type?: unknown; range?: readonly number[] | null }): void => {
    if (typeof node.value !== 'string' || !hasToken(node.value)) return;
    const filled = fillTokens(node.value, references, (reference) => {
      let resolution = resolved.get(reference.text);
      if (resolution === undefined) {
        resolution = resolveReference(reference, fileEnv, sources);
        resolved.set(reference.text, resolution);
        if (resolution.status === 'missing') {
          const place = lines.linePos(node.range?.[0] ?? 0);
          problems.push({
            severity: reference.name === 'file' ? 'error' : 'warning',
            message: `${reference.text} is left as it is: ${resolution.reason}`,
            file: label,
            line: place.line,
            column: place.col,
            path: [],
          });
        }
      }
      if (resolution.status === 'missing') return undefined;
      if (resolution.secret) secrets.add(resolution.value);
      return resolution.value;
    });
    node.source = filled;
    node.value = node.type === 'PLAIN' ? plainValue(filled) : filled;
  };
  // The file's own env: map comes first, since all other references may name what it says.
  const root = document.contents;
  const env = isMap(root)
    ? root.items.find((pair) => isScalar(pair.key) && pair.key.value === 'env')?.value
    : undefined;
  if (isMap(env)) {
    const found: Record<string, string> = {};
    for (const pair of env.items) {
      if (!isScalar(pair.key) || !isScalar(pair.value)) continue;
      fill(pair.value);
      found[String(pair.key.value)] = pair.value.source ?? String(pair.value.value);
    }
    fileEnv = found;
    resolved.clear();
  }
  visit(document, { Scalar: (_key, node) => fill(node) });
}

/** What YAML would have made of an unquoted text: a number, a truth value, a list in brackets, else text. */
function plainValue(text: string): unknown {
  if (/^[-+]?[\d.]/.test(text) || /^(true|false|null|~)$/i.test(text)) {
    const value: unknown = parse(text, { logLevel: 'silent' });
    return typeof value === 'object' && value !== null ? text : value;
  }
  if (/^\[.*\]$|^\{.*\}$/s.test(text)) {
    try {
      return parse(text, { logLevel: 'silent', maxAliasCount: 0 });
    } catch {
      return text;
    }
  }
  return text;
}

function locate(
  document: Document.Parsed,
  lines: LineCounter,
  path: readonly string[],
  atKey: boolean,
): { line: number; column: number; depth: number } {
  let node: unknown = document.contents;
  let offset = rangeStart(node) ?? 0;
  let depth = 0;
  for (const [index, part] of path.entries()) {
    const entry = childOf(document, node, part);
    if (entry === undefined) break;
    node = entry.value;
    depth = index + 1;
    const wantsKey = atKey || depth < path.length || rangeStart(entry.value) === undefined;
    offset = (wantsKey ? rangeStart(entry.key) : undefined) ?? rangeStart(entry.value) ?? offset;
  }
  const place = lines.linePos(offset);
  return { line: Math.max(1, place.line), column: Math.max(1, place.col), depth };
}

function childOf(
  document: Document.Parsed,
  parent: unknown,
  part: string,
): { key: unknown; value: unknown } | undefined {
  const node = isAlias(parent) ? parent.resolve(document) : parent;
  if (isMap(node)) {
    const pair = node.items.find((item) => isPair(item) && keyText(item.key) === part);
    return pair === undefined ? undefined : { key: pair.key, value: pair.value };
  }
  if (isSeq(node)) {
    const item = node.items[Number(part)];
    return item === undefined ? undefined : { key: item, value: item };
  }
  return undefined;
}

export function keyText(key: unknown): string | undefined {
  if (isScalar(key)) return key.value === null ? 'null' : String(key.value);
  return undefined;
}

function sourceText(document: Document.Parsed, path: readonly string[]): string | undefined {
  let node: unknown = document.contents;
  for (const part of path) {
    node = childOf(document, node, part)?.value;
    if (node === undefined) return undefined;
  }
  if (isAlias(node)) node = node.resolve(document);
  if (!isScalar(node)) return undefined;
  return node.source ?? String(node.value);
}

function rangeStart(node: unknown): number | undefined {
  const range = isNodeWithRange(node) ? node.range : undefined;
  return range?.[0];
}

function isNodeWithRange(node: unknown): node is Node {
  return typeof node === 'object' && node !== null && 'range' in node;
}
