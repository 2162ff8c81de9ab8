import type { AudioCodec, MediaKind, VideoCodec } from '../../core/media.ts';
import type { DerivedTrack } from '../../core/remaking.ts';
import { type SourceSpec, specParam } from '../../core/source.ts';
import {
  type AudioTarget,
  type Hardware,
  MADE_AUDIO_CODECS,
  type MadeAudioCodec,
  type MadeVideoCodec,
  PICTURE_LIMITS,
  type Target,
  type VideoTarget,
} from '../../core/targets.ts';
import { applyArguments } from './arguments.ts';
import {
  type Asked,
  type AskedPicture,
  type AskedSound,
  checkPixels,
  fpsOf,
  hardwareOf,
  integerOf,
  kbpsOf,
  nothingAsked,
  refuse,
  shorten,
  sideOf,
} from './asked.ts';
import { type FfmpegInput, parseInput } from './input.ts';
import { isUpright, mirror, rotate, targetTurn, UPRIGHT } from './turn.ts';

/** Arguments of the ffmpeg program by name: the `ffmpeg:` section of the configuration. */
export type FfmpegTemplates = Readonly<Record<string, string>>;

/** What an `ffmpeg:` source asks for (compatibility.md 3). */
export interface FfmpegSpec {
  readonly input: FfmpegInput;
  readonly tracks: readonly DerivedTrack[];
  /** What a stream that names itself may make of its own tracks. */
  readonly recipe: readonly Target[];
}

const PREFIX = 'ffmpeg:';
const VIDEO: ReadonlyMap<string, MadeVideoCodec> = new Map([
  ['h264', 'h264'],
  ['h265', 'h265'],
  ['hevc', 'h265'],
  ['mjpeg', 'jpeg'],
  ['jpeg', 'jpeg'],
]);
const AUDIO: ReadonlyMap<string, MadeAudioCodec> = new Map<string, MadeAudioCodec>([
  ...MADE_AUDIO_CODECS.map((codec) => [codec, codec] as const),
  ['pcm', 'l16'],
  ['pcml', 'l16'],
]);
/** Rates that a codec's bit stream, or FFmpeg's encoder, knows; others take any. */
const RATES_HZ: Readonly<Partial<Record<AudioCodec, readonly number[]>>> = {
  opus: [8_000, 12_000, 16_000, 24_000, 48_000],
  aac: [8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 64_000, 88_200, 96_000],
  mp3: [8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000],
  g722: [16_000],
};
const ANY: Readonly<Record<MediaKind, DerivedTrack>> = {
  video: { copy: { kind: 'video', codecs: 'any' } },
  audio: { copy: { kind: 'audio', codecs: 'any' } },
};

/** @throws HearthcamError 400 that names the part which can't be done */
export function parseFfmpegSpec(spec: SourceSpec, templates: FfmpegTemplates = {}): FfmpegSpec {
  const input = parseInput(spec.url.slice(PREFIX.length).trim(), spec.params, templates);
  if (spec.params.has('drawtext')) throw refuse('#drawtext: text is not drawn into pictures here');
  const common = nothingAsked();
  const wantsVideo = spec.params.has('video');
  const wantsAudio = spec.params.has('audio');
  const neither = !wantsVideo && !wantsAudio;
  applyParams(common, spec);
  const changed = Object.entries(common.picture).some(
    ([name, value]) => name !== 'turn' && name !== 'hardware' && value !== undefined,
  );
  const remade = changed || !isUpright(common.picture.turn);
  const videos = spec.params.get('video') ?? (neither ? [remade ? 'h264' : 'copy'] : []);
  const audios = spec.params.get('audio') ?? (neither ? ['copy'] : []);
  const tracks = [
    ...videos.flatMap((value) => videoTrack(value, common.picture, remade, templates)),
    ...audios.flatMap((value) => audioTrack(value, common.sound, templates)),
  ];
  if (tracks.length === 0) throw refuse('nothing is left: neither picture nor sound');
  const recipe = tracks.flatMap((track) => ('make' in track ? track.make : []));
  const auto: Target[] = audios.includes('auto') ? MADE_AUDIO_CODECS.map((codec) => ({ kind: 'audio', codec })) : [];
  return { input, tracks: distinct(tracks), recipe: [...recipe, ...auto] };
}

