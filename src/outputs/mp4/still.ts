import { HearthcamError } from '../../core/errors.ts';
import { openForHttp } from '../../core/live-response.ts';
import { type AccessUnit, isVideo, VIDEO_CLOCK_HZ } from '../../core/media.ts';
import type { Consumer, ConsumerInfo, Stream } from '../../core/stream.ts';
import type { InitOptions } from '../../wire/mp4/init.ts';
import { mp4Mime } from '../../wire/mp4/mime.ts';
import { keyframeMp4 } from '../../wire/mp4/still.ts';

export interface Still {
  readonly mime: string;
  readonly data: Buffer;
}

/**
 * A whole MP4 of the key frame that a viewer would start with now, or of the first one that comes.
 * @throws HearthcamError 504 when none comes in time, 5xx when the camera can't be reached
 */
export async function stillMp4(
  stream: Stream,
  who: ConsumerInfo,
  timeoutMs: number,
  init: InitOptions,
): Promise<Still> {
  const deadline = new AbortController();
  const timer = setTimeout(() => {
    deadline.abort(
      new HearthcamError('frame.timeout', `camera "${stream.name}" gave no key frame in ${timeoutMs} ms`, {
        status: 504,
        hint: 'is the camera on, and is its key frame interval shorter than this?',
      }),
    );
  }, timeoutMs);
  let consumer: Consumer | undefined;
  try {
    consumer = await openForHttp(stream, {
      ...who,
      wants: [{ kind: 'video', codecs: ['h264', 'h265', 'av1', 'vp9'] }],
      signal: deadline.signal,
      onEnd: (reason) => deadline.abort(reason),
    });
    const trackId = consumer.tracks[0]?.id ?? -1;
    const [cached] = stream.running ? stream.gop().units : [];
    const unit = cached?.trackId === trackId ? cached : await nextKey(stream, trackId, deadline.signal);
    if (!isVideo(unit.format)) throw new HearthcamError('frame.kind', 'the key frame is not of a video');
    consumer.unitsSent++;
    consumer.bytesSent += unit.data.length;
    return { mime: mp4Mime([unit.format]), data: keyframeMp4(unit.format, unit.data, VIDEO_CLOCK_HZ, init) };
  } finally {
    clearTimeout(timer);
    consumer?.close();
  }
}

function nextKey(stream: Stream, trackId: number, signal: AbortSignal): Promise<AccessUnit> {
  if (signal.aborted) return Promise.reject(signal.reason);
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      unsubscribe();
      reject(signal.reason);
    };
    const unsubscribe = stream.subscribe(
      (units) => {
        const unit = units.find((one) => one.trackId === trackId && one.key);
        if (unit === undefined) return;
        unsubscribe();
        signal.removeEventListener('abort', onAbort);
        resolve(unit);
      },
      { immediate: true },
    );
    signal.addEventListener('abort', onAbort, { once: true });
  });
}
