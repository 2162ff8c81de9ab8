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
  /** Tracks that some viewer takes. */
  readonly #tracks = new Set<number>();
  /** Video tracks that go on with their next key frame. */
  readonly #waiting = new Set<number>();
  readonly #unsubscribe: () => void;
  #overflowed = false;
  readonly #events: FeedEvents;
  readonly #lastPts = new Map<number, number>();

  constructor(id: number, stream: Stream, link: ProcessLink, events: FeedEvents) {
    this.id = id;
    this.#stream = stream;
    this.#link = link;
    this.#events = events;
    // Audio rides along with the next picture: waking two processes for each audio frame costs more than it brings.
    this.#unsubscribe = stream.subscribe((units) => this.#onUnits(units));
  }

  /** Feeds further tracks, each from its last key frame on. */
  add(trackIds: readonly number[]): void {
    const fresh = trackIds.filter((id) => !this.#tracks.has(id));
    if (fresh.length === 0) return;
    this.#stream.settle();
    const gop = this.#stream.gop();
    this.#link.burst(() => {
      for (const id of fresh) {
        this.#tracks.add(id);
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
