import type { AudioCodec, AudioFormat, TrackFormat, VideoCodec, VideoFormat } from '../../core/media.ts';
import { buildOpusHead } from '../opus/opus.ts';

const NO_SETS: VideoFormat['parameterSets'] = { vps: [], sps: [], pps: [] };
const NO_BYTES = Buffer.alloc(0);

/** The format of a video track without parameter sets (JPEG, AV1, VP8, VP9). */
export function makeVideoFormat(
  codec: Exclude<VideoCodec, 'h264' | 'h265'>,
  width: number,
  height: number,
  codecString: string = codec,
  config: Buffer = NO_BYTES,
): VideoFormat {
  return {
    kind: 'video',
    codec,
    clockRateHz: 90_000,
    width,
    height,
    codecString,
    parameterSets: NO_SETS,
    config,
    reorderDepth: 0,
  };
}

/**
 * The format of an audio track that needs no configuration of its own. For AAC use `makeAacFormat`.
 * Opus always has a clock of 48 kHz; others count samples unless `clockRateHz` says otherwise (MP3 in RTP: 90 kHz).
 */
export function makeAudioFormat(
  codec: Exclude<AudioCodec, 'aac' | 'flac'>,
  sampleRateHz: number,
  channels: number,
  clockRateHz = codec === 'opus' ? 48_000 : sampleRateHz,
): AudioFormat {
  return {
    kind: 'audio',
    codec,
    clockRateHz,
    sampleRateHz: codec === 'opus' ? 48_000 : sampleRateHz,
    channels,
    codecString: codec === 'mp3' ? 'mp4a.6B' : codec,
    config: codec === 'opus' ? buildOpusHead(channels) : NO_BYTES,
  };
}

/** Whether two formats decode the same way, for consumers that meet a new object after a reconnect. */
export function sameFormat(one: TrackFormat, other: TrackFormat): boolean {
  if (one === other) return true;
  if (one.kind === 'video') {
    return (
      other.kind === 'video' &&
      one.codec === other.codec &&
      one.width === other.width &&
      one.height === other.height &&
      one.reorderDepth === other.reorderDepth &&
      one.config.equals(other.config)
    );
  }
  return (
    other.kind === 'audio' &&
    one.codec === other.codec &&
    one.clockRateHz === other.clockRateHz &&
    one.sampleRateHz === other.sampleRateHz &&
    one.channels === other.channels &&
    one.config.equals(other.config)
  );
}
