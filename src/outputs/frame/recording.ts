import type { Consumer, ConsumerInfo } from '../../core/consumer.ts';
import type { AnimationRequest } from '../../core/contracts.ts';
import { HearthcamError } from '../../core/errors.ts';
import { openForHttp } from '../../core/live-response.ts';
import { type AccessUnit, isVideo, VIDEO_CLOCK_HZ, type VideoFormat } from '../../core/media.ts';
import type { Stream } from '../../core/stream.ts';
import { sameFormat } from '../../wire/codecs/formats.ts';

export type Recording = Pick<AnimationRequest, 'format' | 'units' | 'fromPts'>;

/** About what ten seconds of a 4K camera are. */
const MAX_BYTES = 40 * 1024 * 1024;
/** For the camera, its first key frame, and pictures that are late. */
const PATIENCE_MS = 6_000;

/**
 * The pictures of so many milliseconds: those that the stream has kept since its last key frame, and as many of those
 * that come next as are lacking. What led to the question is in it, and nobody waits longer than has to be.
 * @throws HearthcamError 504 when there is no picture, 5xx when the camera can't be reached
 */
export async function recordPictures(stream: Stream, who: ConsumerInfo, durationMs: number): Promise<Recording> {
  const deadline = new AbortController();
  let consumer: Consumer | undefined;
  const late = new HearthcamError('frame.timeout', `camera "${stream.name}" gave no picture in time`, { status: 504 });
  const timer = setTimeout(() => deadline.abort(late), durationMs + PATIENCE_MS);
  const { signal } = deadline;
  try {
    consumer = await openForHttp(stream, {
      ...who,
      wants: [{ kind: 'video', codecs: 'any' }],
      signal,
      onEnd: (reason) => deadline.abort(reason),
    });
    const recorder = new Recorder(consumer.tracks[0]?.id ?? -1, (durationMs * VIDEO_CLOCK_HZ) / 1000);
    await fill(recorder, consumer.stream, signal);
    const recording = recorder.take();
    if (recording === null) throw signal.aborted ? signal.reason : late;
    consumer.unitsSent += recording.units.length;
    consumer.bytesSent += recording.units.reduce((sum, unit) => sum + unit.data.length, 0);
    return recording;
  } finally {
    clearTimeout(timer);
    consumer?.close();
  }
}

/** Resolves when it is full, or when nothing more may be waited for. */
function fill(recorder: Recorder, stream: Stream, signal: AbortSignal): Promise<void> {
  stream.settle();
  const { units, complete } = stream.gop();
  // What is kept of a camera that is away may be old.
  if (stream.running && complete) for (const unit of units) recorder.add(unit);
  if (recorder.full || signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const end = (): void => {
      unsubscribe();
      signal.removeEventListener('abort', end);
      resolve();
    };
    const unsubscribe = stream.subscribe(
      (burst) => {
        for (const unit of burst) recorder.add(unit);
        if (recorder.full) end();
      },
      { immediate: true },
    );
    signal.addEventListener('abort', end, { once: true });
  });
}

/** Keeps the last so many ticks, from the key frame before them on. */
class Recorder {
  readonly #trackId: number;
  readonly #ticks: number;
  #units: AccessUnit[] = [];
  #format: VideoFormat | undefined;
  #bytes = 0;
  #firstPts = 0;
  #lastPts = 0;

  constructor(trackId: number, ticks: number) {
    this.#trackId = trackId;
    this.#ticks = ticks;
  }

  get full(): boolean {
    // The last picture is shown too, for about as long as it takes to the next one.
    const step = (this.#lastPts - this.#firstPts) / Math.max(1, this.#units.length - 1);
    const long = this.#units.length > 1 && this.#lastPts - this.#firstPts + step >= this.#ticks;
    return long || this.#bytes > MAX_BYTES;
  }

  add(unit: AccessUnit): void {
    const { format } = unit;
    if (unit.trackId !== this.#trackId || !isVideo(format)) return;
    if (this.#format === undefined || (format !== this.#format && !sameFormat(format, this.#format))) {
      // One file has pictures of one kind: it begins anew.
      if (!unit.key) return;
      this.#format = format;
      this.#units = [];
      this.#bytes = 0;
    }
    if (this.#units.length === 0) this.#firstPts = unit.pts;
    this.#lastPts = Math.max(this.#units.length === 0 ? unit.pts : this.#lastPts, unit.pts);
    this.#units.push(unit);
    this.#bytes += unit.data.length;
  }

  take(): Recording | null {
    const format = this.#format;
    if (format === undefined || this.#units.length === 0) return null;
    const fromPts = this.#lastPts - this.#ticks;
    const begin = this.#units.findLastIndex((unit) => unit.key && unit.pts <= fromPts);
    const units = begin > 0 ? this.#units.slice(begin) : this.#units;
    return { format, units, fromPts: Math.max(fromPts + 1, this.#firstPts) };
  }
}
