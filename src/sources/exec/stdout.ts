import type { Readable } from 'node:stream';
import type { Kind } from '../../core/containers/detect.ts';
import { type BodyKind, describeStart, Feed, type FeedOptions, Sniffer } from '../../core/containers/feed.ts';
import { HearthcamError } from '../../core/errors.ts';
import type { Leash } from './leash.ts';

/** While reading is held back, the stream is told so often that its source is there. */
const HOLD_MS = 1_000;
/** What only a web server answers with. */
const OF_THE_WEB: ReadonlySet<Kind> = new Set(['hls', 'still', 'web']);

export interface StdoutOptions extends Omit<FeedOptions, 'sink'> {
  readonly label: string;
  readonly sink: Leash;
}

/**
 * Reads a program's stdout to its end: finds out by the first bytes what it is, then hands on what is in it. Reading
 * is held back when the media comes faster than it plays; the full pipe then holds the program.
 * @returns when the pipe ends or `signal` is aborted
 * @throws HearthcamError when it is nothing that can be played
 */
export function readStdout(stdout: Readable, options: StdoutOptions, signal: AbortSignal): Promise<void> {
  const { sink, label } = options;
  const sniffer = new Sniffer((head) => unknownOutput(label, head));
  let feed: Feed | undefined;
  let hold: NodeJS.Timeout | undefined;
  const take = (chunk: Buffer, whole = false): void => {
    if (feed !== undefined) {
      feed.push(chunk);
      return;
    }
    sink.alive(chunk.length);
    const kind = sniffer.push(chunk, whole);
    if (kind === undefined) return;
    feed = new Feed(bodyKind(kind, label, sniffer.head), '', options);
    feed.push(sniffer.head);
  };
  const pace = (): void => {
    const excessMs = sink.excessMs;
    if (excessMs === 0) {
      stdout.resume();
      return;
    }
    stdout.pause();
    hold = setTimeout(
      () => {
        sink.alive(0);
        pace();
      },
      Math.min(HOLD_MS, excessMs),
    );
  };
  return new Promise<void>((resolve, reject) => {
    let finished = false;
    const finish = (work: () => void): void => {
      if (finished) return;
      finished = true;
      clearTimeout(hold);
      stdout.off('data', onData);
      signal.removeEventListener('abort', onAbort);
      try {
        work();
        resolve();
      } catch (error) {
        reject(error);
      }
    };
    const onAbort = (): void => finish(() => {});
    const onData = (chunk: Buffer): void => {
      try {
        take(chunk);
        if (sink.excessMs > 0) pace();
      } catch (error) {
        finish(() => {
          throw error;
        });
      }
    };
    stdout.on('data', onData);
    stdout.once('close', () => finish(() => {}));
    stdout.once('end', () =>
      finish(() => {
        if (signal.aborted) return;
        if (feed === undefined && sniffer.head.length > 0) take(Buffer.alloc(0), true);
        feed?.end();
      }),
    );
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
  });
}

function bodyKind(kind: Kind, label: string, head: Buffer): BodyKind {
  if (isBody(kind)) return kind;
  throw unknownOutput(label, head);
}

function isBody(kind: Kind): kind is BodyKind {
  return !OF_THE_WEB.has(kind);
}

function unknownOutput(label: string, head: Buffer): HearthcamError {
  if (head.toString('latin1', 0, 9) === 'YUV4MPEG2') {
    return new HearthcamError('exec.raw', `${label} writes uncompressed pictures (y4m), which are not taken`, {
      status: 502,
      hint: 'let it encode them: ffmpeg … -c:v libx264 -f mpegts -, or -c:v mjpeg -f mjpeg -',
    });
  }
  return new HearthcamError(
    'exec.format',
    `${label} writes something that begins with ${describeStart(head)}, which is no video that we know`,
    { status: 502, hint: 'known: MPEG-TS, FLV, fragmented MP4, MJPEG, H.264, H.265, AAC (ADTS), MP3, WAV' },
  );
}
