import type { Page } from 'playwright-core';

/** What a page that plays by Media Source Extensions sees. */
export interface MseReport {
  readonly mimes: readonly string[];
  readonly errors: readonly string[];
  readonly closed: boolean;
  readonly binaries: number;
  readonly bufferedRanges: number;
  readonly bufferedStart: number;
  readonly bufferedEnd: number;
  readonly currentTime: number;
  readonly width: number;
  readonly height: number;
  readonly frames: number;
  readonly audioBytes: number;
  /** Longest time between two painted pictures since the last report, in milliseconds. */
  readonly longestPauseMs: number;
  /** From the start of the connection to the first painted picture; undefined before. */
  readonly firstPictureMs: number | null;
}

/**
 * Runs in the page. Plays a stream the way go2rtc's video-rtc.js does: a MIME type makes the SourceBuffer, every binary
 * message is appended, nothing is sought. A second `mse` message is followed by `changeType`, as our own player does.
 */
const SCRIPT = `
window.startMse = (wsUrl, codecs) => {
  const startMs = performance.now();
  const video = document.createElement('video');
  video.muted = true;
  document.body.replaceChildren(video);
  const state = { mimes: [], errors: [], closed: false, binaries: 0, longest: 0, last: 0, first: null, frames: 0, video };
  window.mseState = state;
  const media = new MediaSource();
  const queue = [];
  let buffer;
  const pump = () => {
    if (buffer === undefined || buffer.updating || queue.length === 0) return;
    const next = queue.shift();
    try {
      if (typeof next === 'string') {
        buffer.changeType(next);
        pump();
      } else buffer.appendBuffer(next);
    } catch (error) {
      state.errors.push(String(error));
    }
  };
  const painted = (nowMs) => {
    state.frames++;
    state.first ??= nowMs - startMs;
    if (state.last > 0) state.longest = Math.max(state.longest, nowMs - state.last);
    state.last = nowMs;
    video.requestVideoFrameCallback(painted);
  };
  video.requestVideoFrameCallback(painted);
  video.addEventListener('error', () => state.errors.push('video: ' + video.error?.message));
  video.src = URL.createObjectURL(media);
  video.play().catch((error) => state.errors.push('play: ' + error));
  media.addEventListener('sourceopen', () => {
    const ws = new WebSocket(wsUrl);
    ws.binaryType = 'arraybuffer';
    ws.onopen = () => ws.send(JSON.stringify({ type: 'mse', value: codecs }));
    ws.onclose = () => { state.closed = true; };
    ws.onmessage = (event) => {
      if (typeof event.data !== 'string') {
        state.binaries++;
        queue.push(event.data);
        pump();
        return;
      }
      const message = JSON.parse(event.data);
      if (message.type === 'error') state.errors.push(message.value);
      if (message.type !== 'mse') return;
      state.mimes.push(message.value);
      if (buffer === undefined) {
        buffer = media.addSourceBuffer(message.value);
        buffer.mode = 'segments';
        buffer.addEventListener('updateend', pump);
      } else queue.push(message.value);
      pump();
    };
  });
};
window.reportMse = () => {
  const state = window.mseState;
  const { video } = state;
  const { buffered } = video;
  const ranges = buffered.length;
  const report = {
    mimes: state.mimes,
    errors: state.errors,
    closed: state.closed,
    binaries: state.binaries,
    bufferedRanges: ranges,
    bufferedStart: ranges === 0 ? -1 : buffered.start(0),
    bufferedEnd: ranges === 0 ? -1 : buffered.end(ranges - 1),
    currentTime: video.currentTime,
    width: video.videoWidth,
    height: video.videoHeight,
    frames: state.frames,
    audioBytes: video.webkitAudioDecodedByteCount ?? 0,
    longestPauseMs: state.longest,
    firstPictureMs: state.first,
  };
  state.longest = 0;
  return report;
};
`;

/** Begins to play in an empty page of the server's origin. */
export async function startMse(page: Page, wsUrl: string, codecs: string): Promise<void> {
  await page.evaluate(SCRIPT);
  await page.evaluate(`window.startMse(${JSON.stringify(wsUrl)}, ${JSON.stringify(codecs)})`);
}

export function reportMse(page: Page): Promise<MseReport> {
  return page.evaluate<MseReport>('window.reportMse()');
}
