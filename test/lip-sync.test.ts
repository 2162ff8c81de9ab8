import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import WebSocket from 'ws';
import { DEFAULT_TRANSCODE } from '../src/transcode/settings.ts';
import { startTestApp, type TestApp } from '../testkit/app.ts';
import { flashAndBeep } from '../testkit/lip-sync-page.ts';
import { clipSource, makeClip } from '../testkit/mp4-source.ts';
import { withPcma } from '../testkit/pcma-clip.ts';
import { waitFor } from '../testkit/wait.ts';

const run = promisify(execFile);
const X264 = ['-c:v', 'libx264', '-preset', 'ultrafast', '-tune', 'zerolatency'];
const X265 = ['-c:v', 'libx265', '-preset', 'ultrafast', '-x265-params', 'log-level=none:bframes=0'];
const AAC = ['-c:a', 'aac', '-ac', '1', '-b:a', '48k'];
const MAX_LAG_MS = 80;
const SECONDS = 7;

let app: TestApp;
let folder: string;

before(async () => {
  const [avc, hevc] = await Promise.all([
    makeClip(flashAndBeep({ seconds: 8, video: X264, audio: AAC })),
    makeClip(flashAndBeep({ seconds: 8, video: X265, audio: AAC })),
  ]);
  folder = await mkdtemp(join(tmpdir(), 'hearthcam-sync-'));
  app = await startTestApp({
    streams: { aac: ['aac:'], pcma: ['pcma:'], hevc: ['hevc:'] },
    sources: [
      clipSource('aac', avc).module,
      clipSource('pcma', await withPcma(avc)).module,
      clipSource('hevc', hevc).module,
    ],
    transcode: { ...DEFAULT_TRANSCODE, mode: 'auto', maxEncodes: 4 },
  });
});
after(async () => {
  await app?.[Symbol.asyncDispose]();
  if (folder !== undefined) await rm(folder, { recursive: true, force: true });
});

/** What ffmpeg receives in some seconds, as it comes. */
async function record(name: string, input: readonly string[]): Promise<string> {
  const file = join(folder, `${name}.mkv`);
  await run('ffmpeg', ['-v', 'error', '-y', ...input, '-t', String(SECONDS), '-c', 'copy', file], { timeout: 60_000 });
  return file;
}

async function frames(filter: string, entries: string): Promise<string[]> {
  const args = ['-v', 'error', '-f', 'lavfi', '-i', filter, '-show_entries', entries, '-of', 'csv=p=0'];
  const { stdout } = await run('ffprobe', args, { maxBuffer: 16e6 });
  return stdout.trim().split('\n');
}

/** Times, in seconds, at which a value rises above a limit. */
function onsets(lines: readonly string[], limit: number): number[] {
  const found: number[] = [];
  let above = true;
  for (const line of lines) {
    const [time = Number.NaN, value = Number.NEGATIVE_INFINITY] = line.split(',').map(Number);
    const is = value > limit;
    if (is && !above) found.push(time);
    above = is;
  }
  return found;
}

/** By how much the beeps of a recording come after its flashes: the median, in milliseconds. */
async function lagMs(file: string): Promise<number> {
  const picture = `movie=${file},scale=16:16,signalstats`;
  // Pieces of 5 ms, and the loudest sample of each.
  const sound = `amovie=${file},aresample=16000,asetnsamples=80,astats=metadata=1:reset=1`;
  const [flashes, beeps] = await Promise.all([
    frames(picture, 'frame=pts_time:frame_tags=lavfi.signalstats.YAVG').then((lines) => onsets(lines, 120)),
    frames(sound, 'frame=pts_time:frame_tags=lavfi.astats.Overall.Peak_level').then((lines) => onsets(lines, -20)),
  ]);
  const lags = flashes.flatMap((flash) => {
    const near = beeps.map((beep) => (beep - flash) * 1000).filter((lag) => Math.abs(lag) < 450);
    return near.length === 0 ? [] : [near.reduce((best, lag) => (Math.abs(lag) < Math.abs(best) ? lag : best))];
  });
  assert.ok(lags.length >= 3, `flashes at ${flashes.join(', ')}, beeps at ${beeps.join(', ')}`);
  return lags.toSorted((one, other) => one - other)[lags.length >> 1] ?? Number.NaN;
}

