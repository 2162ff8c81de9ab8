import { AV_BUFFERSRC_FLAG_KEEP_REF, type AVPixelFormat } from 'node-av/constants';
import {
  FFmpegError,
  Filter,
  type FilterContext,
  FilterGraph,
  Frame,
  type HardwareDeviceContext,
  type HardwareFramesContext,
} from 'node-av/lib';
import type { PictureKind } from './video-codecs.ts';

export type FilterStep = readonly [filter: string, args: string];

export interface ChainOptions {
  readonly threads?: number;
  /** The pool in a device that the pictures come from; null: they lie in memory. */
  readonly frames?: HardwareFramesContext | null;
  /** The device of filters that bring pictures into one. */
  readonly device?: HardwareDeviceContext | null;
}

/** Filters one behind the other that give a picture for each one that they take. */
export class FilterChain implements Disposable {
  readonly #graph = new FilterGraph();
  readonly #source: FilterContext;
  readonly #sink: FilterContext;
  readonly #frame = new Frame();

  /** @throws Error when FFmpeg here can't do it */
  constructor(source: PictureKind, steps: readonly FilterStep[], options: ChainOptions = {}) {
    const { threads = 1, frames = null, device = null } = options;
    this.#frame.alloc();
    const graph = this.#graph;
    graph.alloc();
    graph.nbThreads = threads;
    const chain: FilterStep[] = [['buffer', sourceArgs(source)], ...steps, ['buffersink', '']];
    try {
      const made = chain.map(([name, args], index) => {
        return makeFilter(graph, name, args, index, (filter) => {
          if (index === 0 && frames !== null) setFrames(filter, source, frames);
          if (index > 0 && device !== null) filter.hwDeviceCtx = device;
        });
      });
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

/** A `buffer` filter can't be made for pictures of a device without this. */
function setFrames(filter: FilterContext, source: PictureKind, hwFramesCtx: HardwareFramesContext): void {
  const { width, height } = source;
  // Checked border: a frame's format is one of pixels or of sound, and this is a picture.
  const format = source.pixelFormat as AVPixelFormat;
  const timeBase = { num: 1, den: 90_000 };
  const set = filter.buffersrcParametersSet({ width, height, format, timeBase, hwFramesCtx });
  FFmpegError.throwIfError(set, 'filter from the device');
}

/**
 * @param prepare is called before the arguments are set
 * @throws Error when there is none of this name, or it doesn't take the arguments
 */
export function makeFilter(
  graph: FilterGraph,
  name: string,
  args: string,
  index: number,
  prepare: (filter: FilterContext) => void = () => {},
): FilterContext {
  const filter = Filter.getByName(name);
  const made = filter === null ? null : graph.allocFilter(filter, `f${index}`);
  if (made !== null) prepare(made);
  if (made === null || made.initStr(args === '' ? null : args) < 0) {
    throw new Error(`FFmpeg here can't make the filter ${name}=${args}`);
  }
  return made;
}
