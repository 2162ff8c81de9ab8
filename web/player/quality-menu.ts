import { css, html, LitElement, nothing, type TemplateResult } from 'lit';
import { ICONS } from './icons.ts';
import { AUTO, labelOf, type Quality } from './logic/qualities.ts';

const styles = css`
  :host { display: inline-block; position: relative; flex: none; }
  button { font: inherit; color: inherit; border: 0; background: none; cursor: pointer; -webkit-tap-highlight-color: transparent; }
  .open { display: flex; align-items: center; gap: 5px; height: 38px; padding: 0 9px; border-radius: 10px; white-space: nowrap; }
  .open:hover { background: rgb(255 255 255 / 18%); }
  :focus-visible { outline: 2px solid var(--hearthcam-accent, #f2a65a); outline-offset: -2px; }
  svg { width: 22px; height: 22px; fill: none; stroke: currentColor; stroke-width: 1.7; stroke-linecap: round; stroke-linejoin: round; }
  .now { font-size: 12.5px; font-variant-numeric: tabular-nums; }
  [role='menu'] { position: absolute; right: 0; bottom: 44px; display: grid; min-width: 190px; max-height: min(60cqh, 320px); overflow: auto;
    padding: 5px; border-radius: 12px; background: rgb(11 13 16 / 90%); backdrop-filter: blur(8px); box-shadow: 0 6px 24px rgb(0 0 0 / 40%); }
  [role='menuitemradio'] { display: flex; align-items: baseline; gap: 8px; padding: 8px 10px; border-radius: 8px; text-align: left; white-space: nowrap; }
  [role='menuitemradio']:hover, [role='menuitemradio']:focus-visible { background: rgb(255 255 255 / 14%); }
  .tick { width: 12px; flex: none; color: var(--hearthcam-accent, #f2a65a); }
  .rate { margin-left: auto; padding-left: 14px; color: #aab2bb; font-size: 12px; font-variant-numeric: tabular-nums; }
  @container (max-width: 430px) { .now { display: none; } }
`;

/** The choice of the picture's quality in the player's bar. Fires `choose` with the name. */
export class QualityMenu extends LitElement {
  static override styles = styles;
  static override properties = {
    items: { attribute: false },
    chosen: { attribute: false },
    now: { attribute: false },
    open: { state: true },
  };

  declare items: readonly Quality[];
  /** Name, or `auto`. */
  declare chosen: string;
  /** What plays, in words; '' while unknown. */
  declare now: string;
  declare open: boolean;

  #unlisten = new AbortController();

  constructor() {
    super();
    this.items = [];
    this.chosen = AUTO;
    this.now = '';
    this.open = false;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.#unlisten = new AbortController();
    const { signal } = this.#unlisten;
    // A click anywhere else closes it.
    window.addEventListener('pointerdown', (event) => event.composedPath().includes(this) || this.close(), { signal });
    this.addEventListener('focusout', (event) => this.#focusLeft(event.relatedTarget), { signal });
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#unlisten.abort();
  }

  toggle(): void {
    if (this.open) this.close();
    else this.#show();
  }

  close(): void {
    this.open = false;
  }

  #show(): void {
    this.open = true;
    this.dispatchEvent(new CustomEvent('show'));
    void this.updateComplete.then(() => this.#focus('[aria-checked="true"]'));
  }

  #focusLeft(to: EventTarget | null): void {
    if (to instanceof Node && (to === this || this.renderRoot.contains(to))) return;
    // Within its own shadow tree the focus is reported as being on the element itself.
    if (!this.matches(':focus-within')) this.close();
  }

  #focus(selector: string): void {
    const found = this.renderRoot.querySelector(selector);
    if (found instanceof HTMLElement) found.focus();
  }

  /** WAI-ARIA authoring practices, menu button: arrows, Home, End, Escape. */
  #key(event: KeyboardEvent): void {
    const items = [...this.renderRoot.querySelectorAll<HTMLElement>('[role="menuitemradio"]')];
    const at = items.findIndex((one) => one.matches(':focus'));
    const to = { ArrowDown: at + 1, ArrowUp: at - 1 + items.length, Home: 0, End: items.length - 1 }[event.key];
    if (event.key === 'Escape' && this.open) {
      this.close();
      this.#focus('.open');
    } else if (to !== undefined && this.open) {
      items[to % items.length]?.focus();
    } else if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
      this.#show();
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  #choose(name: string): void {
    this.close();
    this.#focus('.open');
    this.dispatchEvent(new CustomEvent('choose', { detail: { name } }));
  }

  protected override render(): TemplateResult {
    const shown = [this.chosen === AUTO ? 'Auto' : '', this.now].filter((one) => one !== '').join(' · ');
    return html`<div @keydown=${(event: KeyboardEvent) => this.#key(event)}>
      ${this.open ? this.#menuTemplate() : nothing}
      <button
        class="open"
        aria-haspopup="menu"
        aria-expanded=${this.open}
        aria-label=${`Quality: ${shown}`}
        title="Quality (q)"
        @click=${() => this.toggle()}
      >
        <svg viewBox="0 0 24 24" aria-hidden="true">${ICONS.quality}</svg><span class="now">${shown}</span>
      </button>
    </div>`;
  }

  #menuTemplate(): TemplateResult {
    const auto = this.chosen === AUTO && this.now !== '' ? `Auto (${this.now})` : 'Auto';
    return html`<div role="menu" aria-label="Quality">
      ${this.#itemTemplate(AUTO, auto, null)}
      ${this.items.map((one) => this.#itemTemplate(one.name, labelOf(one), one.kbps))}
    </div>`;
  }

  #itemTemplate(name: string, label: string, kbps: number | null): TemplateResult {
    const chosen = name === this.chosen;
    return html`<button role="menuitemradio" tabindex="-1" aria-checked=${chosen} @click=${() => this.#choose(name)}>
      <span class="tick" aria-hidden="true">${chosen ? '✓' : ''}</span>${label}
      ${kbps === null ? nothing : html`<span class="rate">${formatRate(kbps)}</span>`}
    </button>`;
  }
}

function formatRate(kbps: number): string {
  return kbps >= 1_000 ? `${(kbps / 1_000).toFixed(1)} Mb/s` : `${kbps} kb/s`;
}

if (customElements.get('hearthcam-quality-menu') === undefined) {
  customElements.define('hearthcam-quality-menu', QualityMenu);
}

declare global {
  interface HTMLElementTagNameMap {
    'hearthcam-quality-menu': QualityMenu;
  }
}
