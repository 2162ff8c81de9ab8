import { html, LitElement, nothing, type PropertyValues, type TemplateResult } from 'lit';
import { ICONS } from './icons.ts';
import { ServerAddress } from './logic/address.ts';
import { parseMedia } from './logic/codecs.ts';
import { MODE_NAMES, type Mode, parseModes } from './logic/modes.ts';
import { AUTO } from './logic/qualities.ts';
import type { Reason } from './logic/reasons.ts';
import { takesTalk } from './logic/talk.ts';
import { noticeKey, noticeTemplate, qualityTemplate } from './quality-view.ts';
import { Session } from './session.ts';
import { styles } from './styles.ts';
import type { TalkState } from './talk/button.ts';

/** After so long out of sight the connection is given up (attribute `background` keeps it). */
const HIDDEN_MS = 30_000;
/** The controls fade after so long without a movement. */
const AWAKE_MS = 3_500;

export interface PlayerEventMap {
  /** Another mode plays from now on. */
  modechange: CustomEvent<{ mode: Mode; previous: Mode | null }>;
  /** About once a second while playing. */
  latency: CustomEvent<{ seconds: number; mode: Mode }>;
  /** A mode failed; the player goes on by itself. */
  error: CustomEvent<{ mode: Mode; reason: string; kind: Reason['kind'] }>;
  /** Somebody holds the button for speaking to the camera (`live`: it listens), or lets it go. */
  talk: CustomEvent<{ state: TalkState }>;
  /** A first picture is shown, at the start and after an interruption. */
  playing: CustomEvent<{ mode: Mode }>;
}

/** `<hearthcam-player src="nursery">`: see docs/player.md. */
export class HearthcamPlayer extends LitElement {
  static override styles = styles;
  static override properties = {
    src: { type: String, reflect: true },
    server: { type: String },
    mode: { type: String },
    media: { type: String },
    name: { type: String },
    poster: { type: String },
    fit: { type: String },
    sound: { type: Boolean },
    background: { type: Boolean },
    controls: { type: String },
    quality: { type: String },
    iceServers: { attribute: false },
  };

  /** Name of the stream. */
  declare src: string;
  /** Where the server's API is; the page's own folder by default. */
  declare server: string;
  declare mode: string;
  declare media: string;
  /** Shown in the bar; the stream's name by default. */
  declare name: string;
  /** Address of a picture to begin with; `none` for none; the server's still by default. */
  declare poster: string;
  /** CSS `object-fit`. */
  declare fit: string;
  /** Begin with sound where the browser allows it. */
  declare sound: boolean;
  declare background: boolean;
  /** `none` hides everything but the picture and messages. */
  declare controls: string;
  /** Begin with this quality of the camera: a name or `auto`; '' for the one that was chosen last in this browser. */
  declare quality: string;
  declare iceServers: readonly RTCIceServer[];

  #session: Session | null = null;
  #muted = true;
  #hasPicture = false;
  /** The camera takes sound, and whoever watches may speak to it. */
  #talks = false;
  #posterFailed = false;
  #badServer = '';
  /** Notices that were taken note of. */
  #dismissed = '';
  #onScreen = true;
  #hiddenTimer: ReturnType<typeof setTimeout> | undefined;
  #awakeTimer: ReturnType<typeof setTimeout> | undefined;
  #observer: IntersectionObserver | undefined;
  #unlisten = new AbortController();

  constructor() {
    super();
    this.src = '';
    this.server = '';
    this.mode = '';
    this.media = '';
    this.name = '';
    this.poster = '';
    this.fit = '';
    this.sound = false;
    this.background = false;
    this.controls = '';
    this.quality = '';
    this.iceServers = [];
  }

