import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Labels } from '../../src/listen/evaluate/rules.ts';
import { FOLDS, foldOf, ROUNDS, readClips, readCsv, sceneName } from './scenes.ts';

/** Windows of one recording, as `scores.ts` kept them. */
export interface Recording {
  readonly name: string;
  readonly way: string;
  /** Of each window: 521 scores, in 1/256. */
  readonly scores: readonly Uint8Array[];
  /** Of each window: 1,024 numbers, in `EMBEDDING_STEP`. */
  readonly embeddings: readonly Uint8Array[];
  readonly levels: readonly number[];
}

export interface Scene extends Recording {
  readonly labels: Labels;
  /** The fold that each window is held out with. */
  readonly folds: readonly number[];
  /** 1 cry, 0 not, NaN neither (the edge of a bout). */
  readonly wanted: readonly number[];
  /** Class of the distractor in each window, or ''. */
  readonly distractors: readonly string[];
}
export interface ScoredClip extends Recording {
  readonly cry: boolean;
  readonly class: string;
  readonly fold: number;
}

export const WAYS = ['plain', 'alaw', 'aac'] as const;
/** A row of what `scores.ts` keeps. */
export const SCORES = 521;
export const EMBEDDING = 1_024;
export const ROW_BYTES = SCORES + EMBEDDING + 1;
/** Of YAMNet's quantised embedding. */
export const EMBEDDING_STEP = 0.022328350692987442;
const WINDOW_S = 0.975;
const HOP_S = 0.4875;

function load(directory: string, name: string, way: string): Recording | null {
  const path = join(directory, `${name}.${way}.bin`);
  if (!existsSync(path)) return null;
  const bytes = readFileSync(path);
  const count = bytes.length / ROW_BYTES;
  const rows = Array.from({ length: count }, (_, index) => bytes.subarray(index * ROW_BYTES, (index + 1) * ROW_BYTES));
  return {
    name,
    way,
    scores: rows.map((row) => row.subarray(0, SCORES)),
    embeddings: rows.map((row) => row.subarray(SCORES, SCORES + EMBEDDING)),
    levels: rows.map((row) => -(row[ROW_BYTES - 1] ?? 100)),
  };
}

export function loadClips(audio: string, scores: string): ScoredClip[] {
  return readClips(audio).flatMap((clip) =>
    WAYS.flatMap((way) => {
      const recording = load(scores, clip.file.replaceAll('/', '+'), way);
      if (recording === null) return [];
      return [{ ...recording, cry: clip.label === 'cry', class: clip.class, fold: foldOf(clip.group) }];
    }),
  );
}

export function loadScenes(audio: string, made: string, scores: string): Scene[] {
  const groups = new Map(readClips(audio).map((clip) => [clip.file, clip.group]));
  const csvs: (readonly [string, string, number | null])[] = [
    ['scene-nursery', join(audio, 'scenes/nursery.csv'), null],
    ['scene-no-cry', join(audio, 'scenes/no-cry.csv'), null],
    ...Array.from({ length: FOLDS * ROUNDS }, (_, at) => {
      const name = sceneName(at % FOLDS, Math.floor(at / FOLDS));
      return [name, join(made, `${name}.csv`), at % FOLDS] as const;
    }),
  ];
  return csvs.flatMap(([name, path, fold]) =>
    WAYS.flatMap((way) => {
      const recording = load(scores, name, way);
      if (recording === null || !existsSync(path)) return [];
      const rows = readCsv(path).map((row) => ({
        startS: Number(row['start']),
        endS: Number(row['end']),
        label: row['label'] ?? '',
        name: row['class'] ?? '',
        snrDb: row['snr_db'] ?? '',
        fold: fold ?? foldOf(groups.get((row['source'] ?? '').split('|')[0] ?? '') ?? row['class'] ?? ''),
      }));
      const bouts = rows.filter((row) => row.label === 'cry');
      const labels = {
        bouts,
        distractors: rows.filter((row) => row.label === 'distractor'),
        lengthS: Math.max(...rows.map((row) => row.endS)),
      };
      const folds: number[] = [];
      const wanted: number[] = [];
      const distractors: string[] = [];
      for (let index = 0; index < recording.scores.length; index++) {
        const startS = index * HOP_S;
        const within = (row: { startS: number; endS: number }): number =>
          Math.min(row.endS, startS + WINDOW_S) - Math.max(row.startS, startS);
        const event = rows.find((row) => row.label !== 'background' && within(row) > 0);
        distractors.push(event?.label === 'distractor' ? event.name : '');
        folds.push(event?.fold ?? fold ?? Math.floor(startS / 60) % FOLDS);
        const cry = Math.max(0, ...bouts.map(within));
        wanted.push(cry === 0 ? 0 : cry > 0.6 ? 1 : Number.NaN);
      }
      return [{ ...recording, labels, folds, wanted, distractors }];
    }),
  );
}
