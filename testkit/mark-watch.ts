import type { Page } from 'playwright-core';

/** A picture that the page showed for the first time. */
export interface SeenMark {
  /** UTC milliseconds at which the camera took it. */
  readonly takenAtMs: number;
  /** UTC milliseconds at which the page had it. */
  readonly seenAtMs: number;
}

/**
 * Runs in the page: reads the mark of the simulator's pictures (`src/simulate/mark.ts`) out of the shown video each time
 * the browser paints, and notes when another one is there.
 */
const SCRIPT = `
window.seenMarks = [];
(() => {
  const width = 640, height = 360;
  const scratch = document.createElement('canvas');
  scratch.width = width;
  scratch.height = 24;
  const context = scratch.getContext('2d', { willReadFrequently: true });
  let last = -1;
  const look = () => {
    requestAnimationFrame(look);
    const picture = document.querySelector('hearthcam-player')?.picture ?? document.querySelector('video');
    if (!picture || picture.readyState < 2) return;
    context.drawImage(picture, 0, 0, width, height);
    const pixels = context.getImageData(0, 0, width, 24).data;
    let time = 0;
    for (let column = 0; column < 32; column++) {
      const x = 8 * (30 + column) + 4;
      time = time * 2 + (pixels[(15 * width + x) * 4 + 1] > 127 ? 1 : 0);
    }
    if (time === last) return;
    last = time;
    const seenAtMs = Date.now();
    window.seenMarks.push({ takenAtMs: time + Math.round((seenAtMs - time) / 2 ** 32) * 2 ** 32, seenAtMs });
  };
  look();
})();
`;

/** Begins to watch the player's picture, or the page's first video. */
export async function watchMarks(page: Page): Promise<void> {
  await page.evaluate(SCRIPT);
}

/** What was seen so far, oldest first. */
export function seenMarks(page: Page): Promise<readonly SeenMark[]> {
  return page.evaluate<readonly SeenMark[]>('window.seenMarks');
}
