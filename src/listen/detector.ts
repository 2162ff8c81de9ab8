import { type MachineSettings, OnsetMachine } from './cry/machine.ts';
import type { Impression } from './scorer.ts';

/** A window as it was heard. */
export interface Heard {
  readonly startMs: number;
  readonly endMs: number;
  readonly levelDb: number;
  readonly noiseDb: number | null;
  /** Null when it was not scored: because it was quiet, or because it was dropped. */
  readonly impression: Impression | null;
  /** It did not stand out of the room's noise. */
  readonly quiet: boolean;
}

/** Why: one window of the time around an event. */
export interface EvidencePoint {
  readonly atMs: number;
  /** Of this window and of the average that decides, as probabilities from 0 to 1. */
  readonly confidence: number;
  readonly averaged: number;
  readonly levelDb: number;
  /** The classes with the highest scores, best first. */
  readonly classes: readonly (readonly [name: string, score: number])[];
}

export interface Detection {
  /** `cry`, or the name of the sound. */
  readonly detection: string;
  readonly state: 'started' | 'updated' | 'ended';
  /** When the sound began, as far as can be told afterwards. */
  readonly startMs: number;
  /** When this was known. */
  readonly knownMs: number;
  /** End of the last window in which it was heard. */
  readonly endMs: number;
  /** Highest and mean averaged confidence, from 0 to 1. */
  readonly confidence: number;
  readonly meanConfidence: number;
  /** From ten seconds before; thinned when the event is long. The same array grows while it lasts. */
  readonly evidence: readonly EvidencePoint[];
}

/** What a detector listens for. */
export interface Ear {
  readonly name: string;
  readonly settings: MachineSettings;
  /** Evidence in an impression, in the unit of `settings.on`. */
  readonly evidence: (impression: Impression) => number;
  /** Evidence of silence. */
  readonly silence: number;
  /** Evidence as a probability. */
  readonly confidence: (evidence: number) => number;
}

const UPDATE_MS = 5_000;
const BEFORE_POINTS = 20;
const MAX_POINTS = 600;
const TOP_CLASSES = 4;

/** Hears one kind of sound in the windows of one camera. Pure: windows in, detections out. */
export class SoundDetector {
  readonly name: string;
  readonly #ear: Ear;
  readonly #machine: OnsetMachine;
  readonly #labels: readonly string[];
  readonly #before: EvidencePoint[] = [];
  #points: EvidencePoint[] = [];
  /** Each such window is kept; grows when an event is long. */
  #every = 1;
  #count = 0;
  #startMs = 0;
  #toldMs = 0;
  #peak = 0;
  #sum = 0;

  constructor(ear: Ear, labels: readonly string[]) {
    this.name = ear.name;
    this.#ear = ear;
    this.#labels = labels;
    this.#machine = new OnsetMachine(ear.settings, ear.silence);
  }

  /** Something is on, or was a moment ago. */
  get active(): boolean {
    return this.#machine.state !== 'idle';
  }

  /** What the last window said. */
  get latest(): EvidencePoint | undefined {
    return this.#before.at(-1);
  }

  retune(settings: MachineSettings): void {
    this.#machine.settings = settings;
  }

  /** @returns what is to be told, or null */
  hear(heard: Heard): Detection | null {
    const { impression, quiet, endMs } = heard;
    // A window that was dropped says nothing; the average goes on without it.
    if (impression === null && !quiet) return null;
    const evidence = impression === null ? this.#ear.silence : this.#ear.evidence(impression);
    const { mean, change } = this.#machine.step(evidence, endMs);
    const averaged = this.#ear.confidence(mean);
    const point: EvidencePoint = {
      atMs: endMs,
      confidence: this.#ear.confidence(evidence),
      averaged,
      levelDb: heard.levelDb,
      classes: impression === null ? [] : this.#topClasses(impression.scores),
    };
    const before = [...this.#before];
    this.#before.push(point);
    if (this.#before.length > BEFORE_POINTS) this.#before.shift();
    if (change === 'started') {
      this.#startMs = this.#onset(before, heard);
      this.#points = before;
      this.#every = 1;
      this.#count = 0;
      this.#toldMs = endMs;
      this.#peak = 0;
      this.#sum = 0;
    } else if (!this.active && change === null) return null;
    this.#keep(point);
    this.#peak = Math.max(this.#peak, averaged);
    this.#sum += averaged;
    if (change !== null) return this.#tell(change, endMs);
    if (endMs - this.#toldMs < UPDATE_MS) return null;
    this.#toldMs = endMs;
    return this.#tell('updated', endMs);
  }

  /** Sound was missing for a while. */
  gap(): void {
    this.#machine.forget();
  }

  /** Ends what is going on, e.g. because listening was switched off or the camera is gone. */
  stop(atMs: number): Detection | null {
    return this.#machine.stop() ? this.#tell('ended', atMs) : null;
  }

  #tell(state: Detection['state'], knownMs: number): Detection {
    return {
      detection: this.name,
      state,
      startMs: this.#startMs,
      knownMs,
      endMs: this.#machine.heardMs,
      confidence: this.#peak,
      meanConfidence: this.#sum / Math.max(1, this.#count),
      evidence: this.#points,
    };
  }

  #keep(point: EvidencePoint): void {
    this.#count += 1;
    if (this.#count % this.#every === 0) this.#points.push(point);
    if (this.#points.length > MAX_POINTS) {
      this.#every *= 2;
      this.#points = this.#points.filter((_, index) => index % 2 === 0);
    }
  }

  /** The average lags behind: the event began with the first of the windows in a row that spoke for it. */
  #onset(before: readonly EvidencePoint[], heard: Heard): number {
    const windows = this.#machine.settings.windows;
    let startMs = heard.startMs;
    for (let back = 1; back < windows; back++) {
      const point = before.at(-back);
      if (point === undefined || point.confidence < 0.5) break;
      startMs = point.atMs - (heard.endMs - heard.startMs);
    }
    return startMs;
  }

  #topClasses(scores: Float32Array): readonly (readonly [string, number])[] {
    const best: number[] = [];
    for (let index = 0; index < scores.length; index++) {
      const score = scores[index] ?? 0;
      if (best.length === TOP_CLASSES && score <= (scores[best.at(-1) ?? 0] ?? 0)) continue;
      const at = best.findIndex((one) => score > (scores[one] ?? 0));
      best.splice(at < 0 ? best.length : at, 0, index);
      if (best.length > TOP_CLASSES) best.pop();
    }
    return best.map((index) => [this.#labels[index] ?? String(index), scores[index] ?? 0] as const);
  }
}
