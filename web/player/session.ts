import type { ServerAddress } from './logic/address.ts';
import type { MediaWish } from './logic/codecs.ts';
import { type Action, Director, type Status } from './logic/director.ts';
import { ModeMemory } from './logic/memory.ts';
import type { Mode } from './logic/modes.ts';
import { AUTO, type Notice, parseQualities, type Quality, QualityMemory } from './logic/qualities.ts';
import type { Reason } from './logic/reasons.ts';
import { Stage } from './stage.ts';
import { HlsTransport, hlsSupported } from './transports/hls.ts';
import { MjpegTransport, mjpegSupported } from './transports/mjpeg.ts';
import { MseTransport, mseSupported } from './transports/mse.ts';
import type { MediaInfo, Transport, TransportOptions } from './transports/transport.ts';
import { WebRtcTransport, webrtcSupported } from './transports/webrtc.ts';

const TICK_MS = 200;
const LATENCY_MS = 1_000;
/** Modes that carry the sound of most cameras. */
const WITH_AAC: readonly Mode[] = ['mse', 'hls'];

export interface SessionOptions {
  readonly server: ServerAddress;
  readonly src: string;
  readonly modes: readonly Mode[];
  readonly media: MediaWish;
  readonly iceServers: readonly RTCIceServer[];
  /** What to begin with instead of what is remembered; '' for that. */
  readonly quality: string;
  readonly onChange: (session: Session) => void;
  /** Another mode's picture is shown from now on; or the same mode's after a reconnect. */
  readonly onShow: (mode: Mode, previous: Mode | null) => void;
  readonly onLatency: (latencyS: number, mode: Mode) => void;
  readonly onFailure: (mode: Mode, reason: Reason) => void;
}

const FACTORIES: Readonly<Record<Mode, { supported(): boolean; make(options: TransportOptions): Transport }>> = {
  webrtc: { supported: webrtcSupported, make: (options) => new WebRtcTransport(options) },
  mse: { supported: mseSupported, make: (options) => new MseTransport(options) },
  hls: { supported: hlsSupported, make: (options) => new HlsTransport(options) },
  mjpeg: { supported: mjpegSupported, make: (options) => new MjpegTransport(options) },
};

function storage(): Storage | null {
  try {
    return globalThis.localStorage;
  } catch {
    // Blocked for this page (third-party frame, strict privacy settings).
    return null;
  }
}

/** One stream being played: carries out what the `Director` decides, with real transports on a `Stage`. */
export class Session {
  readonly stage = new Stage();
  readonly #options: SessionOptions;
  readonly #modes: readonly Mode[];
  readonly #director: Director;
  readonly #transports = new Map<number, Transport>();
  readonly #media = new Map<number, MediaInfo>();
  readonly #notices = new Map<number, Notice[]>();
  readonly #memory: QualityMemory;
  #quality: string;
  #qualities: readonly Quality[] = [];
  #qualityNotice: Notice | null = null;
  /** A change of the quality by a new connection: its number, and the quality before. */
  #changing: { readonly id: number; readonly before: string } | null = null;
  #shown: { readonly id: number; readonly mode: Mode } | null = null;
  #timer: ReturnType<typeof setInterval> | undefined;
  #latencyAtMs = 0;
  #latencyS: number | null = null;
  #muted = true;
  #volume = 1;
  #lastStatus = '';
  #soundElsewhere = false;

  constructor(options: SessionOptions) {
    this.#options = options;
    const supported = options.modes.filter((mode) => FACTORIES[mode].supported());
    this.#modes = supported.length > 0 ? supported : options.modes;
    const key = `${options.server.text}|${options.src}`;
    const memory = new ModeMemory(key, storage(), () => Date.now());
    this.#memory = new QualityMemory(key, storage());
    this.#quality = options.quality || this.#memory.get();
    this.#director = new Director(this.#modes, memory);
  }

  get status(): Status {
    return this.#director.status;
  }
  /** Seconds behind the camera, null while unknown. */
  get latencyS(): number | null {
    return this.#latencyS;
  }
  get media(): MediaInfo | null {
    return this.#shown === null ? null : (this.#media.get(this.#shown.id) ?? null);
  }
  /** The camera has sound, but the mode that plays can't carry it (WebRTC has no AAC). */
  get soundElsewhere(): boolean {
    return this.#soundElsewhere && this.media?.hasAudio === false;
  }
  /** Name of the chosen quality, or `auto`. */
  get quality(): string {
    return this.#quality;
  }
  /** Of the camera; empty before `loadQualities`. */
  get qualities(): readonly Quality[] {
    return this.#qualities;
  }
  /** Why tracks of what plays are missing. */
  get notices(): readonly Notice[] {
    const own = this.#qualityNotice === null ? [] : [this.#qualityNotice];
    return this.#shown === null ? own : [...own, ...(this.#notices.get(this.#shown.id) ?? [])];
  }
  get mode(): Mode | null {
    return this.#shown?.mode ?? null;
  }

