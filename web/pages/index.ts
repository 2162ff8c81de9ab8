import { getJson } from './api.ts';
import { byId, el, encode, showText } from './dom.ts';
import { parseStreams, type StreamInfo } from './logic/streams.ts';
import { offerPush } from './push.ts';
import { StillCard } from './still.ts';

const POLL_MS = 3_000;
const STATES: Readonly<Record<StreamInfo['state'], string>> = { live: 'Live', idle: 'Idle', error: 'Not reachable' };

/** One camera's card. Made once and then only updated, so that pictures don't flicker and the focus stays. */
class Card {
  readonly element: HTMLLIElement;
  readonly #still: StillCard;
  readonly #state = el('span', { class: 'state' });
  readonly #facts = el('div', { class: 'facts' });

  constructor(name: string) {
    const to = `stream.html?src=${encode(name)}`;
    this.#still = new StillCard(name, to);
    this.element = el(
      'li',
      { class: 'card' },
      this.#still.element,
      el(
        'div',
        { class: 'body' },
        el('div', { class: 'line' }, el('h2', { title: name }, name), this.#state),
        this.#facts,
        el(
          'div',
          { class: 'acts' },
          el('a', { href: to, 'aria-label': `Play ${name}` }, 'Play'),
          el('a', { href: `links.html?src=${encode(name)}`, 'aria-label': `Addresses of ${name}` }, 'Addresses'),
        ),
      ),
    );
  }

  update(info: StreamInfo): void {
    this.#still.update(info);
    // A camera that was asked for a still and isn't there is idle again as soon as nobody asks.
    const problem = info.state === 'idle' ? this.#still.problem : info.reason;
    const state = problem === '' ? info.state : 'error';
    this.element.dataset['state'] = state;
    this.#state.textContent = STATES[state];
    const viewers = info.viewers === 0 ? [] : [info.viewers === 1 ? '1 viewer' : `${info.viewers} viewers`];
    const known = [...info.facts, ...viewers].join(' · ');
    const otherwise = info.state === 'idle' ? 'Connects when somebody looks' : 'Waiting for the first picture';
    this.#facts.textContent = state === 'error' ? problem : known === '' ? otherwise : known;
  }

  remove(): void {
    this.#still.close();
    this.element.remove();
  }
}

const cards = new Map<string, Card>();
const list = byId('cards');

function render(streams: readonly StreamInfo[]): void {
  for (const [name, card] of cards) {
    if (streams.some((one) => one.name === name)) continue;
    card.remove();
    cards.delete(name);
  }
  for (const info of streams) {
    let card = cards.get(info.name);
    if (card === undefined) {
      card = new Card(info.name);
      cards.set(info.name, card);
      list.append(card.element);
    }
    card.update(info);
  }
  byId('empty').hidden = streams.length > 0;
  const live = streams.filter((one) => one.state === 'live').length;
  showText(byId('sum'), streams.length === 0 ? '' : `${live} of ${streams.length} live`);
}

async function poll(): Promise<void> {
  try {
    render(parseStreams(await getJson('api/streams')));
    showText(byId('problem'), '');
  } catch (error) {
    showText(byId('problem'), error instanceof Error ? error.message : String(error));
  }
}

function loop(): void {
  const again = (): void => {
    setTimeout(loop, POLL_MS);
  };
  if (document.visibilityState === 'hidden') again();
  else poll().then(again, again);
}

async function showVersion(): Promise<void> {
  const value = await getJson('api');
  if (typeof value !== 'object' || value === null) return;
  const own = 'hearthcam' in value && typeof value.hearthcam === 'string' ? value.hearthcam : '';
  showText(byId('version'), own === '' ? 'Hearthcam' : `Hearthcam ${own}`);
}

/** A browser that can't be told has no button for it. */
function showPush(): void {
  const button = byId('push');
  if (!(button instanceof HTMLButtonElement)) return;
  offerPush(button, (text) => showText(byId('push-problem'), text)).catch(() => {
    button.hidden = true;
  });
}

loop();
showPush();
showVersion().catch(() => {
  // The poll shows what is wrong with the server.
});
