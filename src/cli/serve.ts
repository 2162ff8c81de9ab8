import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { createApi } from '../api/module.ts';
import { type App, startApp } from '../app.ts';
import { type ConfigInput, parseInput, resolveInputs } from '../config/inputs.ts';
import type { LoadedConfig } from '../config/load.ts';
import { formatProblem } from '../config/problems.ts';
import { type ConfigSection, jsonSchema } from '../config/section.ts';
import {
  apiSection,
  appSection,
  dataSection,
  echoSection,
  execSection,
  ffmpegSection,
  logSection,
  modelsSection,
  restreamSection,
  transcodeSection,
} from '../config/sections.ts';
import { ConfigStore } from '../config/store.ts';
import { diffStreams } from '../config/streams.ts';
import type { OutputModule } from '../core/contracts.ts';
import type { Log } from '../core/log.ts';
import { Scope } from '../core/scope.ts';
import { SecretMask } from '../core/secrets.ts';
import { outputs as allOutputs } from '../modules.ts';
import { createCodecProcess } from '../transcode/codec-process.ts';
import { crossProblems, unsaidListeners } from './cross-checks.ts';
import { dataFolder, modelsFolder } from './data-folder.ts';
import { hardwareCacheFile } from './hardware.ts';
import { Lifecycle } from './lifecycle.ts';
import { openLog } from './log.ts';
import type { Terminal } from './main.ts';
import { allSections, layoutOf, logSettings, restreamSettings, toAppConfig } from './settings.ts';
import { platformName, VERSION } from './version.ts';

export interface ServeOptions {
  readonly configs: readonly string[];
  readonly demo: boolean;
}

/** Starts the server; it runs until a signal or the API ends it. @throws HearthcamError when it can't start */
export async function serve(options: ServeOptions, terminal: Terminal): Promise<void> {
  const scope = new Scope('program');
  try {
    await start(options, scope, terminal);
  } catch (error) {
    await scope.close();
    throw error;
  }
}

async function start(options: ServeOptions, scope: Scope, terminal: Terminal): Promise<void> {
  let inputs: readonly ConfigInput[] = resolveInputs(options.configs, terminal.cwd);
  const demo = options.demo || inputs.length === 0 ? await import('./demo.ts') : undefined;
  const lifecycle = new Lifecycle(scope);
  if (demo !== undefined) {
    const own = options.configs.map((value) => parseInput(value, terminal.cwd));
    inputs = [await demo.startDemo(scope), ...own];
  }
  const mask = new SecretMask();
  const sections = allSections(allOutputs);
  const store = new ConfigStore({ inputs, sections, env: terminal.env, mask });
  const config = store.current;
  config.throwIfFatal();
  const { log, ring } = openLog(logSettings(config, terminal.stdout.isTTY === true), mask, terminal);
  lifecycle.attach(log);
  const api = config.get(apiSection);
  log.info(`hearthcam ${VERSION}`, {
    platform: platformName(process.platform, process.arch),
    go2rtc: api.version,
    config: demo === undefined ? (store.path ?? 'command line') : 'demo',
  });
  report(config, sections, log);
  const unsaid = demo === undefined ? unsaidListeners(config) : undefined;
  if (unsaid !== undefined) log.child('config').info(unsaid);
  const outputs = enabledModules(config.get(appSection).modules);
  const rtsp = rtspInfo(config, sections);
  const apiModule = createApi({
    settings: store,
    ring,
    control: lifecycle,
    show: (text) => (api.mask_secrets ? mask.mask(text) : text),
    mask: (text) => mask.mask(text),
    version: api.version,
    ownVersion: VERSION,
    rtsp,
    schema: () => jsonSchema(sections),
  });
  const app = await startApp({
    config: { ...toAppConfig(config, allOutputs, terminal.cwd), restream: restreamSettings(config) },
    log,
    outputs: [...outputs, apiModule],
    createStills: (childLog, childScope) => createCodecProcess({ log: childLog, scope: childScope }),
    webRoot: api.static_dir === '' ? builtInPages() : resolve(terminal.cwd, api.static_dir),
    dataDir: demo === undefined ? dataFolder(config, terminal, store.path) : null,
    modelsDir: demo === undefined ? modelsFolder(config, terminal, store.path) : null,
    product: `hearthcam/${VERSION}`,
    hardwareCacheFile: hardwareCacheFile(terminal.env),
  });
  scope.defer(() => app.close());
  const configLog = log.child('config');
  store.watch(configLog, scope, (next, previous) => applyChange(app, next, previous, configLog, terminal));
  demo?.printLinks(app, rtsp.listen, config, terminal);
}

