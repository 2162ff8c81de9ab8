/**
 * Addresses of one server. `base` is where its API is, as the page sees it: relative to the page by default, so that
 * the player works behind `base_path`, a proxy, or Home Assistant's ingress.
 */
export class ServerAddress {
  readonly #base: URL;

  /** @throws TypeError when `server` is no address. */
  constructor(server: string, pageUrl: string) {
    const withSlash = server === '' || server.endsWith('/') ? server : `${server}/`;
    this.#base = new URL(withSlash === '' ? '.' : withSlash, pageUrl);
    if (this.#base.protocol === 'ws:') this.#base.protocol = 'http:';
    if (this.#base.protocol === 'wss:') this.#base.protocol = 'https:';
    if (this.#base.protocol !== 'http:' && this.#base.protocol !== 'https:') {
      throw new TypeError(`"${server}" is not an address of a server: it must begin with http:// or https://`);
    }
  }

  get text(): string {
    return this.#base.href;
  }

  /** `path` without a leading slash, e.g. `api/frame.jpeg`. */
  http(path: string, query: Readonly<Record<string, string>> = {}): string {
    const url = new URL(path, this.#base);
    for (const [key, value] of Object.entries(query)) url.searchParams.set(key, value);
    return url.href;
  }

  ws(path: string, query: Readonly<Record<string, string>> = {}): string {
    return this.http(path, query).replace(/^http/, 'ws');
  }
}
