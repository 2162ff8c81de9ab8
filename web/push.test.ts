import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { startTestApp } from '../testkit/app.ts';
import { launchBrowser } from '../testkit/browser.ts';
import { waitFor } from '../testkit/wait.ts';
import { ensureWebBuilt } from '../testkit/web.ts';

interface Shown {
  readonly title: string;
  readonly body: string;
  readonly tag: string;
  readonly data: string;
}

test('a browser shows what it is told, once for each event, also what makes no sense', async () => {
  await ensureWebBuilt();
  const dataDir = await mkdtemp(join(tmpdir(), 'hearthcam-push-'));
  try {
    await using app = await startTestApp({ streams: {}, dataDir });
    await using browser = await launchBrowser();
    const context = await browser.newContext();
    await context.grantPermissions(['notifications'], { origin: app.url });
    const page = await context.newPage();
    const inspector = await context.newCDPSession(page);
    const registrations: string[] = [];
    inspector.on('ServiceWorker.workerRegistrationUpdated', ({ registrations: all }) => {
      for (const one of all) registrations.push(one.registrationId);
    });
    await inspector.send('ServiceWorker.enable');
    await page.goto(app.url);
    const button = page.locator('#push');
    await button.waitFor({ state: 'visible' });
    assert.equal(await button.textContent(), 'Tell this device when a baby cries');
    await page.evaluate(
      `navigator.serviceWorker.register('sw.js').then(() => navigator.serviceWorker.ready).then(() => null)`,
    );
    const registrationId = await waitFor(() => registrations[0]);
    const tell = (data: string) =>
      inspector.send('ServiceWorker.deliverPushMessage', { origin: app.url, registrationId, data });
    const shown = (): Promise<Shown[]> =>
      page.evaluate(`navigator.serviceWorker.ready.then((one) => one.getNotifications()).then((all) =>
        all.map(({ title, body, tag, data }) => ({ title, body, tag, data })))`);
    const event = { id: 'e1', camera: 'nursery' };
    await tell(JSON.stringify({ title: 'nursery: crying', body: 'just now', url: 'https://home.example/x', event }));
    await waitFor(async () => (await shown()).length === 1);
    await tell(JSON.stringify({ title: 'nursery: crying', body: 'ended', url: 'javascript:alert(1)', event }));
    await waitFor(async () => (await shown())[0]?.body === 'ended');
    await tell('rubbish');
    const all = await waitFor(async () => {
      const found = await shown();
      return found.length === 2 && found;
    });
    assert.deepEqual(
      [...all].sort((one, other) => one.tag.localeCompare(other.tag)),
      [
        { title: 'nursery: crying', body: 'ended', tag: 'e1', data: 'stream.html?src=nursery' },
        { title: 'Hearthcam', body: '', tag: 'hearthcam', data: './' },
      ],
    );
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
});
