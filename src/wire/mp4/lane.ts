import type { AccessUnit, AudioFormat, TrackFormat } from '../../core/media.ts';
import { unitDurationTicks } from './duration.ts';
import type { Mp4Sample } from './fragment.ts';

/**
 * Where the samples of one track lie on the file's time line.
 *
 * A sample must get its duration before the next one is there. A guess that comes out too short ends a live picture:
 * Media Source Extensions (§3.5.8, step 6) drop everything up to the next key frame once a decoding time is more than
 * twice the last duration away. So nothing is guessed here: every sample begins where the one before it ended.
 * A picture ends at its own decoding time (plus the constant `leadTicks`): it lies one picture earlier than it would
 * in a file that was written afterwards, and `leadTicks`, one picture long, puts that right.
 */
export interface Lane {
  /** `track_ID` in the file. */
  readonly fileId: number;
  readonly kind: 'video' | 'audio';
  format: TrackFormat;
  clockHz: number;
  /** End of the last sample in ticks of the track; NaN before the first. */
  endTicks: number;
  /** Decoding time of the last unit on the stream's time line; NaN before the first. */
  lastDts: number;
  /** Video: how far samples are moved to make up for lying one picture early. Audio: 0. */
  leadTicks: number;
  /** How many distances `leadTicks` was learnt from. */
  learnt: number;
  /** Audio: the usual distance of two units. Video: the last distance; 0 before the second picture. */
  stepTicks: number;
}

export interface Placed {
  readonly startTicks: number;
  readonly durationTicks: number;
}

/** Where no distance of pictures is known yet: 30 pictures a second. */
const DEFAULT_LEAD_TICKS = 3_000;
const LEARN_PICTURES = 8;
const MIN_LEAD_TICKS = 900;
const MAX_LEAD_TICKS = 45_000;
/** A distance this much larger than the one before, and at least so long, is a camera that was away. */
const GAP_FACTOR = 5;
const GAP_MS = 2_000;
/** Audio that is off by less is laid end to end: times from cameras jitter, and each step would be heard. */
const AUDIO_SLACK_MS = 60;

export function makeLane(fileId: number, format: TrackFormat): Lane {
  return {
    fileId,
    kind: format.kind,
    format,
    clockHz: format.clockRateHz,
    endTicks: Number.NaN,
    lastDts: Number.NaN,
    leadTicks: format.kind === 'video' ? DEFAULT_LEAD_TICKS : 0,
    learnt: 0,
    stepTicks: 0,
  };
}

/** From now on units have this format; a new clock goes on where the old one stands. */
export function adoptFormat(lane: Lane, format: TrackFormat): void {
  lane.format = format;
  if (format.clockRateHz === lane.clockHz) return;
  lane.endTicks = Math.round((lane.endTicks * format.clockRateHz) / lane.clockHz);
  lane.clockHz = format.clockRateHz;
  lane.lastDts = Number.NaN;
}

/** Learns one picture's length from the first distances: the smallest, as the first one is often an odd one. */
export function learnLead(lane: Lane, distanceTicks: number): void {
  if (lane.learnt >= LEARN_PICTURES) return;
  const bounded = Math.min(MAX_LEAD_TICKS, Math.max(MIN_LEAD_TICKS, distanceTicks));
  lane.leadTicks = lane.learnt === 0 ? bounded : Math.min(lane.leadTicks, bounded);
  lane.learnt++;
}

/** Whether the camera was away between the last picture and this one. */
function isGap(lane: Lane, dts: number): boolean {
  const distance = dts - lane.lastDts;
  return distance > (GAP_MS * lane.clockHz) / 1000 && distance > GAP_FACTOR * Math.max(1, lane.stepTicks);
}

/** Places a picture. `offsetTicks` moves the stream's time line to that of the file. */
export function placePicture(lane: Lane, unit: AccessUnit, offsetTicks: number): Placed {
  if (unit.dts > lane.lastDts && !isGap(lane, unit.dts)) {
    lane.stepTicks = unit.dts - lane.lastDts;
    learnLead(lane, lane.stepTicks);
  }
  const wanted = unit.dts + offsetTicks + lane.leadTicks;
  if (Number.isNaN(lane.endTicks)) lane.endTicks = Math.max(0, wanted - lane.leadTicks);
  const startTicks = lane.endTicks;
  const durationTicks = Math.max(1, wanted - startTicks);
  lane.endTicks = startTicks + durationTicks;
  lane.lastDts = unit.dts;
  return { startTicks, durationTicks };
}

/** How much is missing between the end of the lane and an audio frame; 0 for what is only jitter. */
export function audioHoleTicks(lane: Lane, unit: AccessUnit, offsetTicks: number): number {
  const driftTicks = unit.pts + offsetTicks - lane.endTicks;
  return driftTicks > slackTicks(lane) ? driftTicks : 0;
}

/** Places an audio frame, or returns null when what it covers has been given already (the time line was shortened). */
export function placeAudio(lane: Lane, unit: AccessUnit, format: AudioFormat, offsetTicks: number): Placed | null {
  const label = unit.pts + offsetTicks;
  const step = unitDurationTicks(unit.data, format, learnt(lane, unit.pts));
  lane.lastDts = unit.pts;
  lane.stepTicks = step;
  if (label < 0) return null;
  if (Number.isNaN(lane.endTicks)) lane.endTicks = label;
  const startTicks = lane.endTicks;
  const driftTicks = label - startTicks;
  if (driftTicks < -slackTicks(lane)) return null;
  const durationTicks = driftTicks > slackTicks(lane) ? driftTicks + step : step;
  lane.endTicks = startTicks + durationTicks;
  return { startTicks, durationTicks };
}

function slackTicks(lane: Lane): number {
  return (AUDIO_SLACK_MS * lane.clockHz) / 1000;
}

function learnt(lane: Lane, pts: number): number | undefined {
  const distance = pts - lane.lastDts;
  return distance > 0 ? distance : undefined;
}

/** A sample of a unit at its place. A reordered picture is shown `pts - dts` after its decoding time. */
export function toSample(unit: AccessUnit, data: Buffer, durationTicks: number): Mp4Sample {
  const offsetTicks = unit.format.kind === 'video' ? unit.pts - unit.dts : 0;
  return { data, durationTicks, offsetTicks, key: unit.key };
}
