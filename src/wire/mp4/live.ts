import { type AccessUnit, type TrackFormat, VIDEO_CLOCK_HZ } from '../../core/media.ts';
import {
  fragment,
  fragmentDataBytes,
  fragmentHeaderBytes,
  fragmentPieces,
  type Mp4Run,
  type Mp4Sample,
} from './fragment.ts';
import type { InitOptions } from './init.ts';
import { type BurstOptions, burstRuns } from './join.ts';
import { adoptFormat, type Lane, toSample } from './lane.ts';
import { type AddSilence, formatsDiffer, LiveTimeline, type LiveTrack } from './timeline.ts';

/** What stands in front of each fragment on the wire, for example the header of a WebSocket message. */
export interface FragmentPrefix {
  bytes(fragmentBytes: number): number;
  /** Writes it at the beginning of `target`. */
  write(target: Buffer, fragmentBytes: number): void;
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

interface Batch {
  readonly samples: Map<Lane, { startTicks: number; list: Mp4Sample[] }>;
  key: boolean;
  units: number;
}

/**
 * Turns the access units of a live stream into fragments on one time line that all viewers share: one fragment for
 * each call (each new picture), audio inside.
 */
export class LivePackager {
  readonly #timeline: LiveTimeline;
  readonly #prefix: FragmentPrefix;
  /** Of the next fragment; the two before it are for viewers who join. */
  #sequence = 3;
  /** A changed format came without a key frame: nothing can be decoded until there is one. */
  #waitForKey = false;
  #newInit = false;

  /** `tracks`: at most one video. The order is that of the file. */
  constructor(tracks: readonly LiveTrack[], prefix: FragmentPrefix) {
    this.#timeline = new LiveTimeline(tracks);
    this.#prefix = prefix;
  }

  get formats(): readonly TrackFormat[] {
    return this.#timeline.formats;
  }

  /** Init segment for a viewer whose presentation time 0 is at `startTicks` (90 kHz). */
  init(startTicks: number, options?: InitOptions): Buffer {
    return this.#timeline.init(startTicks, options);
  }

  /** Takes in the GOP that was there before the packager, so that times go on from it. Gives nothing out. */
  prime(units: readonly AccessUnit[]): void {
    this.#timeline.learn(units);
    for (const unit of units) {
      const lane = this.#timeline.lanes.get(unit.trackId);
      if (lane !== undefined) this.#timeline.place(lane, unit);
    }
  }

  /** Packs what arrived together. Usually one fragment; a key frame always begins one. */
  push(units: readonly AccessUnit[]): Packed[] {
    const out: Packed[] = [];
    let batch = newBatch();
    for (const unit of units) {
      const lane = this.#timeline.lanes.get(unit.trackId);
      if (lane === undefined) continue;
      const picture = lane.kind === 'video';
      const changed = formatsDiffer(unit.format, lane.format);
      if ((picture && unit.key && batch.samples.has(lane)) || (changed && batch.units > 0)) {
        out.push(this.#finish(batch));
        batch = newBatch();
      }
      adoptFormat(lane, unit.format);
      if (changed) {
        this.#newInit = true;
        if (picture) this.#waitForKey = true;
      }
      if (picture) {
        if (unit.key) this.#waitForKey = false;
        else if (this.#waitForKey) continue;
      }
      const inBatch = batch;
      const addSilence: AddSilence = (silent, at, sample) => this.#add(inBatch, silent, at, sample);
      const placed = this.#timeline.place(lane, unit, addSilence);
      if (placed === null) continue;
      this.#add(batch, lane, placed.startTicks, toSample(unit, unit.data, placed.durationTicks));
      if (lane === this.#timeline.main && batch.samples.get(lane)?.list.length === 1) batch.key = unit.key;
      batch.units++;
      if (picture) this.#timeline.fillSilence(addSilence);
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
    const mine = units.filter((unit) => this.#timeline.lanes.has(unit.trackId));
    const made = burstRuns(mine, options, this.#timeline.lanes, this.#timeline.main);
    if (made === null) return null;
    // Numbered so that the next fragment follows: VLC takes a gap in the numbers for a hole.
    const first = this.#sequence - made.fragments.length;
    const messages = made.fragments.map((runs, index) => this.#pieces(runs, first + index));
    let bytes = 0;
    for (const message of messages) for (const piece of message) bytes += piece.length;
    return { messages, startTicks: made.startTicks, units: made.units, bytes };
  }

  #pieces(runs: readonly Mp4Run[], sequence: number): readonly Buffer[] {
    const fragmentBytes = fragmentHeaderBytes(runs) + fragmentDataBytes(runs);
    const prefixBytes = this.#prefix.bytes(fragmentBytes);
    const pieces = fragmentPieces(sequence, runs, prefixBytes);
    const [header] = pieces;
    if (header !== undefined) this.#prefix.write(header, fragmentBytes);
    return pieces;
  }

  #add(batch: Batch, lane: Lane, startTicks: number, sample: Mp4Sample): void {
    const run = batch.samples.get(lane);
    if (run === undefined) batch.samples.set(lane, { startTicks, list: [sample] });
    else run.list.push(sample);
  }

  #finish(batch: Batch): Packed {
    const runs: Mp4Run[] = [];
    let first: { lane: Lane; startTicks: number } | undefined;
    for (const lane of this.#timeline.lanes.values()) {
      const run = batch.samples.get(lane);
      if (run === undefined) continue;
      runs.push({ trackId: lane.fileId, decodeTicks: run.startTicks, samples: run.list });
      if (first === undefined || lane === this.#timeline.main) first = { lane, startTicks: run.startTicks };
    }
    const fragmentBytes = fragmentHeaderBytes(runs) + fragmentDataBytes(runs);
    const prefixBytes = this.#prefix.bytes(fragmentBytes);
    const data = fragment(this.#sequence++, runs, prefixBytes);
    this.#prefix.write(data, fragmentBytes);
    const newInit = this.#newInit;
    this.#newInit = false;
    const startTicks = first === undefined ? 0 : (first.startTicks * VIDEO_CLOCK_HZ) / first.lane.clockHz;
    return {
      data,
      prefixBytes,
      key: batch.key,
      startTicks: Math.round(startTicks),
      newInit,
      units: batch.units,
    };
  }
}

function newBatch(): Batch {
  return { samples: new Map(), key: false, units: 0 };
}
