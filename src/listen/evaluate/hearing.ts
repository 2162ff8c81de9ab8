import type { Log } from '../../core/log.ts';
import { HOP_MS, type Loudness } from '../audio/feed.ts';
import { cryEvidence, QUIET_EVIDENCE } from '../cry/evidence.ts';
import type { CrySettings } from '../cry/settings.ts';
import { readSound } from '../decode/file.ts';
import type { Detection } from '../detector.ts';
import { Listener } from '../listener.ts';
import type { Scorer } from '../scorer.ts';
import type { SoundSettings } from '../sounds.ts';

/** One window of a file. */
export interface HeardWindow {
  readonly endMs: number;
  readonly levelDb: number;
  /** Log-odds of a cry. */
  readonly evidence: number;
  readonly confidence: number;
  readonly averaged: number;
  /** YAMNet's own scores: of "Baby cry, infant cry", and the highest of the classes of crying. */
  readonly babyCry: number;
  readonly crying: number;
  readonly quiet: boolean;
}

/** All that was heard in a file; times in ms from its beginning. */
export interface Hearing {
  readonly windows: readonly HeardWindow[];
  readonly detections: readonly Detection[];
  readonly loudness: readonly Loudness[];
  readonly lengthMs: number;
}

export interface HearOptions {
  readonly scorer: Scorer;
  readonly log: Log;
  readonly cry: CrySettings | null;
  readonly sounds?: Readonly<Record<string, SoundSettings>>;
  readonly onDetection?: (detection: Detection) => void;
  /** Silence after the end, so that a clip shorter than a window is heard. */
  readonly padMs?: number;
}

const CRYING = ['Crying, sobbing', 'Baby cry, infant cry', 'Whimper', 'Wail, moan'];

/**
 * Listens to a file from its beginning to its end, as fast as it can be decoded and scored.
 * @throws HearthcamError when it can't be read
 */
export async function hearFile(path: string, options: HearOptions): Promise<Hearing> {
  const { scorer, log, cry } = options;
  const windows: HeardWindow[] = [];
  const detections: Detection[] = [];
  const loudness: Loudness[] = [];
  const crying = CRYING.map((name) => scorer.labels.indexOf(name));
  const babyCry = scorer.labels.indexOf('Baby cry, infant cry');
  using listener = new Listener({
    scorer,
    cry,
    ...(options.sounds === undefined ? {} : { sounds: options.sounds }),
    maxWaiting: Number.POSITIVE_INFINITY,
    onLoudness: (one) => loudness.push(one),
    onDetection: (detection) => {
      detections.push(detection);
      options.onDetection?.(detection);
    },
    onHeard: ({ endMs, levelDb, impression, quiet }, judged) => {
      const score = (index: number): number => impression?.scores[index] ?? 0;
      windows.push({
        endMs,
        levelDb,
        quiet,
        evidence: impression === null ? QUIET_EVIDENCE : cryEvidence(impression.scores, impression.embedding),
        confidence: judged?.confidence ?? 0,
        averaged: judged?.averaged ?? 0,
        babyCry: score(babyCry),
        crying: Math.max(...crying.map(score)),
      });
    },
  });
  let lengthMs = 0;
  let format = { sampleRateHz: 16_000, channels: 1 };
  for await (const { samples, sampleRateHz, channels, atMs } of readSound(path, log)) {
    listener.push({ samples, sampleRateHz, channels, atMs });
    lengthMs = atMs + (samples.length / channels / sampleRateHz) * 1_000;
    format = { sampleRateHz, channels };
    await listener.settled();
  }
  const padMs = options.padMs ?? HOP_MS;
  const padding = new Int16Array(Math.ceil((padMs / 1_000) * format.sampleRateHz) * format.channels);
  listener.push({ ...format, samples: padding, atMs: lengthMs });
  await listener.settled();
  listener.stop(lengthMs);
  return { windows, detections, loudness, lengthMs };
}
