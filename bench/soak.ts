/**
 * `npm run soak [-- --minutes 30]`: four cameras that drop and come back, viewers of every kind that come and go, some
 * of which stop reading, stills, and viewers that need made sound and pictures, whose codec processes are killed now and
 * then. Prints memory and open files as it goes, and fails when something grew, when the
 * server ended, when hardly anybody saw a picture, or when anything is left of the viewers at the end.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { freePort } from '../testkit/free-port.ts';
import { benchMedia } from './lib/media.ts';
import { cpuSeconds, Program, processTree, residentMb } from './lib/process.ts';
import { BenchServer } from './lib/server.ts';
import { median } from './lib/stats.ts';

const { values } = parseArgs({ options: { minutes: { type: 'string', default: '30' } } });
const minutes = Number(values.minutes);
const here = (file: string): string => fileURLToPath(new URL(file, import.meta.url));
const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** How much more the last third may hold than the middle third. */
const GROWTH_LIMIT = 1.1;
const GROWTH_SLACK_MB = 8;
/** Cameras are away for a twentieth of the time, and a group that comes or stays then may fail. */
const FAILED_LIMIT = 0.3;

/** Codec processes hold what they hold for as long as somebody needs them: they have a limit of their own. */
const CODEC_LIMIT_MB = 600;

function codecProcesses(root: number): number[] {
  return processTree(root).filter((pid) => {
    try {
      return /transcode\/process\/main\./.test(readFileSync(`/proc/${pid}/cmdline`, 'latin1'));
    } catch {
      return false;
    }
  });
}

function openFiles(root: number): number {
  let count = 0;
  for (const pid of processTree(root)) {
    try {
      count += readdirSync(`/proc/${pid}/fd`).length;
    } catch {
      // It ended between the listing and the look.
    }
  }
  return count;
}

/** A camera whose plug is pulled for a moment every half minute or so. */
async function unreliableCamera(port: number, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await using camera = new Program(process.execPath, [here('camera.ts'), '2', String(port)]);
    await camera.line();
    await wait(20_000 + Math.random() * 20_000);
    camera.child.kill('SIGKILL');
    await wait(Math.random() * 3_000);
  }
}

const seen = { groups: 0, failed: 0, stills: 0, noStill: 0, made: 0, notMade: 0, kills: 0 };

/** Viewers of a kind come in groups and leave together. A group that finds its camera away comes again. */
async function visitors(kind: string, url: string, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const count = 1 + Math.floor(Math.random() * (kind === 'webrtc' ? 4 : 10));
    await using group = new Program(process.execPath, [here('load.ts'), kind, url, String(count), '600']);
    if (Math.random() < 0.3) {
      // Some stop reading for a while, as a suspended laptop does.
      await wait(3_000);
      group.child.kill('SIGSTOP');
      await wait(15_000 * Math.random());
      group.child.kill('SIGCONT');
    }
    await wait(3_000 + Math.random() * 15_000);
    seen.groups++;
    if (group.child.exitCode !== null) seen.failed++;
  }
}

async function stills(url: string, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const response = await fetch(url).catch(() => undefined);
    const bytes = (await response?.arrayBuffer().catch(() => undefined))?.byteLength ?? 0;
    if (response?.status === 200 && bytes > 0) seen.stills++;
    else seen.noStill++;
    await wait(Math.random() * 2_000);
  }
}

/** Somebody who needs what is made: reads for some seconds, and goes without a word. */
async function madeViewer(url: string, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const leave = AbortSignal.timeout(Math.round(4_000 + Math.random() * 12_000));
    let bytes = 0;
    try {
      const response = await fetch(url, { signal: leave });
      for await (const chunk of response.body ?? []) bytes += chunk.length;
    } catch {
      // It is the viewer that leaves, or a camera that is away.
    }
    if (bytes > 10_000) seen.made++;
    else seen.notMade++;
    await wait(Math.random() * 4_000);
  }
}

async function killer(root: number, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await wait(5_000 + Math.random() * 20_000);
    const pids = codecProcesses(root);
    const pid = pids[Math.floor(Math.random() * pids.length)];
    if (pid === undefined) continue;
    try {
      process.kill(pid, 'SIGKILL');
      seen.kills++;
    } catch {
      // It has just ended.
    }
  }
}

/** Consumers of all streams as the API tells them; NaN when it doesn't answer. */
async function consumers(api: string): Promise<number> {
  try {
    // Checked border: what our own API documents.
    const streams = (await (await fetch(`${api}/api/streams`)).json()) as Record<string, { consumers?: unknown[] }>;
    return Object.values(streams).reduce((sum, stream) => sum + (stream.consumers?.length ?? 0), 0);
  } catch {
    return Number.NaN;
  }
}

