export interface PlayerAddress {
  /** Where the API is. */
  readonly server: string;
  readonly src: string;
}

/**
 * go2rtc's elements are given the address of its WebSocket: `api/ws?src=cam`, `/rtc/api/ws?src=cam`,
 * `wss://host/api/ws?src=cam`, or a URL object. Null when it isn't one.
 */
export function parseWsAddress(address: string, pageUrl: string): PlayerAddress | null {
  let url: URL;
  try {
    url = new URL(address, pageUrl);
  } catch {
    return null;
  }
  const src = url.searchParams.get('src');
  const base = /^(.*\/)api\/ws$/.exec(url.pathname)?.[1];
  if (src === null || src === '' || base === undefined) return null;
  if (url.protocol === 'ws:') url.protocol = 'http:';
  if (url.protocol === 'wss:') url.protocol = 'https:';
  return { server: url.origin + base, src };
}
