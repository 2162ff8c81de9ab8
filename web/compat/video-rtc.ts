import '../player/hearthcam-player.ts';
import type { HearthcamPlayer } from '../player/hearthcam-player.ts';
import { parseWsAddress } from './ws-address.ts';

/**
 * What pages written for go2rtc's `video-rtc.js` use: a class to extend and to define as an element of one's own.
 * It wraps `<hearthcam-player>`, which chooses modes, reconnects and follows the live edge by itself.
 */
export class VideoRTC extends HTMLElement {
  static get observedAttributes(): string[] {
    return ['src', 'mode', 'media', 'background'];
  }

  /** Kept for pages that set them; the player has limits of its own. */
  DISCONNECT_TIMEOUT = 5_000;
  RECONNECT_TIMEOUT = 15_000;
  visibilityThreshold = 0;
  visibilityCheck = true;
  pcConfig: RTCConfiguration = {};

  readonly player: HearthcamPlayer = document.createElement('hearthcam-player');
  #src = '';
  #initialised = false;

  get src(): string {
    return this.#src;
  }
  /** Address of the WebSocket (`api/ws?src=NAME`, relative or absolute), or just the stream's name. */
  set src(value: string | URL) {
    this.#src = String(value);
    const address = parseWsAddress(this.#src, document.baseURI);
    this.player.server = address?.server ?? '';
    this.player.src = address?.src ?? this.#src;
    if (this.isConnected) this.onconnect();
  }

  get mode(): string {
    return this.player.mode || 'webrtc,mse,hls,mjpeg';
  }
  set mode(value: string) {
    this.player.mode = value;
  }
  get media(): string {
    return this.player.media || 'video,audio';
  }
  set media(value: string) {
    this.player.media = value;
  }
  get background(): boolean {
    return this.player.background;
  }
  set background(value: boolean) {
    this.player.background = value;
  }
  /** The element that shows the picture now. It is another one after each change of mode. */
  get video(): HTMLVideoElement | HTMLCanvasElement | null {
    return this.player.picture;
  }

  attributeChangedCallback(name: string, _old: string | null, value: string | null): void {
    if (name === 'src') this.src = value ?? '';
    else if (name === 'mode') this.mode = value ?? '';
    else if (name === 'media') this.media = value ?? '';
    else this.background = value !== null && value !== 'false';
  }

  connectedCallback(): void {
    if (!this.#initialised) {
      this.#initialised = true;
      this.oninit();
    }
    this.onconnect();
  }

  disconnectedCallback(): void {
    this.ondisconnect();
  }

  /** Called once, when the element comes into the page; a subclass may add to it. */
  oninit(): void {
    if (getComputedStyle(this).display === 'inline') this.style.display = 'block';
    this.append(this.player);
  }

  /** @returns whether it is going to play */
  onconnect(): boolean {
    this.player.iceServers = this.pcConfig.iceServers ?? [];
    return this.player.src !== '';
  }

  ondisconnect(): void {}

  play(): void {
    const picture = this.player.picture;
    if (picture instanceof HTMLVideoElement && picture.paused) {
      picture.play().catch(() => {
        // Refused without a click; the player tries again muted.
      });
    }
  }
}
