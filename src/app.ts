import { isDeepStrictEqual } from 'node:util';
import { ownerPolicy } from './access/policy.ts';
import type { AccessPolicy, Cameras, Env, OutputModule, StillDecoder } from './core/contracts.ts';
import { describeError, HearthcamError } from './core/errors.ts';
import { EventBus } from './core/events.ts';
import { Hub, type HubOptions } from './core/hub.ts';
import type { Log } from './core/log.ts';
import type { VideoCodec } from './core/media.ts';
import { Preloads } from './core/preload.ts';
import type { Rendition } from './core/qualities.ts';
import { Scope } from './core/scope.ts';
import type { SourceModule } from './core/source.ts';
import type { Hardware } from './core/targets.ts';
import { type HttpOptions, HttpServer } from './http/server.ts';
import { createSources } from './modules.ts';
import { HardwareService } from './transcode/hardware/hardware.ts';
import { createMosaicMaker } from './transcode/mosaic.ts';
import { Pipes } from './transcode/pipes.ts';
import { createRemaker } from './transcode/remaker.ts';
import { DEFAULT_TRANSCODE, type TranscodeSettings } from './transcode/settings.ts';

/** What the owner configured, parsed and complete with defaults. Made by `src/config`. */
export interface AppConfig {
  readonly api: Omit<HttpOptions, 'webRoot'>;
  /** Sources by stream name, in the order of the file; an empty list is a stream that others publish to. */
  readonly streams: Readonly<Record<string, readonly string[]>>;
  /** Stream names of one camera, best first. */
  readonly cameras: Readonly<Record<string, readonly string[]>>;
  /** Smaller pictures to offer, by stream name. */
  readonly renditions?: Readonly<Record<string, readonly Rendition[]>>;
  /** What is made of what viewers can't play; `DEFAULT_TRANSCODE` where absent. */
  readonly transcode?: TranscodeSettings;
  /** The only programs that `exec:` and `echo:` may run; absent: all that the file names. */
  readonly programs?: { readonly exec: readonly string[] | undefined; readonly echo: readonly string[] | undefined };
  /** Arguments of the ffmpeg program by the name that `ffmpeg:` sources have for them. */
  readonly ffmpeg?: Readonly<Record<string, string>>;
  /** Query by stream name. */
  readonly preload: Readonly<Record<string, string>>;
  /** How long cameras are held and how much of them is kept; defaults of the hub where absent. */
  readonly restream?: Pick<HubOptions, 'lingerMs' | 'maxGopBytes' | 'timing'>;
  /** Sections of the modules by their key, as parsed by the module's own schema. */
  readonly sections: Readonly<Record<string, unknown>>;
}

/** What can change while the program runs. */
export type AppliedConfig = Pick<AppConfig, 'streams' | 'cameras' | 'preload' | 'renditions' | 'transcode'>;

export interface AppOptions {
  readonly config: AppConfig;
  readonly log: Log;
  /** Outputs and API modules; see `modules.ts`. */
  readonly outputs: readonly OutputModule[];
  /** Kinds of sources besides those of `modules.ts`: the demo's and the tests' own. */
  readonly sources?: readonly SourceModule[];
  /** Decodes stills in a process of its own. */
  readonly createStills: (log: Log, scope: Scope) => StillDecoder;
  /** Absent: whoever is authenticated may do everything. */
  readonly access?: AccessPolicy;
  readonly webRoot: string;
  readonly product: string;
  /** Where modules keep what must outlive the program; absent or null: in memory only. */
  readonly dataDir?: string | null;
  /** Where models lie, see `Env.modelsDir`. */
  readonly modelsDir?: string | null;
  /** Where what was found about the hardware is kept; absent: nowhere. */
  readonly hardwareCacheFile?: string | null;
}

export interface App extends AsyncDisposable {
  readonly hub: Hub;
  readonly preloads: Preloads;
  readonly http: HttpServer;
  readonly events: EventBus;
  /** Process ids of those that transcode now. */
  readonly codecProcesses: readonly number[];
  /** Takes over changed streams, cameras and preloads; only what changed is touched. */
  apply(config: AppliedConfig): Promise<void>;
  close(): Promise<void>;
}

