/** When a detection begins and ends, from a number (evidence) for each window. */
export interface MachineSettings {
  /** Averaged evidence at which it begins. */
  readonly on: number;
  /** Averaged evidence below which it is no longer heard. */
  readonly off: number;
  /** Windows over which the evidence is averaged. */
  readonly windows: number;
  /** So long nothing must be heard until it is over. */
  readonly releaseMs: number;
}

export type MachineState = 'idle' | 'on' | 'holding';

export interface MachineStep {
  /** The averaged evidence. */
  readonly mean: number;
  readonly change: 'started' | 'ended' | null;
}

/** Onset, hold and release over the average of the last windows. */
export class OnsetMachine {
  #settings: MachineSettings;
  /** Evidence of silence: what lies before the first window. */
  readonly #silence: number;
  #recent: number[] = [];
  #state: MachineState = 'idle';
  #heardMs = Number.NEGATIVE_INFINITY;

  constructor(settings: MachineSettings, silence: number) {
    this.#settings = settings;
    this.#silence = silence;
  }

  get settings(): MachineSettings {
    return this.#settings;
  }
  set settings(settings: MachineSettings) {
    this.#settings = settings;
  }

  get state(): MachineState {
    return this.#state;
  }

  /** End of the last window in which it was heard. */
  get heardMs(): number {
    return this.#heardMs;
  }

  step(evidence: number, endMs: number): MachineStep {
    const { windows, on, off, releaseMs } = this.#settings;
    this.#recent.push(evidence);
    if (this.#recent.length > windows) this.#recent = this.#recent.slice(-windows);
    const missing = windows - this.#recent.length;
    const mean = (this.#recent.reduce((sum, one) => sum + one, 0) + missing * this.#silence) / windows;
    if (mean >= (this.#state === 'idle' ? on : off)) {
      const started = this.#state === 'idle';
      this.#state = 'on';
      this.#heardMs = endMs;
      return { mean, change: started ? 'started' : null };
    }
    if (this.#state === 'idle') return { mean, change: null };
    this.#state = 'holding';
    if (endMs - this.#heardMs < releaseMs) return { mean, change: null };
    this.#state = 'idle';
    return { mean, change: 'ended' };
  }

  /** Sound was missing: what came before tells nothing of what comes now. An event that is on goes on for its release. */
  forget(): void {
    this.#recent = [];
  }

  /** Ends what is going on. @returns whether something was */
  stop(): boolean {
    const was = this.#state !== 'idle';
    this.#state = 'idle';
    this.#recent = [];
    return was;
  }
}
