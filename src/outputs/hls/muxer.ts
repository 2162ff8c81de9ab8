import { HearthcamError } from '../../core/errors.ts';
import { type AccessUnit, type Track, VIDEO_CLOCK_HZ } from '../../core/media.ts';
import { Mp4Tracks } from '../../core/mp4-tracks.ts';
import type { Stream } from '../../core/stream.ts';
import { fragment, type Mp4Run, type Mp4Sample } from '../../wire/mp4/fragment.ts';
import { adoptFormat, type Lane, toSample } from '../../wire/mp4/lane.ts';
import { hlsCodec } from '../../wire/mp4/mime.ts';
import { formatsDiffer, LiveTimeline } from '../../wire/mp4/timeline.ts';
import { SegmentClock } from './segment-clock.ts';
import { SegmentWindow, type WindowStart } from './window.ts';

const MAX_PART_TICKS = VIDEO_CLOCK_HZ / 3;
/** A key frame ends a segment that is at least so long. */
const MIN_SEGMENT_TICKS = VIDEO_CLOCK_HZ;
const AUDIO_SEGMENT_TICKS = 2 * VIDEO_CLOCK_HZ;
const MAX_WINDOW_BYTES = 32 * 1024 * 1024;
const MAX_WAITERS = 1_000;
const MAX_EARLY_UNITS = 200;

/** What a multivariant playlist says about a stream. */
export interface VariantFacts {
  readonly codecs: readonly string[];
  readonly width: number;
  readonly height: number;
  readonly frameRate: number | undefined;
  /** Bits per second: of the worst segment, and in the mean. */
  readonly peakBps: number;
  readonly averageBps: number;
}

export interface MuxerStart extends WindowStart {
  readonly initVersion: number;
}

/** What variants of one stream share. */
export interface MuxerGroup {
  readonly clock: SegmentClock;
  /** It is the picture that the others are made of. */
  readonly leads: boolean;
}

interface Waiter {
  ready(): boolean;
  settle(available: boolean): void;
}

/**
 * Cuts a stream into the parts and segments of Low-Latency HLS (RFC 8216bis), once for all clients. A part is
 * published the moment its last picture arrives. The stream's cached GOP makes the first parts, so that a client has
 * something to show at once.
 */
export class HlsMuxer implements Disposable {
  window: SegmentWindow;
  readonly #clock: SegmentClock;
  readonly #leads: boolean;
  readonly #stopLeading: () => void;
  readonly #start: MuxerStart;
  readonly #timeline: LiveTimeline;
  readonly #tracks: Mp4Tracks;
  readonly #unsubscribe: () => void;
  readonly #waiters = new Set<Waiter>();
  readonly #inits = new Map<number, Buffer>();
  #version: number;
  #early: AccessUnit[] | null = [];
  #part = newPart();
  #partTargetTicks = 0;
  #sequence = 1;
  #waitForKey = true;
  #breaks: boolean;
  #ended = false;
  #peakBps = 0;
  #sentBits = 0;
  #sentTicks = 0;

  /** @param start where an earlier muxer of the same playlist ended; its clients are told of the break */
  constructor(stream: Stream, tracks: readonly Track[], start: MuxerStart, group?: MuxerGroup) {
    this.#start = start;
    this.#clock = group?.clock ?? new SegmentClock();
    this.#leads = group?.leads ?? true;
    this.window = new SegmentWindow(MAX_WINDOW_BYTES, start);
    this.#version = start.initVersion;
    this.#breaks = start.sequence > 0;
    this.#tracks = new Mp4Tracks(stream, tracks);
    this.#timeline = new LiveTimeline(this.#tracks.live);
    this.#waitForKey = this.#timeline.main.kind === 'video';
    this.#stopLeading = this.#leads ? this.#clock.lead() : () => {};
    this.#unsubscribe = stream.subscribe((units) => this.#onUnits(units));
    const gop = stream.gop();
    this.#inits.set(this.#version, this.#timeline.init(0));
    this.#take(this.#tracks.convert(gop.complete ? gop.units : []));
  }

  get ended(): boolean {
    return this.#ended;
  }
  /** Longest part, in milliseconds; undefined before the first. */
  get partTargetMs(): number | undefined {
    return this.#partTargetTicks === 0 ? undefined : this.#partTargetTicks / 90;
  }
  get initVersion(): number {
    return this.#version;
  }
  get waiting(): number {
    return this.#waiters.size;
  }

