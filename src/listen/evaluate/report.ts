import type { StreamScore } from './rules.ts';
import type { Evaluation, Row } from './run.ts';

/** The table of an evaluation, as Markdown. */
export function tableOf({ rows }: Evaluation): string {
  const head = [
    'Detector',
    'Sound',
    'Recall',
    'False alarms/h',
    'Delay median',
    'p95',
    'Clips AUC',
    'Recall at 1 % false',
  ];
  const lines = rows.map((row) => [row.detector, row.way, ...sceneCells(row.scenes), ...clipCells(row)]);
  return [head, head.map(() => '---'), ...lines].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function sceneCells(score: StreamScore | null): string[] {
  if (score === null) return ['–', '–', '–', '–'];
  return [
    `${score.recall.toFixed(3)} (${score.found} of ${score.bouts})`,
    `${score.falseAlarmsPerHour.toFixed(1)} (${score.falseAlarms} in ${score.hours.toFixed(2)} h)`,
    `${score.delayMedianS.toFixed(1)} s`,
    `${score.delayP95S.toFixed(1)} s`,
  ];
}

function clipCells({ clips }: Row): string[] {
  return clips === null ? ['–', '–'] : [clips.auc.toFixed(4), clips.recallAt1Percent.toFixed(3)];
}

/** What was missed and what was taken for a cry, to look at. */
export function mistakesOf({ rows }: Evaluation): string {
  return rows
    .filter(({ scenes }) => scenes !== null)
    .slice(0, new Set(rows.map(({ way }) => way)).size)
    .flatMap(({ way, scenes }) => [
      ...(scenes?.missed ?? []).map(
        (one) => `${way}: missed ${one.startS.toFixed(1)}–${one.endS.toFixed(1)} s (SNR ${one.snrDb} dB)`,
      ),
      ...(scenes?.alarms ?? []).map((one) => `${way}: false alarm at ${one.startS.toFixed(1)} s (${one.near})`),
    ])
    .join('\n');
}

export function curvesOf({ curves }: Evaluation): string {
  return Object.entries(curves)
    .flatMap(([way, points]) =>
      points.map((point) =>
        [
          way,
          point.threshold.toFixed(3),
          point.recall.toFixed(3),
          point.falseAlarmsPerHour.toFixed(1),
          point.delayMedianS.toFixed(1),
        ].join('  '),
      ),
    )
    .join('\n');
}
