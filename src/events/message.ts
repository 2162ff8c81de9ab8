import { type EventMessage, type EventState, eventMessage } from '../core/events.ts';
import type { StoredEvent } from './repository.ts';

/** What the API tells of an event in a list: the promised names, and when it ended. */
export interface EventSummary extends EventMessage {
  /** ISO 8601, UTC; null while it lasts. */
  readonly end: string | null;
}

/** With why it was decided so, second by second. */
export interface EventDetails extends EventSummary {
  readonly scores_from: string;
  readonly scores: readonly number[];
  /** dB (A) below full scale. */
  readonly levels: readonly number[];
}

/** Links are there only to what was made. @param state as it was told; absent: as it is now */
export function summaryOf(event: StoredEvent, state?: EventState): EventSummary {
  const { ended, clipBytes, snapshotBytes } = event;
  const path = `/api/events/${event.id}`;
  const told = eventMessage({ ...event, state: state ?? (ended ? 'ended' : 'updated') });
  const { clip: _clip, snapshot: _snapshot, ...message } = told;
  return {
    ...message,
    end: ended ? new Date(event.startMs + event.durationMs).toISOString() : null,
    ...(clipBytes === null ? {} : { clip: `${path}/clip.mp4` }),
    ...(snapshotBytes === null ? {} : { snapshot: `${path}/snapshot.jpeg` }),
  };
}

export function detailsOf(event: StoredEvent): EventDetails {
  return {
    ...summaryOf(event),
    scores_from: new Date(event.scoresFromMs).toISOString(),
    scores: event.scores,
    levels: event.levels,
  };
}
