import { VIDEO_CLOCK_HZ } from '../../core/media.ts';
import type { FeedClock } from './feed.ts';
import type { FeedHold } from './feeds.ts';

/**
 * Clocks of two streams of one camera that say this differently from what the arrival says are not both right: sender
 * reports with an unset clock. No stream is so much later than the other.
 */
const PLAUSIBLE_MS = 1_000;

/** What a viewer gets now; its time line is that of the stream that its sound comes from, or that it began with. */
export interface Shown {
  readonly sound: FeedHold | undefined;
  readonly picture: FeedHold | undefined;
  /** Of the picture on the viewer's time line. */
  readonly shift: number;
}

/**
 * By how many ticks of 90 kHz the times of another picture lie later on the viewer's time line, so that what was taken
 * at the same moment is shown at the same moment, and with its sound. Waits until both streams have given something.
 */
export async function shiftBetween(shown: Shown, next: FeedHold): Promise<number> {
  const reference = shown.sound ?? shown.picture;
  const [referenceTrack] = reference?.trackIds ?? [];
  const [track] = next.trackIds;
  if (reference === undefined || referenceTrack === undefined || track === undefined) return 0;
  const known = reference === shown.sound ? 0 : shown.shift;
  if (reference.stream === next.stream) return known;
  const [before, after] = await Promise.all([reference.feed.clock(referenceTrack), next.feed.clock(track)]);
  return known + Math.round((offsetMs(before, after) * VIDEO_CLOCK_HZ) / 1000);
}

/** How much later the times of the second clock have to become for both to tell the same moment by the same time. */
export function offsetMs(before: FeedClock, after: FeedClock): number {
  const byArrivalMs = after.arrivalMs - before.arrivalMs;
  const byWallMs = after.wallMs - before.wallMs;
  return Math.abs(byWallMs - byArrivalMs) <= PLAUSIBLE_MS ? byWallMs : byArrivalMs;
}
