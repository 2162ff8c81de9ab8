import { z } from 'zod';
import { SENSITIVITIES } from '../core/events.ts';
import type { CrySettings } from './cry/settings.ts';
import type { SoundSettings } from './sounds.ts';

const share = z.number().gt(0).lt(1);

const cry = z
  .union([
    z.enum(SENSITIVITIES),
    z.object({
      threshold: share.optional().describe('Averaged confidence (0 to 1) at which it begins.'),
      seconds: z.number().min(0.5).max(30).optional().describe('So many seconds are averaged.'),
      release: z.number().min(1).max(120).optional().describe('It is over after so many seconds without.'),
    }),
  ])
  .describe('low: fewest mistakes; high: hears more; or numbers of your own.');

const sound = z.object({
  classes: z.array(z.string()).optional().describe("Names of AudioSet's classes; the highest score counts."),
  threshold: share.optional().describe('Averaged score (0 to 1) at which it is heard.'),
  seconds: z.number().min(0.5).max(30).optional().describe('So long the score is averaged.'),
});

const sounds = z.record(
  z.string().regex(/^[a-z0-9_]+$/, 'lower case letters, digits and _'),
  z.union([sound, z.null()]),
);

const camera = z.object({
  cry: z
    .union([cry, z.literal(false)])
    .optional()
    .describe('As listen.cry, for this camera; false: not for cries.'),
  sounds: sounds.optional().describe('As listen.sounds, for this camera.'),
  stream: z.string().optional().describe('Stream whose sound is taken; default: the smallest of the camera.'),
});

export const listenSchema = z.object({
  cameras: z
    .union([z.literal('all'), z.array(z.string()), z.record(z.string(), z.union([camera, z.null()]))])
    .default([])
    .describe('Cameras to listen to: all, a list of names, or names with settings of their own.'),
  cry: z
    .union([cry, z.literal(false)])
    .default('balanced')
    .describe('How a crying baby is told; false: not at all.'),
  sounds: sounds
    .default({})
    .describe('Other sounds by name: smoke_alarm, glass, bark, speech, … or names of your own with their classes.'),
});
export type ListenSettings = z.infer<typeof listenSchema>;

/** What is listened for at one camera. */
export interface EarSettings {
  readonly camera: string;
  readonly stream: string | undefined;
  readonly cry: CrySettings | null;
  readonly sounds: Readonly<Record<string, SoundSettings>>;
}

/** The cameras that are listened to, with what is listened for. @param known names of all cameras (and single streams) */
export function earSettings(settings: ListenSettings, known: readonly string[]): readonly EarSettings[] {
  const { cameras } = settings;
  const named: readonly (readonly [string, z.infer<typeof camera>])[] =
    cameras === 'all'
      ? known.map((name) => [name, {}] as const)
      : Array.isArray(cameras)
        ? cameras.map((name) => [name, {}] as const)
        : Object.entries(cameras).map(([name, own]) => [name, own ?? {}] as const);
  return named.map(([name, own]) => {
    const cryHere = own.cry ?? settings.cry;
    const soundsHere = own.sounds ?? settings.sounds;
    return {
      camera: name,
      stream: own.stream,
      cry: cryHere === false ? null : cryHere,
      sounds: Object.fromEntries(Object.entries(soundsHere).map(([key, one]) => [key, one ?? {}])),
    };
  });
}
