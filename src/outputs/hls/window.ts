import { VIDEO_CLOCK_HZ } from '../../core/media.ts';

/** A partial segment: one or several fragments' worth of samples in one `moof` and `mdat`. */
export interface Part {
  /** Counts all parts of the muxer, across segments: a hinted part is found whatever segment it falls into. */
  readonly index: number;
  readonly data: Buffer;
  readonly durationTicks: number;
  readonly independent: boolean;
}

export interface Segment {
  /** Media Sequence Number. */
  readonly sequence: number;
  readonly parts: Part[];
  /** UTC of its first sample. */
  readonly wallMs: number;
  readonly discontinuity: boolean;
  /** Which init segment it needs. */
  readonly initVersion: number;
  durationTicks: number;
  bytes: number;
  closed: boolean;
}

export interface WindowStart {
  readonly sequence: number;
  readonly part: number;
  readonly discontinuities: number;
}

/** Complete segments below this are kept for clients that don't know parts: RFC 8216 §6.2.2 asks for three. */
const MIN_SEGMENTS = 3;
const MIN_TARGET_S = 2;

/** The last segments of a live playlist, and what counts on from those that are gone. */
export class SegmentWindow {
  readonly #maxBytes: number;
  #segments: Segment[] = [];
  #bytes = 0;
  #nextSequence: number;
  #nextPart: number;
  /** `EXT-X-DISCONTINUITY-SEQUENCE`: discontinuities before the first segment. */
  #goneDiscontinuities: number;
  #longestTicks = MIN_TARGET_S * VIDEO_CLOCK_HZ;

  constructor(maxBytes: number, start: WindowStart) {
    this.#maxBytes = maxBytes;
    this.#nextSequence = start.sequence;
    this.#nextPart = start.part;
    this.#goneDiscontinuities = start.discontinuities;
  }

  get segments(): readonly Segment[] {
    return this.#segments;
  }
  /** The last one; undefined before the first sample. */
  get open(): Segment | undefined {
    const last = this.#segments.at(-1);
    return last?.closed === false ? last : undefined;
  }
  get goneDiscontinuities(): number {
    return this.#goneDiscontinuities;
  }
  get nextPart(): number {
    return this.#nextPart;
  }
  /** Of the longest segment so far, in whole seconds as `EXT-X-TARGETDURATION` wants it. */
  get targetDurationS(): number {
    return Math.max(MIN_TARGET_S, Math.round(this.#longestTicks / VIDEO_CLOCK_HZ));
  }

  /** Where a window would begin that follows this one after a break. */
  after(): WindowStart {
    const shown = this.#segments.filter((segment) => segment.discontinuity).length;
    return {
      sequence: this.#nextSequence,
      part: this.#nextPart,
      discontinuities: this.#goneDiscontinuities + shown,
    };
  }

  begin(wallMs: number, discontinuity: boolean, initVersion: number): Segment {
    this.close();
    const segment: Segment = {
      sequence: this.#nextSequence++,
      parts: [],
      wallMs,
      discontinuity,
      initVersion,
      durationTicks: 0,
      bytes: 0,
      closed: false,
    };
    this.#segments.push(segment);
    this.#trim();
    return segment;
  }

  add(data: Buffer, durationTicks: number, independent: boolean): void {
    const segment = this.open;
    if (segment === undefined) return;
    segment.parts.push({ index: this.#nextPart++, data, durationTicks, independent });
    segment.durationTicks += durationTicks;
    segment.bytes += data.length;
    this.#bytes += data.length;
    this.#longestTicks = Math.max(this.#longestTicks, segment.durationTicks);
  }

  close(): void {
    const segment = this.open;
    if (segment !== undefined) segment.closed = true;
  }

  find(sequence: number): Segment | undefined {
    return this.#segments.find((segment) => segment.sequence === sequence);
  }

  findPart(index: number): Part | undefined {
    for (const segment of this.#segments) {
      const [first] = segment.parts;
      if (first === undefined || index < first.index) continue;
      const part = segment.parts[index - first.index];
      if (part !== undefined) return part;
    }
    return undefined;
  }

  /**
   * Lets go of the oldest. A playlist has to be longer than the skip boundary of six target durations, or delta updates
   * would never leave anything out.
   */
  #trim(): void {
    const keepTicks = 8 * this.targetDurationS * VIDEO_CLOCK_HZ;
    let ticks = 0;
    for (const segment of this.#segments) ticks += segment.durationTicks;
    for (let first = this.#segments[0]; first !== undefined; first = this.#segments[0]) {
      const spare = this.#segments.length > MIN_SEGMENTS + 1;
      if (!spare || (ticks - first.durationTicks < keepTicks && this.#bytes <= this.#maxBytes)) return;
      this.#segments.shift();
      this.#bytes -= first.bytes;
      ticks -= first.durationTicks;
      if (first.discontinuity) this.#goneDiscontinuities++;
    }
  }
}
