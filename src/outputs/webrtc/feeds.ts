import type { Log } from '../../core/log.ts';
import type { TrackFormat } from '../../core/media.ts';
import type { Stream } from '../../core/stream.ts';
import { Feed } from './feed.ts';
import type { ProcessLink } from './supervisor.ts';

/** Tracks of a stream that a viewer takes. Disposing of it lets them go, and the feed with its last user. */
export interface FeedHold extends Disposable {
  readonly feed: Feed;
  readonly stream: Stream;
  readonly trackIds: readonly number[];
}

/** What is handed to the WebRTC process: one feed for each stream, whatever the number of viewers. */
export class Feeds {
  readonly #log: Log;
  readonly #onReordering: (stream: Stream, format: TrackFormat) => void;
  readonly #feeds = new Map<ProcessLink, Map<Stream, { feed: Feed; users: number }>>();
  #lastId = 0;

  constructor(log: Log, onReordering: (stream: Stream, format: TrackFormat) => void) {
    this.#log = log;
    this.#onReordering = onReordering;
  }

  hold(link: ProcessLink, stream: Stream, trackIds: readonly number[]): FeedHold {
    let feeds = this.#feeds.get(link);
    if (feeds === undefined) {
      feeds = new Map();
      this.#feeds.set(link, feeds);
    }
    const inUse = feeds;
    let entry = inUse.get(stream);
    if (entry === undefined) {
      const feed = new Feed(++this.#lastId, stream, link, {
        onOverflow: () => {
          this.#log.warn(`the WebRTC process does not keep up with "${stream.name}": its viewers miss pictures`);
        },
        onReordering: (format) => this.#onReordering(stream, format),
      });
      entry = { feed, users: 0 };
      inUse.set(stream, entry);
    }
    const held = entry;
    held.users++;
    held.feed.take(trackIds);
    let over = false;
    return {
      feed: held.feed,
      stream,
      trackIds,
      [Symbol.dispose]: () => {
        if (over) return;
        over = true;
        held.users--;
        held.feed.leave(trackIds);
        if (held.users > 0) return;
        inUse.delete(stream);
        held.feed[Symbol.dispose]();
      },
    };
  }

  /** Of lives of the process that are over. */
  forget(): void {
    for (const link of [...this.#feeds.keys()]) if (link.over) this.#feeds.delete(link);
  }
}
