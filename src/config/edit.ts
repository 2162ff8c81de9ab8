import { isDeepStrictEqual } from 'node:util';
import { type Document, isMap, isScalar, isSeq, type Pair, stringify, type YAMLMap, type YAMLSeq } from 'yaml';
import { HearthcamError } from '../core/errors.ts';
import { type ConfigMap, isConfigMap, keyText, MAX_CONFIG_BYTES, parseYaml } from './document.ts';
import { mergeMaps, setOwn } from './merge.ts';
import { tokenise, untokenise } from './references.ts';

/**
 * Changes to the text of a configuration file. The lines that a change doesn't concern stay byte for byte; where the
 * layout is too unusual for that (a section in braces), the document is written anew with its comments and order.
 * Each result is parsed again and compared with what was meant, so a file can't be damaged by an odd layout.
 */

type EntryValue = string | readonly string[];

/**
 * Sets `section.name`. Returns the same text when it has that value already. An entry that is a map (`{url: …,
 * renditions: …}`) keeps its other keys: the value becomes its `url`.
 */
export function setEntry(text: string, section: string, name: string, value: EntryValue): string {
  return change(text, {
    value: (root) => {
      const old = Object.hasOwn(root, section) ? root[section] : undefined;
      const next: ConfigMap = { ...root };
      const entries: ConfigMap = isConfigMap(old) ? { ...old } : {};
      const entry = Object.hasOwn(entries, name) ? entries[name] : undefined;
      const own = typeof value === 'string' ? value : [...value];
      setOwn(entries, name, isConfigMap(entry) ? { ...entry, url: own } : own);
      setOwn(next, section, entries);
      return next;
    },
    text: (source, document) => insertEntry(source, document, section, name, value),
    document: (document) => {
      const path = isMap(document.getIn([section, name], true)) ? [section, name, 'url'] : [section, name];
      document.setIn(path, document.createNode(value));
    },
  });
}

/** Removes `section.name`; the same text when it isn't there. */
export function deleteEntry(text: string, section: string, name: string): string {
  return change(text, {
    value: (root) => {
      const old = Object.hasOwn(root, section) ? root[section] : undefined;
      if (!isConfigMap(old) || !Object.hasOwn(old, name)) return root;
      const entries: ConfigMap = { ...old };
      delete entries[name];
      const next: ConfigMap = { ...root };
      setOwn(next, section, Object.keys(entries).length === 0 ? null : entries);
      return next;
    },
    text: (source, document) => cutEntry(source, document, section, name),
    document: (document) => {
      document.deleteIn([section, name]);
      const map = document.get(section, true);
      if (isMap(map) && map.items.length === 0) document.set(section, null);
    },
  });
}

/** Merges a piece of YAML: maps merge, lists and scalars replace, comments and order of the file stay. */
export function mergeText(text: string, patchText: string): string {
  const patch = readRoot(patchText, 'the patch');
  return change(text, {
    value: (root) => mergePatchValues(root, patch.value),
    text: () => undefined,
    document: (document) => mergeInto(document, [], patch.value),
  });
}

function mergePatchValues(root: ConfigMap, patch: ConfigMap): ConfigMap {
  // Unlike `-c` files, a patch that says null means it.
  const out = mergeMaps(root, patch);
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) setOwn(out, key, null);
    else if (isConfigMap(value) && isConfigMap(root[key])) setOwn(out, key, mergePatchValues(root[key], value));
  }
  return out;
}

function mergeInto(document: Document.Parsed, path: readonly string[], patch: ConfigMap): void {
  for (const [key, value] of Object.entries(patch)) {
    const at = [...path, key];
    if (isConfigMap(value) && isMap(document.getIn(at, true))) mergeInto(document, at, value);
    else document.setIn(at, document.createNode(value));
  }
}

interface Change {
  /** What the values must be afterwards; the same object when there is nothing to do. */
  readonly value: (root: ConfigMap) => ConfigMap;
  /** The changed text, or undefined where the layout doesn't allow it. */
  readonly text: (source: string, document: Document.Parsed) => string | undefined;
  /** The same change on the document. */
  readonly document: (document: Document.Parsed) => void;
}

function change(text: string, { value, text: edit, document: editDocument }: Change): string {
  // References keep their place as tokens of the same length, so positions are those of the file.
  const tokenised = tokenise(text);
  const { document, value: before } = readRoot(tokenised.text, 'the configuration file');
  const wanted = value(before);
  if (wanted === before || isDeepStrictEqual(wanted, before)) return text;
  const edited = edit(tokenised.text, document);
  if (edited !== undefined && gives(edited, wanted)) return untokenise(edited, tokenised.references);
  let written: string;
  try {
    editDocument(document);
    written = document.toString({ lineWidth: 0, flowCollectionPadding: false, ...layoutOf(tokenised.text) });
  } catch (error) {
    throw unchangeable(error);
  }
  if (!gives(written, wanted)) throw unchangeable(undefined);
  return untokenise(written, tokenised.references);
}

