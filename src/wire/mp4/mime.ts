import type { TrackFormat } from '../../core/media.ts';

/** RFC 6381 string of a track as `MediaSource.isTypeSupported` and HTTP's Content-Type want it. */
export function mimeCodec(format: TrackFormat): string {
  if (format.codec === 'mp3') return 'mp4a.6B';
  return format.codecString;
}

/**
 * As in an HLS playlist, where FLAC is spelled like its sample entry (compatibility.md 1.4; Apple's authoring rules).
 */
export function hlsCodec(format: TrackFormat): string {
  if (format.codec === 'flac') return 'fLaC';
  if (format.codec === 'opus') return 'Opus';
  return mimeCodec(format);
}

/** `video/mp4; codecs="avc1.640029,mp4a.40.2"`; `audio/mp4` is never used, as with go2rtc. */
export function mp4Mime(formats: readonly TrackFormat[]): string {
  return `video/mp4; codecs="${formats.map(mimeCodec).join(',')}"`;
}
