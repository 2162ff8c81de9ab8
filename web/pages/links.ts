import { ServerAddress } from '../player/logic/address.ts';
import { getJson } from './api.ts';
import { byId, el, showText } from './dom.ts';
import { isLoopback, type Link, linksFor, parseServerInfo } from './logic/links.ts';

const src = new URLSearchParams(location.search).get('src') ?? '';

function copyButton(url: string): HTMLButtonElement {
  const button = el('button', { type: 'button', 'aria-label': `Copy ${url}` }, 'Copy');
  const say = (text: string): void => {
    button.textContent = text;
    setTimeout(() => {
      button.textContent = 'Copy';
    }, 1_500);
  };
  button.addEventListener('click', () => {
    copy(url).then(
      () => say('Copied'),
      () => say('No access'),
    );
  });
  return button;
}

/** The clipboard API exists on secure pages only, and at home the page comes by plain HTTP. */
async function copy(text: string): Promise<void> {
  if (window.isSecureContext) {
    await navigator.clipboard.writeText(text);
    return;
  }
  const field = el('textarea', { readonly: '' });
  field.value = text;
  field.style.position = 'fixed';
  field.style.opacity = '0';
  document.body.append(field);
  field.select();
  const done = document.execCommand('copy');
  field.remove();
  if (!done) throw new Error('copying was refused');
}

function section(link: Link): HTMLElement {
  const rows = link.urls.map((url) => el('div', { class: 'row' }, el('a', { href: url }, url), copyButton(url)));
  return el('section', { class: 'link' }, el('h2', {}, link.title), el('p', {}, link.use), ...rows);
}

async function show(): Promise<void> {
  byId('title').textContent = src === '' ? 'Addresses' : src;
  document.title = `${src || 'Addresses'} · Hearthcam`;
  if (src === '') {
    showText(byId('problem'), 'Which stream? Add ?src= and its name to the address.');
    return;
  }
  const here = new ServerAddress('', document.baseURI);
  let info = parseServerInfo(null, location.hostname);
  try {
    info = parseServerInfo(await getJson('api'), location.hostname);
  } catch (error) {
    showText(byId('problem'), error instanceof Error ? error.message : String(error));
  }
  byId('links').append(...linksFor(src, info, (path, query) => here.http(path, query)).map(section));
  if (isLoopback(location.hostname)) {
    showText(
      byId('local'),
      'These addresses work on this machine only. For others, open this page by the machine’s own name or address.',
    );
  }
}

show().catch((error: unknown) => showText(byId('problem'), String(error)));
