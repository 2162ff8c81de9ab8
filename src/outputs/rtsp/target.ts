/** What the URL of a request points to. */
export interface RtspTarget {
  /** Stream name as it may be: as written, and percent-decoded where that differs. */
  readonly names: readonly string[];
  readonly query: URLSearchParams;
  /** The query as written, without `?`. */
  readonly queryText: string;
  /** Number of the track; undefined for the whole presentation. */
  readonly track: number | undefined;
}

/**
 * Reads a request URL (absolute, path or `*`). Clients append our `trackID=N` behind the query when there is one
 * (compatibility.md 2).
 */
export function parseTarget(url: string): RtspTarget {
  let rest = url.replace(/^[a-z]+:\/\/[^/?]*/i, '');
  const found = /[/?&]?trackID=(\d{1,3})\/?$/i.exec(rest);
  if (found !== null) rest = rest.slice(0, found.index);
  const at = rest.indexOf('?');
  const path = (at < 0 ? rest : rest.slice(0, at)).replace(/^\/+/, '').replace(/\/+$/, '');
  const queryText = at < 0 ? '' : rest.slice(at + 1).replace(/\/+$/, '');
  const names = [path];
  try {
    const decoded = decodeURIComponent(path);
    if (decoded !== path) names.push(decoded);
  } catch {
    // Not percent-encoded text: the name is what was written.
  }
  return {
    names,
    query: new URLSearchParams(queryText),
    queryText,
    track: found === null ? undefined : Number(found[1]),
  };
}
