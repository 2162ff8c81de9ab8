import { rename, rm, writeFile } from 'node:fs/promises';
import type { Env } from '../../core/contracts.ts';
import { describeError } from '../../core/errors.ts';
import type { CameraEvent } from '../../core/events.ts';
import { type Log, LogLimiter } from '../../core/log.ts';
import type { AccessUnit, Track } from '../../core/media.ts';
import { isVideo } from '../../core/media.ts';
import type { Scope } from '../../core/scope.ts';
import type { EventFiles } from '../files.ts';
import type { EventsSettings } from '../settings.ts';
import type { EventStore } from '../store.ts';
import { BufferedCamera } from './camera.ts';
import { ClipWriter } from './writer.ts';

/** An event is told some seconds after it began (the detector is sure by then); so long before is kept as well. */
const DETECTION_MS = 12_000;
/** After the time at which the clip ends by the camera's clock, it is ended even if nothing comes any more. */
const GRACE_MS = 3_000;
const MAX_CLIPS = 16;
const SNAPSHOT_WIDTH = 1_280;
/** A picture that is older says nothing of the event. */
const MAX_PICTURE_AGE_MS = 30_000;

export interface ClipsOptions {
  readonly env: Pick<Env, 'hub' | 'cameras' | 'stills'>;
  readonly store: EventStore;
  readonly files: EventFiles;
  readonly settings: EventsSettings['clips'];
  readonly log: Log;
  readonly scope: Scope;
  /** A clip or snapshot was added: there may be too many now. */
  readonly onFile: () => void;
}

interface Clip {
  readonly event: CameraEvent;
  readonly writer: ClipWriter;
  readonly stop: () => void;
  /** UTC; infinite while the event lasts. */
  endMs: number;
  cancelTimer: () => void;
}

/** Keeps sound and picture of the cameras that are listened to for some seconds, and writes them down around events. */
export class Clips {
  readonly #options: ClipsOptions;
  readonly #cameras = new Map<string, { camera: BufferedCamera; scope: Scope }>();
  readonly #clips = new Map<string, Clip>();
  /** With the event as it ended meanwhile. */
  readonly #beginning = new Map<string, CameraEvent | null>();
  /** Events that last longer than their clip may. */
  readonly #done = new Set<string>();
  readonly #finishing = new Set<Promise<void>>();
  readonly #limiter = new LogLimiter(60_000);

