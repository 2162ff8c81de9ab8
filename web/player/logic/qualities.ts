import type { KeyValueStore } from './memory.ts';

/** One of the pictures of a camera, as `GET /api/qualities` lists them. */
export interface Quality {
  readonly name: string;
  /** Pixels; 0 while the server doesn't know. */
  readonly width: number;
  readonly height: number;
  readonly kbps: number | null;
}

/** The connection decides; where nothing is known of that (MSE) it is the stream that was named. */
export const AUTO = 'auto';
const MAX_QUALITIES = 50;
const MAX_NAME_LENGTH = 100;

/** What isn't of the expected form is left out. */
export function parseQualities(text: string): readonly Quality[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return [];
  }
  if (!Array.isArray(value)) return [];
  return value.slice(0, MAX_QUALITIES).flatMap((one: unknown): Quality[] => {
    if (typeof one !== 'object' || one === null || !('name' in one) || typeof one.name !== 'string') return [];
    const { name } = one;
    if (name === '' || name.length > MAX_NAME_LENGTH) return [];
    const kbps = 'kbps' in one ? pixels(one.kbps) : 0;
    return [
      {
        name,
        width: 'width' in one ? pixels(one.width) : 0,
        height: 'height' in one ? pixels(one.height) : 0,
        kbps: kbps === 0 ? null : kbps,
      },
    ];
  });
}

function pixels(value: unknown): number {
  return typeof value === 'number' && Number.isInteger(value) && value > 0 ? value : 0;
}

/** `Main 2560×1440`, `720p`. */
export function labelOf({ name, width, height }: Quality): string {
  const title = `${name.slice(0, 1).toUpperCase()}${name.slice(1)}`;
  if (width === 0 || height === 0 || /^\d+p$/.test(name)) return title;
  return `${title} ${width}×${height}`;
}

/** The quality that a picture of this size is; null when none or several could be meant. */
export function qualityOfSize(all: readonly Quality[], width: number, height: number): Quality | null {
  const fitting = all.filter((one) => one.width === width && one.height === height);
  return fitting.length === 1 ? (fitting[0] ?? null) : null;
}

/** Index of the level of an HLS master that a quality is; -1 for none. */
export function levelOf(levels: readonly { width: number; height: number }[], quality: Quality | undefined): number {
  if (quality === undefined || quality.height === 0) return -1;
  return levels.findIndex((one) => one.width === quality.width && one.height === quality.height);
}

/** Remembers per stream, in this browser, what was chosen. */
export class QualityMemory {
  readonly #key: string;
  readonly #store: KeyValueStore | null;

  constructor(stream: string, store: KeyValueStore | null) {
    this.#key = `hearthcam-player-quality:${stream}`;
    this.#store = store;
  }

  get(): string {
    try {
      const name = this.#store?.getItem(this.#key) ?? '';
      return name === '' || name.length > MAX_NAME_LENGTH ? AUTO : name;
    } catch {
      return AUTO;
    }
  }

  set(name: string): void {
    try {
      if (name === AUTO) this.#store?.removeItem(this.#key);
      else this.#store?.setItem(this.#key, name);
    } catch {
      // No storage here (blocked by the browser): then it holds for as long as the page lives.
    }
  }
}

/** A track that was asked for and doesn't come, with the server's reason and the line that would give it. */
export interface Notice {
  /** `quality`: our own, for one that could not be had. */
  readonly kind: 'video' | 'audio' | 'quality';
  readonly reason: string;
  readonly hint: string;
}

/** A `{"type":"notice"}` value, or one of `notices` of a WebRTC viewer's state; null for what is none. */
export function parseNotice(value: unknown): Notice | null {
  if (typeof value !== 'object' || value === null || !('kind' in value) || !('reason' in value)) return null;
  const { kind, reason } = value;
  if ((kind !== 'video' && kind !== 'audio') || typeof reason !== 'string' || reason === '') return null;
  const hint = 'hint' in value && typeof value.hint === 'string' ? value.hint : '';
  return { kind, reason: reason.slice(0, 300), hint: hint.slice(0, 300) };
}

export function parseNotices(state: unknown): readonly Notice[] {
  if (typeof state !== 'object' || state === null || !('notices' in state) || !Array.isArray(state.notices)) return [];
  return state.notices.slice(0, 10).flatMap((one: unknown) => parseNotice(one) ?? []);
}
