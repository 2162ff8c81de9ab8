import { HearthcamError } from '../../core/errors.ts';
import type { Codec } from '../../core/media.ts';
import type { MediaWant } from '../../core/negotiate.ts';
import { wantsFromQuery } from '../../core/wants.ts';
import type { InitOptions } from '../../wire/mp4/init.ts';

export interface Mp4Query {
  readonly src: string | undefined;
  readonly name: string | undefined;
  readonly wants: readonly MediaWant[];
  /** Endless when undefined. */
  readonly durationMs: number | undefined;
  readonly filename: string | undefined;
  readonly init: InitOptions;
}

const VIDEO: readonly Codec[] = ['h264', 'h265', 'av1', 'vp9'];
const AUDIO: readonly Codec[] = ['aac', 'flac', 'pcma', 'pcmu', 'l16', 'opus', 'mp3'];
const MAX_DURATION_S = 24 * 3600;

/**
 * Reads the query of `/api/stream.mp4` and `/api/frame.mp4` (compatibility.md 1.4).
 * @throws HearthcamError 400 that names the parameter
 */
export function parseMp4Query(query: URLSearchParams): Mp4Query {
  return {
    src: query.get('src') ?? undefined,
    name: query.get('name') ?? undefined,
    wants: readWants(query),
    durationMs: readDuration(query.get('duration')),
    filename: query.get('filename') || undefined,
    init: { ...readRotation(query.get('rotate')), ...readScale(query.get('scale')) },
  };
}

/** `mp4` alone: H.264/H.265 + AAC; `mp4=flac`: PCM too, as FLAC; `mp4=all`: Opus and MP3 too. */
function readWants(query: URLSearchParams): MediaWant[] {
  if (query.has('video') || query.has('audio')) {
    return wantsFromQuery(query).map((want) => {
      const possible = want.kind === 'video' ? VIDEO : AUDIO;
      const { codecs } = want;
      // Several pictures at once are for containers that players let one choose from; here the first one is taken.
      return {
        kind: want.kind,
        codecs: codecs === 'any' ? possible : codecs.filter((codec) => possible.includes(codec)),
      };
    });
  }
  const audio: Codec[] = ['aac'];
  const more = query.get('mp4') ?? '';
  if (more.includes('flac') || more.includes('all')) audio.push('pcma', 'pcmu', 'l16', 'flac');
  if (more.includes('all')) audio.push('opus', 'mp3');
  return [
    { kind: 'video', codecs: ['h264', 'h265'] },
    { kind: 'audio', codecs: audio },
  ];
}

function readDuration(text: string | null): number | undefined {
  if (text === null || text === '') return undefined;
  const seconds = Number(text);
  if (!Number.isFinite(seconds) || seconds <= 0 || seconds > MAX_DURATION_S) {
    throw wrong('duration', text, `seconds, up to ${MAX_DURATION_S}`);
  }
  return seconds * 1000;
}

function readRotation(text: string | null): InitOptions {
  switch (text) {
    case null:
    case '':
    case '0':
      return {};
    case '90':
    case '-270':
      return { rotate: 90 };
    case '180':
    case '-180':
      return { rotate: 180 };
    case '270':
    case '-90':
      return { rotate: 270 };
    default:
      throw wrong('rotate', text, '90, 180, 270 or -90');
  }
}

/** `4:3` stretches each pixel to four thirds of its height. */
function readScale(text: string | null): InitOptions {
  if (text === null || text === '') return {};
  const match = /^(\d{1,4}):(\d{1,4})$/.exec(text);
  const [horizontal, vertical] = [Number(match?.[1]), Number(match?.[2])];
  if (!(horizontal > 0 && vertical > 0)) throw wrong('scale', text, 'two numbers, like 4:3');
  return { pixelAspect: [horizontal, vertical] };
}

function wrong(key: string, text: string, expected: string): HearthcamError {
  return new HearthcamError('mp4.query', `${key}=${text.slice(0, 40)} is not possible: ${expected}`, { status: 400 });
}

/**
 * Safari plays no endless MP4: go2rtc sends it to HLS. Others carry "Safari" in their names too.
 */
export function wantsHls(userAgent: string | undefined, query: URLSearchParams): boolean {
  if (userAgent === undefined || query.has('duration')) return false;
  return / Safari\//.test(userAgent) && !/ (Chrome|Chromium|CriOS|OPR|Edg)\//.test(userAgent);
}

/** `attachment` with a name that can't break out of its header. */
export function contentDisposition(filename: string): string {
  const plain = filename.replace(/[^ -~]|["\\/]/g, '_').slice(0, 200);
  return `attachment; filename="${plain}"; filename*=UTF-8''${encodeURIComponent(filename.slice(0, 200))}`;
}
