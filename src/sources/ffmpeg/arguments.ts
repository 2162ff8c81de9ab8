import { type Hardware, type MadeAudioCodec, type MadeVideoCodec, PICTURE_LIMITS } from '../../core/targets.ts';
import { type Asked, fpsOf, integerOf, kbpsOf, refuse, shorten } from './asked.ts';
import { applyFilters } from './filters.ts';

/** Encoders of the ffmpeg program, and what they mean here. */
const VIDEO_ENCODERS: Readonly<Record<string, readonly [MadeVideoCodec, Hardware?]>> = {
  libx264: ['h264'],
  libopenh264: ['h264'],
  h264: ['h264'],
  h264_vaapi: ['h264', 'vaapi'],
  h264_qsv: ['h264', 'qsv'],
  h264_nvenc: ['h264', 'cuda'],
  h264_v4l2m2m: ['h264', 'v4l2m2m'],
  h264_rkmpp: ['h264', 'rkmpp'],
  libx265: ['h265'],
  hevc: ['h265'],
  h265: ['h265'],
  hevc_vaapi: ['h265', 'vaapi'],
  hevc_qsv: ['h265', 'qsv'],
  hevc_nvenc: ['h265', 'cuda'],
  hevc_v4l2m2m: ['h265', 'v4l2m2m'],
  hevc_rkmpp: ['h265', 'rkmpp'],
  mjpeg: ['jpeg'],
  mjpeg_vaapi: ['jpeg', 'vaapi'],
  mjpeg_qsv: ['jpeg', 'qsv'],
  mjpeg_rkmpp: ['jpeg', 'rkmpp'],
};
const AUDIO_ENCODERS: Readonly<Record<string, MadeAudioCodec>> = {
  libopus: 'opus',
  opus: 'opus',
  aac: 'aac',
  libfdk_aac: 'aac',
  pcm_alaw: 'pcma',
  pcm_mulaw: 'pcmu',
  pcm_s16be: 'l16',
  pcm_s16le: 'l16',
  libmp3lame: 'mp3',
  mp3: 'mp3',
  flac: 'flac',
  g722: 'g722',
  adpcm_g722: 'g722',
};

/** With a value, and without effect on what a viewer gets: how hard the encoder works, or what is done here anyway. */
const TUNING: ReadonlySet<string> = new Set(
  (
    'preset tune profile level pix_fmt threads bufsize minrate keyint_min sc_threshold strict application min_comp vbr ' +
    'compression_level frame_duration flags fflags async vsync fps_mode loglevel v rc zerolatency ' +
    'refs rc-lookahead forced-idr low_power async_depth max_delay muxdelay muxpreload map_metadata coder cutoff'
  ).split(' '),
);
/** Without a value. */
const SILENT: ReadonlySet<string> = new Set(['hide_banner', 'y', 'nostats', 'nostdin', 'sn', 'dn']);

type Apply = (asked: Asked, value: string, option: string) => void;