  init(version: number): Buffer | undefined {
    return this.#inits.get(version);
  }

  facts(): VariantFacts {
    const { formats, main } = this.#timeline;
    const { format } = main;
    const averageBps = this.#sentTicks === 0 ? 0 : (this.#sentBits * VIDEO_CLOCK_HZ) / this.#sentTicks;
    return {
      codecs: formats.map(hlsCodec),
      width: format.kind === 'video' ? format.width : 0,
      height: format.kind === 'video' ? format.height : 0,
      frameRate: format.kind === 'video' && main.learnt > 0 ? VIDEO_CLOCK_HZ / main.leadTicks : undefined,
      peakBps: Math.max(this.#peakBps, averageBps),
      averageBps,
    };
  }

  /** Whether segment `sequence` is complete, or (with `part`) that part of it is there. */
  has(sequence: number, part: number | undefined): boolean {
    const last = this.window.segments.at(-1);
    if (last === undefined || sequence > last.sequence) return false;
    if (part === undefined) return sequence < last.sequence || last.closed;
    const segment = this.window.find(sequence);
    if (segment === undefined || segment.parts.length > part) return true;
    // §6.2.5.2: a part behind the last one of a segment is the first one of the next.
    return segment.closed && this.has(sequence + 1, 0);
  }

  /**
   * Resolves true as soon as `ready` holds (looked at after each part), false when the time is over or the muxer ends.
   * @throws HearthcamError 503 when too many wait already
   */
  wait(ready: () => boolean, timeoutMs: number): Promise<boolean> {
    if (ready()) return Promise.resolve(true);
    if (this.#ended) return Promise.resolve(false);
    if (this.#waiters.size >= MAX_WAITERS) {
      throw new HearthcamError('hls.busy', 'too many clients wait for the next part', { status: 503 });
    }
    return new Promise((resolve) => {
      const waiter: Waiter = {
        ready,
        settle: (available) => {
          clearTimeout(timer);
          this.#waiters.delete(waiter);
          resolve(available);
        },
      };
      const timer = setTimeout(() => waiter.settle(false), timeoutMs);
      this.#waiters.add(waiter);
    });
  }

  [Symbol.dispose](): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#unsubscribe();
    this.#stopLeading();
    this.#tracks[Symbol.dispose]();
    for (const waiter of [...this.#waiters]) waiter.settle(false);
  }

  #onUnits(units: readonly AccessUnit[]): void {
    this.#take(this.#tracks.convert(units));
    for (const waiter of [...this.#waiters]) if (waiter.ready()) waiter.settle(true);
  }

  /** The distance of pictures has to be known before the first one is placed: the first waits for the second. */
  #take(units: readonly AccessUnit[]): void {
    let ready = units;
    if (this.#early !== null) {
      this.#early.push(...units);
      const { main, lanes } = this.#timeline;
      const pictures = this.#early.filter((unit) => lanes.get(unit.trackId) === main).length;
      if (main.kind === 'video' && pictures < 2 && this.#early.length < MAX_EARLY_UNITS) return;
      ready = this.#early;
      this.#early = null;
      this.#timeline.learn(ready);
      this.#join(ready);
    }
    for (const unit of ready) this.#push(unit);
  }

  #push(unit: AccessUnit): void {
    const { main, lanes } = this.#timeline;
    const lane = lanes.get(unit.trackId);
    if (lane === undefined) return;
    if (formatsDiffer(unit.format, lane.format)) {
      this.#closePart();
      this.window.close();
      this.#breaks = true;
      if (lane === main) this.#waitForKey = lane.kind === 'video';
      adoptFormat(lane, unit.format);
      this.#version++;
      this.#inits.set(this.#version, this.#timeline.init(0));
    }
    if (lane === main) {
      if (unit.key) this.#waitForKey = false;
      else if (this.#waitForKey) return;
      if (unit.key) this.#cut(unit);
    }
    if (this.window.open === undefined) return;
    const placed = this.#timeline.place(lane, unit);
    if (placed === null) return;
    this.#add(lane, placed.startTicks, toSample(unit, unit.data, placed.durationTicks));
    if (lane !== main) return;
    const durationTicks = (placed.durationTicks * VIDEO_CLOCK_HZ) / lane.clockHz;
    if (this.#part.durationTicks === 0) this.#part.independent = unit.key;
    this.#part.durationTicks += durationTicks;
    if (lane.kind === 'video') this.#timeline.fillSilence((silent, at, sample) => this.#add(silent, at, sample));
    // How many pictures make a part is not known before the second one.
    if (lane.stepTicks === 0) return;
    const stepTicks = (lane.stepTicks * VIDEO_CLOCK_HZ) / lane.clockHz;
    if (this.#part.durationTicks + stepTicks * 1.05 > this.#limitTicks(stepTicks)) this.#closePart();
  }

  /** Goes on beside the other variants, where there are any. */
  #join(units: readonly AccessUnit[]): void {
    const { main, lanes } = this.#timeline;
    const first = units.find((unit) => lanes.get(unit.trackId) === main && (main.kind === 'audio' || unit.key));
    const joining = first === undefined ? null : this.#clock.join(first.wallMs, this.#leastMs());
    if (first === undefined || joining === null) return;
    this.#timeline.shift(joining.fileTicks - this.#timeline.fileTicks(main, first.pts));
    const { sequence, part, discontinuities } = this.#start;
    // What was given out already would come again under another number, as behind a break.
    if (joining.sequence < sequence) return;
    this.window = new SegmentWindow(MAX_WINDOW_BYTES, {
      sequence: joining.sequence,
      part,
      discontinuities: Math.max(discontinuities, joining.discontinuities),
    });
    this.#breaks = false;
  }

  #leastMs(): number {
    return (this.#timeline.main.kind === 'video' ? MIN_SEGMENT_TICKS : AUDIO_SEGMENT_TICKS) / 90;
  }

  /** Begins a segment where one may begin. */
  #cut(unit: AccessUnit): void {
    const { open } = this.window;
    if (open !== undefined) {
      const openMs = (open.durationTicks + this.#part.durationTicks) / 90;
      if (openMs === 0) return;
      if (!this.#clock.mayCut(unit.wallMs, open.wallMs, openMs, this.#leastMs(), this.#leads)) return;
    }
    this.#closePart();
    if (open !== undefined && open.durationTicks > 0) {
      this.#peakBps = Math.max(this.#peakBps, (open.bytes * 8 * VIDEO_CLOCK_HZ) / open.durationTicks);
    }
    const { sequence } = this.window.begin(unit.wallMs, this.#breaks, this.#version);
    this.#breaks = false;
    this.#clock.began({
      wallMs: unit.wallMs,
      sequence,
      fileTicks: this.#timeline.fileTicks(this.#timeline.main, unit.pts),
      discontinuities: this.window.after().discontinuities,
    });
    const oldest = this.window.segments[0]?.initVersion ?? this.#version;
    for (const version of this.#inits.keys()) if (version < oldest) this.#inits.delete(version);
  }

  /**
   * How long a part may get: as many pictures as fit into a third of a second, so that all parts are about equally
   * long (RFC 8216bis §4.4.4.9 wants 85 % of the target at least). Fixed with the first part.
   */
  #limitTicks(stepTicks: number): number {
    if (this.#partTargetTicks === 0) {
      const pictures = Math.max(1, Math.floor(MAX_PART_TICKS / (stepTicks * 1.05)));
      // Some room for times that jitter, but no more than a third of a second unless one picture lasts longer.
      const room = pictures * stepTicks * 1.1;
      this.#partTargetTicks = Math.ceil(pictures === 1 ? room : Math.min(room, MAX_PART_TICKS));
    }
    return this.#partTargetTicks;
  }

  #add(lane: Lane, startTicks: number, sample: Mp4Sample): void {
    const run = this.#part.runs.get(lane);
    if (run === undefined) this.#part.runs.set(lane, { startTicks, samples: [sample] });
    else run.samples.push(sample);
  }

  #closePart(): void {
    const part = this.#part;
    if (part.durationTicks === 0 || this.window.open === undefined) return;
    this.#part = newPart();
    const runs: Mp4Run[] = [];
    for (const lane of this.#timeline.lanes.values()) {
      const run = part.runs.get(lane);
      if (run !== undefined) runs.push({ trackId: lane.fileId, decodeTicks: run.startTicks, samples: run.samples });
    }
    const data = fragment(this.#sequence++, runs);
    this.#sentBits += data.length * 8;
    this.#sentTicks += part.durationTicks;
    this.window.add(data, part.durationTicks, part.independent);
  }
}

function newPart() {
  return { runs: new Map<Lane, { startTicks: number; samples: Mp4Sample[] }>(), durationTicks: 0, independent: false };
}
