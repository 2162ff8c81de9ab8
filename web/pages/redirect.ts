import { byId } from './dom.ts';

/** `webrtc.html?src=` and `hls.html?src=` of go2rtc: the player in that mode. */
const query = new URLSearchParams(location.search);
if (!query.has('mode')) query.set('mode', document.body.dataset['mode'] ?? '');
const target = `stream.html?${query}`;
byId('to').setAttribute('href', target);
location.replace(target);
