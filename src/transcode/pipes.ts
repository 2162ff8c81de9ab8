import { describeError, HearthcamError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import type { Track } from '../core/media.ts';
import type { Scope } from '../core/scope.ts';
import type { Stream } from '../core/stream.ts';
import { type Hardware, type Target, targetKey } from '../core/targets.ts';
import { planAudio } from './audio-format.ts';
import type { HardwareService } from './hardware/hardware.ts';
import { MadeTrack } from './made-track.ts';
import { Pipe } from './pipe.ts';
import { PipeHardware } from './pipe-hardware.ts';
import { checkVideoTarget, scaledSize } from './process/video-target.ts';
import { JobError } from './protocol.ts';
import { Worker } from './worker.ts';

export interface PipesOptions {
  readonly log: Log;
  /** The processes end with it. */
  readonly scope: Scope;
  /** Videos that may be coded at the same time. */
  readonly maxEncodes: () => number;
  /** What may be done by hardware; absent: nothing. */
  readonly hardware?: { readonly service: HardwareService; readonly setting: () => Hardware | 'off' };
  /** See `WorkerOptions`; for tests. */
  readonly hangMs?: number;
}

const MAX_AUDIO_RSS_BYTES = 500_000_000;
const MAX_VIDEO_RSS_BYTES = 2_000_000_000;
/** A camera that changed its codec is described again within this time. */
const COMING_BACK_MS = 10_000;

/**
 * The made tracks of all streams and the processes that make them: one for all sound, as it costs little, and one for
 * each picture that is decoded, so that none waits for another.
 */
export class Pipes {
  readonly #options: PipesOptions;
  readonly #audio: Worker;
  readonly #workers = new Set<Worker>();
  #lastId = 0;
  /** Videos that are coded. */
  readonly #coded = new Set<MadeTrack>();
  /** Places of those that come back in a moment, by what is made. */
  readonly #kept = new Map<string, NodeJS.Timeout>();

  constructor(options: PipesOptions) {
    this.#options = options;
    this.#audio = this.#makeWorker('sound', MAX_AUDIO_RSS_BYTES);
    options.scope.defer(async () => {
      for (const timer of this.#kept.values()) clearTimeout(timer);
      this.#kept.clear();
      await Promise.all([...this.#workers].map((worker) => worker.close()));
      await Promise.all(this.#ending);
    });
  }

  /** Process ids of the workers that run now, for the log and for tests. */
  get pids(): readonly number[] {
    return [...this.#workers].flatMap((worker) => worker.pid ?? []);
  }
  /** Units that wait for the processes. */
  get waitingUnits(): number {
    return [...this.#workers].reduce((sum, worker) => sum + worker.waitingUnits, 0);
  }
  /** Videos that are coded now. */
  get encodes(): number {
    return this.#coded.size + this.#mosaics;
  }

  /**
   * The track that `target` means, made of `track` of `stream`. Release it when it is not needed any more.
   * @throws HearthcamError 400 when it can't be made, 503 when as many videos are coded as the owner allows
   */
  take(stream: Stream, track: Track, target: Target): { value: MadeTrack; release: () => void } {
    checkTarget(stream, track, target);
    this.#checkHardware(stream, target);
    return stream.share(`made:${track.id}:${targetKey(target)}`, () => {
      // Sound and JPEGs cost little beside what they are made of.
      const limited = target.kind === 'video' && target.codec !== 'jpeg';
      const place = `${stream.name} ${targetKey(target)}`;
      if (limited) this.#takePlace(place, target, stream);
      const pipe = stream.share(`pipe:${track.id}`, () => this.#makePipe(stream, track));
      const made: MadeTrack = new MadeTrack(
        pipe.value,
        target,
        (error) => this.#options.log.error(`"${stream.name}": a made track failed: ${describeError(error)}`),
        (comingBack) => {
          pipe.release();
          if (this.#coded.delete(made) && comingBack) this.#keepPlace(place);
        },
      );
      if (limited) this.#coded.add(made);
      return made;
    });
  }

  /** @throws HearthcamError 400 for hardware that is known not to work here, where the owner lets any be used */
  #checkHardware(stream: Stream, target: Target): void {
    const { hardware } = this.#options;
    if (hardware === undefined || target.kind !== 'video' || target.hardware === undefined) return;
    if (hardware.setting() === 'off') return;
    const problem = hardware.service.problem(target.hardware);
    if (problem === null) return;
    throw new HearthcamError('codec.hardware', `${target.codec} of "${stream.name}" can't be made: ${problem}`, {
      status: 400,
      permanent: true,
      hint: 'leave #hardware out, or write #hardware alone',
    });
  }

  /** Those who watch come before those who have just left. @throws HearthcamError 503 */
  #takePlace(place: string, target: Target, stream: Stream): void {
    const kept = this.#kept.get(place);
    if (kept !== undefined) {
      clearTimeout(kept);
      this.#kept.delete(place);
      return;
    }
    const limit = this.#options.maxEncodes();
    if (this.encodes + this.#kept.size < limit) return;
    const text = `${limit} ${limit === 1 ? 'video is' : 'videos are'} coded already, which is the limit`;
    const idle = [...this.#coded].find((made) => made.idle);
    if (idle === undefined || this.encodes + this.#kept.size > limit) {
      throw new HearthcamError('codec.limit', `${targetKey(target)} of "${stream.name}" is not made: ${text}`, {
        status: 503,
        hint: 'close another viewer, or raise transcode.max_encodes',
      });
    }
    this.#coded.delete(idle);
    idle.fail(
      new HearthcamError('codec.limit', 'it is not made any more: nobody watches it, and another one is to be made', {
        status: 503,
        permanent: true,
      }),
    );
  }

  #keepPlace(place: string): void {
    clearTimeout(this.#kept.get(place));
    this.#kept.set(place, setTimeout(() => this.#kept.delete(place), COMING_BACK_MS).unref());
  }

  /**
   * A process for a mosaic, which counts as a video that is coded, until it is released.
   * @throws HearthcamError 503 when as many videos are coded as the owner allows
   */
  takeMosaic(name: string): { worker: Worker; release: () => void } {
    const limit = this.#options.maxEncodes();
    if (this.encodes >= limit) {
      const text = `${limit} ${limit === 1 ? 'video is' : 'videos are'} coded already, which is the limit`;
      throw new HearthcamError('codec.limit', `the mosaic "${name}" is not made: ${text}`, {
        status: 503,
        hint: 'close another viewer, or raise transcode.max_encodes',
      });
    }
    this.#mosaics++;
    const worker = this.#makeWorker(`mosaic ${name}`, MAX_VIDEO_RSS_BYTES);
    return {
      worker,
      release: () => {
        this.#mosaics--;
        this.#endWorker(worker);
      },
    };
  }
  #mosaics = 0;

  #makePipe(stream: Stream, track: Track): Pipe {
    const { log } = this.#options;
    const id = ++this.#lastId;
    let own: Worker | undefined;
    const onDispose = (): void => {
      if (own !== undefined) this.#endWorker(own);
    };
    const ownWorker = (): Worker => {
      const what = `${track.kind === 'audio' ? 'sound' : 'picture'} of ${stream.name}`;
      own = this.#makeWorker(what, track.kind === 'audio' ? MAX_AUDIO_RSS_BYTES : MAX_VIDEO_RSS_BYTES);
      return own;
    };
    if (track.kind === 'audio') return new Pipe({ stream, track, worker: this.#audio, id, log, ownWorker, onDispose });
    const { hardware } = this.#options;
    const by =
      hardware === undefined ? {} : { hardware: new PipeHardware({ ...hardware, log, name: `"${stream.name}"` }) };
    return new Pipe({ stream, track, worker: ownWorker(), id, log, onDispose, ...by });
  }

  /** The scope waits for its end. */
  #endWorker(worker: Worker): void {
    this.#workers.delete(worker);
    const gone = worker.close().catch((error: unknown) => this.#options.log.warn(describeError(error)));
    this.#ending.add(gone);
    void gone.finally(() => this.#ending.delete(gone));
  }
  readonly #ending = new Set<Promise<void>>();

  #makeWorker(what: string, maxRssBytes: number): Worker {
    const { log, hangMs } = this.#options;
    const name = `codec process (${what})`;
    const worker = new Worker({ name, log, maxRssBytes, ...(hangMs === undefined ? {} : { hangMs }) });
    this.#workers.add(worker);
    return worker;
  }
}

/** What no process has to be started for: sizes and rates that can't be. */
function checkTarget(stream: Stream, track: Track, target: Target): void {
  try {
    if (target.kind === 'video') {
      checkVideoTarget(target);
      if (track.format?.kind === 'video' && track.format.width > 0) scaledSize(target, track.format);
    } else if (track.format?.kind === 'audio') planAudio(target, track.format);
  } catch (error) {
    if (!(error instanceof JobError)) throw error;
    throw new HearthcamError('codec.request', `${target.codec} of "${stream.name}" can't be made: ${error.message}`, {
      status: 400,
      permanent: true,
    });
  }
}