/** The `#` parameters that go for all pictures. */
function applyParams(asked: Asked, spec: SourceSpec): void {
  const { picture } = asked;
  const param = (key: string): string | undefined => specParam(spec, key);
  const width = sideOf('#width', param('width') ?? '');
  const height = sideOf('#height', param('height') ?? '');
  if (width !== null) picture.width = width;
  if (height !== null) picture.height = height;
  const degrees = param('rotate');
  if (degrees !== undefined) picture.turn = rotate(UPRIGHT, degreesOf(degrees));
  const bitrate = param('bitrate');
  if (bitrate !== undefined) picture.bitrateKbps = kbpsOf('#bitrate', bitrate);
  const fps = param('fps');
  if (fps !== undefined) picture.fps = fpsOf('#fps', fps);
  const gop = param('gop');
  if (gop !== undefined) picture.gop = integerOf('#gop', gop, PICTURE_LIMITS.gop, 'pictures');
  const hardware = param('hardware');
  if (hardware !== undefined) picture.hardware = hardwareOf('#hardware', hardware);
  for (const raw of spec.params.get('raw') ?? []) applyArguments(asked, raw, '#raw');
}

function degreesOf(text: string): number {
  if (/^-?(?:0|90|180|270|360)$/.test(text)) return Number(text);
  throw refuse(`#rotate must be 90, 180, 270 or -90 degrees, not "${shorten(text)}"`);
}

function videoTrack(
  value: string,
  common: AskedPicture,
  remade: boolean,
  templates: FfmpegTemplates,
): readonly DerivedTrack[] {
  const own = nothingAsked();
  const name = value.toLowerCase();
  const template = Object.hasOwn(templates, value) ? templates[value] : undefined;
  if (name === 'copy' || name === '') own.picture.codec = 'copy';
  else if (template !== undefined) applyArguments(own, template, `the template ${shorten(value)}`);
  else if (value.startsWith('-')) applyArguments(own, value, '#video');
  else applyVideoName(own.picture, value);
  // The encoder that `#raw` names comes behind that of `#video` on ffmpeg's command line, and counts.
  const { turn, ...rest } = definedOnly(common);
  const both = rotate(own.picture.turn, turn.degrees);
  const picture = { ...own.picture, ...rest, turn: turn.mirrored ? mirror(both, 'horizontal') : both };
  const codec = picture.codec;
  if (codec === 'none') return [];
  if (codec === undefined) throw refuse(`#video=${shorten(value)} names no codec`, 'add -c:v libx264');
  if (codec !== 'copy') return [{ make: videoTarget(picture, codec) }];
  if (remade || !isUpright(picture.turn)) {
    throw refuse('#video=copy leaves the picture as it is', 'write #video=h264 to have it changed');
  }
  return [ANY.video];
}

/** `h264`, `h264/vaapi`. */
function applyVideoName(picture: AskedPicture, value: string): void {
  const [name = '', kind, ...more] = value.toLowerCase().split('/');
  const codec = VIDEO.get(name);
  if (codec === undefined || more.length > 0) {
    throw refuse(
      `#video=${shorten(value)}: there is no such codec and no such template`,
      `what there is: copy, ${[...VIDEO.keys()].join(', ')}`,
    );
  }
  picture.codec = codec;
  if (kind !== undefined) picture.hardware = hardwareOf(`#video=${shorten(value)}`, kind);
}