const WAYS: readonly (readonly [name: string, stream: string, input: () => readonly string[]])[] = [
  ['AAC as Opus by RTSP', 'aac', () => ['-rtsp_transport', 'tcp', '-i', `${app.rtspUrl}/aac?video&audio=opus`]],
  ['A-law as AAC by RTSP', 'pcma', () => ['-rtsp_transport', 'tcp', '-i', `${app.rtspUrl}/pcma?video&audio=aac`]],
  ['H.265 as H.264 by RTSP', 'hevc', () => ['-rtsp_transport', 'tcp', '-i', `${app.rtspUrl}/hevc?video=h264&audio`]],
  [
    'H.265 and AAC as H.264 and A-law by RTSP',
    'hevc',
    () => ['-rtsp_transport', 'tcp', '-i', `${app.rtspUrl}/hevc?video=h264&audio=pcma`],
  ],
  ['A-law as AAC by MPEG-TS', 'pcma', () => ['-i', `${app.url}/api/stream.ts?src=pcma`]],
  ['H.265 as H.264 by MP4', 'hevc', () => ['-i', `${app.url}/api/stream.mp4?src=hevc&video=h264&audio=aac&duration=9`]],
  ['A-law as AAC by HLS', 'pcma', () => ['-i', `${app.url}/api/stream.m3u8?src=pcma&video=h264&audio=aac`]],
];

test('ten viewers of a made picture stay, and see it again, when its process is killed', async () => {
  const viewers = await Promise.all(
    Array.from({ length: 10 }, async () => {
      const ws = new WebSocket(`${app.wsUrl}?src=hevc`);
      const viewer = { ws, fragments: 0, closed: false };
      ws.on('message', (_, binary) => {
        if (binary) viewer.fragments++;
      });
      ws.on('close', () => {
        viewer.closed = true;
      });
      await new Promise((resolve) => ws.once('open', resolve));
      ws.send(JSON.stringify({ type: 'mse', value: 'avc1.640029,mp4a.40.2' }));
      return viewer;
    }),
  );
  await waitFor(() => viewers.every((viewer) => viewer.fragments > 20), { what: 'pictures', timeoutMs: 20_000 });
  const pids = app.app.codecProcesses;
  assert.equal(pids.length, 1, 'one process for all of them');
  const killedMs = performance.now();
  for (const pid of pids) process.kill(pid, 'SIGKILL');
  await waitFor(() => app.app.codecProcesses.some((pid) => !pids.includes(pid)), { what: 'another process' });
  const before = viewers.map((viewer) => viewer.fragments);
  await waitFor(() => viewers.every((viewer, index) => viewer.fragments > (before[index] ?? 0) + 5), {
    what: 'pictures for all',
    timeoutMs: 10_000,
  });
  const tookMs = performance.now() - killedMs;
  assert.ok(tookMs < 4_000, `back after ${Math.round(tookMs)} ms`);
  assert.ok(
    viewers.every((viewer) => !viewer.closed),
    'nobody had to connect again',
  );
  for (const { ws } of viewers) ws.terminate();
});

describe('sound and picture stay in step', { timeout: 180_000 }, () => {
  for (const [name, stream, input] of WAYS) {
    test(`${name}: within ${MAX_LAG_MS} ms`, async () => {
      const file = await record(`${stream}-${WAYS.findIndex(([one]) => one === name)}`, input());
      const lag = await lagMs(file);
      assert.ok(Math.abs(lag) <= MAX_LAG_MS, `the sound comes ${Math.round(lag)} ms after the picture`);
    });
  }
});
