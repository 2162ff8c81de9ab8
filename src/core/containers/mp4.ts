import { type DemuxedTrack, Mp4Demuxer } from '../../wire/mp4/demuxer.ts';
import type { Input, Problems } from './input.ts';
import type { Slot, TrackSet } from './track-set.ts';

/** Fragmented MP4: an endless answer, or the segments of HLS with their `EXT-X-MAP` in front. */
export class Mp4Input implements Input {
  readonly #tracks: TrackSet;
  readonly #demuxer: Mp4Demuxer;
  #slots: (Slot | null)[] = [];

  constructor(tracks: TrackSet, problems: Problems) {
    this.#tracks = tracks;
    this.#demuxer = new Mp4Demuxer({
      tracks: (found) => {
        this.#slots = this.#place(found);
      },
      unit: ({ track, ...unit }) => {
        const slot = this.#slots[track];
        if (slot !== null && slot !== undefined && this.#tracks.wanted(slot)) this.#tracks.unit(slot, unit);
      },
      problem: problems.report,
    });
  }

  push(chunk: Buffer): void {
    this.#demuxer.push(chunk);
  }

  /** A new initialisation or segment follows: what was half read is forgotten. */
  restart(): void {
    this.#demuxer.restart();
  }

  end(): void {
    this.#tracks.finish();
  }

  /** The first track of each kind. */
  #place(found: readonly DemuxedTrack[]): (Slot | null)[] {
    const kinds = new Set<string>();
    return found.map(({ kind, codec, format }) => {
      if (kinds.has(kind)) return null;
      kinds.add(kind);
      return this.#tracks.add(kind, codec, format);
    });
  }
}
