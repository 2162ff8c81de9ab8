const MASK = '***';

/** Shorter values are not registered: masking every `on` or `80` would make lines unreadable and hide nothing. */
const MIN_VALUE_LENGTH = 4;
/**
 * `//user:pass@`. A password may hold `/` or `@` although RFC 3986 §3.2.1 wants them escaped: cameras' apps accept
 * such passwords and owners paste them. Lengths are bounded so that hostile lines cost linear time.
 */
const USER_INFO = /\/\/[^\s"'<>/@:]{0,256}(?::[^\s"'<>@]{0,256})?@(?:[^\s"'<>/@]{0,256}@)*/g;
const SECRET_QUERY =
  /(^|[?&;,\s"'({])((?:camera_?)?(?:password|passwd|passphrase|pass|pwd|psw|token|access_?token|api_?key|secret|credential))=([^&\s"'#;,)}]+)/gi;
const USER_QUERY = /([?&;])(user|username|usr|login)=([^&\s"'#;,)}]+)/gi;
const SECRET_WORD = /pass|pwd|psw|token|key|secret|credential/i;

/**
 * Keeps passwords out of logs, API answers and error texts: user info in URLs (`//user:pass@`), password-like query
 * values (Reolink's `?user=…&password=…`), and values that came from the environment or from secret files.
 */
export class SecretMask {
  readonly #values = new Set<string>();
  #sorted: readonly string[] = [];

  /** Registers a value that must not be shown. Short values, plain numbers below 100000 and IPv4 addresses are not. */
  add(value: string): void {
    if (value.length < MIN_VALUE_LENGTH || this.#values.has(value) || isHarmless(value)) return;
    for (const form of [value, encodeURIComponent(value), JSON.stringify(value).slice(1, -1)]) this.#values.add(form);
    // Longest first: a value that contains another one must be replaced as a whole.
    this.#sorted = [...this.#values].sort((a, b) => b.length - a.length);
  }

  /** The text with all that is secret replaced by `***`. Fast for lines without secrets. */
  mask(text: string): string {
    let out = text;
    for (const value of this.#sorted) {
      if (out.includes(value)) out = out.replaceAll(value, MASK);
    }
    if (out.includes('@') && out.includes('//')) out = out.replace(USER_INFO, `//${MASK}@`);
    if (out.includes('=') && SECRET_WORD.test(out)) {
      const masked = out.replace(SECRET_QUERY, `$1$2=${MASK}`);
      // A user's name is worth hiding only where it stands beside its password.
      out = masked === out ? out : masked.replace(USER_QUERY, `$1$2=${MASK}`);
    }
    return out;
  }
}

function isHarmless(value: string): boolean {
  return (
    /^\d{1,5}$/.test(value) || /^(true|false|null|none)$/i.test(value) || /^\d{1,3}(\.\d{1,3}){3}(:\d+)?$/.test(value)
  );
}
