import { type Browser, chromium, type Page } from 'playwright-core';

/** Debian's Chromium without a window. Plays H.264 and AAC; no H.265. */
export async function launchBrowser(extraArgs: readonly string[] = []): Promise<Browser & AsyncDisposable> {
  const browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: [
      '--headless=new',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--autoplay-policy=no-user-gesture-required',
      ...extraArgs,
    ],
  });
  return Object.assign(browser, { [Symbol.asyncDispose]: () => browser.close() });
}

/**
 * An (as good as) empty page of the server's own origin, so that scripts in it may use its API and WebSocket. It is the
 * server's "not found": Chromium lets no page that was made up by the test connect to loopback.
 */
export async function blankPage(browser: Browser, url: string): Promise<Page> {
  const page = await browser.newPage();
  await page.goto(`${url}/there-is-no-such-page`);
  return page;
}
