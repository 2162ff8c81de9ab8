import { watchFrames } from '../frames.ts';
import { mimeHasAudio, offerCodecs } from '../logic/codecs.ts';
import { FragmentClock } from '../logic/fragment-clock.ts';
import { type LiveAdvice, LiveEdge, type Range, trimRange } from '../logic/live-edge.ts';
import { parseNotice } from '../logic/qualities.ts';
import { type Reason, reasonFromWs } from '../logic/reasons.ts';
import { makeVideo, play, type Transport, type TransportOptions } from './transport.ts';

/** iPhones (iOS 17.1) have only the managed form: the same interface, with `streaming` hints that live needs not. */
function mediaSourceClass(): typeof MediaSource | undefined {
  const scope: { MediaSource?: typeof MediaSource; ManagedMediaSource?: typeof MediaSource } = globalThis;
  return scope.ManagedMediaSource ?? scope.MediaSource;
}

export function mseSupported(): boolean {
  return mediaSourceClass() !== undefined && 'WebSocket' in globalThis;
}

/** What waits while the page is asleep; more than this is given up and begun anew. */
const MAX_QUEUE_BYTES = 32 * 1024 * 1024;
const CONTROL_MS = 200;
/** An element that was dry for longer isn't the victim of the network's jitter but of a camera that was away. */
const MAX_JITTER_MS = 1_500;
/** An element that was dry for so long does not wait until it goes on by itself (see `#refill`). */
const DRY_MS = 250;
const REFILL_S = 0.1;

/** MSE over `/api/ws` (compatibility.md 1.5): fragments of one picture each, so that latency is one picture. */
export class MseTransport implements Transport {
  readonly element = makeVideo();
  readonly #options: TransportOptions;
  readonly #edge = new LiveEdge(0.2);
  #socket: WebSocket | null = null;
  #source: MediaSource | null = null;
  #buffer: SourceBuffer | null = null;
  /** Fragments and, between them, MIME types that hold for what follows. */
  #queue: (ArrayBuffer | string)[] = [];
  #queueBytes = 0;
  #control: ReturnType<typeof setInterval> | undefined;
  #unwatch: () => void = () => {};
  #objectUrl = '';
  #over = false;
  #positioned = false;
  #dialedMs = 0;
  #transportS = 0;
  #controlledMs = 0;
  /** When the element ran out of data, and where that ended; NaN while it plays. */
  #dryMs = Number.NaN;
  #dryEndS = 0;
  readonly #clock = new FragmentClock();
  /** Between arrival and presentation of the newest picture. */
  #ageMs: number | null = null;

  constructor(options: TransportOptions) {
    this.#options = options;
  }

  start(): void {
    const Source = mediaSourceClass();
    if (Source === undefined) {
      this.#fail({ kind: 'unsupported', text: 'this browser has no Media Source Extensions' });
      return;
    }
    const { server, src, media, quality, events } = this.#options;
    this.#source = new Source();
    this.#objectUrl = URL.createObjectURL(this.#source);
    this.element.src = this.#objectUrl;
    this.element.addEventListener('waiting', () => {
      this.#dryMs = this.element.seeking || !this.#positioned ? Number.NaN : performance.now();
      this.#dryEndS = this.#ranges().at(-1)?.endS ?? 0;
    });
    this.element.addEventListener('playing', () => this.#noteRefilled());
    this.element.addEventListener('error', () => {
      const text = this.element.error?.message ?? '';
      this.#fail({ kind: 'unsupported', text: `the browser can’t play this picture${text === '' ? '' : `: ${text}`}` });
    });
    this.#unwatch = watchFrames(this.element, (frame) => {
      this.#ageMs = this.#clock.ageMs(frame.mediaTimeS, performance.now());
      events.frame();
    });

