import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Env, StillDecoder } from '../src/core/contracts.ts';
import { HearthcamError } from '../src/core/errors.ts';
import { type CameraEvent, type EarStatus, type Ears, EventBus, type Sensitivity } from '../src/core/events.ts';
import { Scope } from '../src/core/scope.ts';
import { mqttConfig } from '../src/mqtt/config.ts';
import { type MqttTiming, startMqtt } from '../src/mqtt/module.ts';
import { makeTestHub } from './hub.ts';
import type { MemoryLog } from './memory-log.ts';
import { type ScriptedSource, scriptedSource } from './scripted-source.ts';

/** Ears that a test moves by hand. */
export class TestEars implements Ears {
  readonly statuses = new Map<string, EarStatus>();
  readonly #listeners = new Set<(status: EarStatus) => void>();

  constructor(...cameras: string[]) {
    for (const camera of cameras) this.add(camera);
  }

  add(camera: string, detections: readonly string[] = ['cry', 'smoke_alarm']): void {
    const own = { camera, listening: true, available: true, sensitivity: 'balanced', detections } as const;
    this.statuses.set(camera, own);
  }
  all(): readonly EarStatus[] {
    return [...this.statuses.values()];
  }
  setListening(camera: string, on: boolean): void {
    this.change(camera, { listening: on, available: on });
  }
  setSensitivity(camera: string, sensitivity: Sensitivity): void {
    this.change(camera, { sensitivity });
  }
  onChange(listener: (status: EarStatus) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
  change(camera: string, change: Partial<EarStatus>): void {
    const status = this.statuses.get(camera);
    if (status === undefined) throw new HearthcamError('test.ear', `nothing listens to ${camera}`, { status: 404 });
    const changed = { ...status, ...change };
    this.statuses.set(camera, changed);
    for (const listener of this.#listeners) listener(changed);
  }
}

export interface MqttBench extends AsyncDisposable {
  readonly events: EventBus;
  readonly ears: TestEars;
  readonly log: MemoryLog;
  readonly dataDir: string;
  /** Cameras of the configuration; change them as you like. */
  readonly cameras: Record<string, readonly string[]>;
  /** The source of the stream `nursery`. */
  readonly source: ScriptedSource;
  /** Whether that is connected. */
  readonly running: boolean;
  /** Ends it as the program does, the folder stays. */
  stop(): Promise<void>;
}

export interface MqttBenchOptions {
  /** The section of the configuration. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly cameras?: Readonly<Record<string, readonly string[]>>;
  readonly ears?: TestEars;
  /** A folder of an earlier one, which stays. */
  readonly dataDir?: string;
  readonly stills?: StillDecoder;
  readonly timing?: MqttTiming;
}

/** What the module uses of its environment. */
const USED = [
  'log',
  'hub',
  'events',
  'dataDir',
  'product',
  'stills',
  'cameras',
  'renditions',
] as const satisfies (keyof Env)[];
const unused: unknown = null;

/** The MQTT module with a hub, and ears that a test moves. It begins with short waits. */
export async function startMqttBench(options: MqttBenchOptions): Promise<MqttBench> {
  const dataDir = options.dataDir ?? (await mkdtemp(join(tmpdir(), 'hearthcam-mqtt-')));
  const source = scriptedSource('scripted');
  const testHub = makeTestHub({ sources: [source.module], streams: { nursery: ['scripted:'] } });
  const scope = new Scope('test');
  const events = new EventBus(testHub.log);
  const ears = options.ears ?? new TestEars('nursery');
  events.ears = ears;
  const cameras: Record<string, readonly string[]> = { ...options.cameras };
  const jpeg = Buffer.from([0xff, 0xd8, 0xff, 0xd9]);
  const env: Env = {
    log: testHub.log,
    hub: testHub.hub,
    events,
    dataDir,
    product: 'hearthcam/1.2.3',
    stills: options.stills ?? { still: () => Promise.resolve(jpeg) },
    cameras: { variants: (name) => cameras[name] ?? [name], all: () => cameras },
    renditions: { of: () => [] },
    // Checked border: the module uses none of the others.
    ...(unused as Omit<Env, (typeof USED)[number]>),
  };
  const timing = { tickMs: 50, settleMs: 100, sweepMs: 300, retry: { firstMs: 50, maxMs: 200 }, ...options.timing };
  await startMqtt(env, mqttConfig.parse(options.config), scope, timing);
  const stop = async (): Promise<void> => {
    await scope.close();
    await testHub.hub.close();
  };
  return {
    events,
    ears,
    log: testHub.log,
    dataDir,
    cameras,
    source,
    get running() {
      return testHub.hub.get('nursery')?.running === true;
    },
    stop,
    [Symbol.asyncDispose]: async () => {
      await stop();
      if (options.dataDir === undefined) await rm(dataDir, { recursive: true, force: true });
    },
  };
}

const START_MS = Date.UTC(2026, 10, 24, 3, 0, 0);

/** An event at one moment of its life. */
export function cameraEvent(over: Partial<CameraEvent> = {}): CameraEvent {
  return {
    id: 'e1',
    camera: 'nursery',
    detection: 'cry',
    state: 'started',
    confidence: 0.912,
    meanConfidence: 0.8,
    startMs: START_MS,
    durationMs: 0,
    scores: [0.9],
    scoresFromMs: START_MS,
    ...over,
  };
}
