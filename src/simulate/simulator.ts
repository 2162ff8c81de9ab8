import { createServer } from 'node:net';
import type { Env, OutputModule } from '../core/contracts.ts';
import { HearthcamError } from '../core/errors.ts';
import { EventBus } from '../core/events.ts';
import { Hub } from '../core/hub.ts';
import type { Log } from '../core/log.ts';
import { EMPTY } from '../core/media.ts';
import { Preloads } from '../core/preload.ts';
import { Scope } from '../core/scope.ts';
import { FaultProxy } from './fault-proxy.ts';
import type { FaultOptions } from './faults.ts';
import { PictureMaker } from './picture-maker.ts';
import { encodeToMaker, parseToMaker, SCENE_NAMES, type SceneName, type StreamPlan } from './protocol.ts';
import { type SimulatedSource, simulatedSource } from './source.ts';

/** How one stream of a simulated camera is encoded. */
export type SimulatedStreamOptions = Partial<Omit<StreamPlan, 'scene' | 'title'>>;

export interface SimulatedCameraOptions {
  /** Part of its addresses: letters, digits, `-` and `_`. */
  readonly name: string;
  readonly scene?: SceneName;
  /** Burnt in; default: the name. */
  readonly title?: string;
  /** Over 1280x720, 15 pictures a second, key frame each 2 s, H.264, AAC. */
  readonly main?: SimulatedStreamOptions;
  /** Over 640x360 and the rest as main; `false`: there is no sub stream. */
  readonly sub?: SimulatedStreamOptions | false;
}

export interface SimulatorOptions {
  /** The project's RTSP server (`src/outputs/rtsp`), handed over because second-layer folders don't know one another. */
  readonly rtspOutput: OutputModule;
  readonly log: Log;
  /** Default: `nursery` and `garden`. */
  readonly cameras?: readonly SimulatedCameraOptions[];
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** Default 0: any that is free. */
  readonly port?: number;
  /** Asked for by the RTSP server when given. */
  readonly username?: string;
  readonly password?: string;
  readonly faults?: FaultOptions;
}

export interface SimulatedCamera {
  readonly name: string;
  /** Addresses, with credentials where there are some. */
  readonly main: string;
  readonly sub?: string;
}

export interface Simulator extends AsyncDisposable {
  readonly port: number;
  readonly cameras: readonly SimulatedCamera[];
  /** Process that draws and encodes; undefined while nobody watches. */
  readonly makerPid: number | undefined;
  /** Connections of viewers. */
  readonly connections: number;
  /** Closes all connections, and refuses new ones for so long. */
  drop(refuseForMs?: number): void;
  /** Sends no packets for so long; connections stay. */
  stall(forMs: number): void;
  /** Moves the RTP time stamps of what follows. */
  jump(seconds: number): void;
  /** Another size in mid-stream, as when somebody changes the camera's settings. */
  setResolution(camera: string, variant: 'main' | 'sub', width: number, height: number): void;
  stop(): Promise<void>;
}

const MAIN: Omit<StreamPlan, 'scene' | 'title'> = {
  codec: 'h264',
  width: 1280,
  height: 720,
  fps: 15,
  gop: 30,
  bitRateKbps: 0,
  bFrames: 0,
  audio: 'aac',
};
const SUB_SIZE = { width: 640, height: 360 };
const DEFAULT_CAMERAS: readonly SimulatedCameraOptions[] = [{ name: 'nursery' }, { name: 'garden' }];

/**
 * Starts an RTSP server on this machine whose cameras are made up. Nothing is drawn or encoded before the first viewer
 * asks, so this takes some milliseconds.
 * @throws HearthcamError when the port is taken or an option makes no sense
 */
export async function startSimulator(options: SimulatorOptions): Promise<Simulator> {
  const scope = new Scope('simulator');
  try {
    return await start(options, scope);
  } catch (error) {
    await scope.close();
    throw error;
  }
}

async function start(options: SimulatorOptions, scope: Scope): Promise<Simulator> {
  const { log, host = '127.0.0.1', port = 0, username = '', password = '' } = options;
  const cameras = options.cameras ?? DEFAULT_CAMERAS;
  const plans = new Map(cameras.flatMap((camera, index) => plansOf(camera, index)));
  const maker = new PictureMaker(log);
  scope.defer(() => maker[Symbol.asyncDispose]());
  const source = simulatedSource(plans, maker);
  const targetPort = await freePort();
  const section = { listen: `127.0.0.1:${targetPort}`, username, password, local_auth: true };
  await startRtsp(options.rtspOutput, section, source, plans, log, scope);
  const proxy = new FaultProxy({ host, port, targetPort, faults: options.faults ?? {}, log }, scope);
  await proxy.start();
  const credentials = username === '' ? '' : `${encodeURIComponent(username)}:${encodeURIComponent(password)}@`;
  const shownHost = host === '' || host === '0.0.0.0' ? '127.0.0.1' : host;
  const urlOf = (stream: string): string => `rtsp://${credentials}${shownHost}:${proxy.port}/${stream}`;
  return {
    get port() {
      return proxy.port;
    },
    cameras: cameras.map(({ name, sub }) => ({
      name,
      main: urlOf(`${name}/main`),
      ...(sub === false ? {} : { sub: urlOf(`${name}/sub`) }),
    })),
    get makerPid() {
      return maker.pid;
    },
    get connections() {
      return proxy.connections;
    },
    drop: (refuseForMs = 0) => proxy.drop(refuseForMs),
    stall: (forMs) => proxy.stall(forMs),
    jump: (seconds) => proxy.jump(seconds),
    setResolution: (camera, variant, width, height) => {
      checkSize(width, height);
      source.resize(`${camera}/${variant}`, width, height);
    },
    stop: () => scope.close(),
    [Symbol.asyncDispose]: () => scope.close(),
  };
}

