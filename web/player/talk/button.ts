import { TalkConnection } from './connection.ts';
import { TEXTS } from './texts.ts';

const ERROR_MS = 7_000;
/** A tap this short was no wish to speak: it is told how it works. */
const TAP_MS = 350;

const STYLE = `
:host { position: relative; display: inline-block; flex: none; }
button { display: grid; place-items: center; width: 38px; height: 38px; padding: 0; border: 0; border-radius: 10px; background: none;
  color: inherit; cursor: pointer; touch-action: none; user-select: none; -webkit-user-select: none; -webkit-touch-callout: none;
  -webkit-tap-highlight-color: transparent; }
button:hover { background: rgb(255 255 255 / 18%); }
button:focus-visible { outline: 2px solid var(--hearthcam-accent, #f2a65a); outline-offset: -2px; }
svg { width: 22px; height: 22px; fill: none; stroke: currentColor; stroke-width: 1.7; stroke-linecap: round; stroke-linejoin: round;
  pointer-events: none; }
[data-state='starting'] button { background: rgb(255 255 255 / 26%); }
[data-state='live'] button { background: #e5484d; color: #fff; }
[role='status'] { position: absolute; right: 0; bottom: 46px; width: max-content; max-width: min(260px, 70cqw); padding: 6px 12px; border-radius: 12px;
  background: rgb(11 13 16 / 88%); color: #fff; font-size: 13px; text-align: center; pointer-events: none; }
[role='status']:empty { display: none; }
[data-state='live'] [role='status'] { background: #e5484d; }
`;
const MICROPHONE =
  'M12 3.5a2.75 2.75 0 0 1 2.75 2.75v5a2.75 2.75 0 0 1-5.5 0v-5A2.75 2.75 0 0 1 12 3.5ZM6 11a6 6 0 0 0 12 0M12 17v3.5M9 20.5h6';

export type TalkState = 'idle' | 'starting' | 'live';

/**
 * `<hearthcam-talk>`: hold it to speak to the camera, by mouse, finger, or the space key while it has the focus. The
 * microphone is asked for with the first press, and off whenever nobody presses. Fires `talk` with the state.
 */
export class TalkButton extends HTMLElement {
  /** `…/api/webrtc?src=…` */
  url = '';
  iceServers: readonly RTCIceServer[] = [];
  readonly #root: HTMLElement;
  readonly #button: HTMLButtonElement;
  readonly #status: HTMLElement;
  #connection: TalkConnection | null = null;
  #state: TalkState = 'idle';
  #pressedAtMs = 0;
  #clear: ReturnType<typeof setTimeout> | undefined;
  #unlisten = new AbortController();

  constructor() {
    super();
    const shadow = this.attachShadow({ mode: 'open' });
    const style = document.createElement('style');
    style.textContent = STYLE;
    this.#root = document.createElement('div');
    this.#button = document.createElement('button');
    this.#button.title = `${TEXTS.hold} (space key)`;
    this.#button.append(icon());
    this.#status = document.createElement('div');
    this.#status.setAttribute('role', 'status');
    this.#root.append(this.#status, this.#button);
    shadow.append(style, this.#root);
    this.#show('idle');
  }

  get state(): TalkState {
    return this.#state;
  }

  connectedCallback(): void {
    this.#unlisten = new AbortController();
    const { signal } = this.#unlisten;
    const button = this.#button;
    const on = (type: string, handler: (event: Event) => void, target: EventTarget = button): void =>
      target.addEventListener(type, handler, { signal });
    on('pointerdown', (event) => {
      if (!(event instanceof PointerEvent) || event.button !== 0) return;
      button.setPointerCapture(event.pointerId);
      this.press();
    });
    for (const type of ['pointerup', 'pointercancel', 'lostpointercapture', 'blur']) on(type, () => this.release());
    on('contextmenu', (event) => event.preventDefault());
    on('keydown', (event) => this.#key(event, true));
    on('keyup', (event) => this.#key(event, false));
    on('visibilitychange', () => document.visibilityState === 'hidden' && this.release(), document);
    on('pagehide', () => this.release(), window);
  }

  disconnectedCallback(): void {
    this.#unlisten.abort();
    this.release();
    clearTimeout(this.#clear);
  }

  press(): void {
    if (this.#connection !== null) return;
    this.#pressedAtMs = performance.now();
    const connection = new TalkConnection({
      url: this.url,
      iceServers: this.iceServers,
      onLive: () => this.#connection === connection && this.#show('live', TEXTS.live),
      onEnd: (text) => {
        if (this.#connection === connection) this.#connection = null;
        this.#show('idle', text);
      },
    });
    this.#connection = connection;
    this.#show('starting', TEXTS.starting);
  }

  release(): void {
    const connection = this.#connection;
    if (connection === null) return;
    this.#connection = null;
    connection.stop();
    const tapped = this.#state === 'starting' && performance.now() - this.#pressedAtMs < TAP_MS;
    this.#show('idle', tapped ? TEXTS.hold : '');
  }

  #key(event: Event, down: boolean): void {
    if (!(event instanceof KeyboardEvent) || (event.key !== ' ' && event.key !== 'Enter')) return;
    event.preventDefault();
    event.stopPropagation();
    if (!down) this.release();
    else if (!event.repeat) this.press();
  }

  #show(state: TalkState, text = ''): void {
    const changed = state !== this.#state;
    this.#state = state;
    this.#root.dataset['state'] = state;
    this.#status.textContent = text;
    this.#button.setAttribute('aria-pressed', String(state === 'live'));
    this.#button.setAttribute(
      'aria-label',
      state === 'live' ? 'Speaking to the camera' : `${TEXTS.hold} to the camera`,
    );
    clearTimeout(this.#clear);
    if (state === 'idle' && text !== '') {
      this.#clear = setTimeout(() => {
        this.#status.textContent = '';
      }, ERROR_MS);
    }
    if (changed) this.dispatchEvent(new CustomEvent('talk', { detail: { state } }));
  }
}

function icon(): SVGElement {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
  path.setAttribute('d', MICROPHONE);
  svg.append(path);
  return svg;
}

if (customElements.get('hearthcam-talk') === undefined) customElements.define('hearthcam-talk', TalkButton);

declare global {
  interface HTMLElementTagNameMap {
    'hearthcam-talk': TalkButton;
  }
}
