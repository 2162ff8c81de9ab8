import { createHmac } from 'node:crypto';
import type { EventMessage } from '../core/events.ts';
import type { Target } from './queue.ts';
import { send } from './send.ts';
import type { NotifySettings } from './settings.ts';

const TIMEOUT_MS = 10_000;

/** `t=<Unix seconds>,v1=<hex>`: HMAC-SHA256 with the secret over `<seconds>.<body>`, so that an old message can't be sent again. */
export function signature(secret: string, body: Buffer, atMs: number): string {
  const seconds = Math.floor(atMs / 1_000);
  return `t=${seconds},v1=${createHmac('sha256', secret).update(`${seconds}.`).update(body).digest('hex')}`;
}

export function webhook(name: string, settings: NotifySettings['webhooks'][string], product: string): Target {
  const { url, secret, headers, timeout_seconds } = settings;
  return {
    name,
    kind: 'webhook',
    deliver: (message) => {
      const body = Buffer.from(JSON.stringify(message));
      return send({
        url,
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'user-agent': product,
          'x-hearthcam-event': `${message.id}-${message.state}`,
          ...(secret === '' ? {} : { 'x-hearthcam-signature': signature(secret, body, Date.now()) }),
          ...headers,
        },
        body,
        timeoutMs: timeout_seconds * 1_000,
      });
    },
  };
}

/** Published as JSON (docs.ntfy.sh/publish, "Publish as JSON"): headers hold no names with accents. */
export function ntfy(name: string, settings: NotifySettings['ntfy'][string], baseUrl: string, product: string): Target {
  const { url, token, priority, title, attach } = settings;
  const topicUrl = new URL(url);
  const path = topicUrl.pathname.replace(/\/+$/, '');
  // A topic is of letters, digits, _ and -: nothing that an address would have to escape.
  const topic = path.slice(path.lastIndexOf('/') + 1);
  topicUrl.pathname = path.slice(0, path.lastIndexOf('/') + 1);
  return {
    name,
    kind: 'ntfy',
    deliver: (message) => {
      const words = wordsOf(message, title);
      const link = linkOf(baseUrl, message);
      const body = {
        topic,
        title: words.title,
        message: words.body,
        priority,
        tags: [message.detection === 'cry' ? 'baby' : 'bell'],
        ...(link === undefined ? {} : { click: link }),
        ...(attach && baseUrl !== '' ? { attach: `${trimmed(baseUrl)}/api/events/${message.id}/snapshot.jpeg` } : {}),
      };
      return send({
        url: topicUrl.href,
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'user-agent': product,
          ...(token === '' ? {} : { authorization: `Bearer ${token}` }),
        },
        body: Buffer.from(JSON.stringify(body)),
        timeoutMs: TIMEOUT_MS,
      });
    },
  };
}

/** What a person reads: "nursery: crying", "for 25 seconds". */
export function wordsOf(message: EventMessage, title = ''): { readonly title: string; readonly body: string } {
  const { camera, detection, state, duration, confidence, late } = message;
  const what = detection === 'cry' ? 'crying' : detection.replaceAll('_', ' ');
  const filled = title.replaceAll('{camera}', camera).replaceAll('{detection}', what);
  const seconds = Math.round(duration);
  const lasted = seconds >= 120 ? `${Math.round(seconds / 60)} minutes` : `${seconds} seconds`;
  const sure = `${Math.round(confidence * 100)} % sure`;
  const begun = seconds > 0 ? `for ${lasted} now, ${sure}` : `just now, ${sure}`;
  const body = state === 'ended' ? `ended after ${lasted}` : begun;
  return { title: filled === '' ? `${camera}: ${what}` : filled, body: late === true ? `${body} (told late)` : body };
}

/** Where the camera is to be seen. */
export function linkOf(baseUrl: string, message: EventMessage): string | undefined {
  return baseUrl === '' ? undefined : `${trimmed(baseUrl)}/stream.html?src=${encodeURIComponent(message.camera)}`;
}

function trimmed(baseUrl: string): string {
  return baseUrl.replace(/\/+$/, '');
}
