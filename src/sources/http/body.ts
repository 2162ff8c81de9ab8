import type { Kind } from '../../core/containers/detect.ts';
import { type BodyKind, Feed, type FeedOptions, Sniffer } from '../../core/containers/feed.ts';
import { HearthcamError } from '../../core/errors.ts';
import { kindByType, unknownKind, webPage } from './answer.ts';

const MAX_PLAYLIST_CHARS = 1024 * 1024;

/** The body of one answer: finds out what it is, then feeds it. A playlist is kept as text. */
export class Body {
  readonly #contentType: string;
  readonly #where: string;
  readonly #options: FeedOptions;
  readonly #sniffer: Sniffer;
  #kind: BodyKind | 'hls' | undefined;
  #feed: Feed | undefined;
  #text = '';

  /** `where` names it in errors; `path` may say by its ending what it is. */
  constructor(contentType: string, where: string, path: string, options: FeedOptions) {
    this.#contentType = contentType;
    this.#where = where;
    this.#options = options;
    this.#sniffer = new Sniffer((head) => unknownKind(contentType, head));
    this.#decide(kindByType(contentType, path));
  }

  get text(): string {
    return this.#text;
  }

  push(chunk: Buffer): void {
    if (this.#kind === undefined) {
      this.#decide(this.#sniffer.push(chunk));
      if (this.#kind !== undefined) this.#take(this.#sniffer.head);
      return;
    }
    this.#take(chunk);
  }

  /** @throws HearthcamError when the body was nothing that can be played. */
  end(): { kind: BodyKind | 'hls' } {
    if (this.#kind === undefined) {
      this.#decide(this.#sniffer.push(Buffer.alloc(0), true));
      this.#take(this.#sniffer.head);
    }
    this.#feed?.end();
    if (this.#kind === undefined || (this.#feed !== undefined && !this.#feed.tracks.described)) {
      throw unknownKind(this.#contentType, this.#sniffer.head);
    }
    return { kind: this.#kind };
  }

  #decide(kind: Kind | undefined): void {
    if (kind === 'web') throw webPage(this.#where);
    this.#kind = kind === 'still' ? 'jpeg' : kind;
    if (this.#kind !== undefined && this.#kind !== 'hls')
      this.#feed = new Feed(this.#kind, this.#contentType, this.#options);
  }

  #take(chunk: Buffer): void {
    if (this.#feed !== undefined) {
      this.#feed.push(chunk);
      return;
    }
    if (this.#text.length > MAX_PLAYLIST_CHARS) {
      throw new HearthcamError('hls.large', `the playlist is longer than ${MAX_PLAYLIST_CHARS} characters`, {
        status: 502,
      });
    }
    this.#text += chunk.toString('utf8');
  }
}
