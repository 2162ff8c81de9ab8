import { getJson } from './api.ts';

/**
 * Lets the button turn telling this browser on and off. It is hidden where browsers can't be told: they ask for HTTPS
 * or localhost, and on an iPhone for a page on the home screen.
 */
export async function offerPush(button: HTMLButtonElement, onProblem: (text: string) => void): Promise<void> {
  if (!('serviceWorker' in navigator) || !('PushManager' in window) || !('Notification' in window)) return;
  const show = async (): Promise<void> => {
    const registration = await navigator.serviceWorker.getRegistration();
    const subscribed = ((await registration?.pushManager.getSubscription()) ?? null) !== null;
    button.textContent = subscribed ? 'Stop telling this device' : 'Tell this device when a baby cries';
    button.setAttribute('aria-pressed', String(subscribed));
  };
  button.addEventListener('click', () => {
    button.disabled = true;
    toggle()
      .then(() => onProblem(''))
      .catch((error: unknown) => onProblem(error instanceof Error ? error.message : String(error)))
      .finally(() => {
        button.disabled = false;
        void show();
      });
  });
  await show();
  button.hidden = false;
}

async function toggle(): Promise<void> {
  await navigator.serviceWorker.register('sw.js');
  // It can't be told before it works.
  const registration = await navigator.serviceWorker.ready;
  const subscription = await registration.pushManager.getSubscription();
  if (subscription !== null) {
    await tellServer('DELETE', { endpoint: subscription.endpoint });
    await subscription.unsubscribe();
    return;
  }
  if ((await Notification.requestPermission()) !== 'granted') {
    throw new Error('This browser was told not to show notifications: allow them for this page in its settings.');
  }
  const found = await getJson('api/push/key');
  const key = typeof found === 'object' && found !== null && 'key' in found ? String(found.key) : '';
  const made = await registration.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key });
  try {
    await tellServer('POST', made.toJSON());
  } catch (error) {
    await made.unsubscribe();
    throw error;
  }
}

async function tellServer(method: 'POST' | 'DELETE', body: object): Promise<void> {
  const response = await fetch('api/push/subscriptions', { method, body: JSON.stringify(body) });
  // One that the server has forgotten already is no problem.
  if (!response.ok && response.status !== 404) throw new Error(`The server says: ${await response.text()}`);
}
