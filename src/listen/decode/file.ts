import { HearthcamError } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import { HelperProcess } from '../../core/process/helper.ts';
import { type Decoded, parseDecoded } from './protocol.ts';

/** A stretch of a file's sound, 16 bits, channels interleaved. */
export interface FileSound {
  readonly samples: Int16Array;
  readonly sampleRateHz: number;
  readonly channels: number;
  /** From the beginning of the file. */
  readonly atMs: number;
}

/** Opening waits for a disk, a piece only for the processor. */
const ANSWER_MS = 60_000;

/**
 * Decodes the sound of a file (whatever FFmpeg knows) in a process of its own, about a second at a time, as fast as it
 * is taken.
 * @throws HearthcamError `listen.file` when it can't be read or holds no sound
 */
export async function* readSound(path: string, log: Log): AsyncGenerator<FileSound, void, void> {
  let waiting = Promise.withResolvers<Decoded>();
  await using helper = new HelperProcess({
    name: 'decoder of files',
    folder: 'listen/decode',
    log,
    onMessage: (message) => waiting.resolve(parseDecoded(message)),
    onExit: (reason) => waiting.reject(reason),
  });
  for (let order: object = { type: 'open', path }; ; order = { type: 'read' }) {
    waiting = Promise.withResolvers();
    helper.send(order);
    const timer = setTimeout(() => {
      helper.kill(new HearthcamError('listen.file', `${path}: nothing was decoded for ${ANSWER_MS / 1_000} s`));
    }, ANSWER_MS);
    const answer = await waiting.promise.finally(() => clearTimeout(timer));
    if (answer.type === 'end') break;
    if (answer.type === 'failed') {
      throw new HearthcamError('listen.file', `can't listen to ${path}: ${answer.message}`, { status: 415 });
    }
    const { samples, rateHz, channels, atS } = answer;
    yield { samples, channels, sampleRateHz: rateHz, atMs: atS * 1_000 };
  }
  // The end of the process is no news any more.
  waiting.promise.catch(() => {});
  waiting = Promise.withResolvers();
  waiting.promise.catch(() => {});
}
