import { type AccessUnit, isVideo } from './media.ts';

/** Called with everything that one read of the source completed. Must not keep the array; the units may be kept. */
export type UnitListener = (units: readonly AccessUnit[]) => void;

export interface SubscribeOptions {
  /** Also hand on audio at once instead of with the next picture (for consumers that pay nothing per hand-over). */
  readonly immediate?: boolean;
}

/** What a new viewer is given first: from the last key frame on, so that it shows a picture within a round trip. */
export interface GopSnapshot {
  /** Starts with a video key frame; audio units in between are included. Empty before the first key frame. */
  readonly units: readonly AccessUnit[];
  /**
   * False when the GOP outgrew its limit: then `units` is the key frame alone, and the viewer has to wait for the next
   * key frame before it can be given further pictures.
   */
  readonly complete: boolean;
}

/** Audio waits this long for a picture to ride with: written on its own it doubles the cost per viewer. */
const RIDE_MS = 40;

/**
 * Hands the access units of one stream to its listeners, once each, in arrival order, and keeps those since the last
 * key frame. It does no work per viewer: a listener is an output's shared packager, not a viewer.
 */
export class Fanout {
  readonly #maxGopBytes: number;
  readonly #onListenerError: (error: unknown) => void;
  #immediate: UnitListener[] = [];
  #riding: UnitListener[] = [];
  #pending: AccessUnit[] = [];
  #ride: AccessUnit[] = [];
  #rideTimer: NodeJS.Timeout | undefined;
  #gop: AccessUnit[] = [];
  #gopBytes = 0;
  #gopComplete = true;
  #hasVideo = false;

  constructor(options: { maxGopBytes: number; onListenerError: (error: unknown) => void }) {
    this.#maxGopBytes = options.maxGopBytes;
    this.#onListenerError = options.onListenerError;
  }

  /** Whether a key frame is kept, so that a decoder could follow. */
  get holdsKey(): boolean {
    return this.#gop.length > 0;
  }

  get listenerCount(): number {
    return this.#immediate.length + this.#riding.length;
  }

  /** Adds a unit to the current burst. Nothing is handed on before `flush`. */
  push(unit: AccessUnit): void {
    this.#pending.push(unit);
  }

  /** Hands the burst on: at once when it holds a picture (or no video is flowing), else with the next one. */
  flush(): void {
    const burst = this.#pending;
    if (burst.length === 0) return;
    this.#pending = [];
    let picture = false;
    for (const unit of burst) {
      this.#remember(unit);
      if (unit.format.kind === 'video') picture = true;
    }
    if (picture) this.#hasVideo = true;
    if (this.#immediate.length > 0) this.#deliver(this.#immediate, burst);
    if (this.#riding.length === 0) return;
    if (!picture && this.#hasVideo) {
      for (const unit of burst) this.#ride.push(unit);
      this.#rideTimer ??= setTimeout(() => this.#endRide(), RIDE_MS).unref();
      return;
    }
    if (this.#ride.length > 0) {
      for (const unit of burst) this.#ride.push(unit);
      this.#endRide();
    } else {
      this.#deliver(this.#riding, burst);
    }
  }

  /**
   * Begins delivery with the next burst. Audio that is still waiting for its picture is handed to the others first,
   * so that `gop()` called right before and the deliveries after it neither overlap nor leave a gap.
   */
  subscribe(listener: UnitListener, options: SubscribeOptions = {}): () => void {
    this.flush();
    this.#endRide();
    if (options.immediate === true) this.#immediate = [...this.#immediate, listener];
    else this.#riding = [...this.#riding, listener];
    return () => {
      this.#immediate = this.#immediate.filter((other) => other !== listener);
      this.#riding = this.#riding.filter((other) => other !== listener);
    };
  }

  /** Hands on what still waits, so that a viewer who is added to a packager now starts on a clean edge. */
  settle(): void {
    this.flush();
    this.#endRide();
  }

  gop(): GopSnapshot {
    return { units: this.#gop.slice(), complete: this.#gopComplete };
  }

  /** Forgets the GOP: the source was lost, and what comes next does not continue it. Listeners stay. */
  reset(): void {
    this.settle();
    this.#gop = [];
    this.#gopBytes = 0;
    this.#gopComplete = true;
    this.#hasVideo = false;
  }

  #remember(unit: AccessUnit): void {
    if (isVideo(unit.format) && unit.key) {
      this.#gop = [unit];
      this.#gopBytes = unit.data.length;
      this.#gopComplete = true;
      return;
    }
    if (this.#gop.length === 0 || !this.#gopComplete) return;
    this.#gopBytes += unit.data.length;
    if (this.#gopBytes > this.#maxGopBytes) {
      this.#gop.length = 1;
      this.#gopComplete = false;
      return;
    }
    this.#gop.push(unit);
  }

  #endRide(): void {
    if (this.#rideTimer !== undefined) {
      clearTimeout(this.#rideTimer);
      this.#rideTimer = undefined;
    }
    if (this.#ride.length === 0) return;
    const units = this.#ride;
    this.#ride = [];
    this.#deliver(this.#riding, units);
  }

  #deliver(listeners: readonly UnitListener[], units: readonly AccessUnit[]): void {
    for (const listener of listeners) {
      try {
        listener(units);
      } catch (error) {
        this.#onListenerError(error);
      }
    }
  }
}
