import type { Socket } from 'node:net';

export interface ViewerLimits {
  /** What may wait in user space for one viewer before pictures are left out. */
  readonly maxQueueBytes: number;
  /** A viewer that takes nothing for so long is closed. */
  readonly maxStuckMs: number;
}

export const DEFAULT_VIEWER_LIMITS: ViewerLimits = { maxQueueBytes: 4 * 1024 * 1024, maxStuckMs: 10_000 };

/**
 * Writes shared buffers to one TCP viewer without ever holding much for it: when more than the limit waits, pictures
 * are left out until its queue has drained and a key frame comes; a viewer that takes nothing for long is closed.
 * Works without timers: every check happens when there is something to send.
 */
export class SocketViewer {
  readonly #socket: Socket;
  readonly #limits: ViewerLimits;
  readonly #onStuck: () => void;
  #skipping = false;
  #lastTakenBytes = 0;
  #lastTakenMs: number;
  /** Bursts left out so far. */
  skipped = 0;

  constructor(socket: Socket, limits: ViewerLimits, nowMs: number, onStuck: () => void) {
    this.#socket = socket;
    this.#limits = limits;
    this.#onStuck = onStuck;
    this.#lastTakenMs = nowMs;
  }

  /** After the join: pictures are left out until the next key frame (the GOP could not be given whole). */
  waitForKey(): void {
    this.#skipping = true;
  }

  /**
   * @param data one burst, shared with all viewers
   * @param startsWithKey whether its first picture is a key frame, so that a viewer may resume with it
   * @returns whether it was written
   */
  send(data: Buffer, startsWithKey: boolean, nowMs: number): boolean {
    const socket = this.#socket;
    const waiting = socket.writableLength;
    if (waiting === 0) {
      this.#lastTakenMs = nowMs;
    } else {
      const taken = socket.bytesWritten - waiting;
      if (taken !== this.#lastTakenBytes) {
        this.#lastTakenBytes = taken;
        this.#lastTakenMs = nowMs;
      } else if (nowMs - this.#lastTakenMs > this.#limits.maxStuckMs) {
        this.#onStuck();
        return false;
      }
      if (waiting > this.#limits.maxQueueBytes) this.#skipping = true;
    }
    if (this.#skipping) {
      if (!startsWithKey || waiting > this.#limits.maxQueueBytes / 4) {
        this.skipped++;
        return false;
      }
      this.#skipping = false;
    }
    socket.write(data);
    return true;
  }
}
