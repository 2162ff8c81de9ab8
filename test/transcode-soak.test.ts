import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { DEFAULT_TRANSCODE } from '../src/transcode/settings.ts';
import { startTestApp, type TestApp } from '../testkit/app.ts';
import { type Collector, collect } from '../testkit/hub.ts';
import { type ClipSource, clipSource, makeClip, testPicture } from '../testkit/mp4-source.ts';
import { waitFor } from '../testkit/wait.ts';

/** `npm run soak` is the long form of this. */
const ROUNDS = 2;
const WARM_ROUNDS = 1;
/** What a round may leave, over all, in a process that has run the same before. */
const MAX_GROWTH_MB = 40;
const X265 = ['-c:v', 'libx265', '-preset', 'ultrafast', '-x265-params', 'log-level=none:bframes=0:pools=1'];
const STREAMS = ['one', 'two'];

/** Processes that this one started and that still are, zombies too. */
function children(): number[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === process.pid ? [Number(name)] : [];
    } catch {
      return [];
    }
  });
}

function held(): { files: number; children: number; handles: Record<string, number> } {
  const handles: Record<string, number> = {};
  for (const name of process.getActiveResourcesInfo()) {
    if (name !== 'Timeout' && name !== 'Immediate') handles[name] = (handles[name] ?? 0) + 1;
  }
  return { files: readdirSync('/proc/self/fd').length, children: children().length, handles };
}

const more = (viewer: Collector, kind: 'video' | 'audio', count: number): Promise<unknown> =>
  viewer.wait(kind, viewer.of(kind).length + count);

/** Viewers that need made pictures and sound come; processes are killed, the camera drops; and they go. */
async function round({ app }: TestApp, camera: ClipSource): Promise<void> {
  const wants = [
    [{ kind: 'video', codecs: ['h264'] }],
    [
      { kind: 'video', codecs: ['h264'] },
      { kind: 'audio', codecs: ['opus'] },
    ],
    [{ kind: 'audio', codecs: ['flac'] }],
    [{ kind: 'video', codecs: ['jpeg'] }],
  ] as const;
  const viewers = await Promise.all(
    STREAMS.flatMap((name) => wants.map((want) => collect(app.hub.require(name), want))),
  );
  const all = (): Promise<unknown> =>
    Promise.all(viewers.map((viewer) => more(viewer, viewer.consumer.tracks[0]?.kind ?? 'video', 5)));
  await all();
  for (const pid of app.codecProcesses) process.kill(pid, 'SIGKILL');
  await all();
  camera.drop();
  await all();
  for (const viewer of viewers) {
    assert.equal(viewer.ended(), undefined);
    viewer[Symbol.dispose]();
  }
}

async function quiet({ app }: TestApp): Promise<void> {
  const idle = (): boolean =>
    app.codecProcesses.length === 0 &&
    STREAMS.map((name) => app.hub.require(name)).every(
      (stream) => stream.consumers.size === 0 && stream.derived.length === 0 && !stream.running,
    );
  await waitFor(idle, { timeoutMs: 30_000, everyMs: 20, what: 'streams and processes to be let go' });
}

test('after made tracks were watched, and their processes killed, nothing of them is left', async () => {
  const clip = await makeClip(testPicture({ size: '160x120', seconds: 2, video: X265 }));
  const camera = clipSource('cam', clip);
  await using app = await startTestApp({
    streams: Object.fromEntries(STREAMS.map((name) => [name, ['cam:']])),
    sources: [camera.module],
    outputs: [],
    restream: { lingerMs: 100 },
    transcode: { ...DEFAULT_TRANSCODE, mode: 'auto', maxEncodes: 8 },
  });
  for (let count = 0; count < WARM_ROUNDS; count++) {
    await round(app, camera);
    await quiet(app);
  }
  await waitFor(() => children().length === 0, { what: 'the end of the processes' });
  const before = held();
  const beforeMb = process.memoryUsage.rss() / 1e6;
  for (let count = 0; count < ROUNDS; count++) {
    await round(app, camera);
    await quiet(app);
  }
  const same = (): boolean => JSON.stringify(held()) === JSON.stringify(before);
  await waitFor(same, { timeoutMs: 10_000, everyMs: 50 }).catch(() => assert.deepEqual(held(), before));
  const grownMb = process.memoryUsage.rss() / 1e6 - beforeMb;
  assert.ok(grownMb < MAX_GROWTH_MB, `${grownMb.toFixed(1)} MB more`);
  assert.deepEqual(app.log.find('error', /./), []);
});
