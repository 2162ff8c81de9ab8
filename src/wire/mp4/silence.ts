import type { AudioFormat } from '../../core/media.ts';
import { encodeFlacFrame } from '../flac/encoder.ts';
import { unitDurationTicks } from './duration.ts';
import type { Mp4Sample } from './fragment.ts';

// One AAC-LC frame (ISO/IEC 14496-3 §4.4) that decodes to 1024 samples of nothing, for one and two channels.
const AAC_MONO = Buffer.from('00c800802380', 'hex');
const AAC_STEREO = Buffer.from('210049900219002380', 'hex');
// One 20 ms CELT packet of nothing (RFC 6716 §3.1: config 31, code 0).
const OPUS_MONO = Buffer.from('f8fffe', 'hex');
const OPUS_STEREO = Buffer.from('fcfffe', 'hex');

/** A frame of silence (20 to 128 ms), or undefined where none is known for the format. */
export function silentFrame(format: AudioFormat): Buffer | undefined {
  if (format.channels > 2) return undefined;
  const mono = format.channels === 1;
  // The first five bits of an AudioSpecificConfig: 2 = AAC-LC, the only profile that these frames are of.
  if (format.codec === 'aac') {
    return (format.config[0] ?? 0) >> 3 === 2 ? (mono ? AAC_MONO : AAC_STEREO) : undefined;
  }
  if (format.codec === 'opus') return mono ? OPUS_MONO : OPUS_STEREO;
  if (format.codec === 'flac') {
    return encodeFlacFrame(new Int16Array(1024 * format.channels), format.channels, format.sampleRateHz, 0);
  }
  return undefined;
}

/** More frames than this (some seconds) are not made for one hole: the first one is lengthened instead. */
const MAX_SILENT_FRAMES = 200;

/**
 * Silence of about `ticks` of the track's clock, to the nearest frame. A frame for each frame's time: Chromium plays a
 * lengthened one no longer than it decodes to, is too early by the rest from then on, and stops at the end of the sound.
 */
export function silence(format: AudioFormat, ticks: number): Mp4Sample[] {
  const data = silentFrame(format);
  if (data === undefined) return [];
  const frameTicks = unitDurationTicks(data, format, undefined);
  const count = Math.round(ticks / frameTicks);
  const surplus = Math.max(0, count - MAX_SILENT_FRAMES) * frameTicks;
  return Array.from({ length: Math.min(count, MAX_SILENT_FRAMES) }, (_, index) => ({
    data,
    durationTicks: index === 0 ? frameTicks + surplus : frameTicks,
    offsetTicks: 0,
    key: true,
  }));
}
