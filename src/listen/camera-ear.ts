import type { Env } from '../core/contracts.ts';
import { describeError, HearthcamError } from '../core/errors.ts';
import { type CameraEvent, type EarStatus, newEventId, type Sensitivity } from '../core/events.ts';
import type { Log } from '../core/log.ts';
import type { AccessUnit } from '../core/media.ts';
import { Scope } from '../core/scope.ts';
import type { CrySettings } from './cry/settings.ts';
import type { Detection } from './detector.ts';
import { Listener } from './listener.ts';
import { pcmOf, SOUND_WANT } from './pcm.ts';
import type { Scorer } from './scorer.ts';
import type { EarSettings } from './settings.ts';

export interface CameraEarOptions {
  readonly env: Env;
  readonly log: Log;
  readonly settings: EarSettings;
  /** Null while the model is not there; then `modelReason` says why. */
  readonly scorer: () => Scorer | null;
  readonly modelReason: () => string;
  /** As the owner left them the last time. */
  readonly listening: boolean;
  readonly sensitivity: Sensitivity | undefined;
  readonly onChange: () => void;
}

/** A camera that can't be reached, or has no sound, is asked again after so long. */
const RETRY_MS = 10_000;
/** Without sound for so long the ear is deaf. */
const DEAF_MS = 10_000;
const WATCH_MS = 1_000;

/** Listens to one camera: takes its sound from the hub, and tells what was heard as events. */
export class CameraEar implements AsyncDisposable {
  readonly camera: string;
  readonly #options: CameraEarOptions;
  readonly #scope: Scope;
  readonly #events = new Map<string, string>();
  #session: Scope | undefined;
  #listening: boolean;
  #sensitivity: Sensitivity;
  #cry: CrySettings | null;
  #available = false;
  #reason = 'it begins to listen';
  #toldReason = '';
  #listener: Listener | undefined;

