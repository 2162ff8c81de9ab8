import type { Codec } from '../../core/media.ts';
import type { RtpMedia } from '../codecs/depacketize.ts';
import type { SdpFormat, SdpMedia } from './parse.ts';

const ENCODINGS: Readonly<Record<'video' | 'audio', ReadonlyMap<string, Codec>>> = {
  video: new Map([
    ['H264', 'h264'],
    ['H265', 'h265'],
    ['HEVC', 'h265'],
    ['JPEG', 'jpeg'],
    ['AV1', 'av1'],
    ['VP8', 'vp8'],
    ['VP9', 'vp9'],
  ]),
  audio: new Map([
    ['MPEG4-GENERIC', 'aac'],
    ['MP4A-LATM', 'aac'],
    ['OPUS', 'opus'],
    ['MULTIOPUS', 'opus'],
    ['PCMA', 'pcma'],
    ['PCMU', 'pcmu'],
    ['L16', 'l16'],
    ['MPA', 'mp3'],
    ['G722', 'g722'],
    ['G726-16', 'g726'],
    ['G726-24', 'g726'],
    ['G726-32', 'g726'],
    ['G726-40', 'g726'],
  ]),
};

/** The codec of an rtpmap's encoding name; undefined for what we don't carry. */
export function codecOfEncoding(kind: string, encoding: string): Codec | undefined {
  return kind === 'video' || kind === 'audio' ? ENCODINGS[kind].get(encoding.toUpperCase()) : undefined;
}

/** One format as the depacketizers want it; null when we don't know its codec. */
export function rtpMedia(kind: string, format: SdpFormat): RtpMedia | null {
  const codec = codecOfEncoding(kind, format.encoding);
  if (codec === undefined) return null;
  return {
    codec,
    encoding: format.encoding,
    // RFC 7587 §4.1: always 48000, whatever the SDP says. Video is always 90 kHz; cameras forget it or write nonsense.
    clockRateHz: kind === 'video' ? 90_000 : codec === 'opus' ? 48_000 : format.clockRateHz || 8000,
    channels: format.channels,
    fmtp: format.fmtp,
    payloadType: format.payloadType,
  };
}

/** The first format of a medium whose codec we know. */
export function chooseFormat(media: SdpMedia): RtpMedia | null {
  for (const format of media.formats) {
    const found = rtpMedia(media.kind, format);
    if (found !== null) return found;
  }
  return null;
}
