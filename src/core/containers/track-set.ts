import { HearthcamError } from '../errors.ts';
import type { Codec, MediaKind, TrackFormat } from '../media.ts';
import type { SourceDescription, SourceSink, SourceUnit } from '../source.ts';

export type About = Omit<SourceDescription, 'tracks' | 'sharedClock'>;

/** A track that the container announced or that has turned up in it. */
export interface Slot {
  readonly kind: MediaKind;
  readonly codec: Codec;
  format: TrackFormat | null;
  /** Index in the description; -1 before it is described. */
  index: number;
}

/** How long the others wait for a track that was announced and does not come. A picture is worth a longer wait. */
const AUDIO_WAIT_MS = 1_500;
const VIDEO_WAIT_MS = 7_000;
const MAX_EARLY_UNITS = 2_000;
const MAX_EARLY_BYTES = 16 * 1024 * 1024;

interface EarlyUnit {
  readonly slot: Slot;
  readonly unit: Omit<SourceUnit, 'track'>;
}

/**
 * The tracks of one connection to a container. Containers tell their tracks piece by piece: this waits until the format
 * of each announced one is known, keeps the units meanwhile, and describes them to the stream in one go.
 */
export class TrackSet {
  readonly #sink: SourceSink;
  readonly #about: About;
  readonly #sharedClock: boolean;
  #slots: Slot[] = [];
  #taken: readonly boolean[] = [];
  #described = false;
  #early: EarlyUnit[] = [];
  #earlyBytes = 0;
  #firstKnownMs = Number.NaN;
  /** The container says what there is only by what comes: wait for these kinds. */
  #hoped: ReadonlySet<MediaKind> = new Set();

  constructor(sink: SourceSink, about: About, sharedClock = true) {
    this.#sink = sink;
    this.#about = about;
    this.#sharedClock = sharedClock;
  }

  get described(): boolean {
    return this.#described;
  }

  /** Kinds that may still turn up, for containers that don't list their tracks. */
  hope(kinds: readonly MediaKind[]): void {
    this.#hoped = new Set(kinds);
  }

  /** Announces a track. The first of its kind counts: cameras that send two audios send the same twice. */
  add(kind: MediaKind, codec: Codec, format: TrackFormat | null = null): Slot {
    const known = this.#slots.find((slot) => slot.kind === kind);
    if (known !== undefined) {
      if (known.codec === codec) return known;
      if (known.index >= 0 || known.format !== null) {
        throw new HearthcamError(
          'source.changed',
          `the camera changed from ${known.codec} to ${codec}: connecting again`,
          {
            status: 502,
          },
        );
      }
      this.#slots = this.#slots.filter((slot) => slot !== known);
    }
    const slot: Slot = { kind, codec, format: null, index: -1 };
    this.#slots.push(slot);
    slot.format = format;
    return slot;
  }

  /** Whether somebody wants its units: what nobody takes need not be worked out. */
  wanted(slot: Slot): boolean {
    return slot.index < 0 || this.#taken[slot.index] === true;
  }

  unit(slot: Slot, unit: Omit<SourceUnit, 'track'>): void {
    slot.format = unit.format;
    if (slot.index < 0) {
      // A track that turned up late: `settle` describes it, until then its units wait like all at the beginning.
      this.#keep({ slot, unit });
    } else if (this.#taken[slot.index] === true) {
      this.#sink.unit({ track: slot.index, ...unit });
    }
  }

  /** To be called after each read: describes the tracks as soon as they are known, or have been waited for enough. */
  settle(nowMs: number): void {
    const known = this.#slots.filter((slot) => slot.format !== null);
    if (known.length === 0 || known.every((slot) => slot.index >= 0)) return;
    if (Number.isNaN(this.#firstKnownMs)) this.#firstKnownMs = nowMs;
    if (!this.#described && !this.#complete() && !this.#full() && nowMs - this.#firstKnownMs < this.#patienceMs())
      return;
    this.#describe(known);
  }

  /** The connection has ended: what is known so far is all there is. */
  finish(): void {
    const known = this.#slots.filter((slot) => slot.format !== null);
    if (!this.#described && known.length > 0) this.#describe(known);
  }

  #complete(): boolean {
    for (const kind of this.#hoped) if (!this.#slots.some((slot) => slot.kind === kind)) return false;
    return this.#slots.every((slot) => slot.format !== null);
  }

  #full(): boolean {
    return this.#early.length > MAX_EARLY_UNITS || this.#earlyBytes > MAX_EARLY_BYTES;
  }

  #patienceMs(): number {
    return this.#slots.some((slot) => slot.kind === 'video' && slot.format !== null) ? AUDIO_WAIT_MS : VIDEO_WAIT_MS;
  }

  #keep(early: EarlyUnit): void {
    this.#early.push(early);
    this.#earlyBytes += early.unit.data.length;
    if (this.#full()) this.settle(Number.POSITIVE_INFINITY);
  }

  #describe(known: readonly Slot[]): void {
    // Video first, whatever the order in the container: it is what outputs look for first.
    const ordered = this.#described
      ? [...known].sort((one, other) => order(one) - order(other))
      : [...known].sort((one, other) => (one.kind === other.kind ? 0 : one.kind === 'video' ? -1 : 1));
    ordered.forEach((slot, index) => {
      slot.index = index;
    });
    this.#described = true;
    this.#taken = this.#sink.describe({
      ...this.#about,
      sharedClock: this.#sharedClock,
      tracks: ordered.map((slot) => ({
        kind: slot.kind,
        codec: slot.codec,
        clockRateHz: slot.format?.clockRateHz ?? 90_000,
        format: slot.format,
      })),
    });
    const early = this.#early;
    this.#early = [];
    this.#earlyBytes = 0;
    for (const { slot, unit } of early) {
      if (slot.index >= 0 && this.#taken[slot.index] === true) this.#sink.unit({ track: slot.index, ...unit });
    }
  }
}

/** Tracks that are described keep their places, new ones go behind them. */
function order(slot: Slot): number {
  return slot.index < 0 ? Number.MAX_SAFE_INTEGER : slot.index;
}
