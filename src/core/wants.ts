import type { AudioCodec, Codec, MediaKind, VideoCodec } from './media.ts';
import type { MediaWant } from './negotiate.ts';

/** go2rtc's names in queries (`?video=h264,h265&audio=aac`), compatibility.md 1.2 and 2. */
const NAMES: ReadonlyMap<string, Codec> = new Map<string, Codec>(
  Object.entries({
    h264: 'h264',
    h265: 'h265',
    hevc: 'h265',
    av1: 'av1',
    vp8: 'vp8',
    vp9: 'vp9',
    mjpeg: 'jpeg',
    jpeg: 'jpeg',
    aac: 'aac',
    'mpeg4-generic': 'aac',
    opus: 'opus',
    pcma: 'pcma',
    pcmu: 'pcmu',
    pcm: 'l16',
    pcml: 'l16',
    l16: 'l16',
    flac: 'flac',
    mp3: 'mp3',
    g722: 'g722',
  } satisfies Record<string, Codec>),
);

export const VIDEO_CODECS: readonly VideoCodec[] = ['h264', 'h265', 'av1', 'vp8', 'vp9', 'jpeg'];
export const AUDIO_CODECS: readonly AudioCodec[] = [
  'aac',
  'opus',
  'pcma',
  'pcmu',
  'l16',
  'flac',
  'mp3',
  'g726',
  'g722',
];

/**
 * Reads `video` and `audio` of a query: each occurrence is one track; empty, `copy` or `any` takes whatever there is,
 * `all` every track. `mp4` asks for what plays everywhere in MP4 (H.264/H.265 + AAC). Empty when neither is there.
 */
export function wantsFromQuery(query: URLSearchParams): MediaWant[] {
  const wants: MediaWant[] = [];
  for (const kind of ['video', 'audio'] as const) {
    for (const value of query.getAll(kind)) wants.push(wantFrom(kind, value));
  }
  if (wants.length === 0 && query.has('mp4')) {
    wants.push({ kind: 'video', codecs: ['h264', 'h265'] }, { kind: 'audio', codecs: ['aac'] });
  }
  return wants;
}

function wantFrom(kind: MediaKind, value: string): MediaWant {
  const names = value
    .toLowerCase()
    .split(',')
    .filter((name) => name !== '');
  if (names.includes('all')) return { kind, codecs: 'any', all: true };
  const codecs = names.map((name) => NAMES.get(name.split('/')[0] ?? '')).filter((codec) => codec !== undefined);
  if (names.length === 0 || names.includes('copy') || names.includes('any')) return { kind, codecs: 'any' };
  return { kind, codecs };
}

/** First video and first audio, whatever they are. */
export const ANY_WANTS: readonly MediaWant[] = [
  { kind: 'video', codecs: 'any' },
  { kind: 'audio', codecs: 'any' },
];
