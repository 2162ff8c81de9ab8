import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { HearthcamError } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import { confidenceOf, QUIET_EVIDENCE } from '../cry/evidence.ts';
import { type MachineSettings, OnsetMachine } from '../cry/machine.ts';
import { type CrySettings, crySettings } from '../cry/settings.ts';
import type { Scorer } from '../scorer.ts';
import { type HeardWindow, type Hearing, hearFile } from './hearing.ts';
import { readClipLabels, readSceneLabels } from './labels.ts';
import {
  areaUnderCurve,
  type Detection,
  type Labels,
  recallAtFalsePositives,
  type StreamScore,
  scoreStreams,
} from './rules.ts';

/** Brings a file through a codec: gives the path of what came out, or throws. */
export type Through = (path: string) => Promise<string>;

export interface EvaluateOptions {
  readonly directory: string;
  readonly scorer: Scorer;
  readonly log: Log;
  readonly cry: CrySettings;
  /** By name: as it is, and through codecs. */
  readonly ways: Readonly<Record<string, Through>>;
  readonly onProgress?: (done: number, total: number) => void;
}

export interface CurvePoint extends StreamScore {
  readonly threshold: number;
}
export interface ClipScore {
  readonly cries: number;
  readonly others: number;
  readonly auc: number;
  readonly recallAt1Percent: number;
}
/** One row of the table: a detector on one way. */
export interface Row {
  readonly detector: string;
  readonly way: string;
  readonly scenes: StreamScore | null;
  readonly clips: ClipScore | null;
}
export interface Evaluation {
  readonly rows: readonly Row[];
  /** Recall and false alarms of ours over thresholds from 0 to 1, by way. */
  readonly curves: Readonly<Record<string, readonly CurvePoint[]>>;
  /** Detections of ours: way, scene. */
  readonly detections: readonly {
    readonly way: string;
    readonly scene: string;
    readonly detections: readonly Detection[];
  }[];
  readonly clipScores: readonly { readonly way: string; readonly file: string; readonly score: number }[];
}

interface HeardScene {
  readonly way: string;
  readonly name: string;
  readonly labels: Labels;
  readonly hearing: Hearing;
}
interface HeardClip {
  readonly way: string;
  readonly file: string;
  readonly cry: boolean;
  readonly hearing: Hearing;
}

/** Frigate's audio detector: windows without overlap, RMS of at least 500 of 32,768, score 0.8, gone after 30 s. */
const FRIGATE = { levelDb: 20 * Math.log10(500 / 32_768), score: 0.8, holdS: 30 };
/** The alarm by one score lasts while it is reached, and as long after as ours. */
const SINGLE_THRESHOLDS = Array.from({ length: 39 }, (_, index) => (index + 1) / 40);
const CURVE = Array.from({ length: 33 }, (_, index) => -4 + index / 4);
const CLIP_WINDOWS = 3;

/**
 * Scores the cry detector and two simple rules on a labelled folder: `scenes/*.csv` with the sound beside each,
 * `clips/labels.csv`.
 * @throws HearthcamError `listen.labels` if the folder has neither
 */
export async function evaluate(options: EvaluateOptions): Promise<Evaluation> {
  const { directory } = options;
  const scenes = await sceneFiles(join(directory, 'scenes'));
  const clipList = join(directory, 'clips/labels.csv');
  const clips = existsSync(clipList) ? await readClipLabels(clipList) : [];
  if (scenes.length === 0 && clips.length === 0) {
    throw new HearthcamError('listen.labels', `${directory} holds neither scenes/*.csv nor clips/labels.csv`, {
      status: 400,
    });
  }
  const ways = Object.entries(options.ways);
  const total = ways.length * (scenes.length + clips.length);
  let done = 0;
  const hear = async (path: string, through: Through, padMs?: number): Promise<Hearing> => {
    const hearing = await hearFile(await through(path), { ...options, ...(padMs === undefined ? {} : { padMs }) });
    done += 1;
    options.onProgress?.(done, total);
    return hearing;
  };
  const heardScenes: HeardScene[] = [];
  const heardClips: HeardClip[] = [];
  for (const [way, through] of ways) {
    for (const { name, sound, csv } of scenes) {
      heardScenes.push({ way, name, labels: await readSceneLabels(csv), hearing: await hear(sound, through) });
    }
    for (const { file, cry } of clips) {
      heardClips.push({ way, file, cry, hearing: await hear(join(directory, 'clips', file), through, 1_000) });
    }
  }
  const machine = crySettings(options.cry);
  const single = bestSingle(heardScenes, machine);
  const detectors: readonly (readonly [string, (scene: HeardScene) => Detection[], (hearing: Hearing) => number])[] = [
    ['Hearthcam', ({ hearing }) => ours(hearing), ({ windows }) => clipScore(windows)],
    ["Frigate's rule", ({ hearing }) => frigate(hearing.windows), ({ windows }) => highest(windows, frigateScore)],
    [
      `baby cry ≥ ${single}`,
      ({ hearing }) => bySingle(hearing.windows, single, machine),
      ({ windows }) => highest(windows, ({ babyCry }) => babyCry),
    ],
  ];
  const rows = detectors.flatMap(([detector, detect, score]) =>
    ways.map(([way]) => ({
      detector,
      way,
      scenes: scoreOf(
        heardScenes.filter((scene) => scene.way === way),
        detect,
      ),
      clips: clipsOf(
        heardClips.filter((clip) => clip.way === way),
        score,
      ),
    })),
  );
  const curves = Object.fromEntries(
    ways.map(([way]) => [
      way,
      curveOf(
        heardScenes.filter((scene) => scene.way === way),
        machine,
      ),
    ]),
  );
  return {
    rows,
    curves,
    detections: heardScenes.map(({ way, name, hearing }) => ({ way, scene: name, detections: ours(hearing) })),
    clipScores: heardClips.map(({ way, file, hearing }) => ({ way, file, score: clipScore(hearing.windows) })),
  };
}