function videoTarget(asked: AskedPicture, codec: MadeVideoCodec): VideoTarget {
  const { width, height, turn, bitrateKbps, fps, gop, quality, hardware } = asked;
  checkPixels(asked);
  const jpeg = codec === 'jpeg';
  return {
    kind: 'video',
    codec,
    ...definedOnly({ width, height }),
    ...targetTurn(turn),
    ...definedOnly({ fps }),
    // Each picture of JPEG is a key frame, and its size follows from the quality.
    ...(jpeg ? definedOnly({ quality }) : definedOnly({ bitrateKbps, gop })),
    ...definedOnly({ hardware }),
  };
}

function audioTrack(value: string, common: AskedSound, templates: FfmpegTemplates): readonly DerivedTrack[] {
  const own = nothingAsked();
  const name = value.toLowerCase();
  const template = Object.hasOwn(templates, value) ? templates[value] : undefined;
  if (name === 'copy' || name === 'auto' || name === '') own.sound.codec = 'copy';
  else if (template !== undefined) applyArguments(own, template, `the template ${shorten(value)}`);
  else if (value.startsWith('-')) applyArguments(own, value, '#audio');
  else applyAudioName(own.sound, value);
  const { codec, ...sound } = { ...own.sound, ...definedOnly(common) };
  if (codec === 'none') return [];
  if (codec === undefined) throw refuse(`#audio=${shorten(value)} names no codec`, 'add -c:a libopus');
  if (codec === 'copy') return [ANY.audio];
  const rates = RATES_HZ[codec];
  if (sound.sampleRateHz !== undefined && rates !== undefined && !rates.includes(sound.sampleRateHz)) {
    throw refuse(
      `#audio=${shorten(value)}: ${codec} has no rate of ${sound.sampleRateHz} Hz, only ${rates.join(', ')}`,
    );
  }
  const target: AudioTarget = { kind: 'audio', codec, ...sound };
  return [{ make: target }];
}

/** `opus`, `pcma/16000`, `aac/48000/2`. */
function applyAudioName(sound: AskedSound, value: string): void {
  const [name = '', rate, channels, ...more] = value.toLowerCase().split('/');
  const codec = AUDIO.get(name);
  if (codec === undefined || more.length > 0) {
    throw refuse(
      `#audio=${shorten(value)}: there is no such codec and no such template`,
      `what there is: copy, auto, ${[...AUDIO.keys()].join(', ')}`,
    );
  }
  sound.codec = codec;
  if (rate !== undefined) sound.sampleRateHz = integerOf(`#audio=${shorten(value)}`, rate, [4_000, 192_000], 'Hz');
  if (channels !== undefined) sound.channels = integerOf(`#audio=${shorten(value)}`, channels, [1, 2], 'channels');
}

/** Which hardware is asked for, for what is known about this machine. */
export function askedHardware(spec: FfmpegSpec): readonly Hardware[] {
  return spec.recipe.flatMap((target) =>
    target.kind === 'video' && target.hardware !== undefined ? target.hardware : [],
  );
}

/** What a codec is called by `#video=` and `#audio=`. */
export function describeTrack(track: DerivedTrack): string {
  const { kind } = 'make' in track ? track.make : track.copy;
  const codecs: readonly (VideoCodec | AudioCodec)[] | 'any' = 'make' in track ? [track.make.codec] : track.copy.codecs;
  return codecs === 'any' ? kind : `${kind} ${codecs.join(' or ')}`;
}

function distinct(tracks: readonly DerivedTrack[]): readonly DerivedTrack[] {
  const seen = new Set<string>();
  return tracks.filter((track) => {
    const key = JSON.stringify(track);
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}

type Defined<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

/** Without what is undefined, which would overwrite in a spread. */
function definedOnly<T extends object>(fields: T): Defined<T> & Pick<T, RequiredKeys<T>> {
  // Checked border: what is left out is exactly what is undefined, which only optional fields may be.
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Defined<T> &
    Pick<T, RequiredKeys<T>>;
}

type RequiredKeys<T> = { [K in keyof T]-?: undefined extends T[K] ? never : K }[keyof T];
