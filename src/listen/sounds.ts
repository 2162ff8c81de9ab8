import { HearthcamError } from '../core/errors.ts';
import type { Ear } from './detector.ts';
import type { Impression } from './scorer.ts';

/** `listen.sounds.<name>` of the configuration: all may be left out for the names below. */
export interface SoundSettings {
  /** Names of AudioSet's classes; the highest of their scores counts. */
  readonly classes?: readonly string[] | undefined;
  /** Averaged score at which it is heard. */
  readonly threshold?: number | undefined;
  /** So long the score is averaged. */
  readonly seconds?: number | undefined;
}

interface Preset {
  readonly classes: readonly string[];
  readonly threshold: number;
  readonly seconds: number;
}

/** Sounds that have a name of their own. Short ones are heard in one window, alarms and voices must go on. */
export const SOUNDS: Readonly<Record<string, Preset>> = {
  smoke_alarm: { classes: ['Smoke detector, smoke alarm', 'Fire alarm'], threshold: 0.3, seconds: 2 },
  glass: { classes: ['Glass', 'Shatter', 'Breaking'], threshold: 0.5, seconds: 0.5 },
  bark: { classes: ['Bark', 'Bow-wow', 'Yip'], threshold: 0.5, seconds: 1 },
  meow: { classes: ['Meow', 'Caterwaul'], threshold: 0.5, seconds: 1 },
  speech: { classes: ['Speech', 'Child speech, kid speaking', 'Conversation'], threshold: 0.6, seconds: 1.5 },
  laughter: { classes: ['Laughter', 'Baby laughter', 'Giggle'], threshold: 0.5, seconds: 1 },
  scream: { classes: ['Screaming', 'Children shouting', 'Yell'], threshold: 0.5, seconds: 1 },
  cough: { classes: ['Cough'], threshold: 0.5, seconds: 0.5 },
  siren: { classes: ['Siren', 'Civil defense siren', 'Police car (siren)'], threshold: 0.5, seconds: 2 },
  doorbell: { classes: ['Doorbell', 'Ding-dong'], threshold: 0.5, seconds: 0.5 },
  knock: { classes: ['Knock'], threshold: 0.5, seconds: 0.5 },
  music: { classes: ['Music'], threshold: 0.7, seconds: 3 },
};

const WINDOW_S = 0.4875;
/** What goes on after a pause of so long is another event. */
const RELEASE_MS = 3_000;

/**
 * Listens for a sound by the scores of AudioSet's classes.
 * @param labels the model's names of its classes
 * @throws HearthcamError `listen.sound` for a name that is neither a sound of ours nor has classes, or an unknown class
 */
export function soundEar(name: string, settings: SoundSettings, labels: readonly string[]): Ear {
  const preset = Object.hasOwn(SOUNDS, name) ? SOUNDS[name] : undefined;
  const classes = settings.classes ?? preset?.classes ?? [name];
  const indices = classes.map((one) => classIndex(one, labels));
  const on = settings.threshold ?? preset?.threshold ?? 0.5;
  const seconds = settings.seconds ?? preset?.seconds ?? 1;
  return {
    name,
    settings: { on, off: on / 2, windows: Math.max(1, Math.round(seconds / WINDOW_S)), releaseMs: RELEASE_MS },
    evidence: ({ scores }: Impression) => Math.max(...indices.map((index) => scores[index] ?? 0)),
    silence: 0,
    confidence: (evidence) => evidence,
  };
}

/** Case and spaces don't matter. */
function classIndex(name: string, labels: readonly string[]): number {
  const plain = (text: string): string => text.toLowerCase().replaceAll(/[^a-z0-9]/g, '');
  const wanted = plain(name);
  const index = labels.findIndex((label) => plain(label) === wanted);
  if (index >= 0) return index;
  const near = labels.filter((label) => plain(label).includes(wanted)).slice(0, 5);
  throw new HearthcamError('listen.sound', `"${name}" is no class of AudioSet`, {
    status: 400,
    hint:
      near.length > 0
        ? `did you mean ${near.map((one) => `"${one}"`).join(', ')}?`
        : `known sounds: ${Object.keys(SOUNDS).join(', ')}`,
  });
}
