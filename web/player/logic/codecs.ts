/**
 * Codec strings by which a client tells the server what its browser plays (compatibility.md 1.5, 5.2). go2rtc's clients
 * send just these, so the server recognises each by its exact text.
 */
const MSE_CODECS = [
  'avc1.640029',
  'avc1.64002A',
  'avc1.640033',
  'hvc1.1.6.L153.B0',
  'mp4a.40.2',
  'mp4a.40.5',
  'flac',
  'opus',
  // Ours; go2rtc ignores them.
  'av01.0.08M.08',
  'vp09.00.40.08',
] as const;
/** Says that a second `mse` message on the socket is followed with `SourceBuffer.changeType`. */
const CHANGES_TYPE = 'changetype';

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

const isVideo = (codec: string): boolean => /^(avc|hvc|hev|av01|vp0)/i.test(codec);

/** The list for the `mse` message: what is wanted and what the browser can play. */
export function offerCodecs(media: MediaWish, supports: (mime: string) => boolean, changesType = false): string {
  const wanted = MSE_CODECS.filter((codec) => (isVideo(codec) ? media.video : media.audio));
  const codecs = wanted.filter((codec) => supports(`video/mp4; codecs="${codec}"`));
  return [...codecs, ...(changesType ? [CHANGES_TYPE] : [])].join();
}

/** Whether a MIME type as in `video/mp4; codecs="avc1.42001E,flac"` names a sound codec. */
export function mimeHasAudio(mime: string): boolean {
  const list = /codecs="?([^"]*)"?/.exec(mime)?.[1] ?? '';
  return list.split(',').some((codec) => codec.trim() !== '' && !isVideo(codec.trim()));
}
