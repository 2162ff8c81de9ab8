/**
 * How detections are scored against labels: the rules of the labelled sets in the format of
 * `docs/cry.md` (bouts found, false alarms an hour, delay; AUC and recall at a share of false positives for clips).
 */
const TAIL_S = 2;
const PRE_S = 0.5;
const MERGE_S = 10;
const LONG_S = 30;

export interface Span {
  readonly startS: number;
  readonly endS: number;
}
export interface Bout extends Span {
  readonly snrDb: string;
}
export interface Distractor extends Span {
  readonly name: string;
}
/** A labelled stream. */
export interface Labels {
  readonly bouts: readonly Bout[];
  readonly distractors: readonly Distractor[];
  readonly lengthS: number;
}
/** `startS` is when the detector knew, `endS` when it dropped the alarm. */
export interface Detection extends Span {
  readonly confidence: number;
}

export interface FalseAlarm extends Span {
  readonly count: number;
  readonly near: string;
}

export interface StreamScore {
  readonly bouts: number;
  readonly found: number;
  readonly recall: number;
  readonly hours: number;
  readonly falseAlarms: number;
  readonly falseAlarmsPerHour: number;
  readonly delayMedianS: number;
  readonly delayP95S: number;
  /** Those not found. */
  readonly missed: readonly Bout[];
  readonly alarms: readonly FalseAlarm[];
}

/** Detections less than ten seconds apart are one alarm. */
function merge(detections: readonly Span[]): Span[] {
  const merged: { startS: number; endS: number }[] = [];
  for (const { startS, endS } of detections) {
    const last = merged.at(-1);
    if (last !== undefined && startS - last.endS < MERGE_S) last.endS = Math.max(last.endS, endS);
    else merged.push({ startS, endS });
  }
  return merged;
}

function outside(alarm: Span, bouts: readonly Bout[]): number {
  let covered = 0;
  let from = alarm.startS;
  for (const bout of bouts) {
    const low = Math.max(from, bout.startS - PRE_S);
    const high = Math.min(alarm.endS, bout.endS + MERGE_S);
    if (high > low) {
      covered += high - low;
      from = high;
    }
  }
  return alarm.endS - alarm.startS - covered;
}

/**
 * A bout is found by a detection that overlaps it or the two seconds after it; an alarm that begins in no bout is
 * false, and so is every thirty seconds that one spends outside.
 */
export function scoreStreams(
  streams: readonly { readonly labels: Labels; readonly detections: readonly Detection[] }[],
): StreamScore {
  const delays: number[] = [];
  const missed: Bout[] = [];
  const alarms: FalseAlarm[] = [];
  let bouts = 0;
  let seconds = 0;
  for (const { labels, detections } of streams) {
    const sorted = [...detections].sort((a, b) => a.startS - b.startS);
    seconds += labels.lengthS;
    bouts += labels.bouts.length;
    for (const bout of labels.bouts) {
      const hit = sorted.find((one) => one.startS <= bout.endS + TAIL_S && one.endS >= bout.startS);
      if (hit === undefined) missed.push(bout);
      else delays.push(Math.max(0, hit.startS - bout.startS));
    }
    for (const alarm of merge(sorted)) {
      const begun = labels.bouts.some((b) => b.startS - PRE_S <= alarm.startS && alarm.startS <= b.endS + TAIL_S);
      const count = (begun ? 0 : 1) + Math.floor(outside(alarm, labels.bouts) / LONG_S);
      if (count === 0) continue;
      const near = labels.distractors
        .filter((one) => one.startS - 0.5 <= alarm.startS && alarm.startS <= one.endS + 3)
        .map((one) => one.name);
      alarms.push({ ...alarm, count, near: near.length === 0 ? 'background' : [...new Set(near)].sort().join('+') });
    }
  }
  const falseAlarms = alarms.reduce((sum, alarm) => sum + alarm.count, 0);
  const hours = seconds / 3_600;
  return {
    bouts,
    found: delays.length,
    recall: bouts === 0 ? Number.NaN : delays.length / bouts,
    hours,
    falseAlarms,
    falseAlarmsPerHour: hours === 0 ? Number.NaN : falseAlarms / hours,
    delayMedianS: percentile(delays, 0.5),
    delayP95S: percentile(delays, 0.95),
    missed,
    alarms,
  };
}

/** Linear between the two nearest; NaN of nothing. */
export function percentile(values: readonly number[], share: number): number {
  if (values.length === 0) return Number.NaN;
  const sorted = [...values].sort((a, b) => a - b);
  const at = share * (sorted.length - 1);
  const low = sorted[Math.floor(at)] ?? Number.NaN;
  const high = sorted[Math.ceil(at)] ?? Number.NaN;
  return low + (high - low) * (at - Math.floor(at));
}

/** The share of pairs of a cry and another clip in which the cry has the higher score; equal scores count half. */
export function areaUnderCurve(cries: readonly number[], others: readonly number[]): number {
  const sorted = [...others].sort((a, b) => a - b);
  let wins = 0;
  for (const score of cries) wins += (countBelow(sorted, score, false) + countBelow(sorted, score, true)) / 2;
  return wins / (cries.length * others.length);
}

function countBelow(sorted: readonly number[], value: number, orEqual: boolean): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const one = sorted[middle] ?? Number.POSITIVE_INFINITY;
    if (one < value || (orEqual && one === value)) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The best recall of all thresholds at which no more than this share of the other clips reach it. */
export function recallAtFalsePositives(
  cries: readonly number[],
  others: readonly number[],
  share: number,
): { readonly recall: number; readonly threshold: number } {
  let best = { recall: 0, threshold: Number.POSITIVE_INFINITY };
  for (const threshold of new Set([...cries, ...others])) {
    const falsePositives = others.filter((score) => score >= threshold).length / others.length;
    const recall = cries.filter((score) => score >= threshold).length / cries.length;
    if (falsePositives <= share && recall > best.recall) best = { recall, threshold };
  }
  return best;
}
