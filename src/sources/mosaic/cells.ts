import type { Cameras } from '../../core/contracts.ts';
import { HearthcamError } from '../../core/errors.ts';
import type { Hub } from '../../core/hub.ts';
import type { Track } from '../../core/media.ts';
import type { CellPlace } from '../../core/mosaic.ts';
import { feedsFrom, showsMosaic } from '../../core/own-streams.ts';
import type { Stream } from '../../core/stream.ts';

export type VariantsOf = (streamName: string) => readonly string[];

/** The names of a mosaic's cells: those that were given, or the best picture of each camera that there is. */
export function cellNames(
  hub: Hub,
  names: readonly string[] | 'all',
  variantsOf: Cameras['variants'],
  ownPorts: readonly number[],
): readonly string[] {
  if (names !== 'all') return names;
  const found: string[] = [];
  for (const [name, stream] of hub.streams) {
    const [best = name] = variantsOf(name);
    const shown = hub.get(best) === undefined ? name : best;
    // A picture of pictures, and what others may publish to some time, is no camera.
    if (found.includes(shown) || stream.producers.length === 0 || showsMosaic(hub, name, ownPorts)) continue;
    found.push(shown);
  }
  return found;
}

/** @throws HearthcamError 400 when a stream would be a part of itself */
export function refuseLoops(hub: Hub, names: readonly string[], streamName: string, ownPorts: readonly number[]): void {
  const inner = names.find((name) => feedsFrom(hub, name, streamName, ownPorts));
  if (inner === undefined) return;
  throw new HearthcamError('source.loop', `stream "${streamName}" would be a part of itself through "${inner}"`, {
    status: 400,
    permanent: true,
    hint: 'name cameras in the mosaic, or write mosaic:all',
  });
}

/** The streams that a cell can show, best first for it: those that are known to be large enough, smallest first. */
export function cellStreams(hub: Hub, name: string, cell: CellPlace, variantsOf: VariantsOf): readonly Stream[] {
  const names = variantsOf(name);
  const streams = (names.includes(name) ? names : [name]).toReversed().flatMap((one) => hub.get(one) ?? []);
  const small = streams.filter((one) => isKnownSmall(one, cell));
  return [...streams.filter((one) => !small.includes(one)), ...small.toReversed()];
}

/** Whether the stream has shown that its picture is too small for the cell. */
export function isKnownSmall(stream: Stream, cell: CellPlace): boolean {
  return isTooSmall(stream.tracks.find((track) => track.kind === 'video') ?? null, cell);
}

/** A little blur doesn't show in a mosaic, and costs less than a picture of many megapixels. */
const ENOUGH = 0.6;

export function isTooSmall(track: Track | null, cell: CellPlace): boolean {
  const format = track?.format;
  if (format?.kind !== 'video' || format.width === 0 || format.height === 0) return false;
  const scale = Math.min(cell.width / format.width, cell.height / format.height);
  return scale > 1 / ENOUGH;
}
