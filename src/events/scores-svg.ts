import type { StoredEvent } from './repository.ts';

const WIDTH = 800;
const HEIGHT = 240;
const LEFT = 40;
const RIGHT = 44;
const TOP = 28;
const BOTTOM = 24;
const SECOND_MS = 1_000;
/** Shown at the bottom of the scale of loudness; its top is full scale. */
const QUIETEST_DB = -90;

/** Score and loudness of an event over time, as a picture: why it was told, to be seen at a glance. */
export function scoresSvg(event: StoredEvent): string {
  const { scores, levels, scoresFromMs, startMs, durationMs } = event;
  const seconds = Math.max(1, scores.length, levels.length);
  const x = (second: number): number => LEFT + (clamp(second / seconds) * (WIDTH - LEFT - RIGHT) || 0);
  const y = (share: number): number => TOP + (1 - clamp(share)) * (HEIGHT - TOP - BOTTOM);
  const line = (values: readonly number[], share: (value: number) => number): string =>
    values.map((value, index) => `${fixed(x(index + 0.5))},${fixed(y(share(value)))}`).join(' ');
  const from = x((startMs - scoresFromMs) / SECOND_MS);
  const until = x((startMs + durationMs - scoresFromMs) / SECOND_MS);
  const title = `${event.detection} · ${event.camera} · ${new Date(startMs).toISOString()}`;
  const marks = ticks(seconds).map(
    (second) =>
      `<line x1="${fixed(x(second))}" x2="${fixed(x(second))}" y1="${TOP}" y2="${HEIGHT - BOTTOM}" class="g"/>` +
      `<text x="${fixed(x(second))}" y="${HEIGHT - 8}" text-anchor="middle">${clock(second)}</text>`,
  );
  const rows = [0, 0.5, 1].map(
    (share) =>
      `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${fixed(y(share))}" y2="${fixed(y(share))}" class="g"/>` +
      `<text x="${LEFT - 6}" y="${fixed(y(share) + 4)}" text-anchor="end">${share}</text>` +
      `<text x="${WIDTH - RIGHT + 6}" y="${fixed(y(share) + 4)}" class="l">${Math.round(QUIETEST_DB * (1 - share))}</text>`,
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" role="img">`,
    `<title>${escapeXml(title)}</title>`,
    '<style>text{font:11px system-ui,sans-serif;fill:#555}.l{fill:#2a7ab0}.g{stroke:#ddd}polyline{fill:none;stroke-width:2}</style>',
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>`,
    `<rect x="${fixed(from)}" y="${TOP}" width="${fixed(Math.max(1, until - from))}" height="${HEIGHT - TOP - BOTTOM}" fill="#fbe3d6"/>`,
    ...rows,
    ...marks,
    levels.length === 0
      ? ''
      : `<polyline stroke="#2a7ab0" stroke-opacity="0.6" points="${line(levels, (level) => 1 - level / QUIETEST_DB)}"/>`,
    `<polyline stroke="#c8401c" points="${line(scores, (score) => score)}"/>`,
    `<text x="${LEFT}" y="18">${escapeXml(title)}</text>`,
    `<text x="${WIDTH - RIGHT}" y="18" text-anchor="end"><tspan fill="#c8401c">score</tspan> <tspan class="l">dB (A)</tspan></text>`,
    '</svg>\n',
  ].join('\n');
}

function ticks(seconds: number): number[] {
  const step = [1, 2, 5, 10, 30, 60, 120, 300, 600, 1_800].find((one) => seconds / one <= 12) ?? 3_600;
  return Array.from({ length: Math.floor(seconds / step) + 1 }, (_, index) => index * step);
}

function clock(seconds: number): string {
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}

function clamp(share: number): number {
  return Number.isFinite(share) ? Math.min(1, Math.max(0, share)) : 0;
}

function fixed(value: number): string {
  return value.toFixed(1);
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Names are the owner's, but may hold anything; what XML has no place for is left out. */
function escapeXml(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: just these are not allowed (XML 1.0 §2.2)
  const allowed = text.replace(/[\u0000-\u001f\ufffe\uffff]|\p{Surrogate}/gu, '');
  return allowed.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? '');
}