    this.#dialedMs = performance.now();
    const socket = new WebSocket(server.ws('api/ws', { src, quality }));
    this.#socket = socket;
    socket.binaryType = 'arraybuffer';
    let opened = false;
    socket.addEventListener('open', () => {
      opened = true;
      // The handshake took about two round trips (TCP, then the upgrade); a picture travels half a one.
      this.#transportS = Math.min(0.5, (performance.now() - this.#dialedMs) / 4000);
      const changesType = 'changeType' in SourceBuffer.prototype;
      const value = offerCodecs(media, (mime) => Source.isTypeSupported(mime), changesType);
      socket.send(JSON.stringify({ type: 'mse', value }));
    });
    socket.addEventListener('message', (event: MessageEvent<unknown>) => this.#receive(event.data));
    socket.addEventListener('close', () => {
      this.#fail(
        opened
          ? { kind: 'ended', text: 'the server closed the connection' }
          : { kind: 'network', text: 'the server can’t be reached' },
      );
    });
    this.#control = setInterval(() => this.#keepLive(), CONTROL_MS);
  }

  stop(): void {
    this.#over = true;
    clearInterval(this.#control);
    this.#unwatch();
    this.#socket?.close();
    this.#socket = null;
    this.#queue = [];
    this.#queueBytes = 0;
    this.element.pause();
    if (this.#objectUrl !== '') URL.revokeObjectURL(this.#objectUrl);
    this.#objectUrl = '';
  }

  goLive(): void {
    if (this.#over) return;
    this.#follow(this.#edge.jump(this.#ranges(), performance.now()));
    if (this.element.paused) play(this.element);
  }

  async latencyS(): Promise<number | null> {
    if (this.#ageMs !== null) return this.#ageMs / 1000 + this.#transportS;
    const endS = this.#ranges().at(-1)?.endS;
    return endS === undefined ? null : Math.max(0, endS - this.element.currentTime) + this.#transportS;
  }

  #receive(data: unknown): void {
    if (this.#over) return;
    if (data instanceof ArrayBuffer) {
      this.#clock.receive(data, performance.now());
      this.#queue.push(data);
      this.#queueBytes += data.byteLength;
      if (this.#queueBytes > MAX_QUEUE_BYTES)
        this.#fail({ kind: 'ended', text: 'the browser takes the picture too slowly' });
      else this.#append();
      return;
    }
    const message = parseMessage(data);
    const notice = message?.type === 'notice' ? parseNotice(message.value) : null;
    if (notice !== null) this.#options.events.notice(notice);
    if (message?.type === 'error') this.#fail(reasonFromWs(message.value));
    else if (message?.type === 'mse' && typeof message.value === 'string') {
      this.#queue.push(message.value);
      this.#append();
    }
  }

  /** Takes what waits, in order, one step at a time: each `updateend` brings the next. */
  #append(): void {
    const source = this.#source;
    if (source === null || this.#over || this.#buffer?.updating === true) return;
    if (source.readyState !== 'open') {
      if (source.readyState === 'closed') source.addEventListener('sourceopen', () => this.#append(), { once: true });
      return;
    }
    if (typeof this.#queue[0] === 'string') {
      const mime = this.#queue[0];
      this.#queue.shift();
      if (!this.#setType(source, mime)) return;
    }
    const end = this.#queue.findIndex((one) => typeof one === 'string');
    const waiting = this.#queue.slice(0, end < 0 ? undefined : end).filter((one) => one instanceof ArrayBuffer);
    const buffer = this.#buffer;
    if (buffer === null) return;
    if (waiting.length === 0) {
      this.#position();
      return;
    }
    // Timers hardly run in a page in the background; data still comes and must not pile up.
    if (performance.now() - this.#controlledMs > 10 * CONTROL_MS) {
      this.#keepLive();
      if (buffer.updating) return;
    }
    const data = join(waiting);
    this.#queue.splice(0, waiting.length);
    this.#queueBytes -= data.byteLength;
    try {
      buffer.appendBuffer(data);
    } catch (error) {
      if (!(error instanceof DOMException) || error.name !== 'QuotaExceededError') {
        this.#fail({ kind: 'unsupported', text: `the browser refused the picture: ${String(error)}` });
        return;
      }
      // Full in spite of the trimming (very high bit rate): make room, then append what waits.
      this.#queue.unshift(data);
      this.#queueBytes += data.byteLength;
      const range = trimRange(this.#ranges(), this.element.currentTime, 2, 0.5);
      if (range === null) {
        this.#fail({ kind: 'unsupported', text: 'the picture is too large for this browser’s buffer' });
      } else {
        buffer.remove(range.startS, range.endS);
      }
    }
  }

  /** `mime` e.g. `video/mp4; codecs="avc1.640029,mp4a.40.2"`; comes again when the camera changes its codec. */
  #setType(source: MediaSource, mime: string): boolean {
    try {
      if (this.#buffer === null) {
        this.#buffer = source.addSourceBuffer(mime);
        this.#buffer.mode = 'segments';
        this.#buffer.addEventListener('updateend', () => {
          this.#refill();
          this.#append();
        });
      } else {
        this.#buffer.changeType(mime);
      }
    } catch {
      this.#fail({ kind: 'unsupported', text: `this browser can’t play ${mime}` });
      return false;
    }
    this.#options.events.media({ hasAudio: mimeHasAudio(mime), codecs: /codecs="?([^"]*)/.exec(mime)?.[1] ?? '' });
    return true;
  }

  /** Once, when what the server had in store has been taken in: to the end of it. */
  #position(): void {
    if (this.#positioned) return;
    const ranges = this.#ranges();
    if (ranges.length === 0) return;
    this.#positioned = true;
    this.#follow(this.#edge.jump(ranges, performance.now()));
    play(this.element);
  }

  #noteRefilled(): void {
    if (performance.now() - this.#dryMs < MAX_JITTER_MS) this.#edge.underrun();
    this.#dryMs = Number.NaN;
  }

  /**
   * Data is there again after a while without. Each time Chromium's sound runs dry it asks for more of it before it goes
   * on, in the end for seconds; a jump makes it forget that, and shows the newest picture at once.
   */
  #refill(): void {
    if (!(performance.now() - this.#dryMs > DRY_MS) || this.element.readyState > HTMLMediaElement.HAVE_CURRENT_DATA)
      return;
    const ranges = this.#ranges();
    if ((ranges.at(-1)?.endS ?? 0) - this.#dryEndS < REFILL_S) return;
    this.#noteRefilled();
    this.#follow(this.#edge.jump(ranges, performance.now()));
  }

  #keepLive(): void {
    this.#controlledMs = performance.now();
    if (!this.#positioned || this.#over) return;
    const ranges = this.#ranges();
    this.#follow(this.#edge.advise(ranges, this.element.currentTime, performance.now(), this.element.seeking));
    const buffer = this.#buffer;
    if (buffer === null || buffer.updating || this.#source?.readyState !== 'open') return;
    const range = trimRange(ranges, this.element.currentTime);
    if (range !== null) buffer.remove(range.startS, range.endS);
  }

  #follow(advice: LiveAdvice): void {
    if (advice.kind === 'seek') {
      this.element.playbackRate = 1;
      this.element.currentTime = advice.toS;
    } else if (this.element.playbackRate !== advice.rate) {
      this.element.playbackRate = advice.rate;
    }
  }

  #ranges(): Range[] {
    const { buffered } = this.element;
    return Array.from({ length: buffered.length }, (_, index) => ({
      startS: buffered.start(index),
      endS: buffered.end(index),
    }));
  }

  #fail(reason: Reason): void {
    if (this.#over) return;
    this.#over = true;
    this.#options.events.failed(reason);
  }
}

function join(parts: readonly ArrayBuffer[]): ArrayBuffer {
  const [only] = parts;
  if (parts.length === 1 && only !== undefined) return only;
  const joined = new Uint8Array(parts.reduce((bytes, part) => bytes + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(new Uint8Array(part), at);
    at += part.byteLength;
  }
  return joined.buffer;
}

function parseMessage(data: unknown): { type: string; value: unknown } | undefined {
  if (typeof data !== 'string') return undefined;
  try {
    const value: unknown = JSON.parse(data);
    if (typeof value !== 'object' || value === null || !('type' in value) || typeof value.type !== 'string') {
      return undefined;
    }
    return { type: value.type, value: 'value' in value ? value.value : undefined };
  } catch {
    return undefined;
  }
}
