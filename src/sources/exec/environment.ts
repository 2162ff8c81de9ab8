/** What programs commonly need; everything else the server was started with is none of their business. */
const NAMES: ReadonlySet<string> = new Set([
  'PATH',
  'HOME',
  'USER',
  'LOGNAME',
  'SHELL',
  'LANG',
  'LANGUAGE',
  'TZ',
  'TMPDIR',
  'LD_LIBRARY_PATH',
  'XDG_RUNTIME_DIR',
  'SSL_CERT_FILE',
  'SSL_CERT_DIR',
]);
/** Locale, and the drivers of graphics cards. */
const PREFIXES = /^(?:LC|LIBVA|VDPAU|NVIDIA|CUDA|MESA|FONTCONFIG)_/;

/** The environment for a program: passwords that the server was given by variables are not in it. */
export function programEnvironment(all: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const [name, value] of Object.entries(all)) {
    if (value !== undefined && (NAMES.has(name) || PREFIXES.test(name))) kept[name] = value;
  }
  return kept;
}
