import type { SoundLevel } from '../core/events.ts';

const KEPT_SECONDS = 900;
const SECOND_MS = 1_000;

/** The loudness of each camera over the last quarter of an hour, for the curves of events. */
export class RecentLevels {
  readonly #cameras = new Map<string, SoundLevel[]>();

  add(level: SoundLevel): void {
    let levels = this.#cameras.get(level.camera);
    if (levels === undefined) {
      levels = [];
      this.#cameras.set(level.camera, levels);
    }
    levels.push(level);
    if (levels.length > KEPT_SECONDS) levels.splice(0, levels.length - KEPT_SECONDS);
  }

  /** Forgets cameras that are not listened to any more. */
  keepOnly(cameras: ReadonlySet<string>): void {
    for (const camera of this.#cameras.keys()) if (!cameras.has(camera)) this.#cameras.delete(camera);
  }

  /** dB (A) of each second from `fromMs` on; a second that was not measured is as the one before. */
  of(camera: string, fromMs: number, seconds: number): readonly number[] {
    const levels = this.#cameras.get(camera)?.filter(({ atMs }) => atMs >= fromMs - SECOND_MS) ?? [];
    if (levels.length === 0) return [];
    const out: number[] = [];
    let at = 0;
    let last = levels[0]?.dba ?? 0;
    for (let second = 0; second < seconds; second++) {
      const untilMs = fromMs + (second + 1) * SECOND_MS;
      for (let level = levels[at]; level !== undefined && level.atMs < untilMs; level = levels[++at]) last = level.dba;
      out.push(last);
    }
    return out;
  }
}
