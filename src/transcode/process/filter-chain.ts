import { AV_BUFFERSRC_FLAG_KEEP_REF } from 'node-av/constants';
import { FFmpegError, Filter, type FilterContext, FilterGraph, Frame } from 'node-av/lib';
import type { PictureKind } from './video-codecs.ts';

export type FilterStep = readonly [filter: string, args: string];

/** Filters one behind the other that give a picture for each one that they take. */
export class FilterChain implements Disposable {
  readonly #graph = new FilterGraph();
  readonly #source: FilterContext;
  readonly #sink: FilterContext;
  readonly #frame = new Frame();

  /** @throws Error when FFmpeg here can't do it */
  constructor(source: PictureKind, steps: readonly FilterStep[], threads = 1) {
    this.#frame.alloc();
    const graph = this.#graph;
    graph.alloc();
    graph.nbThreads = threads;
    const chain: FilterStep[] = [['buffer', sourceArgs(source)], ...steps, ['buffersink', '']];
    try {
      const made = chain.map(([name, args], index) => makeFilter(graph, name, args, index));
      for (const [index, filter] of made.entries()) {
        const next = made[index + 1];
        if (next !== undefined) FFmpegError.throwIfError(filter.link(0, next, 0), 'link filters');
      }
      FFmpegError.throwIfError(graph.configSync(), 'configure filters');
      const [first, last] = [made[0], made.at(-1)];
      if (first === undefined || last === undefined) throw new Error('no filters');
      this.#source = first;
      this.#sink = last;
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** What the filters make of it; theirs, until the next call. @throws Error when it can't be made */
  apply(picture: Frame): Frame {
    this.#frame.unref();
    // Keeps the picture's buffers, adds a reference: the same picture may go through other filters too.
    FFmpegError.throwIfError(this.#source.buffersrcAddFrameSync(picture, AV_BUFFERSRC_FLAG_KEEP_REF), 'filter');
    FFmpegError.throwIfError(this.#sink.buffersinkGetFrameSync(this.#frame), 'filter');
    return this.#frame;
  }

  /** What filters that look at all pictures first (palettegen) make of them; the caller frees it. */
  static applyToAll(source: PictureKind, steps: readonly FilterStep[], pictures: readonly Frame[]): Frame {
    using chain = new FilterChain(source, steps);
    for (const picture of pictures) {
      FFmpegError.throwIfError(chain.#source.buffersrcAddFrameSync(picture, AV_BUFFERSRC_FLAG_KEEP_REF), 'filter');
    }
    FFmpegError.throwIfError(chain.#source.buffersrcAddFrameSync(null), 'filter');
    const made = new Frame();
    made.alloc();
    FFmpegError.throwIfError(chain.#sink.buffersinkGetFrameSync(made), 'filter');
    return made;
  }

  [Symbol.dispose](): void {
    this.#frame.free();
    this.#graph.free();
  }
}

/** Arguments of a `buffer` filter for such pictures. Pixels count as square: their aspect is kept elsewhere. */
export function sourceArgs(source: PictureKind): string {
  const { width, height, pixelFormat, range, space } = source;
  return (
    `video_size=${width}x${height}:pix_fmt=${pixelFormat}:time_base=1/90000:pixel_aspect=1/1` +
    `:colorspace=${space}:range=${range}`
  );
}

/** @throws Error when there is none of this name, or it doesn't take the arguments */
export function makeFilter(graph: FilterGraph, name: string, args: string, index: number): FilterContext {
  const filter = Filter.getByName(name);
  const made = filter === null ? null : graph.createFilter(filter, `f${index}`, args === '' ? null : args);
  if (made === null) throw new Error(`FFmpeg here can't make the filter ${name}=${args}`);
  return made;
}
