/** Ways in which the player gets its picture, in the order of its taste. */
export const MODES = ['webrtc', 'mse', 'hls', 'mjpeg'] as const;
export type Mode = (typeof MODES)[number];

export const MODE_NAMES: Readonly<Record<Mode, string>> = {
  webrtc: 'WebRTC',
  mse: 'MSE',
  hls: 'HLS',
  mjpeg: 'MJPEG',
};

/** Words that go2rtc's cards use for the same thing (compatibility.md 1.8, 5.3). */
const SYNONYMS: Readonly<Record<string, Mode>> = { 'webrtc/tcp': 'webrtc', mp4: 'mjpeg', 'll-hls': 'hls' };

/**
 * Reads `mode="webrtc,mse"`. Words that we don't know are left out; when none is left, all modes are meant, so that a
 * misspelt attribute still gives a picture.
 */
export function parseModes(text: string | null | undefined): readonly Mode[] {
  const modes: Mode[] = [];
  for (const word of (text ?? '').toLowerCase().split(/[\s,]+/)) {
    const mode = MODES.find((one) => one === word) ?? SYNONYMS[word];
    if (mode !== undefined && !modes.includes(mode)) modes.push(mode);
  }
  return modes.length > 0 ? modes : MODES;
}

/** What is remembered of a mode that failed while another one played. */
export interface Penalty {
  /** How often in a row. */
  readonly count: number;
  readonly failedAtUnixMs: number;
}
export type Penalties = ReadonlyMap<Mode, Penalty>;

const MINUTE_MS = 60_000;
/** A mode that failed once, twice, … in a row goes to the end of the order for so long. */
const PENALTY_MS: readonly number[] = [2 * MINUTE_MS, 15 * MINUTE_MS, 2 * 60 * MINUTE_MS, 24 * 60 * MINUTE_MS];
/** After so long a failure says nothing any more, not even for the count. */
export const FORGET_MS = 7 * 24 * 60 * MINUTE_MS;

export function penaltyMs(count: number): number {
  return PENALTY_MS[Math.min(Math.max(count, 1), PENALTY_MS.length) - 1] ?? 0;
}

function isPenalised(penalty: Penalty | undefined, nowUnixMs: number): boolean {
  if (penalty === undefined) return false;
  const agoMs = nowUnixMs - penalty.failedAtUnixMs;
  // A clock that was set back must not lock a mode out for years.
  return agoMs >= 0 && agoMs < penaltyMs(penalty.count);
}

/** The order to try: the wanted one, with those that failed lately behind the others, the latest failure last. */
export function orderModes(wanted: readonly Mode[], penalties: Penalties, nowUnixMs: number): readonly Mode[] {
  const good = wanted.filter((mode) => !isPenalised(penalties.get(mode), nowUnixMs));
  const bad = wanted.filter((mode) => isPenalised(penalties.get(mode), nowUnixMs));
  const failedAt = (mode: Mode): number => penalties.get(mode)?.failedAtUnixMs ?? 0;
  return [...good, ...bad.sort((a, b) => failedAt(a) - failedAt(b))];
}
