import { writeFileSync } from 'node:fs';
import { CRY_FEATURES, cryFeatures, QUIET_EVIDENCE } from '../../src/listen/cry/evidence.ts';
import { type MachineSettings, OnsetMachine } from '../../src/listen/cry/machine.ts';
import { CRY_MACHINES } from '../../src/listen/cry/settings.ts';
import {
  areaUnderCurve,
  type Detection,
  recallAtFalsePositives,
  scoreStreams,
} from '../../src/listen/evaluate/rules.ts';
import { type Fit, Samples } from './logistic.ts';
import {
  EMBEDDING_STEP,
  loadClips,
  loadScenes,
  type Recording,
  type Scene,
  type ScoredClip,
  WAYS,
} from './material.ts';
import { FOLDS } from './scenes.ts';

/**
 * Trains the weights of the cry detector on the development half, with cross-validation by recording (`group`), and
 * prints what the detector does on recordings that it was not trained with.
 *
 *   node scripts/cry/train.ts AUDIO_DIR SCENES_DIR SCORES_DIR [WEIGHTS.ts]
 */
const [audio = '', made = '', kept = '', target] = process.argv.slice(2);
/** Chosen by the recall of held-out scenes and clips: 1e-4 finds fewer cries, 1e-6 fewer clips. */
const RIDGE = Number(process.env['RIDGE'] ?? 2e-5);
/** Together the cries weigh so much of the whole. */
const CRY_SHARE = 0.3;
/** A distractor says more than silence and noise, of which there is so much more. */
const DISTRACTOR_WEIGHT = 5;
/** Pauses within a recording of crying are no cries. */
const PAUSE_DB = 20;

function featuresOf({ scores, embeddings }: Recording): Float32Array[] {
  return scores.map((row, index) => {
    const out = new Float32Array(CRY_FEATURES);
    const embedding = Float32Array.from(embeddings[index] ?? [], (one) => one * EMBEDDING_STEP);
    cryFeatures(
      Float32Array.from(row, (one) => one / 256),
      embedding,
      out,
    );
    return out;
  });
}

function train(
  scenes: readonly Scene[],
  clips: readonly ScoredClip[],
  features: Features,
  without: number | null,
): Fit {
  const samples = new Samples(CRY_FEATURES);
  for (const scene of scenes) {
    for (const [index, row] of (features.get(scene) ?? []).entries()) {
      const want = scene.wanted[index] ?? Number.NaN;
      if (Number.isNaN(want) || scene.folds[index] === without) continue;
      const distracts = want === 0 && scene.distractors[index] !== '';
      samples.add(row, want === 1 ? 1 : 0, distracts ? DISTRACTOR_WEIGHT : 1);
    }
  }
  for (const clip of clips) {
    if (clip.fold === without) continue;
    const loudest = Math.max(...clip.levels);
    for (const [index, row] of (features.get(clip) ?? []).entries()) {
      if (clip.cry && (clip.levels[index] ?? 0) < loudest - PAUSE_DB) continue;
      samples.add(row, clip.cry ? 1 : 0, clip.cry ? 1 : DISTRACTOR_WEIGHT);
    }
  }
  return samples.fit(RIDGE, CRY_SHARE);
}

type Features = ReadonlyMap<Recording, readonly Float32Array[]>;

function evidence(fit: Fit | undefined, row: Float32Array): number {
  let z = fit?.bias ?? 0;
  for (const [f, weight] of (fit?.weights ?? []).entries()) z += weight * (row[f] ?? 0);
  return Math.max(QUIET_EVIDENCE, Math.min(-QUIET_EVIDENCE, z));
}

function detect(series: readonly number[], settings: MachineSettings): Detection[] {
  const machine = new OnsetMachine(settings, QUIET_EVIDENCE);
  const out: { startS: number; endS: number; confidence: number }[] = [];
  for (const [index, one] of series.entries()) {
    const endS = index * 0.4875 + 0.975;
    const { change } = machine.step(one, endS * 1_000);
    if (change === 'started') out.push({ startS: endS, endS, confidence: 1 });
    const last = out.at(-1);
    if (last !== undefined && (machine.state !== 'idle' || change === 'ended')) last.endS = endS;
  }
  return out;
}

