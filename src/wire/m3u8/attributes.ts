/** An attribute list (RFC 8216bis §4.2): `NAME=value,NAME="quoted, value",…`. What is no such pair is left out. */
export function parseAttributes(text: string): ReadonlyMap<string, string> {
  const attributes = new Map<string, string>();
  let at = 0;
  while (at < text.length) {
    const equals = text.indexOf('=', at);
    if (equals < 0) break;
    // Damage before the name ends with the last comma in front of it.
    const name = text.slice(Math.max(at, text.lastIndexOf(',', equals) + 1), equals).trim();
    let from = equals + 1;
    while (text[from] === ' ') from++;
    let end: number;
    if (text[from] === '"') {
      const close = text.indexOf('"', from + 1);
      end = close < 0 ? text.length : close;
      if (name !== '') attributes.set(name.toUpperCase(), text.slice(from + 1, end));
      const comma = text.indexOf(',', end);
      at = comma < 0 ? text.length : comma + 1;
    } else {
      const comma = text.indexOf(',', from);
      end = comma < 0 ? text.length : comma;
      if (name !== '') attributes.set(name.toUpperCase(), text.slice(from, end).trim());
      at = end + 1;
    }
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
