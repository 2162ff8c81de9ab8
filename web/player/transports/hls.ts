import type Hls from 'hls.js';
import { watchFrames } from '../frames.ts';
import { AUTO, levelOf } from '../logic/qualities.ts';
import { type Reason, reasonFromHttp } from '../logic/reasons.ts';
import { makeVideo, play, type Transport, type TransportOptions } from './transport.ts';

/** hls.js catches up by playing faster; what is further behind than this is jumped over. */
const MAX_LATENCY_S = 6;
const MIME = 'application/vnd.apple.mpegurl';

/** Apple's player knows LL-HLS. Chromium's own, since 142, plays HLS seconds late: there hls.js does it better. */
function applePlays(): boolean {
  return (
    'webkitSetPresentationMode' in HTMLVideoElement.prototype &&
    document.createElement('video').canPlayType(MIME) !== ''
  );
}

function mediaSources(): boolean {
  return 'MediaSource' in globalThis || 'ManagedMediaSource' in globalThis;
}

export function hlsSupported(): boolean {
  return mediaSources() || document.createElement('video').canPlayType(MIME) !== '';
}

/** Low-latency HLS: by the browser where it is Apple's, else by hls.js, which is loaded when it is needed. */
export class HlsTransport implements Transport {
  readonly element = makeVideo();
  readonly #options: TransportOptions;
  #hls: Hls | null = null;
  #unwatch: () => void = () => {};
  #control: ReturnType<typeof setInterval> | undefined;
  #over = false;

  constructor(options: TransportOptions) {
    this.#options = options;
  }

  start(): void {
    const { server, src, events } = this.#options;
    const url = server.http('api/stream.m3u8', { src });
    this.#unwatch = watchFrames(this.element, () => events.frame());
    const failed = (error: unknown): void => {
      this.#fail({ kind: 'network', text: `hls.js can’t be loaded: ${String(error)}` });
    };
    if (applePlays() || !mediaSources()) this.#startNative(url);
    else this.#startHlsJs(url).catch(failed);
  }

