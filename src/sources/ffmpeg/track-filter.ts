import type { MediaWant } from '../../core/negotiate.ts';
import type { SourceDescription, SourceSink, SourceTrack } from '../../core/source.ts';

/** Lets only those tracks of a source through that are asked for, under new indexes. */
export class TrackFilter implements SourceSink {
  readonly #sink: SourceSink;
  readonly #wants: readonly MediaWant[];
  readonly #onNothing: (have: readonly SourceTrack[]) => void;
  #indexes: readonly number[] = [];

  constructor(sink: SourceSink, wants: readonly MediaWant[], onNothing: (have: readonly SourceTrack[]) => void) {
    this.#sink = sink;
    this.#wants = wants;
    this.#onNothing = onNothing;
  }

  describe(description: SourceDescription): readonly boolean[] {
    const chosen = description.tracks.filter((track) => this.#wants.some((want) => fits(track, want)));
    this.#indexes = description.tracks.map((track) => chosen.indexOf(track));
    if (chosen.length === 0) {
      this.#onNothing(description.tracks);
      return description.tracks.map(() => false);
    }
    const taken = this.#sink.describe({ ...description, tracks: chosen });
    return this.#indexes.map((index) => taken[index] === true);
  }

  unit(unit: Parameters<SourceSink['unit']>[0]): void {
    const track = this.#indexes[unit.track] ?? -1;
    if (track >= 0) this.#sink.unit(track === unit.track ? unit : { ...unit, track });
  }

  sync(track: number, ticks: number, ntpMs: number): void {
    const index = this.#indexes[track] ?? -1;
    if (index >= 0) this.#sink.sync(index, ticks, ntpMs);
  }

  flush(): void {
    this.#sink.flush();
  }

  alive(bytes: number): void {
    this.#sink.alive(bytes);
  }
}

function fits(track: SourceTrack, want: MediaWant): boolean {
  return want.kind === track.kind && (want.codecs === 'any' || want.codecs.includes(track.codec));
}
