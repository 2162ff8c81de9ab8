import { type CameraEvent, type EventState, newEventId } from '../src/core/events.ts';

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
