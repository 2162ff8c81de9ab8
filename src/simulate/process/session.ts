import { VIDEO_CLOCK_HZ } from '../../core/media.ts';
import type { FromMaker, StreamPlan } from '../protocol.ts';
import { AudioEncoder } from './audio-encoder.ts';
import { Stage } from './stage.ts';
import { VideoEncoder } from './video-encoder.ts';

/** Later than this, pictures are left out instead of being sent all at once. */
const MAX_LATE_MS = 500;
/** With so much waiting, the server does not read: nothing new is made for it. */
const MAX_WAITING_BYTES = 4 * 1024 * 1024;
/** How many levels of noise there are when a bit rate is asked for. */
const NOISE_LEVELS = 14;

export interface Outlet {
  send(message: FromMaker): void;
  waitingBytes(): number;
}

/** One stream while somebody watches it: draws, codes and sends, in real time. */
export class Session implements Disposable {
  readonly #id: number;
  readonly #outlet: Outlet;
  readonly #startMs: number;
  /** `performance.now()` at `startMs`: a clock that is set does not move the pictures. */
  readonly #originMs: number;
  #plan: StreamPlan;
  #stage: Stage;
  #video: VideoEncoder;
  readonly #audio: AudioEncoder | undefined;
  /** Place of the next picture on the time line, and how many there were: they differ when some were left out. */
  #slot = 0;
  #pictures = 0;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(id: number, plan: StreamPlan, outlet: Outlet) {
    this.#id = id;
    this.#plan = plan;
    this.#outlet = outlet;
    this.#stage = makeStage(plan);
    this.#video = new VideoEncoder(plan);
    const nowMs = Date.now();
    // Pictures lie on the full second, so that the lamp is lit from the first picture of a second on.
    this.#startMs = (Math.ceil((nowMs / 1000) * plan.fps) / plan.fps) * 1000;
    this.#originMs = performance.now() + this.#startMs - nowMs;
    this.#audio = plan.audio === 'none' ? undefined : new AudioEncoder(plan.audio, this.#startMs);
    const config = this.#audio?.config ?? Buffer.alloc(0);
    outlet.send({ type: 'started', id, startMs: this.#startMs, config });
    this.#plant();
  }

  /** From the next picture on, which is a key frame. */
  resize(width: number, height: number): void {
    const plan = { ...this.#plan, width, height };
    const video = new VideoEncoder(plan);
    this.#video[Symbol.dispose]();
    this.#video = video;
    this.#plan = plan;
    this.#stage = makeStage(plan);
  }

  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#video[Symbol.dispose]();
    this.#audio?.[Symbol.dispose]();
  }

  #plant(): void {
    const dueMs = this.#originMs + (this.#slot * 1000) / this.#plan.fps;
    this.#timer = setTimeout(() => this.#tick(), Math.max(0, dueMs - performance.now()));
  }

  #tick(): void {
    const elapsedMs = performance.now() - this.#originMs;
    const dueMs = (this.#slot * 1000) / this.#plan.fps;
    const late = elapsedMs - dueMs > MAX_LATE_MS;
    if (late || this.#outlet.waitingBytes() > MAX_WAITING_BYTES) {
      this.#slot = Math.ceil((elapsedMs * this.#plan.fps) / 1000);
      this.#audio?.skipTo(this.#startMs + elapsedMs);
    } else {
      this.#make(dueMs);
      this.#slot++;
    }
    this.#plant();
  }

  #make(dueMs: number): void {
    const id = this.#id;
    const wallMs = Math.round(this.#startMs + dueMs);
    this.#stage.draw(this.#pictures++, wallMs);
    const ticks = Math.round((dueMs * VIDEO_CLOCK_HZ) / 1000);
    for (const picture of this.#video.encode(this.#stage.picture, ticks)) {
      this.#outlet.send({ type: 'video', id, ...picture });
    }
    if (this.#audio === undefined) return;
    for (const sound of this.#audio.encodeUntil(wallMs)) this.#outlet.send({ type: 'audio', id, ...sound });
  }
}

function makeStage(plan: StreamPlan): Stage {
  const { width, height, scene, title } = plan;
  return new Stage({ width, height, scene, title, noise: plan.bitRateKbps > 0 ? NOISE_LEVELS : 0 });
}
