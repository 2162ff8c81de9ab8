import type { Consumer, ConsumerRequest } from './consumer.ts';
import { type DerivedTrack, describeDerivation, type Refusal } from './remaking.ts';
import type { Stream } from './stream.ts';

/** The streams that are made from one stream: one for each set of tracks, for as long as somebody watches it. */
export class DerivedStreams {
  readonly #make: (tracks: readonly DerivedTrack[], onIdle: () => void) => Stream;
  readonly #streams = new Map<string, Stream>();

  constructor(make: (tracks: readonly DerivedTrack[], onIdle: () => void) => Stream) {
    this.#make = make;
  }

  get all(): readonly Stream[] {
    return [...this.#streams.values()];
  }

  /** @throws what `Stream.open` throws; the stream is gone then, unless others watch it. */
  async open(
    tracks: readonly DerivedTrack[],
    request: ConsumerRequest,
    refused: readonly Refusal[],
  ): Promise<Consumer> {
    const consumer = await this.#get(tracks).open(request);
    return refused.length === 0 ? consumer : Object.assign(consumer, { refused });
  }

  async close(): Promise<void> {
    const streams = this.all;
    this.#streams.clear();
    await Promise.all(streams.map((stream) => stream.close()));
  }

  #get(tracks: readonly DerivedTrack[]): Stream {
    const key = describeDerivation('', tracks);
    const known = this.#streams.get(key);
    if (known !== undefined) return known;
    const stream = this.#make(tracks, () => {
      if (this.#streams.get(key) === stream) this.#streams.delete(key);
    });
    this.#streams.set(key, stream);
    return stream;
  }
}