/** The only place where the parts meet: builds them in order, and closes them in reverse. */
export async function startApp(options: AppOptions): Promise<App> {
  const { config, log } = options;
  const scope = new Scope('hearthcam');
  try {
    const access = options.access ?? ownerPolicy();
    let cameras = config.cameras;
    let renditions = config.renditions ?? {};
    let transcode = config.transcode ?? DEFAULT_TRANSCODE;
    const hardware = new HardwareService({
      log: log.child('codec'),
      cacheFile: options.hardwareCacheFile ?? null,
      version: options.product,
    });
    const pipes = new Pipes({
      log: log.child('codec'),
      scope,
      maxEncodes: () => transcode.maxEncodes,
      hardware: { service: hardware, setting: () => transcode.hardware },
    });
    const hardwareMakes = (from: VideoCodec, to: VideoCodec): boolean => hardware.makes(transcode.hardware, from, to);
    const remaker = createRemaker({ pipes, settings: () => transcode, hardwareMakes });
    const mosaics = createMosaicMaker(pipes, log.child('codec'));
    const hardwareProblem = (kind: Hardware): string | null =>
      transcode.hardware === 'off' ? null : hardware.problem(kind);
    const known = createSources(
      () => hub,
      () => ownRtspPorts(config),
      { environment: process.env, allowed: config.programs ?? {}, scope },
      {
        getRemaker: () => remaker,
        ffmpegTemplates: config.ffmpeg ?? {},
        hardwareProblem,
        getMosaicMaker: () => mosaics,
        variantsOf: (name) => pairing.variants(name),
      },
    );
    const hub: Hub = new Hub({
      ...config.restream,
      log: log.child('streams'),
      sources: [...known, ...(options.sources ?? [])],
      remaker,
    });
    scope.defer(() => hub.close());
    const http = new HttpServer({ ...config.api, webRoot: options.webRoot }, access, log.child('api'), scope);
    const events = new EventBus(log.child('events'));
    const preloads = new Preloads(hub, log.child('preload'), scope);
    const stills = options.createStills(log.child('codec'), scope);
    const pairing: Cameras = {
      variants: (name) => Object.values(cameras).find((names) => names.includes(name)) ?? [name],
      all: () => cameras,
    };

    let current: Pick<AppConfig, 'streams' | 'preload'> = { streams: {}, preload: {} };
    const apply = async (next: AppliedConfig): Promise<void> => {
      cameras = next.cameras;
      renditions = next.renditions ?? {};
      transcode = next.transcode ?? DEFAULT_TRANSCODE;
      for (const [name, sources] of Object.entries(next.streams)) {
        // One that the file leaves as it was may have been changed in memory through the API meanwhile.
        if (hub.get(name) !== undefined && isDeepStrictEqual(current.streams[name], sources)) continue;
        const usable = usableSources(hub, sources, (reason) =>
          log.child('streams').error(`stream "${name}": ${reason}`),
        );
        // A stream whose sources are all unusable must not become one that anybody may publish to.
        if (usable.length > 0 || sources.length === 0) hub.set(name, usable);
      }
      const removed = Object.keys(current.streams).filter((name) => !(name in next.streams));
      const unloaded = Object.keys(current.preload).filter((name) => !(name in next.preload));
      current = next;
      for (const name of unloaded) preloads.delete(name);
      await Promise.all(removed.map((name) => hub.remove(name)));
      for (const [name, query] of Object.entries(next.preload)) preloads.set(name, query);
    };

    for (const output of options.outputs) {
      const env: Env = {
        log: log.child(output.name),
        hub,
        routes: http,
        access,
        stills,
        preloads,
        cameras: pairing,
        hardware,
        renditions: { of: (name) => renditions[name] ?? [] },
        events,
        dataDir: options.dataDir ?? null,
        modelsDir: options.modelsDir ?? null,
        product: options.product,
      };
      try {
        await output.start(env, output.config === undefined ? undefined : config.sections[output.config.key], scope);
      } catch (error) {
        throw new HearthcamError('app.start', `${output.name} can't start`, { cause: error });
      }
    }
    await apply(config);
    await http.listen();
    return {
      hub,
      preloads,
      http,
      events,
      get codecProcesses() {
        return pipes.pids;
      },
      apply,
      close: () => scope.close(),
      [Symbol.asyncDispose]: () => scope.close(),
    };
  } catch (error) {
    await scope.close();
    throw error;
  }
}

/** One source that is not supported, such as a second one for talking, doesn't take the others away. */
function usableSources(hub: Hub, sources: readonly string[], report: (reason: string) => void): readonly string[] {
  return sources.filter((source) => {
    try {
      hub.parse(source);
      return true;
    } catch (error) {
      report(describeError(error).replace(/^streams: /, ''));
      return false;
    }
  });
}

/** Ports of our own RTSP server, by which a source that names it is recognised as a stream of ours. */
function ownRtspPorts(config: AppConfig): readonly number[] {
  const section = config.sections['rtsp'];
  const listen =
    typeof section === 'object' && section !== null && 'listen' in section && typeof section.listen === 'string'
      ? section.listen
      : ':8554';
  const port = Number(/:(\d+)$/.exec(listen)?.[1]);
  return Number.isInteger(port) ? [port] : [];
}
