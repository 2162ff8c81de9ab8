import { fileURLToPath } from 'node:url';
import { type App, type AppConfig, startApp } from '../src/app.ts';
import type { AccessPolicy, OutputModule, StillDecoder } from '../src/core/contracts.ts';
import { HearthcamError } from '../src/core/errors.ts';
import type { SourceModule } from '../src/core/source.ts';
import { outputs as allOutputs } from '../src/modules.ts';
import { freePort } from './free-port.ts';
import { MemoryLog } from './memory-log.ts';

export { freePort };

export interface TestAppOptions {
  /** Sources by stream name. */
  readonly streams: Readonly<Record<string, readonly string[]>>;
  readonly cameras?: AppConfig['cameras'];
  readonly preload?: AppConfig['preload'];
  readonly api?: Partial<AppConfig['api']>;
  /** Over the free ports and the modules' own defaults. */
  readonly sections?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  /** Source modules besides the project's own, for example `fileSource(…)`. */
  readonly sources?: readonly SourceModule[];
  /** Default: all of `modules.ts`. */
  readonly outputs?: readonly OutputModule[];
  readonly stills?: StillDecoder;
  readonly transcode?: AppConfig['transcode'];
  readonly renditions?: AppConfig['renditions'];
  readonly restream?: AppConfig['restream'];
  readonly access?: AccessPolicy;
  /** Where modules keep their state; nowhere where absent. */
  readonly dataDir?: string;
  readonly modelsDir?: string;
}

export interface TestApp extends AsyncDisposable {
  readonly app: App;
  readonly log: MemoryLog;
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  /** `ws://127.0.0.1:PORT/api/ws` */
  readonly wsUrl: string;
  /** `rtsp://127.0.0.1:PORT` */
  readonly rtspUrl: string;
  readonly ports: { readonly api: number; readonly rtsp: number; readonly webrtc: number };
}

/** The whole application in this process on free loopback ports. */
export async function startTestApp(options: TestAppOptions): Promise<TestApp> {
  const [api, rtsp, webrtc] = await Promise.all([freePort(), freePort(), freePort()]);
  const log = new MemoryLog();
  const outputs = options.outputs ?? allOutputs;
  const defaults: Record<string, Record<string, unknown>> = {
    rtsp: { listen: `127.0.0.1:${rtsp}` },
    webrtc: { listen: `127.0.0.1:${webrtc}`, ice_servers: [], filters: { loopback: true } },
  };
  const sections: Record<string, unknown> = {};
  for (const output of outputs) {
    if (output.config === undefined) continue;
    const { key, schema } = output.config;
    sections[key] = schema.parse({ ...defaults[key], ...options.sections?.[key] });
  }
  const app = await startApp({
    config: {
      api: {
        listen: `127.0.0.1:${api}`,
        tlsListen: '',
        tlsCert: '',
        tlsKey: '',
        unixListen: '',
        basePath: '',
        origin: '',
        allowPaths: [],
        hosts: [],
        username: '',
        password: '',
        localAuth: false,
        ...options.api,
      },
      streams: options.streams,
      cameras: options.cameras ?? {},
      preload: options.preload ?? {},
      ...(options.transcode === undefined ? {} : { transcode: options.transcode }),
      ...(options.restream === undefined ? {} : { restream: options.restream }),
      ...(options.renditions === undefined ? {} : { renditions: options.renditions }),
      sections,
    },
    log,
    outputs,
    ...(options.sources === undefined ? {} : { sources: options.sources }),
    ...(options.access === undefined ? {} : { access: options.access }),
    ...(options.dataDir === undefined ? {} : { dataDir: options.dataDir }),
    ...(options.modelsDir === undefined ? {} : { modelsDir: options.modelsDir }),
    createStills: () => options.stills ?? noStills,
    webRoot: fileURLToPath(new URL('../dist/web', import.meta.url)),
    product: 'hearthcam/test',
  });
  return {
    app,
    log,
    url: `http://127.0.0.1:${api}`,
    wsUrl: `ws://127.0.0.1:${api}/api/ws`,
    rtspUrl: `rtsp://127.0.0.1:${rtsp}`,
    ports: { api, rtsp, webrtc },
    [Symbol.asyncDispose]: () => app.close(),
  };
}

const noStills: StillDecoder = {
  still: () => Promise.reject(new HearthcamError('test.stills', 'this test has no codec process', { status: 503 })),
};