const scenes = loadScenes(audio, made, kept);
const clips = loadClips(audio, kept);
const features: Features = new Map<Recording, readonly Float32Array[]>(
  [...scenes, ...clips].map((recording) => [recording, featuresOf(recording)]),
);
const write = (text: string): void => {
  process.stdout.write(`${text}\n`);
};

const final = train(scenes, clips, features, null);
if (target !== undefined) writeWeights(final, target);
const fits = Array.from({ length: FOLDS }, (_, fold) => train(scenes, clips, features, fold));
const heldOut = new Map(
  scenes.map((scene) => [
    scene,
    (features.get(scene) ?? []).map((row, index) => evidence(fits[scene.folds[index] ?? 0], row)),
  ]),
);
const seen = new Map(scenes.map((scene) => [scene, (features.get(scene) ?? []).map((row) => evidence(final, row))]));

for (const way of WAYS) {
  const score = (clip: ScoredClip): number => {
    const best = (features.get(clip) ?? [])
      .map((row) => 1 / (1 + Math.exp(-evidence(fits[clip.fold], row))))
      .sort((a, b) => b - a);
    return best.slice(0, 3).reduce((sum, one) => sum + one, 0) / 3;
  };
  const cries = clips.filter((clip) => clip.way === way && clip.cry).map(score);
  const others = clips.filter((clip) => clip.way === way && !clip.cry).map(score);
  const { recall } = recallAtFalsePositives(cries, others, 0.01);
  write(`held-out clips, ${way}: AUC ${areaUnderCurve(cries, others).toFixed(4)}, recall at 1 % ${recall.toFixed(3)}`);
}

function summary(
  pick: (scene: Scene) => boolean,
  series: ReadonlyMap<Scene, readonly number[]>,
  settings: MachineSettings,
): string {
  const score = scoreStreams(
    scenes
      .filter(pick)
      .map((scene) => ({ labels: scene.labels, detections: detect(series.get(scene) ?? [], settings) })),
  );
  const { recall, falseAlarmsPerHour, delayMedianS, delayP95S } = score;
  return [recall.toFixed(3), falseAlarmsPerHour.toFixed(1), delayMedianS.toFixed(1), delayP95S.toFixed(1)].join('/');
}

write('recall / false alarms an hour / median delay / p95');
for (const windows of [3, 4, 5, 6]) {
  for (let on = -0.5; on <= 4; on += 0.25) {
    const settings = { ...CRY_MACHINES.balanced, windows, on, off: on - 1.75 };
    const given = (way: string) => (scene: Scene) => scene.name.startsWith('scene') && scene.way === way;
    const own = (way: string) => (scene: Scene) => scene.name.startsWith('fold') && scene.way === way;
    write(
      [
        `windows ${windows} on ${on.toFixed(2)}`,
        `all held out ${summary(() => true, heldOut, settings)}`,
        `made held out ${WAYS.map((way) => summary(own(way), heldOut, settings)).join('  ')}`,
        `given held out ${WAYS.map((way) => summary(given(way), heldOut, settings)).join('  ')}`,
        `given, trained with ${WAYS.map((way) => summary(given(way), seen, settings)).join('  ')}`,
      ].join(' | '),
    );
  }
}

function writeWeights({ bias, weights }: Fit, path: string): void {
  const step = Math.max(...weights.map(Math.abs)) / 2_000;
  const whole = [...weights].map((weight) => Math.round(weight / step));
  const lines: string[] = [];
  for (let at = 0; at < whole.length; at += 24) lines.push(`${whole.slice(at, at + 24).join(' ')}`);
  writeFileSync(
    path,
    `/** Written by scripts/cry/train.ts: don't edit. Weights of the features of \`cryFeatures\`, in \`CRY_STEP\`. */
export const CRY_BIAS = ${Number(bias.toPrecision(6))};
export const CRY_STEP = ${Number(step.toPrecision(6))};
export const CRY_WEIGHTS = Int16Array.from(
  \`
${lines.join('\n')}
\`
    .trim()
    .split(/\\s+/),
  Number,
);
`,
  );
}
