import { z } from 'zod';

/** A part of the configuration file under one top-level key; outputs bring their own (`OutputModule.config`). */
export interface ConfigSection<T = unknown> {
  readonly key: string;
  /** Must accept an absent section: `{}` or undefined gives the defaults. */
  readonly schema: z.ZodType<T>;
  /** A map whose entries stand alone: a wrong entry is left out, the others are used. */
  readonly perEntry?: boolean;
  /** Keys of such an entry that stand alone too: a wrong one is left out, the entry is used without it. */
  readonly details?: readonly string[];
}

/** A key of go2rtc that is read, and answered by a warning that names it. The description says why or what instead. */
export function unsupported(description: string): z.ZodType<unknown> {
  return z.unknown().optional().meta({ unsupported: true, description });
}

/** A map of lists and texts becomes one schema: the sections, plus those of go2rtc that nobody handles yet. */
export function composeSections(
  sections: readonly ConfigSection[],
  fallback: readonly ConfigSection[],
): readonly ConfigSection[] {
  const taken = new Set(sections.map((section) => section.key));
  return [...sections, ...fallback.filter((section) => !taken.has(section.key))];
}

/** The JSON Schema (2020-12) of a whole file, for editors: keys that nobody knows are marked. */
export function jsonSchema(sections: readonly ConfigSection[]): Record<string, unknown> {
  const properties: Record<string, unknown> = {};
  for (const section of [...sections].sort((a, b) => a.key.localeCompare(b.key, 'en'))) {
    const { $schema: _dialect, ...made } = z.toJSONSchema(section.schema, { io: 'input', unrepresentable: 'any' });
    properties[section.key] = nullable(closeObjects(made));
  }
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'Hearthcam configuration',
    description: 'hearthcam.yaml; every key of go2rtc.yaml is read too.',
    type: 'object',
    properties,
    patternProperties: { '^x-': { description: 'Room for YAML anchors; ignored.' } },
    additionalProperties: false,
  };
}

/** `streams:` with nothing below it is what remains when its last entry is commented out. */
function nullable(schema: unknown): unknown {
  if (!isRecord(schema)) return schema;
  const branches = schema['anyOf'];
  if (Array.isArray(branches)) return { ...schema, anyOf: [...branches, { type: 'null' }] };
  if (schema['type'] !== 'object') return schema;
  return { ...schema, type: ['object', 'null'] };
}

function closeObjects(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closeObjects);
  if (!isRecord(schema)) return schema;
  const out: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(schema)) {
    // Property names and defaults are data, not schemas.
    if (key === 'default' || key === 'examples' || key === 'enum') out[key] = value;
    else if (key === 'properties' && isRecord(value)) {
      out[key] = Object.fromEntries(Object.entries(value).map(([name, one]) => [name, closeObjects(one)]));
    } else if (key === 'propertyNames') continue;
    else if (key === 'maximum' && value === Number.MAX_SAFE_INTEGER) continue;
    else if (key === 'minimum' && value === Number.MIN_SAFE_INTEGER) continue;
    else out[key] = closeObjects(value);
  }
  const rest = out['additionalProperties'];
  const open = rest === undefined || (isRecord(rest) && Object.keys(rest).length === 0);
  if (out['type'] === 'object' && isRecord(out['properties']) && open) out['additionalProperties'] = false;
  return out;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
