import { QueryValues } from '../../core/query-values.ts';

/** What a client wants of a still. */
export interface FrameQuery {
  readonly src: string | undefined;
  readonly name: string | undefined;
  /** Pixels, before rotation. */
  readonly width: number | undefined;
  readonly height: number | undefined;
  readonly rotate: 0 | 90 | 180 | 270;
  readonly quality: number | undefined;
  /** A still that is not older than this will do. */
  readonly maxAgeMs: number;
}

const MAX_SIDE = 8192;
/** Every still is shared for so long by all who ask. */
const DEFAULT_AGE_MS = 1_000;
const MAX_AGE_MS = 60_000;

/**
 * Reads the query of `/api/frame.jpeg` (compatibility.md 1.4): `src`, `name`, `width`|`w`, `height`|`h`, `rotate`,
 * `cache`, and our own `quality`. `hardware` and `hw` are go2rtc's and change nothing here.
 * @throws HearthcamError 400 that names the parameter
 */
export function parseFrameQuery(query: URLSearchParams): FrameQuery {
  const values = new QueryValues('frame.jpeg', 'frame.query', query);
  return {
    src: values.text('src'),
    name: values.text('name'),
    width: values.side('width', 'w', 1, MAX_SIDE),
    height: values.side('height', 'h', 1, MAX_SIDE),
    rotate: values.rotation('rotate'),
    quality: values.whole('quality', 1, 100),
    maxAgeMs: maxAgeMs(values),
  };
}

/** `cache=`: how old what is answered may be. */
export function maxAgeMs(values: QueryValues): number {
  return Math.min(MAX_AGE_MS, Math.max(DEFAULT_AGE_MS, values.durationMs('cache') ?? 0));
}
