import type { AudioCodec, VideoCodec } from './media.ts';
import type { MediaWant } from './negotiate.ts';

/** PCM goes as FLAC. */
const FLAC: readonly AudioCodec[] = ['pcma', 'pcmu', 'l16', 'flac'];

export interface CodecOffer {
  readonly wants: readonly MediaWant[];
  /** The client follows a second `mse` message on the same socket with `SourceBuffer.changeType`. */
  readonly changesType: boolean;
}

/**
 * Reads the codec list of an `mse`, `mp4` or `hls` message (compatibility.md 1.5):
 * `avc1.640029,hvc1.1.6.L153.B0,mp4a.40.2,…`. Only go2rtc's own tokens count, exactly as written, plus `av01…`, `vp09…`
 * and `changetype` of our own player. With none of them: H.264 or H.265, and AAC.
 */
export function parseCodecTokens(value: unknown): CodecOffer {
  const tokens = typeof value === 'string' ? value.split(',').map((token) => token.trim()) : [];
  const video: VideoCodec[] = [];
  const audio: AudioCodec[] = [];
  let changesType = false;
  for (const token of tokens) {
    if (token === 'avc1.640029') video.push('h264');
    else if (token === 'hvc1.1.6.L153.B0') video.push('h265');
    else if (token.startsWith('av01.')) video.push('av1');
    else if (token.startsWith('vp09.')) video.push('vp9');
    else if (token === 'mp4a.40.2') audio.push('aac');
    else if (token === 'opus') audio.push('opus');
    else if (token === 'flac') audio.push(...FLAC);
    else if (token === 'changetype') changesType = true;
  }
  if (video.length === 0 && audio.length === 0) {
    video.push('h264', 'h265');
    audio.push('aac');
  }
  const wants: MediaWant[] = [];
  if (video.length > 0) wants.push({ kind: 'video', codecs: video });
  if (audio.length > 0) wants.push({ kind: 'audio', codecs: audio });
  return { wants, changesType };
}
