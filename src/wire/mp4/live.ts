import { type AccessUnit, type TrackFormat, VIDEO_CLOCK_HZ } from '../../core/media.ts';
import {
  fragment,
  fragmentDataBytes,
  fragmentHeaderBytes,
  fragmentPieces,
  type Mp4Run,
  type Mp4Sample,
} from './fragment.ts';
import { type InitOptions, initSegment } from './init.ts';
import { type BurstOptions, burstRuns } from './join.ts';
import { isGap, type Lane, learnLead, makeLane, placeAudio, placePicture, toSample } from './lane.ts';
import { silentFrame } from './silence.ts';

/** What stands in front of each fragment on the wire, for example the header of a WebSocket message. */
export interface FragmentPrefix {
  bytes(fragmentBytes: number): number;
  /** Writes it at the beginning of `target`. */
  write(target: Buffer, fragmentBytes: number): void;
}

/** A track to be packaged. */
export interface LiveTrack {
  /** `AccessUnit.trackId`. */
  readonly id: number;
  readonly format: TrackFormat;
}

/** One fragment, ready to be written to every viewer. */
export interface Packed {
  /** Prefix and fragment. Shared: nobody may write to it. */
  readonly data: Buffer;
  readonly prefixBytes: number;
  /** Begins with a key frame (or there is no video): a viewer may start here. */
  readonly key: boolean;
  /** Time of its first sample on the file's time line, 90 kHz. */
  readonly startTicks: number;
  /** Decoding parameters changed: viewers need a new init segment before this. */
  readonly newInit: boolean;
  readonly units: number;
}

/** What a viewer who joins is given first. */
export interface JoinBurst {
  /** Messages of pieces that follow one another on the wire, each with its prefix. */
  readonly messages: readonly (readonly Buffer[])[];
  readonly startTicks: number;
  readonly units: number;
  readonly bytes: number;
}

/** Audio that stays behind the picture so far is filled with silence, or players would stop with it. */
const SILENCE_AFTER_TICKS = 63_000; // 0.7 s
const SILENCE_REST_TICKS = 18_000; // 0.2 s

interface Batch {
  readonly samples: Map<Lane, { startTicks: number; list: Mp4Sample[] }>;
  key: boolean;
  newInit: boolean;
  units: number;
}

/**
 * Turns the access units of a live stream into fragments on one time line that all viewers share: one fragment for
 * each call (each new picture), audio inside. When the camera was away its absence is cut out of the time line, so
 * that players go on at once instead of standing before a hole.
 */
export class LivePackager {
  readonly #lanes = new Map<number, Lane>();
  readonly #main: Lane;
  readonly #prefix: FragmentPrefix;
  /** From the stream's time line to ours, 90 kHz. */
  #offsetTicks = 0;
  #sequence = 1;
  #firstTicks = Number.NaN;
  /** A changed format came without a key frame: nothing can be decoded until there is one. */
  #waitForKey = false;

  /** `tracks`: at most one video. The order is that of the file. */
  constructor(tracks: readonly LiveTrack[], prefix: FragmentPrefix) {
    let fileId = 1;
    for (const track of tracks) this.#lanes.set(track.id, makeLane(fileId++, track.format));
    const lanes = [...this.#lanes.values()];
    const main = lanes.find((lane) => lane.kind === 'video') ?? lanes[0];
    if (main === undefined) throw new TypeError('a packager needs at least one track');
    this.#main = main;
    this.#prefix = prefix;
  }

  get formats(): readonly TrackFormat[] {
    return [...this.#lanes.values()].map((lane) => lane.format);
  }

  /** Init segment for a viewer whose presentation time 0 is at `startTicks` (90 kHz). */
  init(startTicks: number, options?: InitOptions): Buffer {
    const tracks = [...this.#lanes.values()].map((lane) => ({
      id: lane.fileId,
      format: lane.format,
      startTicks: Math.round((startTicks * lane.clockHz) / VIDEO_CLOCK_HZ),
    }));
    return initSegment(tracks, options);
  }

