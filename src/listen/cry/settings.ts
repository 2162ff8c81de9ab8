import type { Sensitivity } from '../../core/events.ts';
import type { MachineSettings } from './machine.ts';

/** `listen.cry` of the configuration: a word, or numbers of which those left out are of `balanced`. */
export type CrySettings =
  | Sensitivity
  | {
      /** Averaged confidence (0 to 1) at which it begins. */
      readonly threshold?: number | undefined;
      /** So many seconds are averaged. */
      readonly seconds?: number | undefined;
      /** It is over after so many seconds without. */
      readonly release?: number | undefined;
    };

const HOP_S = 0.4875;
/** About one false alarm an hour in the development scenes, which are full of sounds that fool. */
const BALANCED: MachineSettings = { on: 2.75, off: 1, windows: 4, releaseMs: 4_000 };

/** What the words mean; docs/cry.md shows how they were chosen. */
export const CRY_MACHINES: Readonly<Record<Sensitivity, MachineSettings>> = {
  low: { ...BALANCED, on: 4, off: 2.25 },
  balanced: BALANCED,
  high: { ...BALANCED, on: 1.25, off: -0.5 },
};

/** Settings of the machine, whose evidence are log-odds. */
export function crySettings(settings: CrySettings): MachineSettings {
  if (typeof settings === 'string') return CRY_MACHINES[settings];
  const { threshold, seconds, release } = settings;
  const on = threshold === undefined ? BALANCED.on : Math.log(threshold / (1 - threshold));
  return {
    on,
    off: on - (BALANCED.on - BALANCED.off),
    windows: seconds === undefined ? BALANCED.windows : Math.max(1, Math.round(seconds / HOP_S)),
    releaseMs: release === undefined ? BALANCED.releaseMs : release * 1_000,
  };
}