  start(): void {
    this.#timer ??= setInterval(() => this.#tick(), TICK_MS);
    this.#do(this.#director.start(performance.now()));
  }

  /** Leaves the network; the last picture stays. */
  pause(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#do(this.#director.stop());
  }

  close(): void {
    this.pause();
    for (const transport of this.#transports.values()) transport.stop();
    this.#transports.clear();
    this.#media.clear();
    this.#notices.clear();
    this.#shown = null;
    this.stage.clear();
  }

  setVisible(visible: boolean): void {
    this.#do(this.#director.setVisible(visible, performance.now()));
    if (visible) this.#shownTransport()?.goLive();
  }

  goLive(): void {
    this.#shownTransport()?.goLive();
  }

  retryNow(): void {
    this.#do(this.#director.retryNow(performance.now()));
  }

  setSound(muted: boolean, volume: number): void {
    this.#muted = muted;
    this.#volume = volume;
    const picture = this.stage.shown;
    if (!(picture instanceof HTMLVideoElement)) return;
    picture.volume = volume;
    picture.muted = muted;
    if (picture.paused) this.#shownTransport()?.goLive();
    if (!muted && this.soundElsewhere) this.#changeForSound();
  }

  async loadQualities(): Promise<void> {
    const { server, src } = this.#options;
    const response = await fetch(server.http('api/qualities', { src }));
    if (!response.ok) return;
    this.#qualities = parseQualities(await response.text());
    this.#options.onChange(this);
  }

  async #showQualities(mode: Mode): Promise<void> {
    await this.loadQualities();
    // The names of HLS levels are known only by the sizes of the qualities.
    if (mode === 'hls' && this.#quality !== AUTO) await this.#shownTransport()?.setQuality?.(this.#quality);
  }

  /** Takes the quality from now on, in this browser also later. What can't be had is told, and all stays as it was. */
  async setQuality(name: string): Promise<void> {
    const before = this.#quality;
    if (name === before) return;
    this.#keepQuality(name);
    const shown = this.#shown;
    const transport = this.#shownTransport();
    try {
      const inPlace = this.status.phase === 'playing' && (await transport?.setQuality?.(name)) === true;
      if (!inPlace && this.#quality === name) {
        this.#do(this.#director.reopen(performance.now()));
        this.#changing = { id: this.#newestId, before };
      }
    } catch (error) {
      if (this.#quality === name) this.#keepQuality(before);
      const text = error instanceof Error ? error.message : String(error);
      this.#complain(shown?.mode ?? 'webrtc', name, { kind: 'server', text });
    }
    this.lookAgain();
  }

  /** What is known of the qualities may have changed: one that plays has a size. */
  lookAgain(): void {
    this.loadQualities().catch(() => {
      // The list stays as it was; the picture itself says when the server is away.
    });
  }

  #complain(mode: Mode, name: string, reason: Reason): void {
    this.#qualityNotice = { kind: 'quality', reason: `“${name}” can’t be had: ${reason.text}`, hint: '' };
    this.#options.onFailure(mode, { ...reason, text: this.#qualityNotice.reason });
    this.#options.onChange(this);
  }

  #keepQuality(name: string): void {
    this.#quality = name;
    this.#qualityNotice = null;
    this.#memory.set(name);
    this.#options.onChange(this);
  }

  get #newestId(): number {
    return Math.max(0, ...this.#transports.keys());
  }

