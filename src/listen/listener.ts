import { type Loudness, type Pcm, SoundFeed, type SoundWindow } from './audio/feed.ts';
import { confidenceOf, cryEvidence, QUIET_EVIDENCE } from './cry/evidence.ts';
import type { MachineSettings } from './cry/machine.ts';
import { type CrySettings, crySettings } from './cry/settings.ts';
import { type Detection, type Heard, SoundDetector } from './detector.ts';
import type { Impression, Scorer, ScorerSeat } from './scorer.ts';
import { type SoundSettings, soundEar } from './sounds.ts';

export interface ListenerOptions {
  readonly scorer: Scorer;
  /** Null: not for cries. */
  readonly cry: CrySettings | null;
  /** Other sounds, by name. */
  readonly sounds?: Readonly<Record<string, SoundSettings>>;
  readonly onDetection: (detection: Detection) => void;
  readonly onLoudness?: (loudness: Loudness) => void;
  /** Each window as it was heard, scored or not, in order; with the probability of a cry in it and as averaged. */
  readonly onHeard?: (heard: Heard, cry: { readonly confidence: number; readonly averaged: number } | null) => void;
  readonly onGap?: (atMs: number, gapMs: number) => void;
  /** Windows that may wait for the model. A file waits for the model instead, and loses none. */
  readonly maxWaiting?: number;
}

/** Listens to the sound of one camera: what was decoded goes in, what was heard comes out, in the order of the sound. */
export class Listener implements Disposable {
  readonly #options: ListenerOptions;
  readonly #feed: SoundFeed;
  readonly #seat: ScorerSeat;
  readonly #detectors: SoundDetector[];
  readonly #cry: SoundDetector | undefined;
  /** Windows whose turn to be judged has not come: the first of them is with the model. */
  readonly #waiting: { readonly window: SoundWindow; impression: Impression | null | undefined }[] = [];
  #settled = Promise.withResolvers<void>();
  #closed = false;

  /** @throws HearthcamError `listen.sound` for a sound that the model does not know */
  constructor(options: ListenerOptions) {
    this.#options = options;
    const { labels } = options.scorer;
    this.#cry = options.cry === null ? undefined : new SoundDetector(cryEar(options.cry), labels);
    const others = Object.entries(options.sounds ?? {}).map(([name, one]) => soundEar(name, one, labels));
    this.#detectors = [
      ...(this.#cry === undefined ? [] : [this.#cry]),
      ...others.map((ear) => new SoundDetector(ear, labels)),
    ];
    this.#seat = options.scorer.seat(options.maxWaiting);
    this.#feed = new SoundFeed({
      onWindow: (window) => this.#window(window),
      ...(options.onLoudness === undefined ? {} : { onLoudness: options.onLoudness }),
      onGap: (atMs, gapMs) => {
        for (const detector of this.#detectors) detector.gap();
        options.onGap?.(atMs, gapMs);
      },
    });
    this.#settled.resolve();
  }

  /** Windows that wait for the model. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** How loud the room is by itself, in dBFS; null until it is known. */
  get noiseDb(): number | null {
    return this.#feed.noiseDb;
  }

  /** @throws RangeError for sound of a rate or number of channels that no sound has */
  push(pcm: Pcm): void {
    if (!this.#closed) this.#feed.push(pcm);
  }

  /** Other settings for cries from now on; an event that is on goes on. */
  retune(cry: CrySettings): void {
    this.#cry?.retune(crySettings(cry));
  }

  /** Resolves when everything that was pushed has been judged. */
  settled(): Promise<void> {
    return this.#settled.promise;
  }

  /** Ends what is on, e.g. because the camera is gone or listening was switched off. */
  stop(atMs: number): void {
    for (const detector of this.#detectors) this.#tell(detector.stop(atMs));
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    this.#seat[Symbol.dispose]();
    this.#waiting.length = 0;
    this.#settled.resolve();
  }

  #window(window: SoundWindow): void {
    const entry: { window: SoundWindow; impression: Impression | null | undefined } = { window, impression: null };
    if (this.#waiting.length === 0) this.#settled = Promise.withResolvers();
    this.#waiting.push(entry);
    if (window.samples !== null) {
      entry.impression = undefined;
      void this.#seat.score(window.samples).then((impression) => {
        entry.impression = impression;
        this.#judge();
      });
    }
    this.#judge();
  }

  /** In the order of the sound: a quiet window waits for those before it. */
  #judge(): void {
    for (;;) {
      const entry = this.#waiting[0];
      if (entry === undefined || entry.impression === undefined || this.#closed) break;
      this.#waiting.shift();
      const { startMs, endMs, levelDb, noiseDb, samples } = entry.window;
      const heard: Heard = { startMs, endMs, levelDb, noiseDb, impression: entry.impression, quiet: samples === null };
      for (const detector of this.#detectors) this.#tell(detector.hear(heard));
      this.#feed.attentive = this.#detectors.some((detector) => detector.active);
      this.#options.onHeard?.(heard, this.#cry?.latest ?? null);
    }
    if (this.#waiting.length === 0) this.#settled.resolve();
  }

  #tell(detection: Detection | null): void {
    if (detection !== null) this.#options.onDetection(detection);
  }
}

function cryEar(settings: CrySettings) {
  const machine: MachineSettings = crySettings(settings);
  return {
    name: 'cry',
    settings: machine,
    evidence: ({ scores, embedding }: Impression) => cryEvidence(scores, embedding),
    silence: QUIET_EVIDENCE,
    confidence: confidenceOf,
  };
}
