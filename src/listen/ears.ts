import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Env } from '../core/contracts.ts';
import { makeDataFolder } from '../core/data-folder.ts';
import { describeError, HearthcamError } from '../core/errors.ts';
import { type EarStatus, type Ears, SENSITIVITIES, type Sensitivity } from '../core/events.ts';
import type { Scope } from '../core/scope.ts';
import { CameraEar } from './camera-ear.ts';
import { ensureModel } from './model/file.ts';
import { Scorer } from './scorer.ts';
import { earSettings, type ListenSettings } from './settings.ts';

/** Between tries to get the model. */
const FIRST_RETRY_MS = 60_000;
const LONGEST_RETRY_MS = 3_600_000;
/** Cameras are looked for again so often: streams come and go while the program runs. */
const LOOK_MS = 2_000;

const keptSchema = z.record(
  z.string(),
  z.object({ listening: z.boolean().optional(), sensitivity: z.enum(SENSITIVITIES).optional() }),
);
type Kept = z.infer<typeof keptSchema>;

/** Begins to listen to the cameras of the configuration, until the scope closes. */
export async function startEars(env: Env, settings: ListenSettings, scope: Scope): Promise<Ears> {
  return new CameraEars(env, settings, scope, await readKept(env));
}

export function unknownCamera(camera: string): HearthcamError {
  return new HearthcamError('listen.camera', `nobody listens to "${camera}"`, {
    status: 404,
    hint: 'name the camera below listen.cameras in the configuration',
  });
}

class CameraEars implements Ears {
  readonly #env: Env;
  readonly #settings: ListenSettings;
  readonly #ears = new Map<string, CameraEar>();
  readonly #listeners = new Set<(status: EarStatus) => void>();
  readonly #scope: Scope;
  readonly #kept: Kept;
  #scorer: Scorer | null = null;
  #modelReason = 'the model is being fetched';
  #writing: Promise<void> = Promise.resolve();

  constructor(env: Env, settings: ListenSettings, scope: Scope, kept: Kept) {
    this.#env = env;
    this.#settings = settings;
    this.#scope = scope;
    this.#kept = kept;
    scope.defer(async () => {
      await Promise.all([...this.#ears.values()].map((ear) => ear[Symbol.asyncDispose]()));
      await this.#scorer?.[Symbol.asyncDispose]();
      await this.#writing;
    });
    void this.#getModel();
    scope.every(LOOK_MS, () => this.#look());
    queueMicrotask(() => this.#look());
  }

  all(): readonly EarStatus[] {
    return [...this.#ears.values()].map((ear) => ear.status);
  }
  setListening(camera: string, on: boolean): void {
    this.#require(camera).setListening(on);
    this.#keep(camera, { listening: on });
  }
  setSensitivity(camera: string, sensitivity: Sensitivity): void {
    this.#require(camera).setSensitivity(sensitivity);
    this.#keep(camera, { sensitivity });
  }
  onChange(listener: (status: EarStatus) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #require(camera: string): CameraEar {
    const ear = this.#ears.get(camera);
    if (ear === undefined) throw unknownCamera(camera);
    return ear;
  }

  /** Begins with cameras that are there now, and ends with those that are gone. */
  #look(): void {
    const env = this.#env;
    const grouped = new Set(Object.values(env.cameras.all()).flat());
    const single = [...env.hub.streams.keys()].filter((name) => !grouped.has(name));
    const known = [...Object.keys(env.cameras.all()), ...single];
    const wanted = earSettings(this.#settings, known);
    for (const settings of wanted) {
      const { camera } = settings;
      if (this.#ears.has(camera) || env.hub.get(env.cameras.variants(camera)[0] ?? camera) === undefined) continue;
      const kept = this.#kept[camera];
      const ear: CameraEar = new CameraEar({
        env,
        log: env.log,
        settings,
        scorer: () => this.#scorer,
        modelReason: () => this.#modelReason,
        listening: kept?.listening ?? true,
        sensitivity: kept?.sensitivity,
        onChange: () => this.#changed(ear),
      });
      this.#ears.set(camera, ear);
      this.#changed(ear);
    }
    for (const [camera, ear] of [...this.#ears]) {
      const gone = env.hub.get(env.cameras.variants(camera)[0] ?? camera) === undefined;
      if (!gone && wanted.some((one) => one.camera === camera)) continue;
      this.#ears.delete(camera);
      ear[Symbol.asyncDispose]().catch((error: unknown) => env.log.warn(describeError(error)));
      this.#tell({ ...ear.status, listening: false, available: false, reason: 'the camera was removed' });
    }
  }

  #changed(ear: CameraEar): void {
    // Told behind the constructor and behind whatever is going on.
    queueMicrotask(() => this.#tell(ear.status));
  }
  #tell(status: EarStatus): void {
    for (const listener of [...this.#listeners]) listener(status);
  }

  async #getModel(): Promise<void> {
    const { log, modelsDir } = this.#env;
    for (let waitMs = FIRST_RETRY_MS; !this.#scope.closed; waitMs = Math.min(LONGEST_RETRY_MS, waitMs * 2)) {
      try {
        if (modelsDir === null)
          throw new HearthcamError('listen.model', 'there is no folder for the model: set models.dir');
        const modelPath = await ensureModel({ directory: modelsDir, log, signal: this.#scope.signal });
        const scorer = await Scorer.open({ modelPath, log });
        if (this.#scope.closed) await scorer[Symbol.asyncDispose]();
        else this.#scorer = scorer;
        return;
      } catch (error) {
        if (this.#scope.closed) return;
        this.#modelReason = `the model is missing: ${describeError(error)}`;
        log.error(`nothing can be heard: ${describeError(error)}; trying again in ${Math.round(waitMs / 60_000)} min`);
      }
      await this.#scope.sleep(waitMs);
    }
  }

  #keep(camera: string, change: Kept[string]): void {
    this.#kept[camera] = { ...this.#kept[camera], ...change };
    const text = JSON.stringify(this.#kept);
    this.#writing = this.#writing
      .then(() => writeKept(this.#env, text))
      .catch((error: unknown) => {
        this.#env.log.warn(`the switches of listening can't be kept: ${describeError(error)}`);
      });
  }
}

const FILE = 'switches.json';

async function readKept({ dataDir, log }: Env): Promise<Kept> {
  if (dataDir === null) return {};
  try {
    return keptSchema.parse(JSON.parse(await readFile(join(dataDir, 'listen', FILE), 'utf8')));
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) {
      log.warn(`the switches of listening can't be read, all are on: ${describeError(error)}`);
    }
    return {};
  }
}

async function writeKept({ dataDir }: Env, text: string): Promise<void> {
  if (dataDir === null) return;
  const path = join(await makeDataFolder(dataDir, 'listen'), FILE);
  await writeFile(`${path}.part`, text, { mode: 0o600 });
  await rename(`${path}.part`, path);
}