function plansOf(camera: SimulatedCameraOptions, index: number): [string, StreamPlan][] {
  const { name, title = name } = camera;
  if (!/^[\w-]+$/.test(name)) {
    throw new HearthcamError('simulate.name', `"${name}" can't be a simulated camera's name`, {
      status: 400,
      hint: 'use letters, digits, - and _',
    });
  }
  const scene =
    camera.scene ?? SCENE_NAMES.find((one) => one === name) ?? SCENE_NAMES[index % SCENE_NAMES.length] ?? 'nursery';
  const main: StreamPlan = { ...MAIN, ...camera.main, scene, title };
  checkPlan(main);
  const plans: [string, StreamPlan][] = [[`${name}/main`, main]];
  if (camera.sub === false) return plans;
  const sub: StreamPlan = { ...main, ...SUB_SIZE, bitRateKbps: 0, ...camera.sub, title: `${title} sub` };
  checkPlan(sub);
  plans.push([`${name}/sub`, sub]);
  return plans;
}

function checkPlan(plan: StreamPlan): void {
  checkSize(plan.width, plan.height);
  try {
    parseToMaker({ header: encodeToMaker({ type: 'start', id: 0, plan }), payload: EMPTY });
  } catch (error) {
    throw new HearthcamError('simulate.plan', `"${plan.title}" can't be simulated`, { cause: error, status: 400 });
  }
}

function checkSize(width: number, height: number): void {
  const fits = (side: number): boolean => Number.isInteger(side) && side % 2 === 0 && side >= 64 && side <= 4096;
  if (fits(width) && fits(height)) return;
  throw new HearthcamError('simulate.size', `a simulated picture can't have ${width}x${height} pixels`, {
    status: 400,
    hint: 'both sides must be even, from 64 to 4096',
  });
}

/** Runs the RTSP server on a hub of its own, which has the simulated streams and nothing else. */
async function startRtsp(
  rtspOutput: OutputModule,
  section: Readonly<Record<string, unknown>>,
  source: SimulatedSource,
  plans: ReadonlyMap<string, StreamPlan>,
  log: Log,
  scope: Scope,
): Promise<void> {
  const hub = new Hub({ log, sources: [source.module], lingerMs: 500 });
  scope.defer(() => hub.close());
  for (const name of plans.keys()) hub.set(name, [`simulate:${name}`]);
  const refuse = (): never => {
    throw new HearthcamError('simulate.only', 'the simulator has an RTSP server only');
  };
  const env: Env = {
    log: quiet(log),
    hub,
    routes: { route: refuse, message: refuse },
    access: { allows: (peer) => peer.authenticated },
    stills: { still: () => Promise.reject(new HearthcamError('simulate.only', 'the simulator decodes nothing')) },
    preloads: new Preloads(hub, log, scope),
    cameras: { variants: (name) => [name], all: () => ({}) },
    renditions: { of: () => [] },
    hardware: { reports: async () => [] },
    events: new EventBus(log),
    dataDir: null,
    modelsDir: null,
    product: 'hearthcam-simulator',
  };
  await rtspOutput.start(env, rtspOutput.config?.schema.parse(section), scope);
}

/**
 * Passes on what is out of the ordinary only: lines such as `listen` would be taken for those of the server that shows
 * the simulated cameras.
 */
function quiet(log: Log): Log {
  const made: Log = {
    trace: (message, fields) => log.trace(message, fields),
    debug: (message, fields) => log.trace(message, fields),
    info: (message, fields) => log.debug(message, fields),
    warn: (message, fields) => log.warn(message, fields),
    error: (message, fields) => log.error(message, fields),
    child: () => made,
  };
  return made;
}

/** A port of this machine that is free now; the RTSP server behind the proxy takes it at once. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  await new Promise<void>((resolve) => server.close(() => resolve()));
  if (address === null || typeof address === 'string') throw new HearthcamError('simulate.port', 'no free port');
  return address.port;
}

/** The part of a configuration that shows the simulated cameras: what `hearthcam demo` serves. */
export function demoConfig(simulator: Simulator): {
  readonly cameras: Readonly<Record<string, { readonly main: string; readonly sub?: string }>>;
} {
  return { cameras: Object.fromEntries(simulator.cameras.map(({ name, ...urls }) => [name, urls])) };
}
