import type { Page } from 'playwright-core';
import { waitFor } from './wait.ts';

/** ffmpeg arguments for a picture that flashes each second and a sound that beeps at the same moments. */
export function flashAndBeep(options: {
  readonly seconds: number;
  readonly video: readonly string[];
  readonly audio: readonly string[];
}): string[] {
  const { seconds, video, audio } = options;
  const picture = "color=black:s=320x240:r=25,drawbox=c=white:t=fill:enable='lt(mod(t,1),0.11)',format=yuv420p";
  const sound = "aevalsrc='if(lt(mod(t,1),0.06),0.8*sin(2*PI*1000*t),0)':s=16000";
  return [
    ...['-f', 'lavfi', '-i', picture, '-f', 'lavfi', '-i', sound, '-t', String(seconds)],
    ...[...video, '-g', '50', '-keyint_min', '50', '-sc_threshold', '0', ...audio],
  ];
}

/** What was seen and heard since the last report, by the page's own clock. */
interface Marks {
  /** When the flashes were shown and the beeps were played, in milliseconds. */
  readonly flashesMs: readonly number[];
  readonly beepsMs: readonly number[];
}

/**
 * Runs in the page: notes when a video element becomes bright, by the time at which the picture is displayed, and when
 * the sound begins, by the time at which it leaves the audio context.
 */
const SCRIPT = `
window.measureSync = async (video, stream) => {
  const marks = { flashesMs: [], beepsMs: [] };
  window.syncMarks = marks;
  const canvas = new OffscreenCanvas(8, 8);
  const context = canvas.getContext('2d', { willReadFrequently: true });
  let bright = true;
  const look = (now, meta) => {
    context.drawImage(video, 0, 0, 8, 8);
    const pixels = context.getImageData(2, 2, 1, 1).data;
    const is = pixels[0] > 128;
    if (is && !bright) marks.flashesMs.push(meta.expectedDisplayTime);
    bright = is;
    video.requestVideoFrameCallback(look);
  };
  video.requestVideoFrameCallback(look);
  const audio = new AudioContext();
  const code = "registerProcessor('onset', class extends AudioWorkletProcessor { constructor() { super(); this.quiet = 0; } " +
    "process([[samples]]) { if (samples) { let at = -1; for (let i = 0; i < samples.length; i++) if (Math.abs(samples[i]) > 0.1) { at = i; break; } " +
    "if (at < 0) this.quiet += 1; else { if (this.quiet > 50) this.port.postMessage(currentTime + at / sampleRate); this.quiet = 0; } } return true; } });";
  await audio.audioWorklet.addModule(URL.createObjectURL(new Blob([code], { type: 'text/javascript' })));
  const onset = new AudioWorkletNode(audio, 'onset');
  onset.port.onmessage = ({ data }) => {
    const { contextTime, performanceTime } = audio.getOutputTimestamp();
    marks.beepsMs.push(performanceTime + (data - contextTime) * 1000);
  };
  const source = stream ? audio.createMediaStreamSource(stream) : audio.createMediaElementSource(video);
  source.connect(onset).connect(audio.destination);
  await audio.resume();
};
`;

/** Begins to measure the first video element of the page; `stream`: its sound comes from a MediaStream (WebRTC). */
export async function measureSync(page: Page, kind: 'element' | 'stream'): Promise<void> {
  await page.evaluate(SCRIPT);
  const stream = kind === 'stream' ? 'video.srcObject' : 'undefined';
  await page.evaluate(`{ const video = document.querySelector('video'); window.measureSync(video, ${stream}); }`);
}

/**
 * How much later the sound comes than the picture, in milliseconds: the median of the last pairs, as soon as it lies
 * within `limitMs` of `expectedMs`. Players take some seconds to bring the two in step.
 * @throws with what was measured when it does not come so far in time, or no flashes or no beeps come
 */
export async function soundLagMs(page: Page, limitMs: number, expectedMs = 0, pairs = 4): Promise<number> {
  let lagMs = Number.NaN;
  await waitFor(
    async () => {
      const { flashesMs, beepsMs } = await page.evaluate<Marks>('window.syncMarks');
      const lags = flashesMs.flatMap((flash) => {
        const near = beepsMs.map((beep) => beep - flash).filter((lag) => Math.abs(lag) < 450);
        return near.length === 0 ? [] : [near.reduce((best, lag) => (Math.abs(lag) < Math.abs(best) ? lag : best))];
      });
      const last = lags.slice(-pairs).toSorted((one, other) => one - other);
      lagMs = last[last.length >> 1] ?? Number.NaN;
      return last.length === pairs && Math.abs(lagMs - expectedMs) <= limitMs;
    },
    { timeoutMs: 30_000, everyMs: 200, what: 'sound and picture in step' },
  ).catch(async (error: unknown) => {
    const marks = JSON.stringify(await page.evaluate('window.syncMarks'));
    throw new Error(`the sound comes ${Math.round(lagMs)} ms after the picture: ${marks}`, { cause: error });
  });
  return lagMs;
}
