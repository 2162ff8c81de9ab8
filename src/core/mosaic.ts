import { HearthcamError } from './errors.ts';
import type { Track, VideoFormat } from './media.ts';
import type { SourceSpec } from './source.ts';
import type { Stream } from './stream.ts';

/** A picture of several streams side by side: what sources and the codec process agree on. */

export interface MosaicShape {
  readonly width: number;
  readonly height: number;
  readonly fps: number;
  /** The name of each camera stands in its cell. */
  readonly labels: boolean;
  readonly bitrateKbps?: number;
}

export interface MosaicUnit {
  /** Ticks of 90 kHz of this computer's monotonic clock; they never go back, whatever happens to the process. */
  readonly pts: number;
  readonly key: boolean;
  readonly data: Buffer;
}

export interface MosaicListener {
  /** Before the first unit, and when it changes. */
  format(format: VideoFormat): void;
  unit(unit: MosaicUnit): void;
  /** It is over. */
  failed(error: HearthcamError): void;
}

/** A mosaic that is being made. It ends when it is disposed of. */
export interface MosaicView extends Disposable {
  /** The cell shows this picture until it is given another one; null: the camera is away. */
  show(cell: number, input: { readonly stream: Stream; readonly track: Track } | null): void;
}

/** Puts pictures together and codes them. Implemented by `src/transcode`. */
export interface MosaicMaker {
  /**
   * @param name for the log
   * @param cells the names of the cameras, in the order of the cells
   * @throws HearthcamError 503 when as many videos are coded as the owner allows
   */
  make(name: string, cells: readonly string[], shape: MosaicShape, listener: MosaicListener): MosaicView;
}

/** Pixels of a cell; all even, as 4:2:0 needs. */
export interface CellPlace {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export const MAX_MOSAIC_CELLS = 64;

/** Cells of equal size in rows, as large as pictures of 16:9 can be; a last row that isn't full stands in the middle. */
export function mosaicPlaces(count: number, width: number, height: number): readonly CellPlace[] {
  const { columns, rows } = grid(count, width, height);
  const cellWidth = even(width / columns);
  const cellHeight = even(height / rows);
  return Array.from({ length: count }, (_, index) => {
    const row = Math.floor(index / columns);
    const inRow = row === rows - 1 ? count - row * columns : columns;
    return {
      x: even((width - inRow * cellWidth) / 2) + (index % columns) * cellWidth,
      y: even((height - rows * cellHeight) / 2) + row * cellHeight,
      width: cellWidth,
      height: cellHeight,
    };
  });
}

function grid(count: number, width: number, height: number): { columns: number; rows: number } {
  let best = { columns: 1, rows: count, size: 0 };
  for (let columns = 1; columns <= count; columns++) {
    const rows = Math.ceil(count / columns);
    const size = Math.min(width / columns / 16, height / rows / 9);
    if (size > best.size || (size === best.size && columns * rows <= best.columns * best.rows)) {
      best = { columns, rows, size };
    }
  }
  return best;
}

function even(pixels: number): number {
  return Math.floor(pixels / 2) * 2;
}

/**
 * The streams that a source `mosaic:one,two` shows: names, or all that there are (`mosaic:*`, `mosaic:all`).
 * @throws HearthcamError 400 when there are none, or too many
 */
export function mosaicNames(spec: SourceSpec): readonly string[] | 'all' {
  const text = spec.url.slice('mosaic:'.length).trim();
  if (text === '*' || text === 'all') return 'all';
  const names = text
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
  if (names.length > 0 && names.length <= MAX_MOSAIC_CELLS) return names;
  const problem = names.length === 0 ? 'names no stream' : `names more than ${MAX_MOSAIC_CELLS} streams`;
  throw new HearthcamError('mosaic.names', `"${spec.url.slice(0, 80)}" ${problem}`, {
    status: 400,
    hint: 'write mosaic:door,garden with the names of streams, or mosaic:all',
  });
}
