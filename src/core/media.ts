/**
 * What flows through the hub: tracks, their formats, and access units (one coded picture or one audio frame).
 * Everything here is immutable once handed on; the bytes are shared by every consumer.
 */

export type VideoCodec = 'h264' | 'h265' | 'av1' | 'vp8' | 'vp9' | 'jpeg';
export type AudioCodec = 'aac' | 'opus' | 'pcma' | 'pcmu' | 'l16' | 'flac' | 'mp3' | 'g726' | 'g722';
export type Codec = VideoCodec | AudioCodec;
export type MediaKind = 'video' | 'audio';

/** Video media time: 90 kHz for every codec (RFC 6184 §8.2.1, RFC 7798 §7.1, RFC 2435 §3, …). */
export const VIDEO_CLOCK_HZ = 90_000;

/**
 * How to decode the access units of a video track. A new object is made whenever anything in it changes, so consumers
 * notice a change by identity (`unit.format !== lastFormat`).
 */
export interface VideoFormat {
  readonly kind: 'video';
  readonly codec: VideoCodec;
  readonly clockRateHz: typeof VIDEO_CLOCK_HZ;
  /** Pixels after cropping; 0 while unknown. */
  readonly width: number;
  readonly height: number;
  /** RFC 6381 string, e.g. `avc1.640029`, `hvc1.1.6.L153.B0`, `av01.0.08M.08`, `vp09.00.40.08`; `jpeg` for JPEG. */
  readonly codecString: string;
  /** H.264: SPS, PPS. H.265: VPS, SPS, PPS. Raw NAL units without start code or length. Empty for other codecs. */
  readonly parameterSets: {
    readonly vps: readonly Buffer[];
    readonly sps: readonly Buffer[];
    readonly pps: readonly Buffer[];
  };
  /** Codec configuration record: avcC, hvcC, av1C, vpcC payload (ISO/IEC 14496-15 and the codecs' ISOBMFF bindings). */
  readonly config: Buffer;
  /** How many pictures may be displayed late because of reordering (0 = no B-frames), from the SPS or as learnt. */
  readonly reorderDepth: number;
}

export interface AudioFormat {
  readonly kind: 'audio';
  readonly codec: AudioCodec;
  /** Ticks per second of this track's `pts`: the sampling rate (Opus: always 48000). */
  readonly clockRateHz: number;
  readonly sampleRateHz: number;
  readonly channels: number;
  /** RFC 6381 string where one exists (`mp4a.40.2`, `opus`, `flac`), else the codec's name. */
  readonly codecString: string;
  /** AAC: AudioSpecificConfig; FLAC: `fLaC` STREAMINFO block payload (34 bytes); Opus: OpusHead or empty; else empty. */
  readonly config: Buffer;
}

export type TrackFormat = VideoFormat | AudioFormat;

/**
 * One coded picture or one audio frame.
 *
 * `data` by codec: H.264/H.265: NAL units of one picture, each behind a 4-byte big-endian length, without AUD and
 * without parameter sets (those are in `format`); AV1: a temporal unit in low-overhead format without temporal
 * delimiter; VP8/VP9: one frame; JPEG: a whole JPEG file; AAC: one raw frame (no ADTS, no LATM); Opus: one packet;
 * PCMA/PCMU: samples; L16: big-endian samples, interleaved; FLAC: one frame; MP3: one frame.
 */
export interface AccessUnit {
  /** The track that it belongs to: `Track.id` in its stream. */
  readonly trackId: number;
  readonly format: TrackFormat;
  /** Presentation and decoding time in ticks of `format.clockRateHz` on the stream's own time line (starts near 0). */
  readonly pts: number;
  readonly dts: number;
  /** Video: decoding can start here (IDR, IRAP, key frame). Audio: always true. */
  readonly key: boolean;
  readonly data: Buffer;
  /** UTC milliseconds at which the camera captured it, as well as is known (sender reports, else arrival). */
  readonly wallMs: number;
  /** `performance.now()` when the last byte of it was read from the source. */
  readonly arrivedMs: number;
}

/** One video or audio of a stream. The id stays the same when the camera reconnects with the same kind and codec. */
export interface Track {
  readonly id: number;
  readonly kind: MediaKind;
  readonly codec: Codec;
  /** The format in force now; null until it is known (for example parameter sets that come only in band). */
  format: TrackFormat | null;
  bytes: number;
  units: number;
}

export function isVideo(format: TrackFormat): format is VideoFormat {
  return format.kind === 'video';
}

/** Whether a decoder that follows the one can go on with the other. */
export function sameCoding(before: TrackFormat | null, after: TrackFormat): boolean {
  return before !== null && before.codecString === after.codecString && before.config.equals(after.config);
}

export const EMPTY = Buffer.alloc(0);
