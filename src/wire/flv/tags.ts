import { WireError } from '../../core/errors.ts';
import type { AudioCodec, VideoCodec } from '../../core/media.ts';

/**
 * What a video tag holds. `config`: avcC, hvcC, av1C or vpcC record. `frame`: for H.264 and H.265 NAL units behind
 * lengths of the size that the record gives; its time of presentation is `compositionMs` after the tag's time.
 * `other` names what we don't carry.
 */
export type FlvVideo =
  | { readonly type: 'config'; readonly codec: FlvVideoCodec; readonly data: Buffer }
  | {
      readonly type: 'frame';
      readonly codec: FlvVideoCodec;
      readonly key: boolean;
      readonly compositionMs: number;
      readonly data: Buffer;
    }
  | { readonly type: 'end'; readonly codec: FlvVideoCodec }
  | { readonly type: 'other'; readonly what: string };

export type FlvVideoCodec = Extract<VideoCodec, 'h264' | 'h265' | 'av1' | 'vp9'>;
export type FlvAudioCodec = Extract<AudioCodec, 'aac' | 'opus' | 'flac' | 'pcma' | 'pcmu' | 'mp3'>;

export type FlvAudio =
  | { readonly type: 'config'; readonly codec: FlvAudioCodec; readonly data: Buffer }
  | {
      readonly type: 'frame';
      readonly codec: FlvAudioCodec;
      /** From the tag; for AAC and Opus meaningless, the configuration says it. */
      readonly sampleRateHz: number;
      readonly channels: number;
      readonly data: Buffer;
    }
  | { readonly type: 'other'; readonly what: string };

/** Annex E.4.3.1 VideoTagHeader; id 12 for H.265 is the convention of Chinese vendors (Reolink among them). */
const VIDEO_IDS: Readonly<Record<number, FlvVideoCodec>> = { 7: 'h264', 12: 'h265', 13: 'av1' };
/** Enhanced RTMP v2, FourCC of ExVideoTagHeader. */
const VIDEO_FOURCC: Readonly<Record<string, FlvVideoCodec>> = {
  avc1: 'h264',
  hvc1: 'h265',
  hev1: 'h265',
  av01: 'av1',
  vp09: 'vp9',
};
const AUDIO_FOURCC: Readonly<Record<string, FlvAudioCodec>> = {
  mp4a: 'aac',
  Opus: 'opus',
  fLaC: 'flac',
  '.mp3': 'mp3',
};

const COMMAND_FRAME = 5;

/**
 * Parses the payload of a video tag: classic (E.4.3) and enhanced (Enhanced RTMP v2, "ExVideoTagHeader").
 * @throws WireError when it is cut short.
 */
export function parseVideoTag(data: Buffer): FlvVideo {
  need(data, 1);
  const first = data[0] ?? 0;
  if ((first & 0x80) !== 0) return parseEnhancedVideo(data, first);
  const frameType = first >> 4;
  const id = first & 0x0f;
  const codec = VIDEO_IDS[id];
  if (codec === undefined) return { type: 'other', what: `video codec id ${id}` };
  if (frameType === COMMAND_FRAME) return { type: 'other', what: 'video info frame' };
  need(data, 5);
  const compositionMs = data.readIntBE(2, 3);
  const rest = data.subarray(5);
  const packetType = data[1] ?? -1;
  switch (packetType) {
    case 0:
      return { type: 'config', codec, data: rest };
    case 1:
      return { type: 'frame', codec, key: frameType === 1, compositionMs, data: rest };
    case 2:
      return { type: 'end', codec };
    default:
      return { type: 'other', what: `video packet type ${packetType}` };
  }
}

function parseEnhancedVideo(data: Buffer, first: number): FlvVideo {
  const frameType = (first >> 4) & 7;
  const packetType = first & 0x0f;
  if (frameType === COMMAND_FRAME && packetType !== 4) return { type: 'other', what: 'video info frame' };
  if (packetType > 5) return { type: 'other', what: `enhanced video packet type ${packetType}` };
  need(data, 5);
  const fourCc = data.toString('latin1', 1, 5);
  const codec = VIDEO_FOURCC[fourCc];
  if (codec === undefined) return { type: 'other', what: `video "${printable(fourCc)}"` };
  const key = frameType === 1;
  switch (packetType) {
    case 0:
      return { type: 'config', codec, data: data.subarray(5) };
    case 1: {
      // CodedFrames: a composition time only where the codec reorders.
      if (codec !== 'h264' && codec !== 'h265') {
        return { type: 'frame', codec, key, compositionMs: 0, data: data.subarray(5) };
      }
      need(data, 8);
      return { type: 'frame', codec, key, compositionMs: data.readIntBE(5, 3), data: data.subarray(8) };
    }
    case 2:
      return { type: 'end', codec };
    case 3: // CodedFramesX: composition time 0.
      return { type: 'frame', codec, key, compositionMs: 0, data: data.subarray(5) };
    default:
      return { type: 'other', what: `enhanced video packet type ${packetType}` };
  }
}

const RATES = [5_512, 11_025, 22_050, 44_100] as const;

/**
 * Parses the payload of an audio tag: classic (E.4.2.1) and enhanced ("ExAudioTagHeader").
 * @throws WireError when it is cut short.
 */
export function parseAudioTag(data: Buffer): FlvAudio {
  need(data, 1);
  const first = data[0] ?? 0;
  const format = first >> 4;
  const channels = (first & 1) + 1;
  // Two bits, so one of the four.
  const sampleRateHz = RATES[((first >> 2) & 3) as 0 | 1 | 2 | 3];
  switch (format) {
    case 2:
      return { type: 'frame', codec: 'mp3', sampleRateHz, channels, data: data.subarray(1) };
    case 14:
      return { type: 'frame', codec: 'mp3', sampleRateHz: 8_000, channels, data: data.subarray(1) };
    // E.4.2.1 reserves 7 and 8 for G.711; the rate bits can't say 8 kHz, which is what cameras send.
    case 7:
      return { type: 'frame', codec: 'pcma', sampleRateHz: 8_000, channels, data: data.subarray(1) };
    case 8:
      return { type: 'frame', codec: 'pcmu', sampleRateHz: 8_000, channels, data: data.subarray(1) };
    case 9:
      return parseEnhancedAudio(data, first);
    case 10:
      need(data, 2);
      if (data[1] === 0) return { type: 'config', codec: 'aac', data: data.subarray(2) };
      return { type: 'frame', codec: 'aac', sampleRateHz, channels, data: data.subarray(2) };
    default:
      return { type: 'other', what: `audio format ${format}` };
  }
}

function parseEnhancedAudio(data: Buffer, first: number): FlvAudio {
  const packetType = first & 0x0f;
  if (packetType > 1) return { type: 'other', what: `enhanced audio packet type ${packetType}` };
  need(data, 5);
  const fourCc = data.toString('latin1', 1, 5);
  const codec = AUDIO_FOURCC[fourCc];
  if (codec === undefined) return { type: 'other', what: `audio "${printable(fourCc)}"` };
  const rest = data.subarray(5);
  if (packetType === 0) return { type: 'config', codec, data: rest };
  return { type: 'frame', codec, sampleRateHz: 48_000, channels: 2, data: rest };
}

function need(data: Buffer, bytes: number): void {
  if (data.length < bytes) {
    throw new WireError('flv.short', `FLV tag has ${data.length} bytes, needs at least ${bytes}`, data.length);
  }
}

function printable(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/g, '?');
}
