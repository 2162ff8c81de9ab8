import { type AccessUnit, type TrackFormat, VIDEO_CLOCK_HZ } from '../../core/media.ts';
import type { Mp4Sample } from './fragment.ts';
import { type InitOptions, initSegment } from './init.ts';
import { audioHoleTicks, type Lane, learnLead, makeLane, type Placed, placeAudio, placePicture } from './lane.ts';
import { silence } from './silence.ts';

/** A track to be packaged. */
export interface LiveTrack {
  /** `AccessUnit.trackId`. */
  readonly id: number;
  readonly format: TrackFormat;
}

/** Audio that stays behind the picture so far is filled with silence, or players would stop with it. */
const SILENCE_AFTER_TICKS = 63_000; // 0.7 s
const SILENCE_REST_TICKS = 18_000; // 0.2 s

/**
 * A camera was away when nothing came for so long, and for several times the usual distance of pictures. Sound never
 * pauses, so with it half a second is enough; some cameras send pictures seldom while nothing moves.
 */
const ABSENT_TICKS = 180_000; // 2 s
const ABSENT_WITH_SOUND_TICKS = 45_000; // 0.5 s
const ABSENT_STEPS = 4;

/** Takes a sample of silence that was made up. */
export type AddSilence = (lane: Lane, startTicks: number, sample: Mp4Sample) => void;

/**
 * The tracks of a live file on one time line. When the camera was away its absence is cut out, so that players go on
 * at once instead of standing before a hole; sound that is missing is replaced by silence.
 */
export class LiveTimeline {
  readonly lanes: ReadonlyMap<number, Lane>;
  /** The video, else the first audio: what fragments are cut by. */
  readonly main: Lane;
  /** From the stream's time line to the file's, 90 kHz. */
  #offsetTicks = 0;
  #firstTicks = Number.NaN;

  /** `tracks`: at most one video. The order is that of the file. */
  constructor(tracks: readonly LiveTrack[]) {
    const lanes = new Map<number, Lane>();
    let fileId = 1;
    for (const track of tracks) lanes.set(track.id, makeLane(fileId++, track.format));
    const list = [...lanes.values()];
    const main = list.find((lane) => lane.kind === 'video') ?? list[0];
    if (main === undefined) throw new TypeError('a live file needs at least one track');
    this.lanes = lanes;
    this.main = main;
  }

  get formats(): readonly TrackFormat[] {
    return [...this.lanes.values()].map((lane) => lane.format);
  }

  /** Moves everything by so much (90 kHz) on the time line of the file; before the first unit is placed. */
  shift(ticks: number): void {
    this.#offsetTicks += ticks;
  }

  /** Where a unit of the lane with that time lies in the file (90 kHz). */
  fileTicks(lane: Lane, pts: number): number {
    return Math.round((pts * VIDEO_CLOCK_HZ) / lane.clockHz) + this.#offsetTicks;
  }

  /** Init segment for a viewer whose presentation time 0 is at `startTicks` (90 kHz). */
  init(startTicks: number, options?: InitOptions): Buffer {
    const tracks = [...this.lanes.values()].map((lane) => ({
      id: lane.fileId,
      format: lane.format,
      startTicks: Math.round((startTicks * lane.clockHz) / VIDEO_CLOCK_HZ),
    }));
    return initSegment(tracks, options);
  }

  /** Learns the distance of pictures from a GOP that is about to be placed. */
  learn(units: readonly AccessUnit[]): void {
    const pictures = units.filter((unit) => unit.format.kind === 'video' && this.lanes.has(unit.trackId));
    const [first, last] = [pictures[0], pictures.at(-1)];
    if (first === undefined || last === undefined || pictures.length < 2) return;
    const distanceTicks = Math.round((last.dts - first.dts) / (pictures.length - 1));
    learnLead(this.main, distanceTicks);
    if (this.main.stepTicks === 0) this.main.stepTicks = distanceTicks;
  }

