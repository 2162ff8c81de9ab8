import { HearthcamError } from '../../core/errors.ts';
import type { AudioCodec, Codec, MediaKind, VideoCodec } from '../../core/media.ts';
import type { MediaWant } from '../../core/negotiate.ts';
import { parseSourceSpec, type SourceSpec } from '../../core/source.ts';

/** What an `ffmpeg:` source asks for (compatibility.md 3). */
export interface FfmpegSpec {
  /** The input with its `#` parameters that concern the connection. */
  readonly input: SourceSpec;
  /** What is taken from the input as it is. */
  readonly wants: readonly MediaWant[];
  /** What would have to be made anew whatever the input has, as written: `video filter`, `#width`. */
  readonly remakes: readonly string[];
}

const VIDEO: Readonly<Record<string, VideoCodec>> = { h264: 'h264', h265: 'h265', hevc: 'h265', mjpeg: 'jpeg' };
const AUDIO: Readonly<Record<string, AudioCodec>> = {
  opus: 'opus',
  aac: 'aac',
  pcma: 'pcma',
  pcmu: 'pcmu',
  pcm: 'l16',
  pcml: 'l16',
  mp3: 'mp3',
};
/** Parameters that change the picture. */
const PICTURE = ['width', 'height', 'rotate', 'bitrate', 'drawtext', 'raw'] as const;
/** Parameters for the connection to the input, handed to its own module. */
const CONNECTION = ['timeout', 'transport', 'header'] as const;
const PREFIX = 'ffmpeg:';

/** @throws HearthcamError 400 when there is no input. */
export function parseFfmpegSpec(spec: SourceSpec): FfmpegSpec {
  const url = spec.url.slice(PREFIX.length).trim();
  if (url === '') {
    throw new HearthcamError('source.ffmpeg', 'ffmpeg: without an input', {
      status: 400,
      hint: 'write ffmpeg:<stream name> or ffmpeg:rtsp://…',
    });
  }
  const passed = CONNECTION.flatMap((key) => (spec.params.get(key) ?? []).map((value) => `#${key}=${value}`));
  const video = spec.params.get('video') ?? [];
  const audio = spec.params.get('audio') ?? [];
  const neither = video.length === 0 && audio.length === 0;
  return {
    input: parseSourceSpec(url + passed.join('')),
    wants: neither
      ? [
          { kind: 'video', codecs: 'any' },
          { kind: 'audio', codecs: 'any' },
        ]
      : [...wantsOf('video', video, VIDEO), ...wantsOf('audio', audio, AUDIO)],
    remakes: PICTURE.filter((key) => spec.params.has(key)).map((key) => `#${key}`),
  };
}

/** Several values of a kind are alternatives in the order of taste: the first that the input has is passed on. */
function wantsOf(kind: MediaKind, values: readonly string[], names: Readonly<Record<string, Codec>>): MediaWant[] {
  if (values.length === 0) return [];
  const codecs: Codec[] = [];
  for (const value of values) {
    const [name = ''] = value.toLowerCase().split('/');
    if (name === 'copy' || name === 'auto' || name === '') return [{ kind, codecs: 'any' }];
    const codec = names[name];
    if (codec !== undefined) codecs.push(codec);
  }
  return [{ kind, codecs }];
}
