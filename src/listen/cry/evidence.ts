import { CRY_BIAS, CRY_STEP, CRY_WEIGHTS } from './weights.ts';

/** Evidence beyond this, either way, counts no more: one window can't decide alone. */
const LIMIT = 6;
/** YAMNet's scores come in steps of 1/256: below half a step nothing is known. */
const LOWEST = 1 / 512;
const FLOOR = Math.log(LOWEST / (1 - LOWEST));
/** Brings log-odds to the size of the other features, since the training holds all weights down alike. */
const SCORE_SCALE = 0.3;
export const SCORES = 521;
export const EMBEDDING = 1_024;
export const CRY_FEATURES = EMBEDDING + SCORES;

/**
 * What the judgement is drawn from: the roots of YAMNet's embedding (whether a trait is there says more than how much
 * of it), and the log-odds of its classes above "nothing", which know cats, laughter and singing from far more
 * recordings than a cry detector is ever trained with.
 * @param out `CRY_FEATURES` numbers, all of which are written
 */
export function cryFeatures(scores: ArrayLike<number>, embedding: ArrayLike<number>, out: Float32Array): void {
  for (let at = 0; at < EMBEDDING; at++) {
    const value = embedding[at] ?? 0;
    out[at] = value > 0 ? Math.sqrt(value) : 0;
  }
  for (let at = 0; at < SCORES; at++) {
    const score = scores[at] ?? 0;
    const odds = Math.min(score, 1 - LOWEST) / (1 - Math.min(score, 1 - LOWEST));
    out[EMBEDDING + at] = score > LOWEST ? (Math.log(odds) - FLOOR) * SCORE_SCALE : 0;
  }
}

const features = new Float32Array(CRY_FEATURES);

/**
 * How much a window sounds like a crying baby: log-odds, 0 being even. A linear judgement over what YAMNet says;
 * `scripts/cry/train.ts` found the weights, on the development half.
 */
export function cryEvidence(scores: Float32Array, embedding: Float32Array): number {
  cryFeatures(scores, embedding, features);
  let sum = 0;
  for (let at = 0; at < CRY_FEATURES; at++) {
    const value = features[at] ?? 0;
    if (value !== 0) sum += (CRY_WEIGHTS[at] ?? 0) * value;
  }
  return Math.max(-LIMIT, Math.min(LIMIT, CRY_BIAS + sum * CRY_STEP));
}

/** Evidence of a window in which nothing stood out of the room's own noise. */
export const QUIET_EVIDENCE = -LIMIT;

/** Log-odds as a probability from 0 to 1. */
export function confidenceOf(evidence: number): number {
  return 1 / (1 + Math.exp(-evidence));
}