  /** The connection for another quality failed, or the one that is remembered is not there any more. */
  #qualityFailed(id: number, mode: Mode, reason: Reason): void {
    if (this.#changing?.id === id) {
      const name = this.#quality;
      this.#keepQuality(this.#changing.before);
      this.#changing = null;
      this.#complain(mode, name, reason);
    } else if (this.#quality !== AUTO && /has no quality/.test(reason.text)) {
      this.#keepQuality(AUTO);
    }
  }

  #changeForSound(): void {
    const rest = this.#modes.filter((mode) => !WITH_AAC.includes(mode));
    const modes = [...this.#modes.filter((mode) => WITH_AAC.includes(mode)), ...rest];
    this.#do(this.#director.reorder(modes, performance.now()));
  }

  /** Whether the camera has sound is known to the server, whatever this mode carries. */
  async #lookForSound(): Promise<void> {
    const { server, src } = this.#options;
    const response = await fetch(server.http('api/streams', { src }));
    if (!response.ok || !/"codec_type": ?"audio"/.test(await response.text())) return;
    this.#soundElsewhere = true;
    this.setSound(this.#muted, this.#volume);
    this.#options.onChange(this);
  }

  #shownTransport(): Transport | undefined {
    return this.#shown === null ? undefined : this.#transports.get(this.#shown.id);
  }

  #tick(): void {
    const nowMs = performance.now();
    this.#do(this.#director.tick(nowMs));
    if (nowMs - this.#latencyAtMs < LATENCY_MS) return;
    this.#latencyAtMs = nowMs;
    const shown = this.#shown;
    const transport = this.#shownTransport();
    if (shown === null || transport === undefined || this.status.phase !== 'playing') return;
    transport
      .latencyS()
      .then((latencyS) => {
        if (this.#shown !== shown || latencyS === null) return;
        this.#latencyS = latencyS;
        this.#options.onLatency(latencyS, shown.mode);
        this.#options.onChange(this);
      })
      .catch(() => {
        // The connection was closed while it was asked.
      });
  }

  #do(actions: readonly Action[]): void {
    for (const action of actions) {
      if (action.kind === 'open') this.#open(action.id, action.mode);
      else if (action.kind === 'show') this.#show(action.id, action.mode);
      else this.#close(action.id);
    }
    const status = this.status;
    const text = `${status.phase}|${status.mode}|${status.reason?.text}`;
    if (text === this.#lastStatus) return;
    this.#lastStatus = text;
    this.#options.onChange(this);
  }

  #open(id: number, mode: Mode): void {
    const { server, src, media, iceServers } = this.#options;
    const transport = FACTORIES[mode].make({
      server,
      src,
      media,
      iceServers,
      quality: this.#quality,
      qualities: () => this.#qualities,
      events: {
        frame: () => this.#do(this.#director.frame(id, performance.now())),
        failed: (reason) => {
          transport.stop();
          this.#options.onFailure(mode, reason);
          this.#qualityFailed(id, mode, reason);
          this.#do(this.#director.failed(id, reason, performance.now()));
        },
        media: (info) => {
          this.#media.set(id, info);
          if (this.#shown?.id === id) this.#options.onChange(this);
        },
        notice: (notice) => {
          this.#notices.set(id, [...(this.#notices.get(id) ?? []), notice]);
          if (this.#shown?.id === id) this.#options.onChange(this);
        },
      },
    });
    this.#transports.set(id, transport);
    this.stage.add(id, transport.element);
    // Another quality plays.
    transport.element.addEventListener('resize', () => this.#options.onChange(this));
    transport.start();
  }

  #show(id: number, mode: Mode): void {
    const previous = this.#shown;
    const old = this.stage.shown;
    this.#shown = { id, mode };
    if (this.#changing?.id === id) this.#changing = null;
    this.#latencyS = null;
    this.#latencyAtMs = performance.now() - LATENCY_MS + 2 * TICK_MS;
    this.stage.show(id);
    this.setSound(this.#muted, this.#volume);
    if (old instanceof HTMLVideoElement) {
      const wasFloating = pictureInPicture(old);
      old.muted = true;
      const picture = this.stage.shown;
      if (wasFloating && picture instanceof HTMLVideoElement) {
        // Allowed without a click while another picture floats already (Picture-in-Picture §3.1).
        picture.requestPictureInPicture().catch(() => {
          // The window closes then, and the picture goes on in the page.
        });
      }
    }
    const others = this.#modes.some((one) => one !== mode && WITH_AAC.includes(one));
    if (this.#options.media.audio && others && this.media?.hasAudio === false) {
      this.#lookForSound().catch(() => {
        // Then there is no sound button, as for a camera without sound.
      });
    }
    this.#showQualities(mode).catch(() => {
      // Then there is no choice to offer.
    });
    this.#options.onShow(mode, previous?.mode ?? null);
    this.#options.onChange(this);
  }

  #close(id: number): void {
    this.#transports.get(id)?.stop();
    this.stage.remove(id);
    if (this.#shown?.id === id) return;
    this.#transports.delete(id);
    this.#media.delete(id);
    this.#notices.delete(id);
  }
}

function pictureInPicture(video: HTMLVideoElement): boolean {
  const root = video.getRootNode();
  return (root instanceof ShadowRoot || root instanceof Document) && root.pictureInPictureElement === video;
}