  /**
   * Where a unit lies; null for audio whose time has been given out already.
   * @param add takes the silence that fills a hole in front of it; without it the unit is lengthened
   */
  place(lane: Lane, unit: AccessUnit, add?: AddSilence): Placed | null {
    this.#cutAbsence(((lane.kind === 'video' ? unit.dts : unit.pts) * VIDEO_CLOCK_HZ) / lane.clockHz);
    if (lane.kind === 'video') {
      const placed = placePicture(lane, unit, this.#offsetTicks);
      if (Number.isNaN(this.#firstTicks)) this.#firstTicks = placed.startTicks;
      return placed;
    }
    if (unit.format.kind !== 'audio') return null;
    const offsetTicks = Math.round((this.#offsetTicks * lane.clockHz) / VIDEO_CLOCK_HZ);
    if (add !== undefined) this.#fill(lane, audioHoleTicks(lane, unit, offsetTicks), add);
    return placeAudio(lane, unit, unit.format, offsetTicks);
  }

  /** Calls `add` with a silent sample for each audio track that has fallen too far behind the picture. */
  fillSilence(add: AddSilence): void {
    for (const lane of this.lanes.values()) {
      if (lane.kind !== 'audio' || lane === this.main || lane.format.kind !== 'audio') continue;
      // A track that has given nothing yet is reckoned from the first picture.
      const reached90k = Number.isNaN(lane.endTicks) ? this.#firstTicks : ticks90k(lane);
      const behind90k = this.main.endTicks - reached90k;
      if (!(behind90k >= SILENCE_AFTER_TICKS)) continue;
      lane.endTicks = Math.round((reached90k * lane.clockHz) / VIDEO_CLOCK_HZ);
      this.#fill(lane, Math.round(((behind90k - SILENCE_REST_TICKS) * lane.clockHz) / VIDEO_CLOCK_HZ), add);
    }
  }

  /** Lays silence of about that length behind the end of a lane, where a silent frame of its codec is known. */
  #fill(lane: Lane, ticks: number, add: AddSilence): void {
    if (lane.format.kind !== 'audio' || ticks <= 0) return;
    for (const sample of silence(lane.format, ticks)) {
      add(lane, lane.endTicks, sample);
      lane.endTicks += sample.durationTicks;
    }
  }

  /**
   * Cuts a time in which no track gave anything out of the time line. A microphone is often back before the picture,
   * so every track counts; one that went on alone keeps the time as it is.
   * @param ticks90k stream time of the unit that ends it
   */
  #cutAbsence(ticks90k: number): void {
    let absentTicks = Number.POSITIVE_INFINITY;
    let stepTicks = 0;
    let leastTicks = ABSENT_TICKS;
    for (const lane of this.lanes.values()) {
      if (Number.isNaN(lane.lastDts)) continue;
      if (lane.kind === 'audio' && lane !== this.main) leastTicks = ABSENT_WITH_SOUND_TICKS;
      const step90k = (lane.stepTicks * VIDEO_CLOCK_HZ) / lane.clockHz;
      absentTicks = Math.min(absentTicks, ticks90k - (lane.lastDts * VIDEO_CLOCK_HZ) / lane.clockHz - step90k);
      stepTicks = Math.max(stepTicks, step90k);
    }
    if (!Number.isFinite(absentTicks) || absentTicks < leastTicks || absentTicks < ABSENT_STEPS * stepTicks) return;
    this.#offsetTicks -= Math.round(absentTicks);
  }
}

/** End of a lane, 90 kHz. */
function ticks90k(lane: Lane): number {
  return (lane.endTicks * VIDEO_CLOCK_HZ) / lane.clockHz;
}

/** Whether a player has to be told: the same parameters in a new object change nothing. */
export function formatsDiffer(one: TrackFormat, other: TrackFormat): boolean {
  if (one === other) return false;
  if (one.codec !== other.codec || one.codecString !== other.codecString || !one.config.equals(other.config))
    return true;
  if (one.kind === 'video') return other.kind !== 'video' || one.width !== other.width || one.height !== other.height;
  return other.kind !== 'audio' || one.sampleRateHz !== other.sampleRateHz || one.channels !== other.channels;
}
