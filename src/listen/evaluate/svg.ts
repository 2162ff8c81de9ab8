import type { HeardWindow, Hearing } from './hearing.ts';
import type { CurvePoint } from './run.ts';

const WIDTH = 960;
const LEFT = 56;
const RIGHT = 16;
const COLORS = ['#1f6f8b', '#c8553d', '#5b8c2a', '#7a4fa3'];
const TEXT = 'font-family="sans-serif" font-size="12" fill="#333"';

function frame(height: number, body: string): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}"><rect width="100%" height="100%" fill="#fff"/>${body}</svg>\n`;
}

function line(points: readonly (readonly [number, number])[], color: string, width = 1.2): string {
  const path = points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(' ');
  return `<polyline points="${path}" fill="none" stroke="${color}" stroke-width="${width}"/>`;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
}

/** A recording over time: events, how much it sounded like a cry, and how loud it was. */
export function hearingSvg({ windows, detections, lengthMs }: Hearing, title: string): string {
  const x = (ms: number): number => LEFT + (ms / Math.max(1, lengthMs)) * (WIDTH - LEFT - RIGHT);
  const score = (value: number): number => 190 - value * 150;
  const level = (db: number): number => 350 - ((Math.max(-80, db) + 80) / 80) * 130;
  const spans: string[] = [];
  let startMs = 0;
  for (const { state, knownMs, detection } of detections) {
    if (state === 'started') startMs = knownMs;
    if (state === 'ended') {
      const color = detection === 'cry' ? '#f2c14e' : '#bcd4de';
      spans.push(
        `<rect x="${x(startMs).toFixed(1)}" y="40" width="${Math.max(1, x(knownMs) - x(startMs)).toFixed(1)}" height="150" fill="${color}" opacity="0.6"><title>${escaped(detection)}</title></rect>`,
      );
    }
  }
  const shown = (of: (window: HeardWindow) => number): (readonly [number, number])[] =>
    windows.map((window) => [x(window.endMs), of(window)] as const);
  const axis = [0, 0.5, 1].map(
    (value) =>
      `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${score(value)}" y2="${score(value)}" stroke="#ddd"/><text x="${LEFT - 8}" y="${score(value) + 4}" text-anchor="end" ${TEXT}>${value}</text>`,
  );
  const levels = [-80, -40, 0].map(
    (value) =>
      `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${level(value)}" y2="${level(value)}" stroke="#ddd"/><text x="${LEFT - 8}" y="${level(value) + 4}" text-anchor="end" ${TEXT}>${value}</text>`,
  );
  const minutes = lengthMs / 60_000;
  const step = Math.max(0.25, Math.ceil(minutes / 12));
  const ticks = Array.from({ length: Math.floor(minutes / step) + 1 }, (_, index) => index * step).map(
    (minute) => `<text x="${x(minute * 60_000)}" y="372" text-anchor="middle" ${TEXT}>${minute} min</text>`,
  );
  return frame(
    384,
    `<text x="${LEFT}" y="22" ${TEXT}>${escaped(title)}: confidence of a cry (line), events (yellow), level in dBFS (below)</text>` +
      axis.join('') +
      spans.join('') +
      line(
        shown(({ confidence }) => score(confidence)),
        '#b8c4c9',
        0.8,
      ) +
      line(
        shown(({ averaged }) => score(averaged)),
        COLORS[0] ?? '#000',
      ) +
      levels.join('') +
      line(
        shown(({ levelDb }) => level(levelDb)),
        '#777',
        0.8,
      ) +
      ticks.join(''),
  );
}

/** Recall over false alarms an hour, a line for each way that the sound came. */
export function curveSvg(curves: Readonly<Record<string, readonly CurvePoint[]>>): string {
  const maxRate = 20;
  const x = (rate: number): number => LEFT + (Math.min(rate, maxRate) / maxRate) * (WIDTH - LEFT - RIGHT);
  const y = (recall: number): number => 330 - recall * 290;
  const grid = [0, 0.25, 0.5, 0.75, 0.95, 1].map(
    (value) =>
      `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(value)}" y2="${y(value)}" stroke="#ddd"/><text x="${LEFT - 8}" y="${y(value) + 4}" text-anchor="end" ${TEXT}>${value}</text>`,
  );
  const ticks = [0, 1, 5, 10, 15, 20].map(
    (value) =>
      `<line y1="${y(0)}" y2="${y(1)}" x1="${x(value)}" x2="${x(value)}" stroke="#eee"/><text x="${x(value)}" y="350" text-anchor="middle" ${TEXT}>${value}</text>`,
  );
  const lines = Object.entries(curves).map(([way, points], index) => {
    const color = COLORS[index % COLORS.length] ?? '#000';
    const drawn = points.filter(({ falseAlarmsPerHour }) => falseAlarmsPerHour <= maxRate);
    return (
      line(
        drawn.map((point) => [x(point.falseAlarmsPerHour), y(point.recall)] as const),
        color,
        2,
      ) +
      `<text x="${WIDTH - 180}" y="${220 + index * 18}" font-family="sans-serif" font-size="13" fill="${color}">${escaped(way)}</text>`
    );
  });
  return frame(
    372,
    `${grid.join('')}${ticks.join('')}${lines.join('')}<text x="${LEFT}" y="22" ${TEXT}>Share of cries found</text><text x="${WIDTH / 2}" y="367" text-anchor="middle" ${TEXT}>false alarms an hour</text>`,
  );
}
