import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { parse } from 'yaml';

/** One `-c` value. */
export type ConfigInput =
  | { readonly kind: 'file'; readonly path: string; readonly label: string }
  | { readonly kind: 'text'; readonly text: string; readonly label: string };

/** Names that are looked for in the working directory when no `-c` is given. */
const DEFAULT_FILES: readonly string[] = ['hearthcam.yaml', 'go2rtc.yaml'];

/**
 * A file name, inline `{yaml or json}`, inline YAML of several lines, or `log.level=debug` (compatibility.md 4). A name
 * that exists as a file is a file, whatever it looks like.
 */
export function parseInput(value: string, cwd: string): ConfigInput {
  const label = 'command line';
  const trimmed = value.trim();
  if (trimmed.startsWith('{') || trimmed.includes('\n')) return { kind: 'text', text: value, label };
  const path = resolve(cwd, value);
  const dotted = /^([\w-]+(?:\.[\w-]+)+)=(.*)$/s.exec(value);
  if (dotted?.[1] !== undefined && !existsSync(path)) {
    return { kind: 'text', text: dottedToJson(dotted[1], dotted[2] ?? ''), label };
  }
  return { kind: 'file', path, label: value };
}

/** The inputs for `-c` values; without any, the default file where there is one. */
export function resolveInputs(values: readonly string[], cwd: string): readonly ConfigInput[] {
  if (values.length > 0) return values.map((value) => parseInput(value, cwd));
  const found = DEFAULT_FILES.find((name) => existsSync(resolve(cwd, name)));
  return found === undefined ? [] : [{ kind: 'file', path: resolve(cwd, found), label: found }];
}

function dottedToJson(key: string, text: string): string {
  let value: unknown = text;
  try {
    // `api.local_auth=true` is a truth value, `webrtc.ice_servers=[]` a list, `rtsp.listen=:8554` a text.
    const parsed: unknown = parse(text, { logLevel: 'silent' });
    if (parsed !== null && (typeof parsed !== 'object' || /^\s*[[{]/.test(text))) value = parsed;
  } catch {
    // Not YAML by itself: taken as it is.
  }
  for (const part of key.split('.').reverse()) value = { [part]: value };
  return JSON.stringify(value);
}
