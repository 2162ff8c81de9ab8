/**
 * Codec strings by which a client tells the server what its browser plays (compat.md 1.5, 5.2). go2rtc's clients send
 * just these, so the server recognises each by its exact text.
 */
export const MSE_CODECS = [
  'avc1.640029',
  'avc1.64002A',
  'avc1.640033',
  'hvc1.1.6.L153.B0',
  'mp4a.40.2',
  'mp4a.40.5',
  'flac',
  'opus',
] as const;

export interface MediaWish {
  readonly video: boolean;
  readonly audio: boolean;
}

/** Reads `media="video,audio"`; `microphone` belongs to talking and is left to it. Empty or unknown: both. */
export function parseMedia(text: string | null | undefined): MediaWish {
  const words = (text ?? '').toLowerCase().split(/[\s,+]+/);
  const video = words.includes('video');
  const audio = words.includes('audio');
  return video || audio ? { video, audio } : { video: true, audio: true };
}

const isVideo = (codec: string): boolean => codec.startsWith('avc1') || codec.startsWith('hvc1');

/** The list for the `mse` message: what is wanted and what the browser can play. */
export function offerCodecs(media: MediaWish, supports: (mime: string) => boolean): string {
  return MSE_CODECS.filter((codec) => (isVideo(codec) ? media.video : media.audio))
    .filter((codec) => supports(`video/mp4; codecs="${codec}"`))
    .join();
}

/** Whether a MIME type as in `video/mp4; codecs="avc1.42001E,flac"` names a sound codec. */
export function mimeHasAudio(mime: string): boolean {
  const list = /codecs="?([^"]*)"?/.exec(mime)?.[1] ?? '';
  return list.split(',').some((codec) => codec.trim() !== '' && !/^(avc|hvc|hev|av01|vp0|vp8|vp9)/i.test(codec.trim()));
}
