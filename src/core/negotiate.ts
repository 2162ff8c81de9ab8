import type { AudioCodec, AudioFormat, Codec, MediaKind, Track } from './media.ts';

/** One kind of media that a consumer asks for. */
export interface MediaWant {
  readonly kind: MediaKind;
  /** In order of the consumer's taste; `any` takes whatever there is. */
  readonly codecs: readonly Codec[] | 'any';
  /** Take every track that fits instead of the first one. */
  readonly all?: boolean;
  /** Pictures must be shown in the order in which they are decoded: no B-frames (WebRTC). */
  readonly inOrder?: boolean;
  /** Sound in just one of these shapes (what a camera's loudspeaker takes); one that there isn't is made. */
  readonly shapes?: readonly SoundShape[];
}

/** What is absent may be anything. */
export interface SoundShape {
  readonly codec: AudioCodec;
  readonly sampleRateHz?: number;
  readonly channels?: number;
}

export interface Negotiation {
  readonly tracks: readonly Track[];
  /** Wants that no track fits; a transcoded track could be made for these. */
  readonly missing: readonly MediaWant[];
}

/**
 * Chooses the tracks for a consumer: for each want the first track that fits, in the order of the stream's tracks.
 * A track is never chosen twice, so that two wants of a kind give two tracks.
 */
export function negotiate(tracks: readonly Track[], wants: readonly MediaWant[]): Negotiation {
  const chosen: Track[] = [];
  const missing: MediaWant[] = [];
  for (const want of wants) {
    let found = false;
    for (const track of tracks) {
      if (track.kind !== want.kind || chosen.includes(track) || !fits(track, want)) continue;
      chosen.push(track);
      found = true;
      if (want.all !== true) break;
    }
    if (!found) missing.push(want);
  }
  return { tracks: chosen, missing };
}

function fits({ codec, format }: Track, want: MediaWant): boolean {
  if (want.inOrder === true && format?.kind === 'video' && format.reorderDepth > 0) return false;
  if (want.shapes !== undefined && format?.kind === 'audio')
    return want.shapes.some((shape) => hasShape(format, shape));
  return want.codecs === 'any' || want.codecs.includes(codec);
}

export function hasShape(format: AudioFormat, { codec, sampleRateHz, channels }: SoundShape): boolean {
  return (
    format.codec === codec &&
    (sampleRateHz === undefined || format.sampleRateHz === sampleRateHz) &&
    (channels === undefined || format.channels === channels)
  );
}

/**
 * go2rtc's wording, which clients show: `streams: codecs not matched: video:JPEG => video:H264, audio:AAC`
 * (compatibility.md 1.4).
 */
export function describeMismatch(tracks: readonly Track[], wants: readonly MediaWant[]): string {
  const have = tracks.map((track) => `${track.kind}:${track.codec.toUpperCase()}`);
  const want = wants.flatMap((one) =>
    one.codecs === 'any' ? [`${one.kind}:ANY`] : one.codecs.map((codec) => `${one.kind}:${codec.toUpperCase()}`),
  );
  return `streams: codecs not matched: ${have.join(', ')} => ${want.join(', ')}`;
}
