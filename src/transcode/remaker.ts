import type { VideoCodec } from '../core/media.ts';
import type { Remaker } from '../core/remaking.ts';
import type { MadeVideoCodec } from '../core/targets.ts';
import type { Pipes } from './pipes.ts';
import { planRemake } from './plan.ts';
import { modeOf, type TranscodeSettings } from './settings.ts';
import { makeRemakeSource } from './source.ts';

export interface RemakerOptions {
  readonly pipes: Pipes;
  /** Those in force now. */
  readonly settings: () => TranscodeSettings;
  /** Whether hardware was found that makes the one of the other. */
  readonly hardwareMakes: (from: VideoCodec, to: MadeVideoCodec) => boolean;
}

/** Decides what is made of a stream's tracks, and makes it. */
export function createRemaker(options: RemakerOptions): Remaker {
  const { pipes, settings, hardwareMakes } = options;
  return {
    plan: (stream, found, wants, picture) => {
      const mode = modeOf(settings(), stream.name);
      return planRemake({ tracks: stream.tracks, recipes: stream.recipes, mode, hardwareMakes }, found, wants, picture);
    },
    source: (stream, tracks) => makeRemakeSource(stream, tracks, pipes),
  };
}
