import type { Codec, Track, TrackFormat } from '../core/media.ts';
import type { MediaWant } from '../core/negotiate.ts';
import type { SourceTrack, TalkCodec } from '../core/source.ts';

/** ffprobe's names (compatibility.md 1.2). */
const FFPROBE: Readonly<Record<Codec, string>> = {
  h264: 'h264',
  h265: 'hevc',
  av1: 'av1',
  vp8: 'vp8',
  vp9: 'vp9',
  jpeg: 'mjpeg',
  aac: 'aac',
  opus: 'opus',
  pcma: 'pcm_alaw',
  pcmu: 'pcm_mulaw',
  l16: 'pcm_s16be',
  flac: 'flac',
  mp3: 'mp3',
  g726: 'adpcm_g726',
  g722: 'adpcm_g722',
};

/** Names of RTP payload formats, as in SDP, which `medias` shows. */
const SDP: Readonly<Record<Codec, string>> = {
  h264: 'H264',
  h265: 'H265',
  av1: 'AV1',
  vp8: 'VP8',
  vp9: 'VP9',
  jpeg: 'JPEG',
  aac: 'MPEG4-GENERIC',
  opus: 'OPUS',
  pcma: 'PCMA',
  pcmu: 'PCMU',
  l16: 'L16',
  flac: 'FLAC',
  mp3: 'MPA',
  g726: 'G726',
  g722: 'G722',
};

/** H.264 profile_idc (ITU-T H.264 Annex A) as go2rtc names them. */
const PROFILES: Readonly<Record<number, string>> = { 66: 'Baseline', 77: 'Main', 88: 'Extended', 100: 'High' };

export interface CodecInfo {
  readonly codec_name: string;
  readonly codec_type: string;
  readonly profile?: string;
  readonly level?: number;
  readonly sample_rate?: number;
  readonly channels?: number;
  readonly width?: number;
  readonly height?: number;
}

/** What is known of a track's codec; what isn't known is left out. */
export function codecInfo(track: Pick<Track, 'kind' | 'codec' | 'format'>): CodecInfo {
  const { format, codec, kind } = track;
  const base = { codec_name: FFPROBE[codec], codec_type: kind };
  if (format === null) return base;
  if (format.kind === 'audio') {
    return {
      ...base,
      sample_rate: format.sampleRateHz,
      ...(format.channels > 1 ? { channels: format.channels } : {}),
    };
  }
  const size = format.width > 0 ? { width: format.width, height: format.height } : {};
  const avc = /^avc[13]\.([0-9a-f]{2})[0-9a-f]{2}([0-9a-f]{2})$/i.exec(format.codecString);
  if (avc?.[1] === undefined || avc[2] === undefined) return { ...base, ...size };
  const idc = Number.parseInt(avc[1], 16);
  return {
    ...base,
    profile: PROFILES[idc] ?? `0x${avc[1].toUpperCase()}`,
    level: Number.parseInt(avc[2], 16),
    ...size,
  };
}

/** `video, recvonly, H264`, `audio, recvonly, PCMA/8000`, `audio, recvonly, OPUS/48000/2` */
export function sourceMedia(track: SourceTrack): string {
  return `${track.kind}, recvonly, ${SDP[track.codec]}${clock(track.kind, track.clockRateHz, track.format)}`;
}

/** `audio, sendonly, PCMA/8000`: what a camera takes to be spoken to. */
export function talkMedia({ codec, clockRateHz, channels }: TalkCodec): string {
  return `audio, sendonly, ${SDP[codec]}/${clockRateHz}${channels > 1 ? `/${channels}` : ''}`;
}

/** `video, sendonly, H264, H265`; `ANY` takes the first that there is, `ALL` every one. */
export function wantMedia(want: MediaWant): string {
  const names = want.codecs === 'any' ? [want.all === true ? 'ALL' : 'ANY'] : want.codecs.map((codec) => SDP[codec]);
  return [want.kind, 'sendonly', ...names].join(', ');
}

function clock(kind: string, clockRateHz: number, format: TrackFormat | null): string {
  if (kind === 'video') return '';
  const channels = format?.kind === 'audio' && format.channels > 1 ? `/${format.channels}` : '';
  return `/${clockRateHz}${channels}`;
}