  constructor(options: ClipsOptions) {
    this.#options = options;
    options.scope.defer(async () => {
      for (const id of [...this.#clips.keys()]) this.#end(id);
      await Promise.allSettled(this.#finishing);
    });
  }

  /** Whether a clip of this event is being written. */
  writes(id: string): boolean {
    return this.#clips.has(id);
  }

  /** Buffers these cameras, and no others. */
  watch(names: ReadonlySet<string>): void {
    const { env, settings, log, scope } = this.#options;
    for (const [name, { scope: own }] of this.#cameras) {
      if (names.has(name)) continue;
      this.#cameras.delete(name);
      own.close().catch((error: unknown) => log.debug(`clips of "${name}": ${describeError(error)}`));
    }
    for (const name of names) {
      if (this.#cameras.has(name)) continue;
      const variants = env.cameras.variants(name);
      const own = scope.child(`clips ${name}`);
      const camera = new BufferedCamera({
        hub: env.hub,
        streamNames: settings.picture === 'main' ? variants : [...variants].reverse(),
        picture: settings.picture !== 'off',
        ring: {
          keepMs: settings.before_seconds * 1_000 + DETECTION_MS,
          maxBytes: settings.buffer_mib * 1024 * 1024,
        },
        log,
        scope: own,
      });
      this.#cameras.set(name, { camera, scope: own });
    }
  }

  onEvent(event: CameraEvent): void {
    if (event.state === 'started') {
      this.#tell(this.#snapshot(event), `snapshot of "${event.camera}"`);
    }
    if (event.state === 'ended') this.#done.delete(event.id);
    if (event.state !== 'ended') {
      if (this.#clips.has(event.id) || this.#done.has(event.id) || this.#beginning.has(event.id)) return;
      this.#beginning.set(event.id, null);
      this.#tell(this.#begin(event), `clip of "${event.camera}"`);
      return;
    }
    const clip = this.#clips.get(event.id);
    if (clip === undefined) {
      // Ended before its clip had begun: told again when it has.
      if (this.#beginning.has(event.id)) this.#beginning.set(event.id, event);
      return;
    }
    clip.endMs = event.startMs + event.durationMs + this.#options.settings.after_seconds * 1_000;
    const { scope } = this.#options;
    if (!scope.closed) {
      clip.cancelTimer = scope.after(Math.max(0, clip.endMs - Date.now()) + GRACE_MS, () => this.#end(event.id));
    }
  }

  async #begin(event: CameraEvent): Promise<void> {
    const { id } = event;
    try {
      await this.#options.files.ready();
      if (!this.#options.scope.closed) this.#open(event);
    } finally {
      const ended = this.#beginning.get(id);
      this.#beginning.delete(id);
      if (ended !== undefined && ended !== null) this.onEvent(ended);
    }
  }

  #open(event: CameraEvent): void {
    const { files, settings } = this.#options;
    const { id } = event;
    const camera = this.#cameras.get(event.camera)?.camera;
    const feed = camera?.feed;
    if (camera === undefined || feed === undefined || this.#clips.size >= MAX_CLIPS) return;
    const tracks = feed.tracks.filter((track: Track) => track.format !== null);
    if (tracks.length === 0) return;
    const maxMs = settings.max_seconds * 1_000;
    const writer = new ClipWriter({ stream: feed.stream, tracks, path: files.part(id), maxMs });
    const stop = camera.onUnits((units) => this.#take(id, units));
    this.#clips.set(id, { event, writer, stop, endMs: Number.POSITIVE_INFINITY, cancelTimer: () => {} });
    writer.push(feed.ring.from(event.startMs - settings.before_seconds * 1_000));
  }

  #take(id: string, units: readonly AccessUnit[]): void {
    const clip = this.#clips.get(id);
    if (clip === undefined) return;
    clip.writer.push(units);
    if (clip.writer.full || (units.at(-1)?.wallMs ?? 0) >= clip.endMs) this.#end(id);
  }

  #end(id: string): void {
    const clip = this.#clips.get(id);
    if (clip === undefined) return;
    this.#clips.delete(id);
    if (clip.endMs === Number.POSITIVE_INFINITY) this.#done.add(id);
    clip.stop();
    clip.cancelTimer();
    const finishing = this.#finish(clip).finally(() => this.#finishing.delete(finishing));
    this.#finishing.add(finishing);
    this.#tell(finishing, `clip of "${clip.event.camera}"`);
  }

  async #finish({ event: { id }, writer }: Clip): Promise<void> {
    const { files, store, onFile } = this.#options;
    try {
      const clipBytes = await writer.finish();
      await rename(files.part(id), files.clip(id));
      await store.setFiles(id, { clipBytes });
      onFile();
    } catch (error) {
      await rm(files.part(id), { force: true });
      throw error;
    }
  }

  /** From the key frame that a viewer would have begun with at the onset, of the best picture that is there anyway. */
  async #snapshot(event: CameraEvent): Promise<void> {
    const { env, files, store, onFile } = this.#options;
    for (const name of env.cameras.variants(event.camera)) {
      const stream = env.hub.get(name);
      const unit = stream?.running === true ? stream.gop().units[0] : undefined;
      if (unit === undefined || !unit.key || !isVideo(unit.format)) continue;
      if (performance.now() - unit.arrivedMs > MAX_PICTURE_AGE_MS) continue;
      const { format, data } = unit;
      const width = format.width > SNAPSHOT_WIDTH ? { width: SNAPSHOT_WIDTH } : {};
      const jpeg = await env.stills.still({ format, data, ...width });
      await files.ready();
      await writeFile(files.snapshot(event.id), jpeg, { mode: 0o600 });
      await store.setFiles(event.id, { snapshotBytes: jpeg.length });
      onFile();
      return;
    }
  }

  /** What fails here costs a recording, never the event. */
  #tell(work: Promise<void>, what: string): void {
    work.catch((error: unknown) => {
      const text = describeError(error);
      if (this.#limiter.admit(text) !== null) this.#options.log.warn(`${what} could not be kept: ${text}`);
    });
  }
}
