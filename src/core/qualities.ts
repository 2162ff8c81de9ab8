import type { Cameras } from './contracts.ts';
import type { Hub } from './hub.ts';
import type { Stream } from './stream.ts';
import type { VideoTarget } from './targets.ts';

/** A smaller picture that is made of a stream while somebody watches it. */
export interface Rendition {
  /** As the owner wrote it: `720p`, `small`. */
  readonly name: string;
  readonly picture: VideoTarget;
}

/** The renditions that the owner wants of each stream. */
export interface Renditions {
  of(streamName: string): readonly Rendition[];
}

/** One of the pictures that a viewer of a camera may choose from. */
export interface Quality {
  /** `main`, `ext`, `sub`, or a rendition's name; unique within the camera. */
  readonly name: string;
  readonly stream: Stream;
  /** For `ConsumerRequest.picture`; absent for what the camera sends itself. */
  readonly picture?: VideoTarget;
}

/**
 * All pictures of the camera that a stream belongs to: its best one, what is made of that, then its smaller ones. What
 * would be larger than the picture that it is made of is left out, as soon as that is known.
 */
export function qualitiesOf(
  env: { readonly hub: Hub; readonly cameras: Cameras; readonly renditions: Renditions },
  streamName: string,
): readonly Quality[] {
  const names = env.cameras.variants(streamName);
  const [best = streamName] = names;
  return names.flatMap((name): Quality[] => {
    const stream = env.hub.get(name);
    if (stream === undefined) return [];
    const own: Quality = { name: name === best ? 'main' : name.slice(best.length + 1) || name, stream };
    const made = env.renditions.of(name).filter(({ picture }) => !isEnlarged(stream, picture));
    return [own, ...made.map(({ name: made, picture }) => ({ name: made, stream, picture }))];
  });
}

/** Whether the picture would be larger than the one that the camera sends; false while that is not known. */
export function isEnlarged(stream: Stream, picture: VideoTarget): boolean {
  const format = stream.tracks.find((track) => track.kind === 'video')?.format;
  if (format?.kind !== 'video' || format.width === 0 || format.height === 0) return false;
  return (picture.width ?? 0) > format.width || (picture.height ?? 0) > format.height;
}
