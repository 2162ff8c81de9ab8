import type { AudioCodec, VideoCodec } from './media.ts';

/** Codecs that a picture can be made in. */
export type MadeVideoCodec = Extract<VideoCodec, 'h264' | 'h265' | 'jpeg'>;
/** Codecs that sound can be made in. */
export type MadeAudioCodec = Exclude<AudioCodec, 'g726'>;

export const MADE_VIDEO_CODECS: readonly MadeVideoCodec[] = ['h264', 'h265', 'jpeg'];
export const MADE_AUDIO_CODECS: readonly MadeAudioCodec[] = [
  'opus',
  'aac',
  'flac',
  'pcma',
  'pcmu',
  'l16',
  'mp3',
  'g722',
];

/** Kinds of hardware that FFmpeg can code with; `auto` takes what was found to work on this machine. */
export type Hardware = 'auto' | 'vaapi' | 'qsv' | 'cuda' | 'v4l2m2m' | 'rkmpp';
export const HARDWARE: readonly Hardware[] = ['auto', 'vaapi', 'qsv', 'cuda', 'v4l2m2m', 'rkmpp'];

/** What can be asked of a picture: more is refused when it is asked for, whoever asks. */
export const PICTURE_LIMITS = {
  /** Pixels of a side. Encoders need some: x265 a coding tree block. */
  side: [16, 8192],
  /** Pixels in all: about what H.264 level 6.2 allows (ITU-T H.264 table A-1: 139,264 macroblocks). */
  pixels: 139_264 * 256,
  bitrateKbps: [1, 200_000],
  fps: [0.01, 240],
  gop: [1, 10_000],
  quality: [1, 100],
} as const;

/** A picture to be made from another one. What is absent stays as in the source. */
export interface VideoTarget {
  readonly kind: 'video';
  readonly codec: MadeVideoCodec;
  /** Pixels before rotation; one alone keeps the aspect ratio. Made even, as 4:2:0 needs. */
  readonly width?: number;
  readonly height?: number;
  /** Degrees clockwise. */
  readonly rotate?: 90 | 180 | 270;
  /** Mirrors, after the rotation. */
  readonly flip?: 'horizontal' | 'vertical';
  readonly bitrateKbps?: number;
  /** Pictures a second, at most. */
  readonly fps?: number;
  /** Pictures from one key frame to the next, at most; otherwise key frames stand where the source has them. */
  readonly gop?: number;
  /** JPEG quality 1…100. */
  readonly quality?: number;
  /** Absent: software, unless the owner lets hardware be used for everything. */
  readonly hardware?: Hardware;
}

/** Sound to be made from another one. What is absent is chosen to suit the codec and the source. */
export interface AudioTarget {
  readonly kind: 'audio';
  readonly codec: MadeAudioCodec;
  readonly sampleRateHz?: number;
  readonly channels?: number;
  readonly bitrateKbps?: number;
}

export type Target = VideoTarget | AudioTarget;

/** Says all that a made track depends on; equal keys share one. E.g. `h264 width=640 fps=10`, `opus`. */
export function targetKey(target: Target): string {
  const { kind: _, codec, ...rest } = target;
  const fields = Object.entries(rest)
    .filter(([, value]) => value !== undefined)
    .sort(([one], [other]) => one.localeCompare(other))
    .map(([name, value]) => `${name}=${String(value)}`);
  return [codec, ...fields].join(' ');
}