async function sceneFiles(directory: string): Promise<{ name: string; sound: string; csv: string }[]> {
  if (!existsSync(directory)) return [];
  const files = await readdir(directory);
  return files
    .filter((file) => file.endsWith('.csv'))
    .sort()
    .flatMap((csv) => {
      const name = csv.slice(0, -4);
      const sound = files.find((file) => file !== csv && file.startsWith(`${name}.`));
      return sound === undefined ? [] : [{ name, sound: join(directory, sound), csv: join(directory, csv) }];
    });
}

/** What the listener told: an event from when it was known to when it was dropped. */
function ours({ detections }: Hearing): Detection[] {
  const out: Detection[] = [];
  let startS = 0;
  for (const { state, knownMs, confidence } of detections) {
    if (state === 'started') startS = knownMs / 1_000;
    if (state === 'ended') out.push({ startS, endS: knownMs / 1_000, confidence });
  }
  return out;
}

function clipScore(windows: readonly HeardWindow[]): number {
  const best = windows.map(({ confidence }) => confidence).sort((a, b) => b - a);
  return best.slice(0, CLIP_WINDOWS).reduce((sum, one) => sum + one, 0) / CLIP_WINDOWS;
}

function highest(windows: readonly HeardWindow[], score: (window: HeardWindow, index: number) => number): number {
  return windows.reduce((best, window, index) => Math.max(best, score(window, index)), 0);
}

function frigateScore({ crying, levelDb }: HeardWindow, index: number): number {
  return index % 2 === 0 && levelDb >= FRIGATE.levelDb ? crying : 0;
}

function frigate(windows: readonly HeardWindow[]): Detection[] {
  return alarms(windows, (window, index) => frigateScore(window, index) >= FRIGATE.score, FRIGATE.holdS);
}

function bySingle(windows: readonly HeardWindow[], threshold: number, machine: MachineSettings): Detection[] {
  return alarms(windows, ({ babyCry }) => babyCry >= threshold, machine.releaseMs / 1_000);
}

function alarms(
  windows: readonly HeardWindow[],
  heard: (window: HeardWindow, index: number) => boolean,
  holdS: number,
): Detection[] {
  const out: { startS: number; endS: number; confidence: number }[] = [];
  for (const [index, window] of windows.entries()) {
    if (!heard(window, index)) continue;
    const atS = window.endMs / 1_000;
    const last = out.at(-1);
    if (last !== undefined && atS <= last.endS) last.endS = atS + holdS;
    else out.push({ startS: atS, endS: atS + holdS, confidence: 1 });
  }
  return out;
}

/** The threshold with the highest recall at up to one false alarm an hour on all ways together; lower ones first. */
function bestSingle(scenes: readonly HeardScene[], machine: MachineSettings): number {
  let best = { threshold: 1, recall: -1 };
  for (const threshold of SINGLE_THRESHOLDS) {
    const score = scoreOf(scenes, ({ hearing }) => bySingle(hearing.windows, threshold, machine));
    if (score !== null && score.falseAlarmsPerHour <= 1 && score.recall > best.recall) {
      best = { threshold, recall: score.recall };
    }
  }
  return best.threshold;
}

function scoreOf(scenes: readonly HeardScene[], detect: (scene: HeardScene) => Detection[]): StreamScore | null {
  if (scenes.length === 0) return null;
  return scoreStreams(scenes.map((scene) => ({ labels: scene.labels, detections: detect(scene) })));
}

function clipsOf(clips: readonly HeardClip[], score: (hearing: Hearing) => number): ClipScore | null {
  const cries = clips.filter(({ cry }) => cry).map(({ hearing }) => score(hearing));
  const others = clips.filter(({ cry }) => !cry).map(({ hearing }) => score(hearing));
  if (cries.length === 0 || others.length === 0) return null;
  return {
    cries: cries.length,
    others: others.length,
    auc: areaUnderCurve(cries, others),
    recallAt1Percent: recallAtFalsePositives(cries, others, 0.01).recall,
  };
}

/** The same windows, judged with other thresholds. */
function curveOf(scenes: readonly HeardScene[], machine: MachineSettings): CurvePoint[] {
  if (scenes.length === 0) return [];
  return CURVE.map((on) => {
    const settings = { ...machine, on, off: on - (machine.on - machine.off) };
    const score = scoreStreams(
      scenes.map(({ labels, hearing }) => ({ labels, detections: detectAgain(hearing.windows, settings) })),
    );
    return { ...score, threshold: confidenceOf(on) };
  });
}

export function detectAgain(windows: readonly HeardWindow[], settings: MachineSettings): Detection[] {
  const machine = new OnsetMachine(settings, QUIET_EVIDENCE);
  const out: { startS: number; endS: number; confidence: number }[] = [];
  for (const { evidence, endMs } of windows) {
    const { change, mean } = machine.step(evidence, endMs);
    if (change === 'started') out.push({ startS: endMs / 1_000, endS: endMs / 1_000, confidence: confidenceOf(mean) });
    const last = out.at(-1);
    if (last !== undefined && (machine.state !== 'idle' || change === 'ended')) last.endS = endMs / 1_000;
  }
  return out;
}