/** For example an entry with an anchor (`&name`) that others refer to. */
function unchangeable(cause: unknown): HearthcamError {
  return new HearthcamError(
    'config.layout',
    'the configuration file is laid out in a way that can not be changed here',
    {
      cause,
      hint: 'edit it by hand, or write it with one key on each line and without anchors',
    },
  );
}

function readRoot(text: string, what: string): { document: Document.Parsed; value: ConfigMap } {
  if (Buffer.byteLength(text) > MAX_CONFIG_BYTES)
    throw new HearthcamError('config.size', `${what} is too large`, { status: 413 });
  try {
    const document = parseYaml(text);
    const [error] = document.errors;
    if (error !== undefined) throw new Error(error.message);
    const value: unknown = document.toJS({ maxAliasCount: 1_000 });
    if (value === null || value === undefined) return { document, value: {} };
    if (isConfigMap(value)) return { document, value };
  } catch (error) {
    throw new HearthcamError('config.yaml', `${what} is not valid YAML`, { status: 400, cause: error });
  }
  throw new HearthcamError('config.yaml', `${what} is not a map`, { status: 400 });
}

function gives(text: string, wanted: ConfigMap): boolean {
  try {
    return isDeepStrictEqual(readRoot(text, '').value, wanted);
  } catch {
    return false;
  }
}