  stop(): void {
    this.#over = true;
    clearInterval(this.#control);
    this.#unwatch();
    this.element.pause();
    if (this.#hls === null) return;
    // `destroy` would take the picture away with the media; without loading, the last picture stays.
    this.#hls.stopLoad();
    const hls = this.#hls;
    this.#hls = null;
    // Its media goes with the element, which the player removes once another picture is there.
    setTimeout(() => hls.destroy(), 15_000);
  }

  goLive(): void {
    if (this.#over) return;
    const liveS = this.#hls?.liveSyncPosition ?? this.#seekableEndS();
    if (liveS !== null && liveS - this.element.currentTime > 2) this.element.currentTime = liveS;
    if (this.element.paused) play(this.element);
  }

  async setQuality(name: string): Promise<boolean> {
    if (this.#hls === null) throw new Error('the HLS player of this browser decides by itself');
    const known = this.#options.qualities().find((one) => one.name === name);
    const level = levelOf(this.#hls.levels, known);
    if (level < 0 && name !== AUTO) throw new Error('HLS of this stream does not have it');
    // -1: hls.js decides. What is in store plays on, so the picture does not stand still.
    this.#hls.nextLevel = level;
    return true;
  }

  async latencyS(): Promise<number | null> {
    if (this.#hls !== null) return this.#hls.latency > 0 ? this.#hls.latency : null;
    // Apple: the date of the first picture in the list (EXT-X-PROGRAM-DATE-TIME, RFC 8216 §4.3.2.6).
    if ('getStartDate' in this.element && typeof this.element.getStartDate === 'function') {
      const startDate: unknown = this.element.getStartDate();
      const startUnixMs = startDate instanceof Date ? startDate.getTime() : Number.NaN;
      const lateS = (Date.now() - startUnixMs) / 1000 - this.element.currentTime;
      if (Number.isFinite(lateS) && lateS >= 0 && lateS < 60) return lateS;
    }
    const endS = this.#seekableEndS();
    return endS === null ? null : Math.max(0, endS - this.element.currentTime);
  }

  #startNative(url: string): void {
    this.element.addEventListener('error', () => {
      this.#explain(url, {
        kind: 'unsupported',
        text: this.element.error?.message || 'the browser can’t play this picture',
      });
    });
    this.element.addEventListener('loadedmetadata', () => {
      this.#options.events.media({ hasAudio: true, codecs: '' });
    });
    this.element.src = url;
    play(this.element);
  }

  async #startHlsJs(url: string): Promise<void> {
    const { default: HlsJs } = await import('hls.js/light');
    if (this.#over) return;
    if (!HlsJs.isSupported()) {
      this.#startNative(url);
      return;
    }
    const hls = new HlsJs({
      lowLatencyMode: true,
      // What comes is fMP4 already: there is nothing to remux that would be worth a worker (and its `blob:` script).
      enableWorker: false,
      maxLiveSyncPlaybackRate: 1.3,
      backBufferLength: 8,
      maxBufferLength: 8,
      startFragPrefetch: true,
      manifestLoadPolicy: LOAD_POLICY,
      playlistLoadPolicy: LOAD_POLICY,
      fragLoadPolicy: LOAD_POLICY,
    });
    this.#hls = hls;
    hls.on(HlsJs.Events.MANIFEST_PARSED, (_event, data) => {
      const codecs = data.levels[0]?.attrs['CODECS'] ?? '';
      this.#options.events.media({ hasAudio: data.audio, codecs });
      const wanted = this.#options.qualities().find((one) => one.name === this.#options.quality);
      const level = levelOf(hls.levels, wanted);
      if (level >= 0) hls.nextLevel = level;
      play(this.element);
    });
    hls.on(HlsJs.Events.BUFFER_CODECS, (_event, data) => {
      this.#options.events.media({
        hasAudio: data.audio !== undefined || data.audiovideo?.codec?.includes('mp4a') === true,
        codecs: [data.video?.codec, data.audio?.codec, data.audiovideo?.codec]
          .filter((one) => one !== undefined)
          .join(),
      });
    });
    hls.on(HlsJs.Events.ERROR, (_event, data) => {
      if (!data.fatal) return;
      if (data.type === HlsJs.ErrorTypes.NETWORK_ERROR) {
        this.#explain(data.url ?? url, { kind: 'network', text: 'the server can’t be reached' });
      } else {
        this.#fail({ kind: 'unsupported', text: `the browser can’t play this picture: ${data.details}` });
      }
    });
    this.#control = setInterval(() => {
      if (!this.element.paused && hls.latency > Math.max(MAX_LATENCY_S, 3 * (hls.targetLatency ?? 0))) this.goLive();
    }, 1_000);
    hls.attachMedia(this.element);
    hls.loadSource(url);
  }

  /** A player says only that loading failed; the server says why. */
  #explain(url: string, otherwise: Reason): void {
    if (this.#over) return;
    fetch(url, { signal: AbortSignal.timeout(3_000) })
      .then(async (response) => {
        const body = response.ok ? '' : await response.text();
        this.#fail(response.ok ? otherwise : reasonFromHttp(response.status, body));
      })
      .catch(() => this.#fail({ kind: 'network', text: 'the server can’t be reached' }));
  }

  #seekableEndS(): number | null {
    const { seekable } = this.element;
    return seekable.length === 0 ? null : seekable.end(seekable.length - 1);
  }

  #fail(reason: Reason): void {
    if (this.#over) return;
    this.#over = true;
    this.#options.events.failed(reason);
  }
}

/** Failing soon is better here than hls.js' patience of minutes: the player then changes over. */
const LOAD_POLICY = {
  default: {
    maxTimeToFirstByteMs: 8_000,
    maxLoadTimeMs: 10_000,
    timeoutRetry: { maxNumRetry: 1, retryDelayMs: 0, maxRetryDelayMs: 0 },
    errorRetry: { maxNumRetry: 1, retryDelayMs: 250, maxRetryDelayMs: 1_000 },
  },
};