  constructor(options: CameraEarOptions) {
    this.#options = options;
    const { camera, cry } = options.settings;
    this.camera = camera;
    this.#scope = new Scope(`listen ${camera}`);
    this.#listening = options.listening;
    this.#sensitivity = options.sensitivity ?? (typeof cry === 'string' ? cry : 'balanced');
    this.#cry = cry === null ? null : (options.sensitivity ?? cry);
    if (this.#listening) this.#begin();
  }

  get status(): EarStatus {
    const { settings } = this.#options;
    const available = this.#listening && this.#available;
    return {
      camera: this.camera,
      listening: this.#listening,
      available,
      ...(available ? {} : { reason: this.#listening ? this.#reason : 'it is switched off' }),
      sensitivity: this.#sensitivity,
      detections: [...(settings.cry === null ? [] : ['cry']), ...Object.keys(settings.sounds)],
    };
  }

  setListening(on: boolean): void {
    if (on === this.#listening) return;
    this.#listening = on;
    if (on) this.#begin();
    else this.#end();
    this.#options.onChange();
  }

  setSensitivity(sensitivity: Sensitivity): void {
    if (sensitivity === this.#sensitivity && this.#cry === sensitivity) return;
    this.#sensitivity = sensitivity;
    if (this.#cry !== null) {
      this.#cry = sensitivity;
      this.#listener?.retune(sensitivity);
    }
    this.#options.onChange();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end();
    await this.#scope.close();
  }

  #begin(): void {
    const session = this.#scope.child('session');
    this.#session = session;
    this.#reason = 'it begins to listen';
    void this.#run(session);
  }

  #end(): void {
    const session = this.#session;
    this.#session = undefined;
    session?.close().catch((error: unknown) => this.#options.log.warn(describeError(error)));
    this.#setAvailable(false);
  }

  /** Listens until the session is closed, through whatever happens to the camera. */
  async #run(session: Scope): Promise<void> {
    while (!session.closed) {
      try {
        await this.#listenOnce(session);
      } catch (error) {
        if (session.closed) return;
        this.#deaf(reasonOf(error));
      }
      await session.sleep(RETRY_MS);
    }
  }

  async #listenOnce(parent: Scope): Promise<void> {
    const scorer = this.#options.scorer();
    if (scorer === null) throw new HearthcamError('listen.model', this.#options.modelReason());
    await using scope = parent.child('sound');
    const ended = Promise.withResolvers<void>();
    scope.defer(() => ended.resolve());
    const stream = this.#stream();
    const consumer = await stream.open({
      formatName: 'listen',
      protocol: 'internal',
      remoteAddr: '',
      wants: [SOUND_WANT],
      signal: scope.signal,
      onEnd: () => ended.resolve(),
    });
    scope.defer(() => consumer.close());
    const listener = new Listener({
      scorer,
      cry: this.#cry,
      sounds: this.#options.settings.sounds,
      onDetection: (detection) => this.#tell(detection),
      onLoudness: ({ atMs, dbfs, dbfsA }) => {
        this.#options.env.events.emitLevel({ camera: this.camera, atMs, dbfs, dba: dbfsA });
      },
    });
    this.#listener = listener;
    scope.defer(() => {
      listener.stop(Date.now());
      listener[Symbol.dispose]();
      this.#listener = undefined;
    });
    const id = consumer.tracks[0]?.id;
    let lastMs = performance.now();
    const take = (units: readonly AccessUnit[]): void => {
      for (const unit of units) {
        if (unit.trackId !== id) continue;
        const pcm = pcmOf(unit);
        if (pcm === null) continue;
        lastMs = performance.now();
        this.#setAvailable(true);
        consumer.unitsSent++;
        consumer.bytesSent += unit.data.length;
        listener.push(pcm);
      }
    };
    scope.defer(consumer.stream.subscribe(take, { immediate: true }));
    scope.every(WATCH_MS, () => {
      if (performance.now() - lastMs <= DEAF_MS) return;
      // What was going on can't be followed any more.
      listener.stop(Date.now());
      this.#deaf('no sound arrives from the camera');
    });
    await ended.promise;
    if (!scope.closed) this.#deaf('the camera’s sound ended');
  }

  /** The smallest picture's stream: its sound is the same, and it is the one that costs least to hold. */
  #stream() {
    const { env, settings } = this.#options;
    const names = settings.stream === undefined ? [...env.cameras.variants(this.camera)].reverse() : [settings.stream];
    for (const name of names) {
      const stream = env.hub.get(name);
      // One that ran and has no sound is passed over for the next larger one.
      const deaf = stream?.running === true && !stream.tracks.some((track) => track.kind === 'audio');
      if (stream !== undefined && !deaf) return stream;
    }
    return env.hub.require(this.camera);
  }

  #tell(detection: Detection): void {
    const { detection: name, state, startMs, endMs, confidence, meanConfidence, evidence } = detection;
    const id = this.#events.get(name) ?? newEventId(startMs);
    if (state === 'ended') this.#events.delete(name);
    else this.#events.set(name, id);
    const event: CameraEvent = {
      id,
      camera: this.camera,
      detection: name,
      state,
      confidence,
      meanConfidence,
      startMs,
      durationMs: state === 'started' ? 0 : Math.max(0, endMs - startMs),
      ...secondsOf(evidence),
    };
    if (state === 'started') this.#options.log.info(`${name} at "${this.camera}"`, { confidence: rounded(confidence) });
    if (state === 'ended') {
      this.#options.log.info(`${name} at "${this.camera}" is over`, { seconds: rounded(event.durationMs / 1_000) });
    }
    this.#options.env.events.emit(event);
  }

  #deaf(reason: string): void {
    this.#reason = reason;
    if (reason !== this.#toldReason) this.#options.log.warn(`"${this.camera}" is not heard: ${reason}`);
    this.#toldReason = reason;
    this.#setAvailable(false);
  }

  #setAvailable(available: boolean): void {
    if (available === this.#available) return;
    this.#available = available;
    if (available && this.#toldReason !== '') {
      this.#options.log.info(`"${this.camera}" is heard again`);
      this.#toldReason = '';
    }
    this.#options.onChange();
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof HearthcamError && error.code === 'stream.codecs') return 'the camera sends no sound';
  return describeError(error);
}

const rounded = (value: number): number => Math.round(value * 100) / 100;

/** One score for each second: the highest of its windows. */
function secondsOf(evidence: Detection['evidence']): Pick<CameraEvent, 'scores' | 'scoresFromMs'> {
  const fromMs = evidence[0]?.atMs ?? 0;
  const scores: number[] = [];
  for (const { atMs, averaged } of evidence) {
    const second = Math.max(0, Math.floor((atMs - fromMs) / 1_000));
    while (scores.length <= second) scores.push(scores.at(-1) ?? 0);
    scores[second] = Math.max(second === scores.length - 1 ? 0 : (scores[second] ?? 0), averaged);
  }
  return { scores: scores.map(rounded), scoresFromMs: fromMs };
}
