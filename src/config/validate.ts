import { z } from 'zod';
import { type ConfigMap, isConfigMap } from './document.ts';
import { setOwn } from './merge.ts';
import { suggest } from './problems.ts';
import type { ConfigSection } from './section.ts';

export interface Finding {
  readonly severity: 'error' | 'warning';
  readonly message: string;
  readonly path: readonly string[];
  readonly suggestion?: string;
  /** Points at the key instead of the value. */
  readonly atKey?: boolean;
}

export interface SectionResult {
  /** Accepted by the section's schema. */
  readonly input: unknown;
  readonly findings: readonly Finding[];
  /** False when the section can't be used at all. */
  readonly usable: boolean;
}

const MAX_FIXES = 200;

/**
 * Checks one section. Types are taken as the owner meant them, as go2rtc's parser does: `password: 1234` is a text,
 * `local_auth: yes` a truth value, one value where a list is wanted a list of one, an empty key the default.
 */
export function validateSection(
  section: ConfigSection,
  raw: unknown,
  sourceText: (path: readonly string[]) => string | undefined,
): SectionResult {
  const findings: Finding[] = [];
  const root: ConfigMap = {};
  if (raw !== undefined && raw !== null) setOwn(root, section.key, structuredClone(raw));
  inspectKeys(section.schema, root[section.key], [section.key], findings);
  for (let round = 0; round < MAX_FIXES; round++) {
    const value = root[section.key];
    const result = section.schema.safeParse(value ?? emptyInput(section));
    if (result.success) return { input: value ?? emptyInput(section), findings, usable: true };
    let fixed = false;
    const rejected: Finding[] = [];
    for (const { issue, path } of result.error.issues.flatMap((one) => innermost(one, [section.key]))) {
      if (repair(root, path, issue, sourceText)) fixed = true;
      else
        rejected.push({
          severity: 'error',
          message: explain(issue, root, path),
          path,
          ...suggestionFor(issue, root, path),
        });
    }
    if (fixed) continue;
    findings.push(...rejected);
    if (section.perEntry !== true) break;
    let dropped = false;
    for (const { path } of rejected) {
      const [, entry, detail] = path;
      const map = root[section.key];
      if (entry === undefined || !isConfigMap(map) || !Object.hasOwn(map, entry)) continue;
      const value = map[entry];
      if (detail !== undefined && section.details?.includes(detail) === true && isConfigMap(value)) {
        if (Object.hasOwn(value, detail)) dropped = delete value[detail];
      } else dropped = delete map[entry];
    }
    if (!dropped) break;
  }
  return { input: emptyInput(section), findings, usable: false };
}

function emptyInput(section: ConfigSection): unknown {
  return section.schema.safeParse(undefined).success ? undefined : {};
}

/** Changes the value at `path` into what the schema wants, where the owner's meaning is plain. */
function repair(
  root: ConfigMap,
  path: readonly string[],
  issue: z.core.$ZodIssue,
  sourceText: (path: readonly string[]) => string | undefined,
): boolean {
  const parent = valueAt(root, path.slice(0, -1));
  const key = path.at(-1);
  if (key === undefined || (!isConfigMap(parent) && !Array.isArray(parent))) return false;
  const value = valueAt(root, path);
  const put = (next: unknown): boolean => {
    if (Array.isArray(parent)) parent[Number(key)] = next;
    else setOwn(parent, key, next);
    return true;
  };
  const wanted = wantedTypes(issue);
  if (value === null && !wanted.has('null')) return isConfigMap(parent) ? delete parent[key] : false;
  const text = sourceText(path);
  if (wanted.has('string') && isScalarValue(value) && typeof value !== 'string' && value !== null) {
    return put(text ?? String(value));
  }
  if (wanted.has('string') && typeof value === 'object' && text !== undefined) return put(text);
  if (wanted.has('boolean') && typeof value === 'string') {
    if (/^(true|yes|on|1)$/i.test(value)) return put(true);
    if (/^(false|no|off|0)$/i.test(value)) return put(false);
  }
  if (wanted.has('boolean') && (value === 0 || value === 1)) return put(value === 1);
  if (wanted.has('number') && typeof value === 'string' && /^\s*-?\d+(\.\d+)?\s*$/.test(value))
    return put(Number(value));
  if (wanted.has('array') && !wanted.has('string') && isScalarValue(value) && value !== null) return put([value]);
  return false;
}

/** The types that would do at the place of the issue, looking into the branches of a union. */
function wantedTypes(issue: z.core.$ZodIssue): Set<string> {
  if (issue.code === 'invalid_type') return new Set([issue.expected]);
  if (issue.code === 'invalid_union') {
    const types = issue.errors.flatMap((branch) =>
      branch.flatMap((one) => (one.code === 'invalid_type' && one.path.length === 0 ? [one.expected] : [])),
    );
    return new Set(types);
  }
  return new Set();
}

function isScalarValue(value: unknown): value is string | number | boolean | bigint | null {
  return value === null || ['string', 'number', 'boolean', 'bigint'].includes(typeof value);
}

