import { HearthcamError } from './errors.ts';
import { ExpectedPublishers } from './expected-publishers.ts';
import type { Log } from './log.ts';
import { DEFAULT_TIMING, type ProducerTiming } from './producer.ts';
import type { Remaker } from './remaking.ts';
import { parseSourceSpec, type SourceModule, type SourceSpec } from './source.ts';
import { Stream, type StreamOptions } from './stream.ts';

export interface HubOptions {
  readonly log: Log;
  readonly sources: readonly SourceModule[];
  readonly maxGopBytes?: number;
  readonly lingerMs?: number;
  readonly timing?: ProducerTiming;
  /** Makes tracks that a stream's sources don't give. */
  readonly remaker?: Remaker;
}

/** All streams by name. */
export class Hub {
  /** Programs of sources that are to publish to us. */
  readonly expected = new ExpectedPublishers();
  readonly #options: HubOptions;
  readonly #modules = new Map<string, SourceModule>();
  readonly #streams = new Map<string, Stream>();
  #lastId = 0;

  constructor(options: HubOptions) {
    this.#options = options;
    for (const module of options.sources) {
      for (const scheme of module.schemes) this.#modules.set(scheme, module);
    }
  }

  get streams(): ReadonlyMap<string, Stream> {
    return this.#streams;
  }
  /** URL schemes that a source may have. */
  get schemes(): readonly string[] {
    return [...this.#modules.keys()].filter((scheme) => scheme !== '');
  }

  get(name: string): Stream | undefined {
    return this.#streams.get(name);
  }

  /** @throws HearthcamError 404 `stream not found` (the text that go2rtc's clients know). */
  require(name: string): Stream {
    const stream = this.#streams.get(name);
    if (stream === undefined) throw new HearthcamError('stream.unknown', 'stream not found', { status: 404 });
    return stream;
  }

  /** Makes a stream or changes its sources. Sources that stay the same are not disturbed. */
  set(name: string, sources: readonly string[]): Stream {
    const specs = sources.map((text) => this.parse(text));
    const existing = this.#streams.get(name);
    if (existing !== undefined) {
      existing.setSources(specs);
      return existing;
    }
    const { log, remaker } = this.#options;
    const stream = this.#makeStream({ name, log, remaker, findModule: (spec) => this.#find(spec) }, specs);
    this.#streams.set(name, stream);
    return stream;
  }

  /** A stream with the hub's settings that is in no list. Who makes it closes it. */
  makePrivate(name: string, source: SourceSpec, module: SourceModule, log: Log): Stream {
    return this.#makeStream({ name, log, findModule: () => module }, [source]);
  }

  async remove(name: string): Promise<boolean> {
    const stream = this.#streams.get(name);
    if (stream === undefined) return false;
    this.#streams.delete(name);
    await stream.close();
    return true;
  }

  /**
   * Takes a source's text apart and lets its module look at it.
   * @throws HearthcamError 400 `source not supported` or the module's own reason.
   */
  parse(text: string): SourceSpec {
    const spec = parseSourceSpec(text);
    // Behind the # everything is a parameter: what is left of the address would be told with half a password in it.
    if (/^[a-z][a-z0-9+.-]*:\/\/[^/@]*:[^/@]*$/i.test(spec.url) && /^[^=]*@/.test(text.slice(spec.url.length))) {
      throw new HearthcamError('source.hash', 'the password has a # in it', { status: 400, hint: 'write %23 for #' });
    }
    this.#find(spec).validate?.(spec);
    return spec;
  }

  /** The module for a source, for example to ask whether only the configuration may name it. */
  moduleFor(spec: SourceSpec): SourceModule {
    return this.#find(spec);
  }

  async close(): Promise<void> {
    const streams = [...this.#streams.values()];
    this.#streams.clear();
    await Promise.all(streams.map((stream) => stream.close()));
  }

  #makeStream(
    own: Pick<StreamOptions, 'name' | 'log' | 'remaker' | 'findModule'>,
    specs: readonly SourceSpec[],
  ): Stream {
    const { maxGopBytes = 16 * 1024 * 1024, lingerMs = 5_000, timing = DEFAULT_TIMING } = this.#options;
    return new Stream({ ...own, maxGopBytes, lingerMs, timing, nextId: () => ++this.#lastId }, specs);
  }

  #find(spec: SourceSpec): SourceModule {
    const module = this.#modules.get(spec.scheme);
    if (module === undefined) {
      if (spec.scheme === 'expr') throw noScripts();
      throw new HearthcamError('source.unsupported', 'streams: source not supported', {
        status: 400,
        hint: `"${spec.scheme}:" is none of ${this.schemes.join(', ')}`,
      });
    }
    return module;
  }
}

function noScripts(): HearthcamError {
  return new HearthcamError('source.expr', 'expr: scripts in the configuration are not run', {
    status: 400,
    hint: 'a program of yours can give the address as well: echo:/path/to/program',
  });
}
