import type { AudioFormat, TrackFormat } from '../src/core/media.ts';
import type { Target } from '../src/core/targets.ts';
import type { MakePipeline, PipelineUnit } from '../src/transcode/pipeline.ts';
import { type CodedSound, decodeSound, type Sound } from './sound.ts';

export interface MadeUnit {
  readonly pts: number;
  readonly data: Buffer;
  /** How many units of the input had been pushed when it came. */
  readonly pushed: number;
}

export interface MadeTrack {
  readonly formats: TrackFormat[];
  readonly units: MadeUnit[];
  readonly failures: string[];
}

/** So that no time stamp lies before 0, where outputs leave out what is. */
export const START_SECONDS = 1;

/** The units of a coded sound as a pipeline takes them, beginning about START_SECONDS after 0. */
export function inputUnits({ format, units }: CodedSound): PipelineUnit[] {
  return units.map(({ pts, data }) => {
    const at = pts + START_SECONDS * format.clockRateHz;
    return { format, pts: at, dts: at, key: true, data };
  });
}

/** Puts units through a pipeline with one output for each target. */
export function runAudio(
  make: MakePipeline,
  units: readonly PipelineUnit[],
  targets: readonly Target[],
  afterPts = -1,
): { tracks: MadeTrack[]; damaged: number } {
  const first = units[0];
  if (first === undefined) throw new Error('no units');
  const tracks = targets.map((): MadeTrack => ({ formats: [], units: [], failures: [] }));
  let pushed = 0;
  using pipeline = make(first.format, {
    format: (out, format) => tracks[out]?.formats.push(format),
    unit: (out, { pts, data }) => tracks[out]?.units.push({ pts, data, pushed }),
    failed: (out, _fault, message) => tracks[out]?.failures.push(message),
    note: () => {},
  });
  for (const [out, target] of targets.entries()) pipeline.addOutput(out, target, afterPts);
  for (const unit of units) {
    pushed++;
    pipeline.push(unit);
  }
  return { tracks, damaged: pipeline.damaged };
}

export function formatOf(track: MadeTrack): AudioFormat {
  const format = track.formats[0];
  if (format?.kind !== 'audio') throw new Error('no format');
  return format;
}

/** The track decoded by ffmpeg, and where its first sample stands on the input's time line, START_SECONDS taken off. */
export async function heard(track: MadeTrack): Promise<{ sound: Sound; startSeconds: number }> {
  const format = formatOf(track);
  const sound = await decodeSound(
    format,
    track.units.map(({ data }) => data),
  );
  return { sound, startSeconds: (track.units[0]?.pts ?? 0) / format.clockRateHz - START_SECONDS };
}