/** Indentation as the file has it, for when it is written anew. */
function layoutOf(text: string): { indent: number; indentSeq: boolean } {
  const indent = /^( {2,8})[^\s#-]/m.exec(text)?.[1]?.length ?? 2;
  return { indent, indentSeq: !/^( *)[^\s#][^\n]*:[ \t]*\n\1- /m.test(text) };
}

function findPair(map: YAMLMap, key: string): Pair | undefined {
  return map.items.find((pair) => keyText(pair.key) === key);
}

function sectionPair(document: Document.Parsed, section: string): Pair | undefined {
  return isMap(document.contents) ? findPair(document.contents, section) : undefined;
}

function insertEntry(
  text: string,
  document: Document.Parsed,
  section: string,
  name: string,
  value: EntryValue,
): string | undefined {
  const root = document.contents;
  if (root !== null && (!isMap(root) || root.flow === true)) {
    return isScalar(root) && root.value === null ? appendSection(text, section, name, value) : undefined;
  }
  const pair = sectionPair(document, section);
  if (pair === undefined) return appendSection(text, section, name, value);
  const map = pair.value;
  if (map === null || (isScalar(map) && map.value === null)) {
    const keyEnd = endOf(pair.key);
    if (keyEnd === undefined || text.slice(keyEnd, lineEnd(text, keyEnd)).replace(/#.*/, '').trim() !== ':')
      return undefined;
    return insertAt(text, nextLine(text, keyEnd), entryLines('  ', name, value));
  }
  if (!isMap(map) || map.flow === true || map.anchor !== undefined || map.tag !== undefined) return undefined;
  const existing = findPair(map, name);
  if (existing !== undefined) {
    const { value: entry } = existing;
    return isMap(entry) ? replaceUrl(text, entry, value) : replaceEntry(text, existing, name, value);
  }
  const first = map.items[0];
  const last = map.items.at(-1);
  const start = startOf(first?.key);
  const end = endOf(last?.value) ?? endOf(last?.key);
  if (start === undefined || end === undefined) return undefined;
  const indent = text.slice(lineStart(text, start), start);
  if (indent.trim() !== '') return undefined;
  return insertAt(text, afterValue(text, end), entryLines(indent, name, value));
}

function appendSection(text: string, section: string, name: string, value: EntryValue): string | undefined {
  if (/^(\.\.\.|---)\s*$/m.test(text.replace(/^---\s*\n/, ''))) return undefined;
  const gap = text === '' || text.endsWith('\n') ? '' : '\n';
  return `${text}${gap}${section}:\n${entryLines('  ', name, value)}`;
}

function replaceEntry(text: string, pair: Pair, name: string, value: EntryValue): string | undefined {
  const keyStart = startOf(pair.key);
  const old = pair.value;
  if (keyStart === undefined) return undefined;
  const indent = text.slice(lineStart(text, keyStart), keyStart);
  if (indent.trim() !== '') return undefined;
  if (isSeq(old) && old.flow !== true && Array.isArray(value)) return replaceItems(text, old, value);
  const valueStart = startOf(old);
  const valueEnd = endOf(old);
  const keyEnd = endOf(pair.key);
  if (keyEnd === undefined || valueStart === undefined || valueEnd === undefined) return undefined;
  // A comment behind a value of one line stays on that line.
  const sameLine = !text.slice(keyEnd, valueEnd).includes('\n');
  if (!sameLine) return undefined;
  const [head = '', ...rest] = entryLines(indent, name, value).trimEnd().split('\n');
  const tail = text.slice(valueEnd, lineEnd(text, valueEnd)).trimEnd();
  const lines = [head + (tail === '' ? '' : ` ${tail.trimStart()}`), ...rest].join('\n');
  return `${text.slice(0, lineStart(text, keyStart))}${lines}\n${text.slice(nextLine(text, valueEnd))}`;
}

/** The sources of an entry that says more than those. */
function replaceUrl(text: string, entry: YAMLMap, value: EntryValue): string | undefined {
  const pair = findPair(entry, 'url');
  if (pair === undefined || entry.anchor !== undefined || entry.tag !== undefined) return undefined;
  if (entry.flow !== true) return replaceEntry(text, pair, 'url', value);
  const [start, end] = [startOf(pair.value), endOf(pair.value)];
  if (start === undefined || end === undefined || text.slice(start, end).includes('\n')) return undefined;
  // In braces more signs than usual mean something: all texts are quoted.
  const list =
    typeof value === 'string' ? JSON.stringify(value) : `[${value.map((one) => JSON.stringify(one)).join(', ')}]`;
  return text.slice(0, start) + list + text.slice(end);
}

/** Items that stay keep their lines, with the comments on and between them. */
function replaceItems(text: string, seq: YAMLSeq, value: readonly string[]): string | undefined {
  const starts = seq.items.map((item) => startOf(item));
  const end = endOf(seq.items.at(-1));
  const first = starts[0];
  if (first === undefined || end === undefined || value.length === 0) return undefined;
  const lines = starts.map((start) => (start === undefined ? -1 : lineStart(text, start)));
  if (new Set(lines).size !== lines.length || lines.includes(-1)) return undefined;
  const dash = text.slice(lines[0], first);
  if (!/^ *- +$/.test(dash)) return undefined;
  const stop = nextLine(text, end);
  const pieces = lines.map((from, index) => text.slice(from, lines[index + 1] ?? stop));
  const used = new Set<number>();
  const out = value.map((source) => {
    const index = seq.items.findIndex((item, at) => !used.has(at) && isScalar(item) && item.value === source);
    if (index < 0) return `${dash}${inline(source)}\n`;
    used.add(index);
    const piece = pieces[index] ?? '';
    return piece.endsWith('\n') ? piece : `${piece}\n`;
  });
  return text.slice(0, lines[0]) + out.join('') + text.slice(stop);
}

function cutEntry(text: string, document: Document.Parsed, section: string, name: string): string | undefined {
  const map = sectionPair(document, section)?.value;
  if (!isMap(map) || map.flow === true) return undefined;
  const pair = findPair(map, name);
  const start = startOf(pair?.key);
  const end = endOf(pair?.value) ?? endOf(pair?.key);
  if (start === undefined || end === undefined) return undefined;
  const from = lineStart(text, start);
  if (text.slice(from, start).trim() !== '') return undefined;
  return text.slice(0, from) + text.slice(afterValue(text, end));
}

function entryLines(indent: string, name: string, value: EntryValue): string {
  const key = stringify(name, { lineWidth: 0 }).trimEnd();
  if (typeof value === 'string') return `${indent}${key}: ${inline(value)}\n`;
  if (value.length === 0) return `${indent}${key}: []\n`;
  return `${indent}${key}:\n${value.map((source) => `${indent}  - ${inline(source)}\n`).join('')}`;
}

/** A text on one line, quoted where YAML needs it. */
function inline(text: string): string {
  const plain = stringify(text, { lineWidth: 0, blockQuote: false }).trimEnd();
  return plain.includes('\n') ? JSON.stringify(text) : plain;
}

function insertAt(text: string, offset: number, piece: string): string {
  const gap = offset > 0 && text[offset - 1] !== '\n' ? '\n' : '';
  return text.slice(0, offset) + gap + piece + text.slice(offset);
}

/** Start of the line behind a value; a block text ends with its own line already. */
function afterValue(text: string, end: number): number {
  return end > 0 && text[end - 1] === '\n' ? end : nextLine(text, end);
}
function lineStart(text: string, offset: number): number {
  return text.lastIndexOf('\n', offset - 1) + 1;
}
function lineEnd(text: string, offset: number): number {
  const end = text.indexOf('\n', offset);
  return end < 0 ? text.length : end;
}
function nextLine(text: string, offset: number): number {
  return Math.min(text.length, lineEnd(text, offset) + 1);
}
function startOf(node: unknown): number | undefined {
  return rangeOf(node)?.[0];
}
/** End of the value itself, without the comments behind it; for a collection, of its last entry. */
function endOf(node: unknown): number | undefined {
  if (isMap(node) && node.flow !== true && node.items.length > 0) {
    const last = node.items.at(-1);
    return endOf(last?.value) ?? endOf(last?.key);
  }
  if (isSeq(node) && node.flow !== true && node.items.length > 0) return endOf(node.items.at(-1));
  return rangeOf(node)?.[1];
}
function rangeOf(node: unknown): readonly number[] | undefined {
  if (typeof node !== 'object' || node === null || !('range' in node) || !Array.isArray(node.range)) return undefined;
  return node.range.filter((one) => typeof one === 'number');
}
