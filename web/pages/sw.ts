/**
 * Shows what the server tells this browser by web push (docs/notify.md), also while no page of it is open. It serves no
 * pages: those always come from the server.
 */

interface Told {
  readonly title: string;
  readonly body: string;
  readonly url: string;
  /** One notification for each event: what comes later takes its place. */
  readonly tag: string;
}

interface WorkerEvent extends Event {
  waitUntil(work: Promise<unknown>): void;
}
interface PushMessage extends WorkerEvent {
  readonly data: { json(): unknown } | null;
}
interface NotificationClick extends WorkerEvent {
  readonly notification: Notification;
}

// Checked border: TypeScript's types of pages and of workers can't be had at once; this is what is used of the latter.
const worker = self as unknown as {
  readonly registration: ServiceWorkerRegistration;
  readonly clients: { openWindow(url: string): Promise<unknown> };
  skipWaiting(): Promise<void>;
  addEventListener(type: 'install', listener: (event: WorkerEvent) => void): void;
  addEventListener(type: 'push', listener: (event: PushMessage) => void): void;
  addEventListener(type: 'notificationclick', listener: (event: NotificationClick) => void): void;
};

worker.addEventListener('install', (event) => event.waitUntil(worker.skipWaiting()));

worker.addEventListener('push', (event) => {
  const { title, body, url, tag } = read(event.data);
  // Every push must show something, or browsers take the permission away.
  event.waitUntil(worker.registration.showNotification(title, { body, tag, data: url, icon: 'mark.svg' }));
});

worker.addEventListener('notificationclick', (event) => {
  event.notification.close();
  const to: unknown = event.notification.data;
  event.waitUntil(worker.clients.openWindow(typeof to === 'string' ? to : './'));
});

function read(data: PushMessage['data']): Told {
  let given: unknown;
  try {
    given = data?.json();
  } catch {
    given = undefined;
  }
  const event = field(given, 'event');
  const camera = text(field(event, 'camera'));
  const own = camera === '' ? './' : `stream.html?src=${encodeURIComponent(camera)}`;
  const url = text(field(given, 'url'));
  return {
    title: text(field(given, 'title')) || 'Hearthcam',
    body: text(field(given, 'body')),
    // An address outside of the web would be none to open.
    url: /^https?:\/\//.test(url) ? url : own,
    tag: text(field(event, 'id')) || 'hearthcam',
  };
}

function field(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined;
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
