import type { Codec, MediaKind, Track, VideoCodec } from '../core/media.ts';
import type { MediaWant, Negotiation, SoundShape } from '../core/negotiate.ts';
import type { DerivedTrack, Refusal, RemakePlan } from '../core/remaking.ts';
import {
  MADE_AUDIO_CODECS,
  type MadeAudioCodec,
  type MadeVideoCodec,
  type Target,
  type VideoTarget,
} from '../core/targets.ts';
import { VIDEO_CODECS } from '../core/wants.ts';
import type { TranscodeMode } from './settings.ts';

/**
 * What is made first where a viewer takes several: for sound what plays everywhere, then what sounds best. (WebRTC
 * never asks for AAC, so it gets Opus.)
 */
const AUDIO_ORDER: readonly MadeAudioCodec[] = ['aac', 'opus', 'flac', 'pcma', 'pcmu', 'l16', 'mp3', 'g722'];
const VIDEO_ORDER: readonly MadeVideoCodec[] = ['h264', 'jpeg', 'h265'];

const NAMES: Readonly<Record<Codec, string>> = {
  h264: 'H.264',
  h265: 'H.265',
  av1: 'AV1',
  vp8: 'VP8',
  vp9: 'VP9',
  jpeg: 'JPEG',
  aac: 'AAC',
  opus: 'Opus',
  pcma: 'G.711 A-law',
  pcmu: 'G.711 µ-law',
  l16: 'PCM',
  flac: 'FLAC',
  mp3: 'MP3',
  g726: 'G.726',
  g722: 'G.722',
};

export interface PlanInputs {
  readonly tracks: readonly Track[];
  /** What the owner's own sources allow, whatever the mode. */
  readonly recipes: readonly Target[];
  readonly mode: TranscodeMode;
  /** Whether hardware was found that makes the one of the other. */
  readonly hardwareMakes: (from: VideoCodec, to: MadeVideoCodec) => boolean;
}

/** Decides what is made for wants that no track fits. Only the first track of each kind is ever made into another. */
export function planRemake(
  inputs: PlanInputs,
  found: Negotiation,
  wants: readonly MediaWant[],
  picture?: VideoTarget,
): RemakePlan {
  if (wants.some((want) => want.all === true)) return { tracks: null, refused: [] };
  const forbidden = picture === undefined ? null : forbiddenPicture(inputs, picture);
  if (forbidden !== null) return { tracks: null, refused: [forbidden] };
  const chosen = [...found.tracks];
  const tracks: DerivedTrack[] = [];
  const refused: Refusal[] = [];
  let made = false;
  for (const want of wants) {
    if (!found.missing.includes(want)) {
      const track = chosen.shift();
      if (track?.kind === 'video' && picture !== undefined) {
        tracks.push({ make: picture, always: true });
        made = true;
      } else if (track !== undefined) tracks.push({ copy: { kind: track.kind, codecs: [track.codec] } });
      continue;
    }
    const hasPicture = picture !== undefined && inputs.tracks.some((track) => track.kind === 'video');
    const target = want.kind === 'video' && hasPicture ? picture : targetFor(inputs, want);
    if (target === null) continue;
    if ('reason' in target) {
      refused.push(target);
      continue;
    }
    const source = inputs.tracks.find((track) => track.kind === want.kind);
    tracks.push({ make: target, ...(source?.codec === target.codec ? { always: true } : {}) });
    made = true;
  }
  return { tracks: made ? tracks : null, refused };
}

function targetFor(inputs: PlanInputs, want: MediaWant): Target | Refusal | null {
  const { kind, codecs } = want;
  const source = inputs.tracks.find((track) => track.kind === kind);
  // A camera without a microphone is no fault, and `any` is missing only where there is nothing of the kind.
  if (source === undefined || codecs === 'any') return null;
  // Whoever speaks to a camera asks for that and nothing else: no switch forbids it.
  const shape = want.shapes?.find(isMadeShape);
  if (shape !== undefined) return { kind: 'audio', ...shape };
  const recipe = inputs.recipes.find((one) => one.kind === kind && codecs.includes(one.codec));
  if (recipe !== undefined) return recipe;
  const target = kind === 'audio' ? audioTarget(codecs) : videoTarget(codecs);
  if (target === null) return unknown(kind, source, codecs);
  const allowed =
    target.kind === 'audio'
      ? inputs.mode !== 'never'
      : inputs.mode === 'auto' ||
        (inputs.mode === 'audio' && (target.codec === 'jpeg' || hardwareMakes(inputs, source, target.codec)));
  return allowed ? target : notAllowed(source, target, inputs.mode);
}

/**
 * Renditions are the owner's own wish, and made whatever the switch says. JPEGs are asked for by viewers alone: where
 * it is off they are shown key frames.
 */
function forbiddenPicture({ tracks, recipes, mode }: PlanInputs, picture: VideoTarget): Refusal | null {
  const source = tracks.find((track) => track.kind === 'video');
  if (mode !== 'never' || picture.codec !== 'jpeg' || source === undefined) return null;
  const allowed = recipes.some((one) => one.kind === 'video' && one.codec === 'jpeg');
  if (allowed) return null;
  const what =
    source.codec === 'jpeg' ? 'JPEGs of another size or rate' : `JPEGs of the camera's ${NAMES[source.codec]}`;
  return { kind: 'video', reason: `making ${what} is switched off`, hint: 'write "transcode: audio"' };
}

function isMadeShape(shape: SoundShape): shape is SoundShape & { codec: MadeAudioCodec } {
  const made: readonly Codec[] = MADE_AUDIO_CODECS;
  return made.includes(shape.codec);
}

function hardwareMakes(inputs: PlanInputs, source: Track, to: MadeVideoCodec): boolean {
  const from = source.codec;
  return isVideoCodec(from) && inputs.hardwareMakes(from, to);
}

function isVideoCodec(codec: Codec): codec is VideoCodec {
  const video: readonly Codec[] = VIDEO_CODECS;
  return video.includes(codec);
}

function audioTarget(codecs: readonly Codec[]): Target | null {
  const codec = AUDIO_ORDER.find((one) => codecs.includes(one));
  return codec === undefined ? null : { kind: 'audio', codec };
}

function videoTarget(codecs: readonly Codec[]): Target | null {
  const codec = VIDEO_ORDER.find((one) => codecs.includes(one));
  return codec === undefined ? null : { kind: 'video', codec };
}

function unknown(kind: MediaKind, source: Track, codecs: readonly Codec[]): Refusal {
  const wanted = codecs.map((codec) => NAMES[codec]).join(' or ') || 'a codec that nobody knows';
  return { kind, reason: `the camera sends ${NAMES[source.codec]}, and ${wanted} is never made` };
}

function notAllowed(source: Track, target: Target, mode: TranscodeMode): Refusal {
  const to = NAMES[target.codec];
  const from = NAMES[source.codec];
  if (target.kind === 'audio') {
    return {
      kind: 'audio',
      reason: `the camera's sound is ${from}, which this viewer can't play, and making ${to} of it is switched off`,
      hint: 'write "transcode: audio"',
    };
  }
  const what =
    from === to
      ? `the camera's ${from} has B-frames, which this viewer can't show`
      : `the camera's picture is ${from}, which this viewer can't play`;
  const why =
    mode === 'never' ? 'is switched off' : 'is done only on request, as it takes much computing on this machine';
  return {
    kind: 'video',
    reason: `${what}, and making ${from === to ? `${to} without them` : `${to} of it`} ${why}`,
    hint: 'write "transcode: auto", or set the camera to H.264',
  };
}
