import { availableParallelism } from 'node:os';
import type { Hardware } from '../core/targets.ts';

/**
 * What is made of what the viewers can't play: `never` nothing; `audio` sound, and pictures only where the machine's
 * hardware does it; `auto` everything.
 */
export type TranscodeMode = 'auto' | 'audio' | 'never';

/** What the owner configured. */
export interface TranscodeSettings {
  readonly mode: TranscodeMode;
  /** Streams that differ. */
  readonly streams: ReadonlyMap<string, TranscodeMode>;
  /** Videos that may be coded at the same time. */
  readonly maxEncodes: number;
  /** `off`: never; `auto`: whatever was found to work; or one kind alone. */
  readonly hardware: Hardware | 'off';
}

export const DEFAULT_TRANSCODE: TranscodeSettings = {
  mode: 'audio',
  streams: new Map(),
  maxEncodes: availableParallelism(),
  hardware: 'auto',
};

export function modeOf(settings: TranscodeSettings, streamName: string): TranscodeMode {
  return settings.streams.get(streamName) ?? settings.mode;
}
