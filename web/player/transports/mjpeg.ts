import { boundaryOf, MultipartReader } from '../logic/multipart.ts';
import { type Reason, reasonFromHttp } from '../logic/reasons.ts';
import type { Transport, TransportOptions } from './transport.ts';

export function mjpegSupported(): boolean {
  return 'createImageBitmap' in globalThis && 'ReadableStream' in globalThis;
}

/**
 * Motion JPEG. Read by us instead of by an `<img>`: so a stall is noticed, the server's reason for refusing is known,
 * and no picture piles up (one that comes while another is decoded is left out).
 */
export class MjpegTransport implements Transport {
  readonly element = document.createElement('canvas');
  readonly #options: TransportOptions;
  readonly #abort = new AbortController();
  #over = false;
  #decoding = false;
  #waiting: Uint8Array | null = null;
  #drawS: number | null = null;
  #halfRttS = 0;
  #intervalS = 0;
  #shownMs = Number.NaN;

  constructor(options: TransportOptions) {
    this.#options = options;
  }

  start(): void {
    this.#run().catch((error: unknown) => {
      this.#fail({ kind: 'ended', text: error instanceof Error ? error.message : String(error) });
    });
  }

  stop(): void {
    this.#over = true;
    this.#abort.abort();
  }

  goLive(): void {
    this.#waiting = null;
  }

  /**
   * Half a round trip, drawing, and half of the time until the next picture: so old is what is seen on average. What
   * the camera adds can't be seen from here.
   */
  async latencyS(): Promise<number | null> {
    return this.#drawS === null ? null : this.#halfRttS + this.#drawS + this.#intervalS / 2;
  }

  async #run(): Promise<void> {
    const { server, src, events } = this.#options;
    const dialedMs = performance.now();
    let response: Response;
    try {
      response = await fetch(server.http('api/stream.mjpeg', { src }), {
        signal: this.#abort.signal,
        cache: 'no-store',
      });
    } catch {
      this.#fail({ kind: 'network', text: 'the server can’t be reached' });
      return;
    }
    if (!response.ok) {
      this.#fail(reasonFromHttp(response.status, await response.text()));
      return;
    }
    const type = response.headers.get('content-type') ?? '';
    const boundary = boundaryOf(type);
    if (response.body === null || boundary === null) {
      this.#fail({ kind: 'server', text: `the server sent "${type}" instead of pictures` });
      return;
    }
    this.#halfRttS = Math.min(0.5, (performance.now() - dialedMs) / 2000);
    events.media({ hasAudio: false, codecs: 'jpeg' });
    const parts = new MultipartReader(boundary);
    const reader = response.body.getReader();
    while (!this.#over) {
      const { done, value } = await reader.read();
      if (done) break;
      const newest = parts.push(value).at(-1);
      if (newest !== undefined) this.#show(newest);
    }
    this.#fail({ kind: 'ended', text: 'the server closed the connection' });
  }

  #show(jpeg: Uint8Array): void {
    if (this.#decoding) {
      this.#waiting = jpeg;
      return;
    }
    this.#decoding = true;
    this.#draw(jpeg)
      .catch(() => {
        // A picture that can't be decoded is left out; when none can, the player sees a stall and changes over.
      })
      .finally(() => {
        this.#decoding = false;
        const next = this.#waiting;
        this.#waiting = null;
        if (next !== null && !this.#over) this.#show(next);
      });
  }

  async #draw(jpeg: Uint8Array): Promise<void> {
    const arrivedMs = performance.now();
    const image = await createImageBitmap(new Blob([new Uint8Array(jpeg)], { type: 'image/jpeg' }));
    const canvas = this.element;
    if (canvas.width !== image.width) canvas.width = image.width;
    if (canvas.height !== image.height) canvas.height = image.height;
    canvas.getContext('2d')?.drawImage(image, 0, 0);
    image.close();
    const nowMs = performance.now();
    this.#drawS = (nowMs - arrivedMs) / 1000;
    if (!Number.isNaN(this.#shownMs)) this.#intervalS = (nowMs - this.#shownMs) / 1000;
    this.#shownMs = nowMs;
    if (!this.#over) this.#options.events.frame();
  }

  #fail(reason: Reason): void {
    if (this.#over) return;
    this.#over = true;
    this.#options.events.failed(reason);
  }
}
