import type { Consumer, ConsumerInfo } from './consumer.ts';
import { HearthcamError } from './errors.ts';
import { openForHttp } from './live-response.ts';
import { type AccessUnit, isVideo, type VideoFormat } from './media.ts';
import type { MediaWant } from './negotiate.ts';
import type { Stream } from './stream.ts';

export interface KeyFrame {
  readonly format: VideoFormat;
  readonly data: Buffer;
}

export interface KeyFrameLimits {
  /** What `use` can do with. */
  readonly codecs: MediaWant['codecs'];
  readonly timeoutMs: number;
}

/**
 * Calls `use` with the key frame that a viewer who joins now would start with, waiting for the camera and its first
 * one where there is none. When `use` can't do with it (throws what `unusable` accepts), the next one is tried.
 * @throws HearthcamError 504 when there was none by the deadline, 5xx when the camera can't be reached
 */
export async function withKeyFrame<T>(
  stream: Stream,
  who: ConsumerInfo,
  limits: KeyFrameLimits,
  use: (frame: KeyFrame) => T | Promise<T>,
  unusable: (error: unknown) => boolean = () => false,
): Promise<T> {
  const { codecs, timeoutMs } = limits;
  const late = new HearthcamError('frame.timeout', `camera "${stream.name}" gave no key frame in ${timeoutMs} ms`, {
    status: 504,
    hint: 'is the camera on, and is its key frame interval shorter than this?',
  });
  const deadline = new AbortController();
  const timer = setTimeout(() => deadline.abort(late), timeoutMs);
  let consumer: Consumer | undefined;
  try {
    const { signal } = deadline;
    const wants: readonly MediaWant[] = [{ kind: 'video', codecs }];
    const onEnd = (reason: HearthcamError): void => deadline.abort(reason);
    consumer = await openForHttp(stream, { ...who, wants, signal, onEnd });
    const { stream: fed } = consumer;
    const trackId = consumer.tracks[0]?.id ?? -1;
    // What is kept of a camera that is away may be old; a still that claims to be live must not be.
    const cached = fed.running ? usable(fed.gop().units[0], trackId) : undefined;
    const first = cached ?? (await nextKeyFrame(fed, trackId, signal));
    try {
      return await count(consumer, first, use);
    } catch (error) {
      if (!unusable(error)) throw error;
      return await count(consumer, await nextKeyFrame(fed, trackId, signal), use);
    }
  } finally {
    clearTimeout(timer);
    consumer?.close();
  }
}

async function count<T>(consumer: Consumer, unit: KeyFrame, use: (frame: KeyFrame) => T | Promise<T>): Promise<T> {
  consumer.unitsSent++;
  consumer.bytesSent += unit.data.length;
  return use(unit);
}

function usable(unit: AccessUnit | undefined, trackId: number): KeyFrame | undefined {
  if (unit === undefined || unit.trackId !== trackId || !unit.key || !isVideo(unit.format)) return undefined;
  return { format: unit.format, data: unit.data };
}

function nextKeyFrame(stream: Stream, trackId: number, signal: AbortSignal): Promise<KeyFrame> {
  if (signal.aborted) return Promise.reject(signal.reason);
  return new Promise<KeyFrame>((resolve, reject) => {
    const end = (): void => {
      unsubscribe();
      signal.removeEventListener('abort', onAbort);
    };
    const onAbort = (): void => {
      end();
      reject(signal.reason);
    };
    const unsubscribe = stream.subscribe(
      (units) => {
        for (const unit of units) {
          const found = usable(unit, trackId);
          if (found === undefined) continue;
          end();
          resolve(found);
          return;
        }
      },
      { immediate: true },
    );
    signal.addEventListener('abort', onAbort, { once: true });
  });
}
