import { FORGET_MS, MODES, type Mode, orderModes, type Penalty } from './modes.ts';

/** The part of `localStorage` that is used. It may throw: private windows, blocked cookies, a full quota. */
export interface KeyValueStore {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

/**
 * Remembers per stream, in this browser, which modes failed while another one played. A failure that took down every
 * mode (the camera or the server was away) is none of a mode's own and is not remembered.
 */
export class ModeMemory {
  readonly #key: string;
  readonly #store: KeyValueStore | null;
  readonly #nowUnixMs: () => number;
  #penalties: Map<Mode, Penalty> | undefined;

  constructor(stream: string, store: KeyValueStore | null, nowUnixMs: () => number) {
    this.#key = `hearthcam-player:${stream}`;
    this.#store = store;
    this.#nowUnixMs = nowUnixMs;
  }

  order(wanted: readonly Mode[]): readonly Mode[] {
    return orderModes(wanted, this.#load(), this.#nowUnixMs());
  }

  failed(mode: Mode): void {
    const penalties = this.#load();
    const count = (penalties.get(mode)?.count ?? 0) + 1;
    penalties.set(mode, { count, failedAtUnixMs: this.#nowUnixMs() });
    this.#save(penalties);
  }

  /** The mode plays well: what was held against it is forgotten. */
  worked(mode: Mode): void {
    const penalties = this.#load();
    if (penalties.delete(mode)) this.#save(penalties);
  }

  #load(): Map<Mode, Penalty> {
    if (this.#penalties !== undefined) return this.#penalties;
    let text: string | null = null;
    try {
      text = this.#store?.getItem(this.#key) ?? null;
    } catch {
      // No storage here (blocked by the browser): then it is remembered for as long as the page lives.
    }
    this.#penalties = parsePenalties(text, this.#nowUnixMs());
    return this.#penalties;
  }

  #save(penalties: ReadonlyMap<Mode, Penalty>): void {
    try {
      if (penalties.size === 0) this.#store?.removeItem(this.#key);
      else this.#store?.setItem(this.#key, formatPenalties(penalties));
    } catch {
      // As above: it stays in memory.
    }
  }
}

/** `{"webrtc":[2,1795475210966]}`: count and time of each. What isn't of this form, or is old, is left out. */
export function parsePenalties(text: string | null, nowUnixMs: number): Map<Mode, Penalty> {
  const penalties = new Map<Mode, Penalty>();
  if (text === null) return penalties;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return penalties;
  }
  if (typeof value !== 'object' || value === null) return penalties;
  const entries = new Map<string, unknown>(Object.entries(value));
  for (const mode of MODES) {
    const entry: unknown = entries.get(mode);
    if (!Array.isArray(entry)) continue;
    const [count, failedAtUnixMs]: unknown[] = entry;
    if (typeof count !== 'number' || typeof failedAtUnixMs !== 'number') continue;
    if (!(count >= 1) || !(failedAtUnixMs > nowUnixMs - FORGET_MS) || failedAtUnixMs > nowUnixMs + FORGET_MS) continue;
    penalties.set(mode, { count, failedAtUnixMs });
  }
  return penalties;
}

export function formatPenalties(penalties: ReadonlyMap<Mode, Penalty>): string {
  return JSON.stringify(
    Object.fromEntries([...penalties].map(([mode, one]) => [mode, [one.count, one.failedAtUnixMs]])),
  );
}
