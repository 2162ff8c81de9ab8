import type { Consumer } from './consumer.ts';
import { describeError } from './errors.ts';
import type { Hub } from './hub.ts';
import type { Log } from './log.ts';
import type { Scope } from './scope.ts';
import { ANY_WANTS, wantsFromQuery } from './wants.ts';

const RETRY_MS = 2_000;

interface Entry {
  readonly query: string;
  readonly scope: Scope;
  consumer: Consumer | undefined;
}

/** Keeps cameras connected without a viewer, so that the first picture is there at once. */
export class Preloads {
  readonly #hub: Hub;
  readonly #log: Log;
  readonly #scope: Scope;
  readonly #entries = new Map<string, Entry>();

  constructor(hub: Hub, log: Log, scope: Scope) {
    this.#hub = hub;
    this.#log = log;
    this.#scope = scope;
  }

  get entries(): ReadonlyMap<string, { readonly query: string; readonly consumer: Consumer | undefined }> {
    return this.#entries;
  }

  /** Begins to hold a stream; the same query again changes nothing. Doesn't wait for the camera. */
  set(name: string, query: string): void {
    const old = this.#entries.get(name);
    if (old?.query === query) return;
    if (old !== undefined) this.delete(name);
    const entry: Entry = { query, scope: this.#scope.child(`preload ${name}`), consumer: undefined };
    this.#entries.set(name, entry);
    void this.#hold(name, entry);
  }

  /** @returns whether there was one */
  delete(name: string): boolean {
    const entry = this.#entries.get(name);
    if (entry === undefined) return false;
    this.#entries.delete(name);
    entry.scope.close().catch((error: unknown) => this.#log.warn(`preload "${name}"`, { error: describeError(error) }));
    return true;
  }

  async #hold(name: string, entry: Entry): Promise<void> {
    const parsed = wantsFromQuery(new URLSearchParams(entry.query));
    const wants = parsed.length > 0 ? parsed : ANY_WANTS;
    while (!entry.scope.closed) {
      const ended = Promise.withResolvers<void>();
      try {
        const consumer = await this.#hub.require(name).open({
          formatName: 'preload',
          protocol: '',
          remoteAddr: '',
          wants,
          signal: entry.scope.signal,
          onEnd: () => ended.resolve(),
        });
        entry.consumer = consumer;
        entry.scope.signal.addEventListener('abort', () => ended.resolve(), { once: true });
        if (entry.scope.closed) ended.resolve();
        await ended.promise;
        consumer.close();
        entry.consumer = undefined;
      } catch (error) {
        if (entry.scope.closed) return;
        this.#log.debug(`preload "${name}": ${describeError(error)}`);
        await entry.scope.sleep(RETRY_MS);
      }
    }
  }
}