/** go2rtc's module names for parts that are modules here too; parts without a name there always run. */
const MODULE_NAMES: Readonly<Record<string, readonly string[]>> = {
  rtsp: ['rtsp'],
  webrtc: ['webrtc'],
  hls: ['hls'],
  mp4: ['mp4', 'mse'],
  mjpeg: ['mjpeg'],
};

/** `app.modules`: an empty list means all (compatibility.md 4). */
export function enabledModules(names: readonly string[]): readonly OutputModule[] {
  if (names.length === 0) return allOutputs;
  const off = Object.entries(MODULE_NAMES).flatMap(([name, ours]) => (names.includes(name) ? [] : ours));
  return allOutputs.filter((output) => !off.includes(output.name));
}

/** Takes over what an edit of the file changed; names the sections that are read at the start only. */
async function applyChange(
  app: App,
  next: LoadedConfig,
  previous: LoadedConfig,
  log: Log,
  terminal: Terminal,
): Promise<void> {
  const { streams, ...rest } = toAppConfig(next, allOutputs, terminal.cwd);
  await app.apply({ streams, ...rest });
  const before = layoutOf(previous);
  const { set, removed } = diffStreams(before.streams, streams);
  log.info('the configuration file was read again', { changed: Object.keys(set).length, removed: removed.length });
  const { modes, renditions } = layoutOf(next);
  const made = [previous.get(transcodeSection), before.modes, before.renditions];
  if (!isDeepStrictEqual(made, [next.get(transcodeSection), modes, renditions])) {
    log.info('what is made for viewers has changed: in force for those who come from now on');
  }
  const own = allOutputs.flatMap((output) => (output.config === undefined ? [] : [output.config]));
  const later = [
    apiSection,
    appSection,
    dataSection,
    echoSection,
    execSection,
    ffmpegSection,
    logSection,
    modelsSection,
    restreamSection,
    ...own,
  ]
    .filter((section: ConfigSection) => !isDeepStrictEqual(previous.get(section), next.get(section)))
    .map((section) => section.key);
  if (later.length > 0) log.warn(`changed, but in force from the next start on: ${later.join(', ')}`);
}

function report(config: LoadedConfig, sections: readonly ConfigSection[], log: Log): void {
  const child = log.child('config');
  for (const [path, text] of config.texts) {
    if (text === undefined) child.warn(`there is no ${path} yet: it is made when something is written to it`);
  }
  for (const problem of [...config.problems, ...crossProblems(config, sections)]) {
    if (problem.severity === 'error') child.error(formatProblem(problem));
    else child.warn(formatProblem(problem));
  }
}

const rtspShape = z.object({
  listen: z.string().default(':8554'),
  default_query: z.string().default('video&audio'),
  pkt_size: z.number().default(0),
});

/** What `/api` says about the RTSP server, whichever module handles that section. */
function rtspInfo(config: LoadedConfig, sections: ReturnType<typeof allSections>) {
  const section = sections.find((one) => one.key === 'rtsp');
  const parsed = rtspShape.safeParse(section === undefined ? {} : config.get(section));
  return parsed.success ? parsed.data : rtspShape.parse({});
}

/** `dist/web`, seen from the bundle or from the sources. */
function builtInPages(): string {
  const fromSources = import.meta.url.endsWith('/cli/serve.ts');
  return fileURLToPath(new URL(fromSources ? '../../dist/web' : './web', import.meta.url));
}