function valueAt(root: unknown, path: readonly string[]): unknown {
  let value = root;
  for (const part of path) {
    if (Array.isArray(value)) value = value[Number(part)];
    else if (isConfigMap(value) && Object.hasOwn(value, part)) value = value[part];
    else return undefined;
  }
  return value;
}

const TYPE_WORDS: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a map',
  record: 'a map',
  null: 'nothing',
};

/** The places that are wrong themselves: in a union, those of the branch that came furthest. */
function innermost(
  issue: z.core.$ZodIssue,
  at: readonly string[],
): { readonly issue: z.core.$ZodIssue; readonly path: readonly string[] }[] {
  const path = [...at, ...issue.path.map(String)];
  if (issue.code === 'invalid_union') {
    const inside = issue.errors.find((branch) => branch.length > 0 && branch.every((one) => one.path.length > 0));
    if (inside !== undefined) return inside.flatMap((one) => innermost(one, path));
  }
  return [{ issue, path }];
}

function explain(issue: z.core.$ZodIssue, root: ConfigMap, path: readonly string[]): string {
  const name = path.join('.');
  const missing = valueAt(root, path) === undefined;
  switch (issue.code) {
    case 'invalid_type':
      return missing ? `${name} is missing` : `${name} must be ${TYPE_WORDS[issue.expected] ?? issue.expected}`;
    case 'invalid_union': {
      if (missing) return `${name} is missing`;
      const choices = choicesOf(issue);
      const wanted = [...wantedTypes(issue)].map((type) => TYPE_WORDS[type] ?? type);
      if (choices.length > 0) wanted.unshift(`one of ${choices.join(', ')}`);
      return `${name} must be ${wanted.join(' or ')}`;
    }
    case 'invalid_value':
      return `${name} must be one of ${choicesOf(issue).join(', ')}`;
    default:
      return `${name}${/^(must|needs) /.test(issue.message) ? '' : ':'} ${issue.message}`;
  }
}

/** The words that would do at the place of the issue. */
function choicesOf(issue: z.core.$ZodIssue): readonly string[] {
  const found = issue.code === 'invalid_union' ? issue.errors.flat().filter((one) => one.path.length === 0) : [issue];
  return found.flatMap((one) =>
    one.code === 'invalid_value' ? one.values.map((value) => (value === '' ? '""' : String(value))) : [],
  );
}

function suggestionFor(issue: z.core.$ZodIssue, root: ConfigMap, path: readonly string[]): { suggestion?: string } {
  const value = valueAt(root, path);
  if (typeof value !== 'string') return {};
  const near = suggest(
    value,
    choicesOf(issue).filter((one) => one !== '""'),
  );
  return near === undefined ? {} : { suggestion: near };
}

/** Walks a value along its schema and reports keys that nobody knows and keys that are not supported yet. */
function inspectKeys(schema: unknown, value: unknown, path: readonly string[], findings: Finding[]): void {
  if (!(schema instanceof z.ZodType) || value === undefined) return;
  const meta = schema.meta();
  if (meta?.['unsupported'] === true) {
    findings.push({
      severity: 'warning',
      message: `${path.join('.')} is not supported yet: ${meta.description ?? 'it has no effect'}`,
      path,
      atKey: true,
    });
    return;
  }
  if (
    schema instanceof z.ZodOptional ||
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault ||
    schema instanceof z.ZodNullable
  ) {
    inspectKeys(schema.unwrap(), value, path, findings);
  } else if (schema instanceof z.ZodPipe) {
    inspectKeys(schema.in, value, path, findings);
  } else if (schema instanceof z.ZodObject && isConfigMap(value)) {
    inspectObject(schema, value, path, findings);
  } else if (schema instanceof z.ZodRecord && isConfigMap(value)) {
    for (const [key, one] of Object.entries(value)) inspectKeys(schema.valueType, one, [...path, key], findings);
  } else if (schema instanceof z.ZodArray && Array.isArray(value)) {
    for (const [index, one] of value.entries()) inspectKeys(schema.element, one, [...path, String(index)], findings);
  } else if (schema instanceof z.ZodUnion) {
    const fits = schema.options.find((option) => {
      if (isConfigMap(value)) return option instanceof z.ZodObject || option instanceof z.ZodRecord;
      return Array.isArray(value) && option instanceof z.ZodArray;
    });
    inspectKeys(fits, value, path, findings);
  }
}

function inspectObject(schema: z.ZodObject, value: ConfigMap, path: readonly string[], findings: Finding[]): void {
  const { catchall } = schema.def;
  for (const [key, one] of Object.entries(value)) {
    if (Object.hasOwn(schema.shape, key)) inspectKeys(schema.shape[key], one, [...path, key], findings);
    // A loose object takes anything, and knows nothing of it.
    else if (catchall !== undefined && !(catchall instanceof z.ZodUnknown))
      inspectKeys(catchall, one, [...path, key], findings);
    else findings.push(unknownKey([...path, key], Object.keys(schema.shape)));
  }
}

export function unknownKey(path: readonly string[], known: readonly string[]): Finding {
  const near = suggest(path.at(-1) ?? '', known);
  return {
    severity: 'warning',
    message: `unknown key "${path.join('.')}"`,
    path,
    atKey: true,
    ...(near === undefined ? {} : { suggestion: near }),
  };
}
