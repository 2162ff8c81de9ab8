import type { Codec, MediaKind, TrackFormat } from '../../../core/media.ts';
import type { OfferedCodec, OfferedMedia } from './offer.ts';

/** Encoding names (RFC 3551 and the codecs' payload formats) of what WebRTC can carry. */
const NAMES: Readonly<Partial<Record<Codec, string>>> = {
  h264: 'H264',
  h265: 'H265',
  av1: 'AV1',
  vp9: 'VP9',
  vp8: 'VP8',
  opus: 'OPUS',
  pcma: 'PCMA',
  pcmu: 'PCMU',
  g722: 'G722',
};

const VIDEO: readonly Codec[] = ['h264', 'h265', 'av1', 'vp9', 'vp8'];
const AUDIO: readonly Codec[] = ['opus', 'pcma', 'pcmu', 'g722'];

export function mediaKind(media: OfferedMedia): MediaKind | null {
  return media.type === 'video' || media.type === 'audio' ? media.type : null;
}

/** The codecs that an m-line offers and that can be carried, in our order of taste. */
export function offeredCodecs(media: OfferedMedia): readonly Codec[] {
  const kind = mediaKind(media);
  if (kind === null || media.disabled) return [];
  return (kind === 'video' ? VIDEO : AUDIO).filter((codec) => matching(media, codec).length > 0);
}

function matching(media: OfferedMedia, codec: Codec): readonly OfferedCodec[] {
  return media.codecs.filter(
    (one) =>
      one.name === NAMES[codec] &&
      // RFC 6184 §6.2: without packetization-mode=1 there are no fragments, so no picture above the MTU.
      (codec !== 'h264' || one.parameters.get('packetization-mode') === '1') &&
      // AV1 and VP9 beyond profile 0 are other codecs to most decoders.
      (codec !== 'vp9' || (one.parameters.get('profile-id') ?? '0') === '0') &&
      (codec !== 'av1' || (one.parameters.get('profile') ?? '0') === '0') &&
      // The dynamic payload types for G.711 at other rates than 8 kHz mean something else.
      ((codec !== 'pcma' && codec !== 'pcmu') || (one.clockRateHz === 8000 && one.channels === 1)),
  );
}

/**
 * The payload type to use for a track: for H.264 the one whose profile fits the stream best, else the first.
 * @param format null while the track's is not known yet
 */
export function choosePayload(media: OfferedMedia, codec: Codec, format: TrackFormat | null): OfferedCodec | null {
  const fitting = matching(media, codec);
  if (codec !== 'h264') return fitting[0] ?? null;
  const stream = h264Profile(/^avc[13]\.([0-9a-f]{6})$/i.exec(format?.codecString ?? '')?.[1] ?? '42e01f');
  let best: OfferedCodec | null = null;
  let bestScore = Number.NEGATIVE_INFINITY;
  for (const one of fitting) {
    const score = profileScore(stream, h264Profile(one.parameters.get('profile-level-id') ?? '42e01f'));
    if (score > bestScore) {
      best = one;
      bestScore = score;
    }
  }
  return best;
}

/**
 * Whether a decoder that was set up for a payload type can go on with a stream of that codec: for H.264 its profile must
 * include the stream's. Levels are not looked at, as browsers offer 3.1 and play what cameras send.
 */
export function acceptsFormat(payload: OfferedCodec, format: TrackFormat | null): boolean {
  const hex = /^avc[13]\.([0-9a-f]{6})$/i.exec(format?.codecString ?? '')?.[1];
  if (hex === undefined) return true;
  const stream = h264Profile(hex);
  const offered = h264Profile(payload.parameters.get('profile-level-id') ?? '42e01f');
  if (stream.rank === UNUSUAL || offered.rank === UNUSUAL) return stream.idc === offered.idc;
  return stream.rank <= offered.rank;
}

type Profile = { readonly idc: number; readonly rank: number; readonly level: number };

/** The usual profiles in the order in which a decoder of a later one plays the earlier (ISO/IEC 14496-10 A.2). */
function h264Profile(hex: string): Profile {
  const idc = Number.parseInt(hex.slice(0, 2), 16);
  const constraints = Number.parseInt(hex.slice(2, 4), 16);
  const level = Number.parseInt(hex.slice(4, 6), 16);
  // RFC 6184 table 5: what Baseline, Main and Extended have in common is Constrained Baseline.
  if (idc === 0x42) return { idc, rank: (constraints & 0x40) === 0 ? 1 : 0, level };
  if (idc === 0x4d) return { idc, rank: (constraints & 0x80) === 0 ? 2 : 0, level };
  return { idc, rank: idc === 0x64 ? 3 : UNUSUAL, level };
}
const UNUSUAL = 9;

/** Same profile is best, then the nearest above (it includes ours), then the nearest below (decoders mostly cope). */
function profileScore(stream: Profile, offered: Profile): number {
  const level = offered.level >= stream.level ? 1 : 0;
  if (offered.rank === UNUSUAL) return level + (offered.idc === stream.idc ? 100 : 0);
  if (stream.rank === UNUSUAL) return level + 40 + offered.rank;
  const distance = offered.rank - stream.rank;
  if (distance === 0) return level + 100;
  return level + (distance > 0 ? 80 : 40) - Math.abs(distance) * 10;
}
