import type { Codec } from '../../core/media.ts';
import { codecOfEncoding, type RtpMedia } from '../codecs/depacketizer.ts';
import type { SdpFormat, SdpMedia } from './parse.ts';

const VIDEO_CODECS: ReadonlySet<Codec> = new Set(['h264', 'h265', 'jpeg', 'av1', 'vp8', 'vp9']);

/** One format as the depacketizers want it; null when we don't know its codec. */
export function rtpMedia(kind: string, format: SdpFormat): RtpMedia | null {
  const codec = codecOfEncoding(format.encoding);
  if (codec === undefined || VIDEO_CODECS.has(codec) !== (kind === 'video')) return null;
  if (kind !== 'video' && kind !== 'audio') return null;
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
