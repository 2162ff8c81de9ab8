import type { AccessUnit } from '../../core/media.ts';

export interface RingOptions {
  /** Kept at least, where `maxBytes` allows it. */
  readonly keepMs: number;
  readonly maxBytes: number;
}

/** Pictures older than this many times `keepMs` are let go without the key frame that would replace theirs. */
const MAX_AGE_FACTOR = 3;
/** A unit's own bytes are copied out of a larger read of the camera, lest a little sound keeps all the pictures around it. */
const WORTH_COPYING = 4;

/**
 * The last seconds of a camera: from a key frame on, so that what is taken from it can be shown. Bounded in bytes and in
 * time, whatever the camera sends.
 */
export class UnitRing {
  readonly #options: RingOptions;
  readonly #hasVideo: boolean;
  #units: AccessUnit[] = [];
  #bytes = 0;
  /** Whether a key frame is among them. */
  #hasKey = false;

  constructor(options: RingOptions, hasVideo: boolean) {
    this.#options = options;
    this.#hasVideo = hasVideo;
  }

  get bytes(): number {
    return this.#bytes;
  }
  get units(): readonly AccessUnit[] {
    return this.#units;
  }

  push(units: readonly AccessUnit[]): void {
    for (const unit of units) {
      if (isKeyPicture(unit)) this.#hasKey = true;
      // Pictures that follow one that is not there any more can't be shown.
      if (unit.format.kind === 'video' && !this.#hasKey) continue;
      const kept = unit.format.kind === 'audio' ? withOwnBytes(unit) : unit;
      this.#units.push(kept);
      this.#bytes += kept.data.length;
    }
    this.#trim();
  }

  /** From the last place at or before that time at which a player can begin; else from the first there is. */
  from(wallMs: number): readonly AccessUnit[] {
    let begin = -1;
    for (const [index, unit] of this.#units.entries()) {
      const starts = this.#hasVideo ? isKeyPicture(unit) : true;
      if (!starts) continue;
      if (begin >= 0 && unit.wallMs > wallMs) break;
      begin = index;
    }
    return begin < 0 ? [] : this.#units.slice(begin);
  }

  clear(): void {
    this.#units = [];
    this.#bytes = 0;
    this.#hasKey = false;
  }

  #trim(): void {
    const newest = this.#units.at(-1);
    if (newest === undefined) return;
    const { keepMs, maxBytes } = this.#options;
    const limitMs = newest.arrivedMs - keepMs;
    let drop = 0;
    let dropBytes = 0;
    let bytesBefore = 0;
    for (const [index, unit] of this.#units.entries()) {
      const starts = this.#hasVideo ? isKeyPicture(unit) : true;
      if (starts && index > 0) {
        // What lies before may go when this one is old enough to begin with, or there is too much.
        if (unit.arrivedMs > limitMs && this.#bytes - dropBytes <= maxBytes) break;
        drop = index;
        dropBytes = bytesBefore;
      }
      bytesBefore += unit.data.length;
      if (unit.arrivedMs > limitMs && this.#bytes - dropBytes <= maxBytes) break;
    }
    if (drop > 0) {
      this.#units = this.#units.slice(drop);
      this.#bytes -= dropBytes;
    }
    // Sound that stands before the first key frame begins nothing: it goes by its own time.
    let stale = 0;
    while (isStaleSound(this.#units[stale], limitMs)) stale++;
    for (const unit of this.#units.splice(0, stale)) this.#bytes -= unit.data.length;
    const oldest = this.#units[0];
    if (oldest === undefined) return;
    const tooOld = oldest.arrivedMs < newest.arrivedMs - keepMs * MAX_AGE_FACTOR;
    if (this.#bytes > maxBytes || tooOld) {
      // One group of pictures that is too large or too long: sound alone is left until the next key frame.
      this.#hasKey = false;
      this.#units = this.#units.filter((unit) => unit.format.kind === 'audio' && unit.arrivedMs > limitMs);
      this.#bytes = this.#units.reduce((sum, unit) => sum + unit.data.length, 0);
      if (this.#bytes > maxBytes) this.clear();
    }
  }
}

function isStaleSound(unit: AccessUnit | undefined, limitMs: number): boolean {
  return unit !== undefined && unit.format.kind === 'audio' && unit.arrivedMs <= limitMs;
}

function isKeyPicture(unit: AccessUnit): boolean {
  return unit.format.kind === 'video' && unit.key;
}

function withOwnBytes(unit: AccessUnit): AccessUnit {
  const { data } = unit;
  return data.buffer.byteLength > data.length * WORTH_COPYING ? { ...unit, data: Buffer.from(data) } : unit;
}
