import { type AccessUnit, VIDEO_CLOCK_HZ } from '../../core/media.ts';
import { unitDurationTicks } from './duration.ts';
import type { Mp4Run, Mp4Sample } from './fragment.ts';
import type { Lane } from './lane.ts';

/** The cached pictures take this long on the viewer's time line, whatever time they took at the camera. */
const BURST_TICKS = 9_000; // 0.1 s

export interface BurstOptions {
  /** `units` goes up to the last picture that was given out; else its key frame alone is used. */
  readonly complete: boolean;
  /** Press the pictures together; else they take the time they took at the camera. */
  readonly pressed: boolean;
}

export interface Burst {
  /** The key frame alone, so that it shows before the rest has come; then the rest, with the newest audio. */
  readonly fragments: readonly (readonly Mp4Run[])[];
  /** 90 kHz, on the packager's time line. */
  readonly startTicks: number;
  readonly units: number;
}

/**
 * Lays a GOP in front of the end of the lanes: the last picture ends where its lane ends, so that the next fragment
 * continues it without a seam, and earlier times shrink towards it. Null when it does not begin with a key frame.
 */
export function burstRuns(
  units: readonly AccessUnit[],
  options: BurstOptions,
  lanes: ReadonlyMap<number, Lane>,
  main: Lane,
): Burst | null {
  if (main.kind !== 'video' || Number.isNaN(main.endTicks)) return null;
  const { complete, pressed } = options;
  const pictures = units.filter((unit) => lanes.get(unit.trackId) === main).slice(0, complete ? undefined : 1);
  const [first] = pictures;
  const last = pictures.at(-1);
  if (first === undefined || last === undefined || !first.key) return null;
  if (complete && last.dts !== main.lastDts) return null;

  const end = main.endTicks;
  const spanTicks = last.dts - first.dts + main.leadTicks;
  const room = pressed ? Math.max(BURST_TICKS, pictures.length * 10) : spanTicks;
  const shrink = Math.min(1, room / Math.max(1, spanTicks), end / Math.max(1, spanTicks));
  /** From the camera's time to the place on the lane; what lies behind the end stays as it is. */
  const warp = (dts: number): number => {
    const place = end - (last.dts - dts);
    return place >= end ? place : end - (end - place) * shrink;
  };
  const startTicks = Math.floor(warp(first.dts - main.leadTicks));
  const samples: Mp4Sample[] = [];
  let at = startTicks;
  for (const unit of pictures) {
    const until = unit === last ? end : Math.min(end, Math.max(at + 1, Math.round(warp(unit.dts))));
    // A picture begins where the one before it ends, and is shown `pts - dts` later.
    const shown = Math.round(warp(unit.pts)) - Math.round(warp(unit.dts));
    samples.push({ data: unit.data, durationTicks: until - at, offsetTicks: Math.max(0, shown), key: unit.key });
    at = until;
  }

  const [head, ...rest] = samples;
  if (head === undefined) return null;
  const runs: Mp4Run[] = [];
  if (rest.length > 0) {
    runs.push({ trackId: main.fileId, decodeTicks: startTicks + head.durationTicks, samples: rest });
  }
  let count = samples.length;
  for (const [id, lane] of lanes) {
    if (lane === main) continue;
    const run = newestAudio(
      units.filter((unit) => unit.trackId === id),
      lane,
      startTicks,
    );
    if (run === null) continue;
    runs.push(run);
    count += run.samples.length;
  }
  const key: Mp4Run = { trackId: main.fileId, decodeTicks: startTicks, samples: [head] };
  return { fragments: runs.length === 0 ? [[key]] : [[key], runs], startTicks, units: count };
}

/** As many of the last audio frames as reach back to the start of the burst, end to end up to the end of the lane. */
function newestAudio(units: readonly AccessUnit[], lane: Lane, start90k: number): Mp4Run | null {
  if (Number.isNaN(lane.endTicks)) return null;
  const start = (start90k * lane.clockHz) / VIDEO_CLOCK_HZ;
  const samples: Mp4Sample[] = [];
  let at = lane.endTicks;
  for (let index = units.length - 1; index >= 0 && at > start; index--) {
    const unit = units[index];
    if (unit === undefined || unit.format.kind !== 'audio') break;
    const durationTicks = unitDurationTicks(unit.data, unit.format, lane.stepTicks);
    if (at - durationTicks < 0) break;
    at -= durationTicks;
    samples.unshift({ data: unit.data, durationTicks, offsetTicks: 0, key: true });
  }
  return samples.length === 0 ? null : { trackId: lane.fileId, decodeTicks: at, samples };
}