// Made once, before the cameras want it.
await benchMedia(2);
const stop = new AbortController();
const ports = await Promise.all([freePort(), freePort(), freePort(), freePort()]);
const cameras = ports.map((port) => unreliableCamera(port, stop.signal));
const streams = Object.fromEntries(ports.map((port, index) => [`cam${index}`, `rtsp://127.0.0.1:${port}/main`]));
const held = ['cam0', 'cam1'];
await using server = await BenchServer.start(streams, held);
const groups = [0, 1, 2, 3].flatMap((index) => [
  visitors('rtsp', server.rtsp(`cam${index}`), stop.signal),
  visitors('mse', `${server.api.replace('http', 'ws')}/api/ws?src=cam${index}`, stop.signal),
  visitors('hls', `${server.api}/api/stream.m3u8?src=cam${index}`, stop.signal),
  visitors('webrtc', `${server.api}/api/webrtc?src=cam${index}`, stop.signal),
  stills(`${server.api}/api/frame.jpeg?src=cam${index}`, stop.signal),
  madeViewer(`${server.api}/api/stream.mp4?src=cam${index}&video=h264&audio=opus`, stop.signal),
  ...(index < 2 ? [madeViewer(`${server.api}/api/stream.mjpeg?src=cam${index}&width=320&fps=5`, stop.signal)] : []),
]);
groups.push(killer(server.program.pid, stop.signal));

let largestCodecMb = 0;
const samples: { mb: number; files: number }[] = [];
const endMs = performance.now() + minutes * 60_000;
while (performance.now() < endMs) {
  await wait(Math.min(10_000, (minutes * 60_000) / 30));
  const codecs = codecProcesses(server.program.pid).map(residentMb);
  largestCodecMb = Math.max(largestCodecMb, ...codecs);
  const codecsMb = codecs.reduce((sum, mb) => sum + mb, 0);
  const sample = { mb: residentMb(server.program.pid) - codecsMb, files: openFiles(server.program.pid) };
  samples.push(sample);
  console.log(
    `${sample.mb.toFixed(0)} MB and ${codecsMb.toFixed(0)} MB of ${codecs.length} codec processes, ${sample.files} open files, ${cpuSeconds(server.program.pid).toFixed(1)} s of CPU`,
  );
}
stop.abort();

const third = Math.floor(samples.length / 3);
const middle = samples.slice(third, 2 * third);
const last = samples.slice(2 * third);
const grown = (pick: (sample: { mb: number; files: number }) => number): [number, number] => [
  median(middle.map(pick)),
  median(last.map(pick)),
];
const [middleMb, lastMb] = grown((sample) => sample.mb);
const [middleFiles, lastFiles] = grown((sample) => sample.files);
console.log(`memory ${middleMb.toFixed(0)} → ${lastMb.toFixed(0)} MB, open files ${middleFiles} → ${lastFiles}`);
await Promise.allSettled([...groups]);
// A WebRTC viewer that went without a word is missed after half a minute.
let left = await consumers(server.api);
for (let tries = 0; tries < 60 && left !== held.length; tries++) {
  await wait(1_000);
  left = await consumers(server.api);
}
await Promise.allSettled(cameras);
console.log(
  `${seen.made} viewers of what is made, ${seen.notMade} saw nothing, ${seen.kills} codec processes killed, the largest ${largestCodecMb.toFixed(0)} MB`,
);
// The process for stills is held for a minute.
let codecsLeft = codecProcesses(server.program.pid).length;
for (let tries = 0; tries < 75 && codecsLeft > 0; tries++) {
  await wait(1_000);
  codecsLeft = codecProcesses(server.program.pid).length;
}
console.log(
  `${seen.groups} groups of viewers, ${seen.failed} of them without a picture or cut off; ${seen.stills} stills, ${seen.noStill} refused; ${left} consumers left`,
);
const problems = [
  lastMb > middleMb * GROWTH_LIMIT + GROWTH_SLACK_MB ? 'memory grows' : '',
  lastFiles > middleFiles * 1.5 + 20 ? 'open files grow' : '',
  server.program.child.exitCode !== null ? 'the server ended' : '',
  seen.failed > seen.groups * FAILED_LIMIT ? 'too many groups saw nothing' : '',
  seen.noStill > seen.stills * FAILED_LIMIT ? 'too many stills were refused' : '',
  seen.notMade > seen.made * FAILED_LIMIT ? 'too many viewers of what is made saw nothing' : '',
  largestCodecMb > CODEC_LIMIT_MB ? 'a codec process grows' : '',
  codecsLeft > 0 ? 'codec processes are left over' : '',
  left !== held.length ? 'viewers are left over' : '',
].filter((problem) => problem !== '');
console.log(problems.length > 0 ? problems.join(', ') : 'nothing grows');
await server[Symbol.asyncDispose]();
process.exit(problems.length > 0 ? 1 : 0);
