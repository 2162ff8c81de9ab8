import type { MediaProblem } from '../../wire/codecs/nal-assembler.ts';
import { WireError } from '../errors.ts';
import { type Log, LogLimiter } from '../log.ts';

/** Takes the bytes of one connection in one container and puts what it finds into a `TrackSet`. */
export interface Input {
  /** @throws WireError when this is not the container, or so damaged that only a new connection helps. */
  push(chunk: Buffer): void;
  /** The bytes have come to an end: hands on what still waits. */
  end(): void;
}

/** Trouble within a container: counted, and told once in a while. */
export class Problems {
  readonly #log: Log;
  readonly #streamName: string;
  readonly #limiter = new LogLimiter(60_000);
  count = 0;

  constructor(log: Log, streamName: string) {
    this.#log = log;
    this.#streamName = streamName;
  }

  readonly report = (problem: MediaProblem): void => {
    this.count++;
    const repeated = this.#limiter.admit(problem.code);
    if (repeated === null) return;
    this.#log.warn(`camera "${this.#streamName}": ${problem.message}`, repeated > 0 ? { repeated } : {});
  };

  /** Runs `work`; bytes that are damaged cost the unit they were for, nothing else. */
  guard(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.report({ code: error.code, message: error.message });
    }
  }
}
