import { QueryValues } from '../../core/query-values.ts';
import type { VideoTarget } from '../../core/targets.ts';

/** What a viewer wants of the pictures. */
export interface MjpegQuery {
  /** Anything but the stream's pictures as they are (at the usual rate, if they have to be made). */
  readonly asked: boolean;
  readonly picture: VideoTarget;
  /** `quality=sub`: one of the camera's pictures, where it is no number. */
  readonly variant: string | null;
}

/** Pictures a second where nobody asks for another rate: what looks alive and costs little. */
const DEFAULT_FPS = 5;
const SIDE = [16, 8192] as const;
const FPS = [0.1, 60] as const;

/**
 * Reads `fps`, `width`|`w`, `height`|`h`, `rotate` and `quality` (1…100, or the name of a picture of the camera).
 * @throws HearthcamError 400 that names the parameter
 */
export function parseMjpegQuery(query: URLSearchParams): MjpegQuery {
  const values = new QueryValues('stream.mjpeg', 'mjpeg.query', query);
  const variant = variantOf(values.text('quality'));
  const fps = values.number('fps', ...FPS);
  const width = values.side('width', 'w', ...SIDE);
  const height = values.side('height', 'h', ...SIDE);
  const rotate = values.rotation('rotate');
  const quality = variant === null ? values.whole('quality', 1, 100) : undefined;
  const shape = {
    ...(width === undefined ? {} : { width }),
    ...(height === undefined ? {} : { height }),
    ...(rotate === 0 ? {} : { rotate }),
    ...(quality === undefined ? {} : { quality }),
  };
  return {
    asked: fps !== undefined || Object.keys(shape).length > 0,
    picture: { kind: 'video', codec: 'jpeg', ...shape, fps: fps ?? DEFAULT_FPS },
    variant,
  };
}

/** Players add `quality=sub` to the address of the WebSocket for whatever they show in the end. */
function variantOf(text: string | undefined): string | null {
  return text === undefined || !/^[a-z]/i.test(text) ? null : text;
}