  /** Takes in the GOP that was there before the packager, so that times go on from it. Gives nothing out. */
  prime(units: readonly AccessUnit[]): void {
    const pictures = units.filter((unit) => unit.format.kind === 'video' && this.#lanes.has(unit.trackId));
    const [first, last] = [pictures[0], pictures.at(-1)];
    if (first !== undefined && last !== undefined && pictures.length > 1) {
      learnLead(this.#main, Math.round((last.dts - first.dts) / (pictures.length - 1)));
    }
    for (const unit of units) {
      const lane = this.#lanes.get(unit.trackId);
      if (lane !== undefined) this.#place(lane, unit);
    }
  }

  /** Packs what arrived together. Usually one fragment; a key frame always begins one. */
  push(units: readonly AccessUnit[]): Packed[] {
    const out: Packed[] = [];
    let batch = newBatch();
    for (const unit of units) {
      const lane = this.#lanes.get(unit.trackId);
      if (lane === undefined) continue;
      const picture = lane.kind === 'video';
      const changed = unit.format !== lane.format && formatsDiffer(unit.format, lane.format);
      if ((picture && unit.key && batch.samples.has(lane)) || (changed && batch.units > 0)) {
        out.push(this.#finish(batch));
        batch = newBatch();
      }
      lane.format = unit.format;
      if (changed) {
        batch.newInit = true;
        if (lane === this.#main) this.#waitForKey = picture;
      }
      if (picture) {
        if (unit.key) this.#waitForKey = false;
        else if (this.#waitForKey) continue;
      }
      const placed = this.#place(lane, unit);
      if (placed === null) continue;
      this.#add(batch, lane, placed.startTicks, toSample(unit, unit.data, placed.durationTicks));
      if (lane === this.#main && batch.samples.get(lane)?.list.length === 1) batch.key = unit.key;
      batch.units++;
      if (picture) this.#fillSilence(batch);
    }
    if (batch.units > 0) out.push(this.#finish(batch));
    return out;
  }

  /**
   * The cached GOP for a viewer who joins now. Its last picture must be the last one that was pushed or primed
   * (`Stream.settle`). `pressed`: the pictures are laid so close together that they are over after a tenth of a second:
   * they are there to be decoded, and the player is at the newest one at once, also when it never seeks. Null when
   * there is no key frame yet. With `complete` false the key frame alone is given, and the viewer has to wait for the
   * next one.
   */
  join(units: readonly AccessUnit[], options: BurstOptions): JoinBurst | null {
    const mine = units.filter((unit) => this.#lanes.has(unit.trackId));
    const made = burstRuns(mine, options, this.#lanes, this.#main);
    if (made === null) return null;
    const messages = made.fragments.map((runs) => this.#pieces(runs));
    let bytes = 0;
    for (const message of messages) for (const piece of message) bytes += piece.length;
    return { messages, startTicks: made.startTicks, units: made.units, bytes };
  }

  #pieces(runs: readonly Mp4Run[]): readonly Buffer[] {
    const fragmentBytes = fragmentHeaderBytes(runs) + fragmentDataBytes(runs);
    const prefixBytes = this.#prefix.bytes(fragmentBytes);
    const pieces = fragmentPieces(this.#sequence++, runs, prefixBytes);
    const [header] = pieces;
    if (header !== undefined) this.#prefix.write(header, fragmentBytes);
    return pieces;
  }

  #place(lane: Lane, unit: AccessUnit) {
    if (lane.kind === 'video') {
      if (isGap(lane, unit.dts)) this.#closeGap(lane, unit.dts);
      const placed = placePicture(lane, unit, this.#offsetTicks);
      if (Number.isNaN(this.#firstTicks)) this.#firstTicks = placed.startTicks;
      return placed;
    }
    if (unit.format.kind !== 'audio') return null;
    if (lane === this.#main && isGap(lane, unit.pts)) this.#closeGap(lane, unit.pts);
    return placeAudio(lane, unit, unit.format, this.#laneOffset(lane));
  }

  #laneOffset(lane: Lane): number {
    return Math.round((this.#offsetTicks * lane.clockHz) / VIDEO_CLOCK_HZ);
  }

  /** Cuts the camera's absence out of the time line, as far as no other track went on meanwhile. */
  #closeGap(lane: Lane, dts: number): void {
    const goneTicks = ((dts - lane.lastDts - Math.max(lane.stepTicks, 1)) * VIDEO_CLOCK_HZ) / lane.clockHz;
    const endTicks = ticks90k(lane);
    let reachedTicks = endTicks;
    for (const other of this.#lanes.values()) {
      if (!Number.isNaN(other.endTicks)) reachedTicks = Math.max(reachedTicks, ticks90k(other));
    }
    this.#offsetTicks -= Math.max(0, Math.round(goneTicks - (reachedTicks - endTicks)));
  }

  #add(batch: Batch, lane: Lane, startTicks: number, sample: Mp4Sample): void {
    const run = batch.samples.get(lane);
    if (run === undefined) batch.samples.set(lane, { startTicks, list: [sample] });
    else run.list.push(sample);
  }

  #fillSilence(batch: Batch): void {
    for (const lane of this.#lanes.values()) {
      if (lane.kind !== 'audio' || lane.format.kind !== 'audio') continue;
      // A track that has given nothing yet is reckoned from the first picture.
      const reached90k = Number.isNaN(lane.endTicks) ? this.#firstTicks : ticks90k(lane);
      const behind90k = this.#main.endTicks - reached90k;
      if (behind90k < SILENCE_AFTER_TICKS) continue;
      const frame = silentFrame(lane.format);
      if (frame === undefined) continue;
      if (Number.isNaN(lane.endTicks)) lane.endTicks = Math.round((reached90k * lane.clockHz) / VIDEO_CLOCK_HZ);
      const durationTicks = Math.round(((behind90k - SILENCE_REST_TICKS) * lane.clockHz) / VIDEO_CLOCK_HZ);
      this.#add(batch, lane, lane.endTicks, { data: frame, durationTicks, offsetTicks: 0, key: true });
      lane.endTicks += durationTicks;
    }
  }

  #finish(batch: Batch): Packed {
    const runs: Mp4Run[] = [];
    let first: { lane: Lane; startTicks: number } | undefined;
    for (const lane of this.#lanes.values()) {
      const run = batch.samples.get(lane);
      if (run === undefined) continue;
      runs.push({ trackId: lane.fileId, decodeTicks: run.startTicks, samples: run.list });
      if (first === undefined || lane === this.#main) first = { lane, startTicks: run.startTicks };
    }
    const fragmentBytes = fragmentHeaderBytes(runs) + fragmentDataBytes(runs);
    const prefixBytes = this.#prefix.bytes(fragmentBytes);
    const data = fragment(this.#sequence++, runs, prefixBytes);
    this.#prefix.write(data, fragmentBytes);
    const startTicks = first === undefined ? 0 : (first.startTicks * VIDEO_CLOCK_HZ) / first.lane.clockHz;
    return {
      data,
      prefixBytes,
      key: batch.key,
      startTicks: Math.round(startTicks),
      newInit: batch.newInit,
      units: batch.units,
    };
  }
}

function newBatch(): Batch {
  return { samples: new Map(), key: false, newInit: false, units: 0 };
}

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
