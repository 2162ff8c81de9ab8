import type { MediaPlaylist, MediaSegment, RenditionReport } from '../../wire/m3u8/playlist.ts';
import { writeMediaPlaylist } from '../../wire/m3u8/write.ts';
import type { HlsMuxer } from './muxer.ts';
import type { Segment } from './window.ts';

/** Parts are listed this many target durations back (RFC 8216bis §6.2.2: three at least). */
const PARTS_BACK = 3;
/** §4.4.3.8: the skip boundary is six target durations at least. */
const SKIP_BACK = 6;

export interface PlaylistRequest {
  readonly id: string;
  /** `_HLS_skip=YES` or `v2`: a delta update will do. */
  readonly skip: boolean;
  readonly reports: readonly RenditionReport[];
}

/** Address of a part, relative to the playlist. */
function partUri(id: string, index: number): string {
  return `segment.m4s?id=${id}&part=${index}`;
}

/** The media playlist as it is now. */
export function mediaPlaylist(muxer: HlsMuxer, request: PlaylistRequest): string {
  const { window, partTargetMs } = muxer;
  const targetMs = window.targetDurationS * 1000;
  const all = window.segments.filter((segment) => segment.closed || segment.parts.length > 0);
  const skipped = request.skip ? skippable(all, SKIP_BACK * targetMs) : 0;
  const shown = all.slice(skipped);
  const partsFrom = firstWithParts(all, PARTS_BACK * targetMs);
  const segments = shown.map((segment) => describe(segment, request.id, segment.sequence >= partsFrom));
  const playlist: MediaPlaylist = {
    kind: 'media',
    version: 9,
    targetDurationMs: targetMs,
    ...(partTargetMs === undefined ? {} : { partTargetMs }),
    serverControl: {
      canBlockReload: true,
      canSkipUntilMs: SKIP_BACK * targetMs,
      // §4.4.3.8: three part targets at least.
      ...(partTargetMs === undefined ? {} : { partHoldBackMs: 3 * partTargetMs }),
    },
    mediaSequence: all[0]?.sequence ?? 0,
    discontinuitySequence: window.goneDiscontinuities,
    independentSegments: true,
    ended: false,
    skippedSegments: skipped,
    segments,
    preloadHint: partUri(request.id, window.nextPart),
    renditionReports: request.reports,
  };
  return writeMediaPlaylist(playlist);
}

function describe(segment: Segment, id: string, withParts: boolean): MediaSegment {
  return {
    sequence: segment.sequence,
    uri: segment.closed ? `segment.m4s?id=${id}&n=${segment.sequence}` : '',
    durationMs: segment.durationTicks / 90,
    map: { uri: `init.mp4?id=${id}&v=${segment.initVersion}` },
    discontinuity: segment.discontinuity,
    gap: false,
    programDateTimeMs: segment.wallMs,
    parts: withParts
      ? segment.parts.map((part) => ({
          uri: partUri(id, part.index),
          durationMs: part.durationTicks / 90,
          independent: part.independent,
          gap: false,
        }))
      : [],
  };
}

/** How many segments lie wholly before the skip boundary. */
function skippable(segments: readonly Segment[], boundaryMs: number): number {
  let afterMs = 0;
  for (const segment of segments) afterMs += segment.durationTicks / 90;
  let count = 0;
  for (const segment of segments) {
    // The boundary is counted from the end of the last part to the start of the segment's successor.
    afterMs -= segment.durationTicks / 90;
    if (afterMs < boundaryMs) break;
    count++;
  }
  return count;
}

function firstWithParts(segments: readonly Segment[], backMs: number): number {
  let ms = 0;
  for (let index = segments.length - 1; index >= 0; index--) {
    const segment = segments[index];
    if (segment === undefined) break;
    ms += segment.durationTicks / 90;
    if (ms >= backMs) return segment.sequence;
  }
  return segments[0]?.sequence ?? 0;
}
