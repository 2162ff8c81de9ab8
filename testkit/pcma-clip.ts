import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Clip } from './mp4-source.ts';
import { audioFormat } from './scripted-source.ts';

const UNIT_SAMPLES = 160;

/**
 * The clip with its beeps in G.711 A-law (8 kHz, 20 ms a unit), which MP4 can't carry: each second a beep of 60 ms, as
 * `flashAndBeep` makes them.
 */
export async function withPcma(clip: Clip): Promise<Clip> {
  const seconds = clip.durationMs / 1000;
  const sound = "aevalsrc='if(lt(mod(t,1),0.06),0.8*sin(2*PI*1000*t),0)':s=8000";
  const { stdout: samples } = await promisify(execFile)(
    'ffmpeg',
    ['-v', 'error', '-f', 'lavfi', '-i', sound, '-t', String(seconds), '-f', 'alaw', 'pipe:1'],
    { encoding: 'buffer', maxBuffer: 16 * 1024 * 1024 },
  );
  const format = audioFormat();
  const video = clip.tracks.findIndex((track) => track.kind === 'video');
  const pictures = clip.units.filter((unit) => unit.track === video);
  const first = Math.min(...pictures.map((unit) => unit.ticks)) / 90_000;
  const units = Array.from({ length: Math.floor(samples.length / UNIT_SAMPLES) }, (_, index) => {
    const ticks = Math.round(first * 8_000) + index * UNIT_SAMPLES;
    const data = samples.subarray(index * UNIT_SAMPLES, (index + 1) * UNIT_SAMPLES);
    return { track: 1, format, ticks, decodeTicks: ticks, key: true, data };
  });
  const timeMs = (unit: Clip['units'][number]): number => (unit.decodeTicks * 1000) / unit.format.clockRateHz;
  return {
    ...clip,
    tracks: [
      ...clip.tracks.filter((one) => one.kind === 'video'),
      { kind: 'audio', codec: 'pcma', clockRateHz: 8_000, format },
    ],
    units: [...pictures.map((unit) => ({ ...unit, track: 0 })), ...units].sort(
      (one, other) => timeMs(one) - timeMs(other),
    ),
  };
}