const OPTIONS: Readonly<Record<string, Apply>> = {
  'c:v': (asked, value, option) => {
    if (value === 'copy') asked.picture.codec = 'copy';
    else {
      const found = Object.hasOwn(VIDEO_ENCODERS, value) ? VIDEO_ENCODERS[value] : undefined;
      if (found === undefined) throw refuse(`${option}: video is not made by "${shorten(value)}" here`);
      const [codec, hardware] = found;
      asked.picture.codec = codec;
      if (hardware !== undefined) asked.picture.hardware = hardware;
    }
  },
  'c:a': (asked, value, option) => {
    const codec = Object.hasOwn(AUDIO_ENCODERS, value) ? AUDIO_ENCODERS[value] : undefined;
    if (value === 'copy') asked.sound.codec = 'copy';
    else if (codec === undefined) throw refuse(`${option}: sound is not made by "${shorten(value)}" here`);
    else asked.sound.codec = codec;
  },
  'b:v': (asked, value, option) => {
    asked.picture.bitrateKbps = kbpsOf(option, value);
  },
  'b:a': (asked, value, option) => {
    asked.sound.bitrateKbps = kbpsOf(option, value);
  },
  'maxrate:v': (asked, value, option) => {
    asked.picture.bitrateKbps ??= kbpsOf(option, value);
  },
  'r:v': (asked, value, option) => {
    asked.picture.fps = fpsOf(option, value);
  },
  'g:v': (asked, value, option) => {
    asked.picture.gop = integerOf(option, value, PICTURE_LIMITS.gop, 'pictures');
  },
  's:v': (asked, value, option) => {
    const [, width = '', height = ''] = /^(\d+)x(\d+)$/.exec(value) ?? [];
    asked.picture.width = integerOf(`${option} (width)`, width, PICTURE_LIMITS.side, 'pixels');
    asked.picture.height = integerOf(`${option} (height)`, height, PICTURE_LIMITS.side, 'pixels');
  },
  // ffmpeg counts 2 (best) to 31.
  'q:v': (asked, value, option) => {
    const worse = integerOf(option, value, [1, 31], 'steps') - 1;
    asked.picture.quality = Math.max(1, Math.round(100 - worse * 3));
  },
  'bf:v': (_asked, value, option) => {
    if (value !== '0') throw refuse(`${option} ${shorten(value)}: pictures are never made out of order here`);
  },
  'filter:v': (asked, value) => applyFilters(asked.picture, value),
  'ar:a': (asked, value, option) => {
    asked.sound.sampleRateHz = integerOf(option, value, [4_000, 192_000], 'Hz');
  },
  'ac:a': (asked, value, option) => {
    asked.sound.channels = integerOf(option, value, [1, 2], 'channels');
  },
};

/** Options that have one meaning whether they name the kind of stream or not. */
const DEFAULT_KIND: Readonly<Record<string, 'v' | 'a'>> = {
  b: 'v',
  maxrate: 'v',
  r: 'v',
  g: 'v',
  s: 'v',
  bf: 'v',
  ar: 'a',
  ac: 'a',
};
const ALIASES: Readonly<Record<string, string>> = {
  vcodec: 'c:v',
  acodec: 'c:a',
  vf: 'filter:v',
  vb: 'b:v',
  ab: 'b:a',
};

/**
 * Takes what arguments of the ffmpeg program (for its output) ask for into `asked`.
 * @param where for messages: `#raw`, `ffmpeg.h264 of the configuration`
 * @throws HearthcamError 400 that names the first argument which can't be done here
 */
export function applyArguments(asked: Asked, text: string, where: string): void {
  const words = splitWords(text);
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? '';
    if (!/^-[a-z]/i.test(word))
      throw refuse(`${where}: "${shorten(word)}" is no argument of ffmpeg that is known here`);
    const option = optionName(word);
    if (option === 'an') asked.sound.codec = 'none';
    else if (option === 'vn') asked.picture.codec = 'none';
    if (option === 'an' || option === 'vn' || SILENT.has(option)) continue;
    const apply = Object.hasOwn(OPTIONS, option) ? OPTIONS[option] : undefined;
    const tuning = TUNING.has(option.split(':')[0] ?? '');
    const value = words[++at];
    if (apply === undefined && !tuning) {
      throw refuse(
        `${where}: ${shorten(word)} can't be done here`,
        'what can: -c:v -c:a -b:v -b:a -g -r -s -vf (scale, transpose, hflip, vflip, fps) -ar -ac -an -vn',
      );
    }
    if (value === undefined) throw refuse(`${where}: ${shorten(word)} needs a value`);
    apply?.(asked, value, `${where}: ${shorten(word)}`);
  }
}

/** Without `-` and without the number of the stream: `-codec:v:0` is `c:v`, `-g` is `g:v`. */
function optionName(word: string): string {
  const [name = '', kind] = word.slice(1).split(':');
  if (Object.hasOwn(ALIASES, name)) return ALIASES[name] ?? name;
  const short = name === 'codec' ? 'c' : name === 'qscale' ? 'q' : name;
  const implied = Object.hasOwn(DEFAULT_KIND, short) ? DEFAULT_KIND[short] : undefined;
  const suffix = kind ?? implied;
  return suffix === undefined ? short : `${short}:${suffix}`;
}

/** As a shell would, without anything else of a shell. */
export function splitWords(text: string): string[] {
  const words: string[] = [];
  for (const found of text.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)) words.push(found[1] ?? found[2] ?? found[3] ?? '');
  return words;
}
