import { HearthcamError } from '../../core/errors.ts';
import type { AccessUnit, TrackFormat } from '../../core/media.ts';
import type { Stream } from '../../core/stream.ts';
import { LINK_HIGH_BYTES, type ProcessLink } from './supervisor.ts';

/** After an overflow media goes on when no more than this waits. */
const LINK_LOW_BYTES = LINK_HIGH_BYTES / 4;

export interface FeedEvents {
  /** The process doesn't keep up: pictures are left out until it does. */
  onOverflow(): void;
  /** A picture came that is to be shown before an earlier one. */
  onReordering(format: TrackFormat): void;
}

/** Hands one stream to the WebRTC process, once, however many viewers it has there. */
export class Feed implements Disposable {
  readonly id: number;
  readonly #stream: Stream;
  readonly #link: ProcessLink;
  readonly #formats = new Map<number, TrackFormat>();
  /** Tracks that viewers take, and how many viewers of each. */
  readonly #tracks = new Map<number, number>();
  /** Video tracks that go on with their next key frame. */
  readonly #waiting = new Set<number>();
  readonly #unsubscribe: () => void;
  #overflowed = false;
  readonly #events: FeedEvents;
  readonly #lastPts = new Map<number, number>();
  readonly #clocks = new Map<number, FeedClock>();
  readonly #flowing = new Map<number, PromiseWithResolvers<FeedClock>>();

  constructor(id: number, stream: Stream, link: ProcessLink, events: FeedEvents) {
    this.id = id;
    this.#stream = stream;
    this.#link = link;
    this.#events = events;
    // Audio rides along with the next picture: waking two processes for each audio frame costs more than it brings.
    this.#unsubscribe = stream.subscribe((units) => this.#onUnits(units));
  }

  /** A viewer takes these tracks: those that are not fed yet are from their last key frame on. */
  take(trackIds: readonly number[]): void {
    const fresh = trackIds.filter((id) => !this.#tracks.has(id));
    for (const id of trackIds) this.#tracks.set(id, (this.#tracks.get(id) ?? 0) + 1);
    if (fresh.length === 0) return;
    this.#stream.settle();
    const gop = this.#stream.gop();
    this.#link.burst(() => {
      for (const id of fresh) {
        let started = false;
        for (const unit of gop.units) {
          if (unit.trackId !== id || (unit.format.kind === 'video' && !started && !unit.key)) continue;
          // Sound of the past is of no use: it would be played late.
          if (unit.format.kind === 'audio') continue;
          started = true;
          this.#give(unit);
        }
        const isVideo = this.#stream.tracks.find((track) => track.id === id)?.kind === 'video';
        if (isVideo && (!started || !gop.complete)) this.#waiting.add(id);
      }
    });
  }

  /** A viewer needs these tracks no more. */
  leave(trackIds: readonly number[]): void {
    for (const id of trackIds) {
      const users = (this.#tracks.get(id) ?? 1) - 1;
      if (users > 0) {
        this.#tracks.set(id, users);
        continue;
      }
      this.#tracks.delete(id);
      this.#waiting.delete(id);
      this.#formats.delete(id);
      this.#clocks.delete(id);
      this.#lastPts.delete(id);
      this.#link.send({ type: 'track-end', feed: this.id, track: id });
    }
  }

  /** How the track's times relate to others, as soon as it has given a unit. */
  async clock(trackId: number): Promise<FeedClock> {
    const known = this.#clocks.get(trackId);
    if (known !== undefined) return known;
    let waiting = this.#flowing.get(trackId);
    if (waiting === undefined) {
      waiting = Promise.withResolvers();
      this.#flowing.set(trackId, waiting);
    }
    return waiting.promise;
  }

  [Symbol.dispose](): void {
    this.#unsubscribe();
    this.#link.send({ type: 'feed-end', feed: this.id });
  }

  #onUnits(units: readonly AccessUnit[]): void {
    const waitingBytes = this.#link.waitingBytes;
    if (waitingBytes > LINK_HIGH_BYTES) {
      if (!this.#overflowed) this.#events.onOverflow();
      this.#overflowed = true;
    } else if (this.#overflowed && waitingBytes < LINK_LOW_BYTES) {
      this.#overflowed = false;
    }
    this.#link.burst(() => {
      for (const unit of units) {
        if (!this.#tracks.has(unit.trackId)) continue;
        if (unit.format.kind === 'video') {
          if (this.#overflowed) this.#waiting.add(unit.trackId);
          else if (unit.key) this.#waiting.delete(unit.trackId);
          if (this.#waiting.has(unit.trackId)) continue;
        } else if (this.#overflowed) {
          continue;
        }
        this.#give(unit);
      }
    });
  }

  #give(unit: AccessUnit): void {
    const { id } = this;
    this.#note(unit);
    if (unit.format.kind === 'video') {
      const before = this.#lastPts.get(unit.trackId) ?? Number.NEGATIVE_INFINITY;
      this.#lastPts.set(unit.trackId, unit.pts);
      if (unit.pts < before) this.#events.onReordering(unit.format);
    }
    if (this.#formats.get(unit.trackId) !== unit.format) {
      this.#formats.set(unit.trackId, unit.format);
      this.#link.send({ type: 'format', feed: id, track: unit.trackId, format: unit.format });
    }
    const { pts, key, data } = unit;
    this.#link.send({ type: 'unit', feed: id, track: unit.trackId, pts, key, data });
  }

  #note({ trackId, pts, format, wallMs, arrivedMs }: AccessUnit): void {
    const timeMs = (pts * 1000) / format.clockRateHz;
    const clock = this.#clocks.get(trackId);
    if (clock !== undefined) {
      clock.wallMs = wallMs - timeMs;
      clock.arrivalMs = arrivedMs - timeMs;
      return;
    }
    const first = { wallMs: wallMs - timeMs, arrivalMs: arrivedMs - timeMs };
    this.#clocks.set(trackId, first);
    this.#flowing.get(trackId)?.resolve(first);
    this.#flowing.delete(trackId);
  }
}

/** A track's times: what has to be added to its presentation time in ms for the camera's UTC, and for the arrival. */
export interface FeedClock {
  wallMs: number;
  arrivalMs: number;
}

/** WebRTC shows pictures in the order in which they are decoded, so a stream with B-frames would jump to and fro. */
export function hasReordering(stream: Stream): boolean {
  const lastPts = new Map<number, number>();
  for (const unit of stream.gop().units) {
    if (unit.format.kind !== 'video') continue;
    if (unit.pts < (lastPts.get(unit.trackId) ?? Number.NEGATIVE_INFINITY)) return true;
    lastPts.set(unit.trackId, unit.pts);
  }
  return false;
}

export function reorderingError(streamName: string): HearthcamError {
  return new HearthcamError('webrtc.bframes', `"${streamName}" has B-frames, which WebRTC can't show in order`, {
    status: 500,
    hint: 'switch B-frames off in the camera (or choose its profile Baseline), watch by MSE or HLS, or write "transcode: auto"',
  });
}
