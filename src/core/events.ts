import { randomBytes } from 'node:crypto';
import { describeError } from './errors.ts';
import type { Log } from './log.ts';

export type EventState = 'started' | 'updated' | 'ended';

/** Something that was noticed at a camera, as it is at one moment: given at its onset, while it lasts, and at its end. */
export interface CameraEvent {
  /** The same for all states of one event; sorts by time. */
  readonly id: string;
  /** Name of the camera (its main stream). */
  readonly camera: string;
  /** `cry`, or the owner's name of a sound: `smoke_alarm`. */
  readonly detection: string;
  readonly state: EventState;
  /** 0…1: the highest so far. */
  readonly confidence: number;
  /** 0…1: over all seconds so far. */
  readonly meanConfidence: number;
  /** When it began, in UTC milliseconds. */
  readonly startMs: number;
  /** How long it has lasted; 0 at the onset. */
  readonly durationMs: number;
  /** Why it was decided so: one score (0…1) for each second from `scoresFromMs` on. */
  readonly scores: readonly number[];
  readonly scoresFromMs: number;
}

/** The loudness of a camera's room over one second. */
export interface SoundLevel {
  readonly camera: string;
  readonly atMs: number;
  /** dB below full scale, and the same A-weighted; −100 is silence. */
  readonly dbfs: number;
  readonly dba: number;
}

export const SENSITIVITIES = ['low', 'balanced', 'high'] as const;
export type Sensitivity = (typeof SENSITIVITIES)[number];

/** What listens to one camera. */
export interface EarStatus {
  readonly camera: string;
  /** The owner's switch. */
  readonly listening: boolean;
  /** Sound arrives and is looked at. */
  readonly available: boolean;
  /** Why not, in words: no sound in the stream, the model is missing, the camera is away. */
  readonly reason?: string;
  readonly sensitivity: Sensitivity;
  /** Names of what is listened for: `cry`, `smoke_alarm`, … */
  readonly detections: readonly string[];
}

/** Those who listen, to be shown and switched by others. Implemented by `src/listen`. */
export interface Ears {
  all(): readonly EarStatus[];
  /** @throws HearthcamError 404 for a camera that is not listened to */
  setListening(camera: string, on: boolean): void;
  setSensitivity(camera: string, sensitivity: Sensitivity): void;
  /** Called whenever a status changes; returns how to stop. */
  onChange(listener: (status: EarStatus) => void): () => void;
}

/** Hands events and levels to all who want them. Listeners are called in order and must not block; one that throws disturbs nobody. */
export class EventBus {
  readonly #log: Log;
  readonly #events = new Set<(event: CameraEvent) => void>();
  readonly #levels = new Set<(level: SoundLevel) => void>();
  /** Null while nothing listens. Set by the module that does. */
  ears: Ears | null = null;

  constructor(log: Log) {
    this.#log = log;
  }

  onEvent(listener: (event: CameraEvent) => void): () => void {
    this.#events.add(listener);
    return () => this.#events.delete(listener);
  }
  onLevel(listener: (level: SoundLevel) => void): () => void {
    this.#levels.add(listener);
    return () => this.#levels.delete(listener);
  }

  emit(event: CameraEvent): void {
    for (const listener of [...this.#events]) this.#call(() => listener(event));
  }
  emitLevel(level: SoundLevel): void {
    for (const listener of [...this.#levels]) this.#call(() => listener(level));
  }

  #call(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#log.error(`an event could not be passed on: ${describeError(error)}`);
    }
  }
}

/** An id for a new event: its time in front, so that ids sort by it. */
export function newEventId(startMs: number): string {
  return `${Math.round(startMs).toString(36).padStart(9, '0')}-${randomBytes(6).toString('base64url')}`;
}

/** As it is told on MQTT, by webhooks and by the API: these names are a promise. */
export interface EventMessage {
  readonly id: string;
  readonly camera: string;
  readonly detection: string;
  readonly state: EventState;
  readonly confidence: number;
  /** ISO 8601, UTC: when it began. */
  readonly timestamp: string;
  /** Seconds. */
  readonly duration: number;
  readonly peak_confidence?: number;
  readonly mean_confidence?: number;
  /** Paths on this server, there once they are made. */
  readonly clip?: string;
  readonly snapshot?: string;
  /** It could not be told in time. */
  readonly late?: boolean;
}

const hundredths = (value: number): number => Math.round(value * 100) / 100;

export function eventMessage(event: CameraEvent): EventMessage {
  const { id, camera, detection, state } = event;
  return {
    id,
    camera,
    detection,
    state,
    confidence: hundredths(event.confidence),
    timestamp: new Date(event.startMs).toISOString(),
    duration: hundredths(event.durationMs / 1000),
    ...(state === 'ended'
      ? {
          peak_confidence: hundredths(event.confidence),
          mean_confidence: hundredths(event.meanConfidence),
          clip: `/api/events/${id}/clip.mp4`,
          snapshot: `/api/events/${id}/snapshot.jpeg`,
        }
      : {}),
  };
}
