import { type CameraEvent, type EarStatus, type Ears, type EventState, newEventId } from '../src/core/events.ts';

/** An event of the camera "nursery" that begins now, over what is given. */
export function cameraEvent(given: Partial<CameraEvent> = {}): CameraEvent {
  const startMs = given.startMs ?? Date.now();
  return {
    id: newEventId(startMs),
    camera: 'nursery',
    detection: 'cry',
    state: 'started',
    confidence: 0.9,
    meanConfidence: 0.8,
    startMs,
    durationMs: 0,
    scores: [0.1, 0.7, 0.9],
    scoresFromMs: startMs - 1_000,
    ...given,
  };
}

export function later(event: CameraEvent, state: EventState, durationMs: number): CameraEvent {
  return { ...event, state, durationMs };
}

/** Somebody who listens to cameras, as the module that does so would be. */
export class FakeEars implements Ears {
  readonly #listening: Map<string, boolean>;
  readonly #listeners = new Set<(status: EarStatus) => void>();

  constructor(cameras: readonly string[]) {
    this.#listening = new Map(cameras.map((camera) => [camera, true]));
  }

  all(): readonly EarStatus[] {
    return [...this.#listening].map(([camera, listening]) => ({
      camera,
      listening,
      available: true,
      sensitivity: 'balanced',
      detections: ['cry'],
    }));
  }
  setListening(camera: string, on: boolean): void {
    this.#listening.set(camera, on);
    for (const status of this.all()) {
      if (status.camera === camera) for (const listener of this.#listeners) listener(status);
    }
  }
  setSensitivity(): void {}
  onChange(listener: (status: EarStatus) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
