import { FlacTrack, isPcm } from '../wire/flac/track.ts';
import type { LiveTrack } from '../wire/mp4/timeline.ts';
import { HearthcamError } from './errors.ts';
import type { AccessUnit, Track } from './media.ts';
import type { Stream } from './stream.ts';

/** The tracks of a stream as MP4 carries them: PCM is turned into FLAC, once for all outputs of the stream. */
export class Mp4Tracks implements Disposable {
  readonly live: readonly LiveTrack[];
  readonly #flac = new Map<number, FlacTrack>();
  readonly #releases: (() => void)[] = [];

  /** @throws HearthcamError when a track's format is not known yet (see `knownFormats`) or can't become FLAC. */
  constructor(stream: Stream, tracks: readonly Track[]) {
    this.live = tracks.map((track) => {
      const { format } = track;
      if (format === null) throw new HearthcamError('mp4.format', `a ${track.codec} track has no format yet`);
      if (!isPcm(format)) return { id: track.id, format };
      const { value, release } = stream.share(`flac:${track.id}`, () => new FlacTrack(format));
      this.#flac.set(track.id, value);
      this.#releases.push(release);
      return { id: track.id, format: value.format };
    });
  }

  /** PCM units as FLAC, all others as they are. */
  convert(units: readonly AccessUnit[]): readonly AccessUnit[] {
    if (this.#flac.size === 0) return units;
    return units.flatMap((unit) => this.#flac.get(unit.trackId)?.convert(unit) ?? unit);
  }

  [Symbol.dispose](): void {
    for (const release of this.#releases.splice(0)) release();
  }
}

/**
 * Waits until the formats of all tracks are known. Audio that stays silent is left out after a second.
 * @returns the tracks that have a format; at least one, and the video if there is one
 * @throws HearthcamError 504 when the video's parameters do not come; the source's failure when that is for good
 */
export async function knownFormats(
  stream: Stream,
  tracks: readonly Track[],
  signal: AbortSignal,
  limits: { readonly videoMs?: number; readonly audioMs?: number } = {},
): Promise<readonly Track[]> {
  const video = tracks.filter((track) => track.kind === 'video');
  const all = await untilTracks(stream, () => tracks.every(hasFormat), signal, limits.audioMs ?? 1_000);
  if (all) return tracks;
  const needed = video.length > 0 ? video : tracks;
  const some = (): boolean => needed.some(hasFormat);
  if (some() || (await untilTracks(stream, some, signal, limits.videoMs ?? 10_000))) return tracks.filter(hasFormat);
  throw new HearthcamError('stream.format', `the camera of "${stream.name}" has sent no key frame yet`, {
    status: 504,
    hint: 'is its key frame interval (I-frame interval) very long?',
  });
}

function hasFormat(track: Track): boolean {
  return track.format !== null;
}

const FAILURE_CHECK_MS = 100;

/** Why nothing will come of any source, e.g. as a picture of this size can't be made; null while something may. */
function lastingFailure(stream: Stream): HearthcamError | null {
  const failures = stream.producers.map(({ state, lastError }) =>
    state === 'waiting' && lastError instanceof HearthcamError && lastError.permanent === true ? lastError : null,
  );
  return failures.every((one) => one !== null) ? (failures[0] ?? null) : null;
}

/** Whether `done` became true, looked at whenever units arrive, before the time is over. */
async function untilTracks(
  stream: Stream,
  done: () => boolean,
  signal: AbortSignal,
  timeoutMs: number,
): Promise<boolean> {
  signal.throwIfAborted();
  if (done()) return true;
  return new Promise<boolean>((resolve, reject) => {
    const finish = (settle: () => void): void => {
      unsubscribe();
      clearTimeout(timer);
      clearInterval(watch);
      signal.removeEventListener('abort', onAbort);
      settle();
    };
    const onAbort = (): void => finish(() => reject(signal.reason));
    const unsubscribe = stream.subscribe(
      () => {
        if (done()) finish(() => resolve(true));
      },
      { immediate: true },
    );
    const timer = setTimeout(() => finish(() => resolve(done())), timeoutMs);
    const watch = setInterval(() => {
      const failure = lastingFailure(stream);
      if (failure !== null) finish(() => reject(failure));
    }, FAILURE_CHECK_MS);
    signal.addEventListener('abort', onAbort, { once: true });
  });
}
