import type { Cameras } from './contracts.ts';
import { HearthcamError } from './errors.ts';
import type { Hub } from './hub.ts';
import { type Quality, qualitiesOf, type Renditions } from './qualities.ts';

/** What `quality=` of a request asks for: one of the camera's pictures, or that it is chosen by the connection. */
export type QualityWish = Quality | 'auto';

/**
 * Reads `quality=`; without one, or empty, it is null: the stream that was named, as it is.
 * @throws HearthcamError 400 for a name that the camera doesn't have
 */
export function requestedQuality(
  env: { readonly hub: Hub; readonly cameras: Cameras; readonly renditions: Renditions },
  streamName: string,
  wanted: string | null,
): QualityWish | null {
  if (wanted === null || wanted === '') return null;
  if (wanted === 'auto') return 'auto';
  const all = qualitiesOf(env, streamName);
  const found = all.find((one) => one.name === wanted);
  if (found !== undefined) return found;
  const names = ['auto', ...all.map((one) => one.name)].join(', ');
  throw new HearthcamError('quality.unknown', `"${streamName}" has no quality "${wanted.slice(0, 40)}"`, {
    status: 400,
    hint: `there are: ${names}`,
  });
}