  /** The mode whose picture is shown. */
  get playingMode(): Mode | null {
    return this.#session?.mode ?? null;
  }
  /** What was chosen: a quality's name, or `auto`. */
  get chosenQuality(): string {
    return this.#session?.quality ?? AUTO;
  }
  /** Changes the quality of what plays, and remembers it. */
  async chooseQuality(name: string): Promise<void> {
    await this.#session?.setQuality(name);
  }
  get latency(): number | null {
    return this.#session?.latencyS ?? null;
  }
  get muted(): boolean {
    return this.#muted;
  }
  set muted(muted: boolean) {
    this.#muted = muted;
    this.#session?.setSound(muted, 1);
    this.requestUpdate();
  }
  /** The element with the picture: a `<video>`, a `<canvas>` for MJPEG, null before the first picture. */
  get picture(): HTMLVideoElement | HTMLCanvasElement | null {
    return this.#session?.stage.shown ?? null;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.#unlisten = new AbortController();
    const { signal } = this.#unlisten;
    document.addEventListener('visibilitychange', () => this.#look(), { signal });
    window.addEventListener('online', () => this.#session?.retryNow(), { signal });
    this.addEventListener('pointermove', () => this.#wake(), { signal });
    this.addEventListener('pointerdown', () => this.#wake(), { signal });
    this.addEventListener('focusin', () => this.#wake(), { signal });
    this.addEventListener('keydown', (event) => this.#key(event), { signal });
    this.addEventListener('fullscreenchange', () => this.requestUpdate(), { signal });
    this.#observer = new IntersectionObserver((entries) => {
      this.#onScreen = entries.at(-1)?.isIntersecting ?? true;
      this.#look();
    });
    this.#observer.observe(this);
    if (this.hasUpdated) this.#restart();
    this.#wake();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#unlisten.abort();
    this.#observer?.disconnect();
    clearTimeout(this.#hiddenTimer);
    clearTimeout(this.#awakeTimer);
    this.#end();
  }

  protected override updated(changed: PropertyValues): void {
    if (!this.hasAttribute('role')) this.setAttribute('role', 'group');
    this.setAttribute('aria-label', `Camera ${this.name || this.src}`);
    if (changed.has('fit')) this.style.setProperty('--hearthcam-fit', this.fit || null);
    const restarts = ['src', 'server', 'mode', 'media', 'quality', 'iceServers'];
    if (restarts.some((key) => changed.has(key))) this.#restart();
  }

  #restart(): void {
    this.#end();
    this.#badServer = '';
    if (this.src === '' || !this.isConnected) return;
    let server: ServerAddress;
    try {
      server = new ServerAddress(this.server, document.baseURI);
    } catch (error) {
      this.#badServer = error instanceof Error ? error.message : String(error);
      this.requestUpdate();
      return;
    }
    if (this.sound) this.#muted = false;
    this.#session = new Session({
      server,
      src: this.src,
      modes: parseModes(this.mode),
      media: parseMedia(this.media),
      iceServers: this.iceServers,
      quality: this.quality,
      onChange: () => this.requestUpdate(),
      onShow: (mode, previous) => this.#shown(mode, previous),
      onLatency: (seconds, mode) => this.#emit('latency', { seconds, mode }),
      onFailure: (mode, reason) => this.#emit('error', { mode, reason: reason.text, kind: reason.kind }),
    });
    this.#session.setSound(this.#muted, 1);
    this.renderRoot.querySelector('.slot')?.replaceChildren(this.#session.stage.element);
    if (document.visibilityState === 'visible' || this.background) this.#session.start();
    this.requestUpdate();
  }

  #end(): void {
    this.#session?.close();
    this.#session = null;
    this.#hasPicture = false;
    this.#talks = false;
    this.#posterFailed = false;
  }

  /** The page or the element came into sight or went out of it. */
  #look(): void {
    const session = this.#session;
    if (session === null) return;
    const visible = document.visibilityState === 'visible' && this.#onScreen;
    clearTimeout(this.#hiddenTimer);
    session.setVisible(visible);
    if (visible) session.start();
    else if (!this.background) {
      this.#hiddenTimer = setTimeout(() => {
        if (!this.shadowRoot?.pictureInPictureElement) this.#session?.pause();
      }, HIDDEN_MS);
    }
  }

  #shown(mode: Mode, previous: Mode | null): void {
    const picture = this.picture;
    this.#hasPicture = true;
    const [width, height] =
      picture instanceof HTMLVideoElement
        ? [picture.videoWidth, picture.videoHeight]
        : [picture?.width ?? 0, picture?.height ?? 0];
    if (width > 0 && height > 0) this.style.setProperty('--hearthcam-aspect', `${width} / ${height}`);
    if (picture instanceof HTMLVideoElement) this.#muted = picture.muted;
    if (mode !== previous) this.#emit('modechange', { mode, previous });
    this.#emit('playing', { mode });
    if (previous !== null || this.#talks || this.controls === 'none') return;
    this.#lookForTalk().catch(() => {
      // Then there is no button, as for a camera without a loudspeaker.
    });
  }

  async #lookForTalk(): Promise<void> {
    const session = this.#session;
    const server = new ServerAddress(this.server, document.baseURI);
    const response = await fetch(server.http('api/streams', { src: this.src, microphone: '' }));
    if (!response.ok || !takesTalk(await response.text())) return;
    await import('./talk/button.ts');
    if (this.#session !== session) return;
    this.#talks = true;
    this.requestUpdate();
  }

  #talkTemplate(): TemplateResult {
    const url = new ServerAddress(this.server, document.baseURI).http('api/webrtc', { src: this.src });
    return html`<hearthcam-talk
      .url=${url}
      .iceServers=${this.iceServers}
      @talk=${(event: CustomEvent<{ state: TalkState }>) => {
        this.#wake();
        this.#emit('talk', event.detail);
      }}
    ></hearthcam-talk>`;
  }

  #emit<K extends keyof PlayerEventMap>(type: K, detail: PlayerEventMap[K]['detail']): void {
    this.dispatchEvent(new CustomEvent(type, { detail, composed: true, bubbles: false }));
  }

  #wake(): void {
    this.classList.add('awake');
    clearTimeout(this.#awakeTimer);
    this.#awakeTimer = setTimeout(() => this.classList.remove('awake'), AWAKE_MS);
  }

  #key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === 'm') this.muted = !this.muted;
    else if (event.key === 'f') this.toggleFullscreen();
    else if (event.key === 'p') this.togglePictureInPicture();
    else if (event.key === 'q') this.renderRoot.querySelector('hearthcam-quality-menu')?.toggle();
    else return;
    event.preventDefault();
    this.#wake();
  }

  toggleFullscreen(): void {
    const picture = this.picture;
    const refused = (error: unknown): void => {
      this.#emit('error', {
        mode: this.playingMode ?? 'mse',
        reason: `no full screen: ${String(error)}`,
        kind: 'unsupported',
      });
    };
    if (document.fullscreenElement !== null) document.exitFullscreen().catch(refused);
    else if ('requestFullscreen' in this) this.requestFullscreen().catch(refused);
    else if (
      picture !== null &&
      'webkitEnterFullscreen' in picture &&
      typeof picture.webkitEnterFullscreen === 'function'
    ) {
      // iPhones can do it for videos only.
      picture.webkitEnterFullscreen();
    }
  }

  togglePictureInPicture(): void {
    const picture = this.picture;
    if (!(picture instanceof HTMLVideoElement)) return;
    const refused = (error: unknown): void => {
      const reason = `no picture in picture: ${String(error)}`;
      this.#emit('error', { mode: this.playingMode ?? 'mse', reason, kind: 'unsupported' });
    };
    if (this.shadowRoot?.pictureInPictureElement) document.exitPictureInPicture().catch(refused);
    else picture.requestPictureInPicture().catch(refused);
  }

  /** Address of a still of the stream. */
  get stillUrl(): string {
    try {
      return new ServerAddress(this.server, document.baseURI).http('api/frame.jpeg', { src: this.src });
    } catch {
      return '';
    }
  }

  protected override render(): TemplateResult {
    return html`
      ${this.#posterTemplate()}
      <div class="slot" part="picture"></div>
      ${this.#messageTemplate()}
    `;
  }

  #posterTemplate(): TemplateResult | typeof nothing {
    if (this.#hasPicture || this.#posterFailed || this.poster === 'none' || this.src === '') return nothing;
    const url = this.poster || this.stillUrl;
    if (url === '') return nothing;
    return html`<img
      class="poster"
      alt=""
      src=${url}
      @load=${(event: Event) => this.#posterLoaded(event)}
      @error=${() => {
        this.#posterFailed = true;
        this.requestUpdate();
      }}
    />`;
  }

  #posterLoaded(event: Event): void {
    const image = event.target;
    if (this.#hasPicture || !(image instanceof HTMLImageElement) || image.naturalWidth === 0) return;
    this.style.setProperty('--hearthcam-aspect', `${image.naturalWidth} / ${image.naturalHeight}`);
  }

  #messageTemplate(): TemplateResult | typeof nothing {
    if (this.#badServer !== '') return html`<div class="over">${this.#error('Wrong address', this.#badServer)}</div>`;
    const status = this.#session?.status;
    if (this.src === '' || status === undefined) return nothing;
    const { phase, reason } = status;
    const text = describe(reason, this.src);
    const failed = !this.#hasPicture && (phase === 'waiting' || (phase === 'starting' && reason !== null));
    return html`
      <div class="over">
        ${
          failed && reason !== null
            ? this.#error('No picture', text)
            : phase === 'starting'
              ? html`<div class="message bare" role="status" aria-label="Connecting"><div class="spinner"></div></div>`
              : html`<div></div>`
        }
        ${this.controls === 'none' ? nothing : this.#barTemplate(phase)}
      </div>
      ${
        this.#hasPicture && (phase === 'stalled' || phase === 'waiting')
          ? html`<div class="notice" role="status">${text === '' ? 'Reconnecting' : `Standing picture: ${text}`}</div>`
          : this.#chipTemplate(phase)
      }
      ${this.#noticeTemplate(phase)}
    `;
  }

  #error(title: string, text: string): TemplateResult {
    return html`<div class="message" role="alert">
      <strong>${title}</strong><span>${text}</span>
      <button class="retry" @click=${() => this.#session?.retryNow()}>Try again now</button>
    </div>`;
  }

  #chipTemplate(phase: string): TemplateResult | typeof nothing {
    if (this.controls === 'none' || phase !== 'playing' || !this.#muted || !this.#hasSound()) return nothing;
    return html`<button class="chip" aria-label="Turn sound on" @click=${() => {
      this.muted = false;
    }}><svg viewBox="0 0 24 24" aria-hidden="true">${ICONS.soundOff}</svg><span>Tap for sound</span></button>`;
  }

  /** Why sound or picture is missing. */
  #noticeTemplate(phase: string): TemplateResult | typeof nothing {
    const notices = (this.#session?.notices ?? []).filter((one) => one.kind !== 'audio' || !this.#hasSound());
    const key = noticeKey(notices);
    if (this.controls === 'none' || phase !== 'playing' || key === '' || key === this.#dismissed) return nothing;
    return noticeTemplate(notices, () => {
      this.#dismissed = key;
      this.requestUpdate();
    });
  }

  #hasSound(): boolean {
    return this.#session?.media?.hasAudio === true || this.#session?.soundElsewhere === true;
  }

  #barTemplate(phase: string): TemplateResult {
    const mode = this.playingMode;
    const seconds = this.latency;
    const latency = seconds === null ? '' : ` · ${formatLatency(seconds)}`;
    const isFull = document.fullscreenElement === this;
    const canFloat = document.pictureInPictureEnabled && this.picture instanceof HTMLVideoElement;
    return html`<div class="bar" part="bar">
      <span class="who"
        ><span class="name">${this.name || this.src}</span>
        ${
          mode === null
            ? nothing
            : html`<span class="badge" data-phase=${phase} title="How the picture comes, and how late it is"
              >${MODE_NAMES[mode]}${latency}</span
            >`
        }</span
      >
      <span class="space"></span>
      ${this.#talks ? this.#talkTemplate() : nothing}
      ${qualityTemplate(this.#session, this.picture)}
      ${
        this.#hasSound()
          ? html`<button
              class="sound"
              aria-label=${this.#muted ? 'Turn sound on' : 'Turn sound off'}
              aria-pressed=${!this.#muted}
              title="Sound (m)"
              @click=${() => {
                this.muted = !this.#muted;
              }}
            >
              ${icon(this.#muted ? ICONS.soundOff : ICONS.soundOn)}
            </button>`
          : nothing
      }
      <a class="still" href=${this.stillUrl} target="_blank" rel="noopener" aria-label="Still picture" title="Still picture"
        >${icon(ICONS.still)}</a
      >
      ${
        canFloat
          ? html`<button
              class="float"
              aria-label="Picture in picture"
              title="Picture in picture (p)"
              @click=${() => this.togglePictureInPicture()}
            >
              ${icon(ICONS.float)}
            </button>`
          : nothing
      }
      <button
        class="full"
        aria-label=${isFull ? 'Leave full screen' : 'Full screen'}
        title="Full screen (f)"
        @click=${() => this.toggleFullscreen()}
      >
        ${icon(isFull ? ICONS.fullEnd : ICONS.full)}
      </button>
    </div>`;
  }
}

function icon(content: unknown): TemplateResult {
  return html`<svg viewBox="0 0 24 24" aria-hidden="true">${content}</svg>`;
}

function formatLatency(seconds: number): string {
  return seconds < 10 ? `${seconds.toFixed(2)} s` : `${Math.round(seconds)} s`;
}

function describe(reason: Reason | null, src: string): string {
  if (reason === null) return '';
  if (reason.text === 'stream not found') return `this server has no stream “${src}”`;
  return reason.text;
}

if (customElements.get('hearthcam-player') === undefined) customElements.define('hearthcam-player', HearthcamPlayer);

declare global {
  interface HTMLElementTagNameMap {
    'hearthcam-player': HearthcamPlayer;
  }
}
