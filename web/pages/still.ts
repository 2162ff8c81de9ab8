import { reasonFromHttp } from '../player/logic/reasons.ts';
import { el, encode } from './dom.ts';
import type { StreamInfo } from './logic/streams.ts';

/** Between two stills, by the stream's state: asking for one connects to a camera that is idle. */
const EVERY_MS: Readonly<Record<StreamInfo['state'], number>> = { live: 4_000, idle: 30_000, error: 15_000 };
const TIMEOUT_MS = 15_000;

/** The picture of a card, made new now and then while it is in sight. */
export class StillCard {
  readonly element: HTMLAnchorElement;
  readonly #name: string;
  readonly #why = el('span', { class: 'why' });
  readonly #observer: IntersectionObserver;
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #abort = new AbortController();
  #image: HTMLImageElement | null = null;
  #state: StreamInfo['state'] = 'idle';
  #inSight = false;
  #busy = false;
  #problem = '';
  #askedMs = Number.NEGATIVE_INFINITY;

  constructor(name: string, to: string) {
    this.#name = name;
    this.element = el(
      'a',
      { class: 'shot', href: to, 'aria-label': `Play ${name}` },
      this.#why,
      el('span', { class: 'play' }),
    );
    this.#observer = new IntersectionObserver((entries) => {
      this.#inSight = entries.at(-1)?.isIntersecting ?? false;
      this.#maybe();
    });
    this.#observer.observe(this.element);
    this.#timer = setInterval(() => this.#maybe(), 500);
  }

  /** Why the last try gave no picture; empty when it gave one. */
  get problem(): string {
    return this.#problem;
  }

  update(info: StreamInfo): void {
    if (info.state !== this.#state && info.state === 'live') this.#askedMs = Number.NEGATIVE_INFINITY;
    this.#state = info.state;
  }

  close(): void {
    clearInterval(this.#timer);
    this.#observer.disconnect();
    this.#abort.abort();
  }

  #maybe(): void {
    if (this.#busy || !this.#inSight || document.visibilityState === 'hidden') return;
    if (performance.now() - this.#askedMs < EVERY_MS[this.#state]) return;
    this.#busy = true;
    this.#askedMs = performance.now();
    this.#load()
      .catch((error: unknown) => this.#explain(error instanceof Error ? error.message : String(error)))
      .finally(() => {
        this.#busy = false;
      });
  }

  async #load(): Promise<void> {
    const signal = AbortSignal.any([this.#abort.signal, AbortSignal.timeout(TIMEOUT_MS)]);
    const response = await fetch(`api/frame.jpeg?src=${encode(this.#name)}&width=720`, { signal, cache: 'no-store' });
    if (!response.ok) throw new Error(reasonFromHttp(response.status, await response.text()).text);
    const url = URL.createObjectURL(await response.blob());
    const image = el('img', { alt: `${this.#name}, a moment ago` });
    image.src = url;
    try {
      await image.decode();
    } finally {
      // Decoded pictures stay; only the name of the bytes goes.
      URL.revokeObjectURL(url);
    }
    const old = this.#image;
    this.#image = image;
    this.#problem = '';
    if (old === null) this.#why.after(image);
    else {
      // The new one lies beneath the old one, which fades.
      old.before(image);
      old.classList.add('old');
      setTimeout(() => old.remove(), 600);
    }
    this.#explain('');
  }

  #explain(problem: string): void {
    if (problem !== '') this.#problem = problem;
    // The card says why. Over an old picture nothing is written.
    this.#why.textContent = this.#image === null && this.#problem !== '' ? 'No picture' : '';
  }
}
