/**
 * `${NAME}`, `${NAME:default}` and `${file:/run/secrets/x}` in a configuration file.
 *
 * go2rtc replaces them in the text before it parses the YAML (compatibility.md 4), so they may stand where YAML would
 * not allow a brace. Here each is first replaced by a token of the same length that YAML takes for an ordinary word:
 * the structure can't be changed by what a password happens to contain, and every position stays that of the file.
 */

export interface Reference {
  /** As written, `${…}` included. */
  readonly text: string;
  readonly name: string;
  readonly fallback: string | undefined;
}

export interface Tokenised {
  readonly text: string;
  readonly references: readonly Reference[];
}

// Private-use characters: open, two digits of the index, padding, close. The shortest reference has four characters.
const OPEN = '\uE000';
const CLOSE = '\uF8FF';
const PAD = '\uF8FE';
const DIGIT_0 = 0xe100;
const BASE = 4096;
const TOKEN = /\uE000([\uE100-\uF0FF])([\uE100-\uF0FF])\uF8FE*\uF8FF/g;
const REFERENCE = /\$\{([^{}\n]+)\}/g;

/** Puts a token of the same length in the place of each `${…}`, so that positions in the text stay right. */
export function tokenise(text: string): Tokenised {
  const references: Reference[] = [];
  const replaced = text.replace(REFERENCE, (whole: string, inner: string) => {
    const colon = inner.indexOf(':');
    const index = references.length;
    references.push({
      text: whole,
      name: colon < 0 ? inner : inner.slice(0, colon),
      fallback: colon < 0 ? undefined : inner.slice(colon + 1),
    });
    const digits = String.fromCharCode(DIGIT_0 + Math.floor(index / BASE), DIGIT_0 + (index % BASE));
    return OPEN + digits + PAD.repeat(whole.length - 4) + CLOSE;
  });
  return { text: replaced, references };
}

/** Whether a value holds references that `fillTokens` must replace. */
export function hasToken(text: string): boolean {
  return text.includes(OPEN);
}

/** Replaces the tokens by what `resolve` gives; by the reference as written where it gives nothing. */
export function fillTokens(
  text: string,
  references: readonly Reference[],
  resolve: (reference: Reference) => string | undefined,
): string {
  return text.replace(TOKEN, (token: string, high: string, low: string) => {
    const index = (high.charCodeAt(0) - DIGIT_0) * BASE + low.charCodeAt(0) - DIGIT_0;
    const reference = references[index];
    if (reference === undefined) return token;
    return resolve(reference) ?? reference.text;
  });
}

/** Puts the references back as they were written. */
export function untokenise(text: string, references: readonly Reference[]): string {
  return fillTokens(text, references, () => undefined);
}

export interface ReferenceSources {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** @throws when there is no such file. */
  readonly readFile: (path: string) => string;
  /** systemd's `$CREDENTIALS_DIRECTORY`. */
  readonly credentialsDirectory: string | undefined;
}

export type Resolution =
  | { readonly status: 'found'; readonly value: string; readonly secret: boolean }
  | { readonly status: 'missing'; readonly reason: string };

/** Order: the file's own `env:` map, the credentials directory, the environment, the default (compatibility.md 4). */
export function resolveReference(
  reference: Reference,
  fileEnv: Readonly<Record<string, string>>,
  sources: ReferenceSources,
): Resolution {
  const { name, fallback } = reference;
  if (name === 'file' && fallback !== undefined) {
    try {
      return { status: 'found', value: trimNewline(sources.readFile(fallback)), secret: true };
    } catch (error) {
      return { status: 'missing', reason: unreadable(fallback, error) };
    }
  }
  if (Object.hasOwn(fileEnv, name)) return { status: 'found', value: fileEnv[name] ?? '', secret: true };
  if (sources.credentialsDirectory !== undefined && /^[\w.-]+$/.test(name) && !name.startsWith('.')) {
    try {
      const value = sources.readFile(`${sources.credentialsDirectory}/${name}`);
      return { status: 'found', value: trimNewline(value), secret: true };
    } catch {
      // Not every variable is a credential: the environment comes next.
    }
  }
  const value = sources.env[name];
  if (value !== undefined) return { status: 'found', value, secret: true };
  if (fallback !== undefined) return { status: 'found', value: fallback, secret: false };
  return { status: 'missing', reason: `"${name}" is neither in env: nor in the environment` };
}

/** Why a file can't be read, in words. */
export function unreadable(path: string, error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'ENOENT') return `there is no file "${path}"`;
  if (code === 'EISDIR') return `"${path}" is a folder, not a file`;
  if (code === 'EACCES' || code === 'EPERM')
    return `this program may not read "${path}": look at the file's permissions`;
  return `the file "${path}" can't be read: ${error instanceof Error ? error.message : String(error)}`;
}

function trimNewline(text: string): string {
  return text.replace(/\r?\n$/, '');
}
