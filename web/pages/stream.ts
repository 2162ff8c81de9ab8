import '../player/hearthcam-player.ts';
import { byId, el } from './dom.ts';

/** `stream.html?src=a&src=b&mode=webrtc,mse&media=video&width=400px&background=false` (compatibility.md 1.8). */
const query = new URLSearchParams(location.search);
const names = query.getAll('src').filter((name) => name !== '');
const players = byId('players');

document.title = names.length === 0 ? 'Hearthcam' : `${names.join(', ')} · Hearthcam`;
if (names.length === 1) players.classList.add('one');
const width = query.get('width') ?? '';
if (/^\d+(\.\d+)?(px|%|em|rem|vw)?$/.test(width)) {
  players.style.setProperty('--width', /\d$/.test(width) ? `${width}px` : width);
}
for (const name of names) {
  const player = el('hearthcam-player', {
    src: name,
    mode: query.get('mode') ?? '',
    media: query.get('media') ?? '',
  });
  // go2rtc's page plays on in the background unless told otherwise.
  if (query.get('background') !== 'false') player.setAttribute('background', '');
  players.append(player);
}
if (names.length === 0) {
  const problem = byId('problem');
  problem.append(
    'Which stream? Add ?src= and its name to the address, or ',
    el('a', { href: './' }, 'choose one'),
    '.',
  );
  problem.hidden = false;
}
