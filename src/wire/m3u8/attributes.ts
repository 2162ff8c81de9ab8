/** An attribute list (RFC 8216bis §4.2): `NAME=value,NAME="quoted, value",…`. What is no such pair is left out. */
export function parseAttributes(text: string): ReadonlyMap<string, string> {
  const attributes = new Map<string, string>();
  const pattern = /\s*([A-Za-z0-9-]+)\s*=\s*(?:"([^"]*)"|([^",]*))\s*(?:,|$)/y;
  let at = 0;
  while (at < text.length) {
    pattern.lastIndex = at;
    const match = pattern.exec(text);
    if (match === null) {
      // Damaged: go on behind the next comma.
      const comma = text.indexOf(',', at);
      if (comma < 0) break;
      at = comma + 1;
      continue;
    }
    const [, name = '', quoted, plain] = match;
    attributes.set(name.toUpperCase(), quoted ?? plain?.trim() ?? '');
    at = Math.max(pattern.lastIndex, at + 1);
  }
  return attributes;
}

/** A decimal number of seconds as milliseconds; undefined when it is none or negative. */
export function secondsToMs(text: string | undefined): number | undefined {
  if (text === undefined || text.trim() === '') return undefined;
  const value = Number(text);
  return Number.isFinite(value) && value >= 0 ? value * 1000 : undefined;
}

/** A decimal integer below 2^53; undefined when it is none. */
export function wholeNumber(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{1,16}$/.test(text.trim())) return undefined;
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : undefined;
}
