/**
 * `npm run bench [-- --only rtsp,mse,hls,webrtc,drop,memory,start,transcode --seconds 8 --rounds 3]`: measures the server as a user starts it, in
 * ratios to a floor measured in the same run, median of several rounds. Nothing here judges a machine: the ratios and the table are for reading.
 */
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { freePort } from '../testkit/free-port.ts';
import { benchMedia, FPS } from './lib/media.ts';
import { cpuSeconds, Program, residentMb } from './lib/process.ts';
import { BenchServer } from './lib/server.ts';
import { clockNs } from './lib/stamp.ts';
import { type LoadResult, median, percentile } from './lib/stats.ts';
import { benchTranscode } from './transcode/run.ts';

const here = (file: string): string => fileURLToPath(new URL(file, import.meta.url));
const { values: options } = parseArgs({
  options: {
    only: { type: 'string' },
    seconds: { type: 'string', default: '8' },
    rounds: { type: 'string', default: '3' },
  },
});
const seconds = Number(options.seconds);
const rounds = Number(options.rounds);
const only = options.only?.split(',');
const wanted = (part: string): boolean => only === undefined || only.includes(part);

interface Row {
  readonly what: string;
  readonly measured: string;
  readonly target: string;
  readonly met: boolean;
}
const rows: Row[] = [];
function report(what: string, value: number, limit: number, unit: string, detail = ''): void {
  const digits = unit.startsWith('×') ? 2 : value < 10 ? 2 : 0;
  const row = {
    what,
    measured: `${value.toFixed(digits)} ${unit}${detail === '' ? '' : ` (${detail})`}`,
    target: `≤ ${limit} ${unit}`,
    met: value <= limit,
  };
  rows.push(row);
  console.log(`${row.met ? 'ok  ' : 'over'} ${what}: ${row.measured}, to reach ${row.target}`);
}

const node = process.execPath;

async function startCamera(gopS: 2 | 4): Promise<{ program: Program; url: string }> {
  const program = new Program(node, [here('camera.ts'), String(gopS)]);
  return { program, url: `rtsp://127.0.0.1:${await program.line()}/main` };
}

/** Bytes on the wire per picture: packets with their headers, and the audio that rides along. */
async function pictureSizes(): Promise<string> {
  const media = await benchMedia(2);
  const audioPerPicture = (media.audio.reduce((sum, frame) => sum + frame.length + 20, 0) * 1) / media.pictures.length;
  return media.pictures
    .map((picture) => {
      const bytes = picture.nals.reduce(
        (sum, nal) => sum + nal.length,
        32 + (picture.key ? media.sps.length + media.pps.length : 0),
      );
      return Math.round(bytes + Math.ceil(bytes / 1400) * 18 + audioPerPicture);
    })
    .join('\n');
}

async function floorCores(viewers: number, sizes: string): Promise<{ cores: number; bytes: number }> {
  await using floor = new Program(node, [here('floor/frame-floor.ts'), String(viewers), String(seconds)], {
    input: sizes,
  });
  const port = await floor.line();
  await using _load = new Program(node, [here('load.ts'), 'sink', port, String(viewers), String(seconds + 5)]);
  const parsed: { cores: number; bytes: number } = JSON.parse(await floor.line());
  return parsed;
}

/** What a bare loop over node-datachannel tracks costs for the same packets. */
async function webrtcFloorCores(viewers: number, sizes: string): Promise<{ cores: number; bytes: number }> {
  await using floor = new Program(node, [here('floor/webrtc-floor.ts'), String(viewers), String(seconds)], {
    input: sizes,
  });
  const url = `http://127.0.0.1:${await floor.line()}/`;
  await using _load = new Program(node, [here('load.ts'), 'webrtc', url, String(viewers), String(seconds + 5)]);
  const parsed: { cores: number; bytes: number } = JSON.parse(await floor.line());
  return parsed;
}

interface Measured extends LoadResult {
  readonly cores: number;
  readonly residentMb: number;
}

async function load(
  server: BenchServer,
  kind: string,
  url: string,
  viewers: number,
  forS = seconds,
): Promise<Measured> {
  await using program = new Program(node, [here('load.ts'), kind, url, String(viewers), String(forS)]);
  const ready = await program.line();
  if (ready !== 'ready') throw new Error(ready);
  const startS = cpuSeconds(server.program.pid);
  const startMs = performance.now();
  const result: LoadResult = JSON.parse(await program.line());
  const cores = (cpuSeconds(server.program.pid) - startS) / ((performance.now() - startMs) / 1000);
  return { ...result, cores, residentMb: residentMb(server.program.pid) };
}

const RTSP_LIMITS = new Map([
  [10, 1.6],
  [50, 1.3],
  [100, 1.25],
  [200, 1.25],
]);
const LATENCY_LIMITS = new Map([
  [10, { p50: 0.6, p99: 4 }],
  [100, { p50: 2.5, p99: 10 }],
]);

async function cost(kind: 'rtsp' | 'mse' | 'webrtc', limits: ReadonlyMap<number, number>): Promise<void> {
  const camera = await startCamera(2);
  await using _camera = camera.program;
  const sizes = await pictureSizes();
  for (const [viewers, limit] of limits) {
    const runs: { ratio: number; cores: number; floorCores: number; got: Measured }[] = [];
    for (let round = 0; round < rounds; round++) {
      const floor = await (kind === 'webrtc' ? webrtcFloorCores : floorCores)(viewers, sizes);
      await using server = await BenchServer.start({ cam: camera.url });
      const got = await load(server, kind, addressOf(server, kind), viewers);
      const perGbit = (got.cores * seconds) / ((got.bytes * 8) / 1e9);
      const floorPerGbit = (floor.cores * seconds) / ((floor.bytes * 8) / 1e9);
      runs.push({ ratio: perGbit / floorPerGbit, cores: got.cores, floorCores: floor.cores, got });
    }
    const ratios = runs.map((run) => run.ratio);
    const of = (pick: (run: (typeof runs)[number]) => number): number => median(runs.map(pick));
    report(
      `${kind.toUpperCase()}, ${viewers} viewers, CPU`,
      median(ratios),
      limit,
      '× floor',
      `${Math.min(...ratios).toFixed(2)}–${Math.max(...ratios).toFixed(2)} in ${rounds} rounds; ` +
        `${of((run) => run.cores).toFixed(3)} core, floor ${of((run) => run.floorCores).toFixed(3)}; ` +
        `missing ${runs.reduce((sum, run) => sum + run.got.missing, 0)} of ${runs.reduce((sum, run) => sum + run.got.pictures, 0)}`,
    );
    const latency = kind === 'rtsp' ? LATENCY_LIMITS.get(viewers) : undefined;
    if (latency !== undefined) {
      report(
        `RTSP, ${viewers} viewers, latency p50`,
        of((run) => run.got.latencyP50Ms),
        latency.p50,
        'ms',
      );
      report(
        `RTSP, ${viewers} viewers, latency p99`,
        of((run) => run.got.latencyP99Ms),
        latency.p99,
        'ms',
      );
    }
  }
}

function addressOf(server: BenchServer, kind: 'rtsp' | 'mse' | 'hls' | 'webrtc'): string {
  switch (kind) {
    case 'rtsp':
      return server.rtsp('cam');
    case 'mse':
      return `${server.api.replace('http', 'ws')}/api/ws?src=cam`;
    case 'hls':
      return `${server.api}/api/stream.m3u8?src=cam`;
    case 'webrtc':
      return `${server.api}/api/webrtc?src=cam`;
  }
}

/** To the median and to 95 of 100, in ms. */
const FIRST_PICTURE_LIMITS = {
  rtsp: [60, 150],
  mse: [60, 150],
  hls: [600, undefined],
  webrtc: [250, 500],
} as const;

async function firstPictures(kind: 'rtsp' | 'mse' | 'hls' | 'webrtc', gops: readonly (2 | 4)[]): Promise<void> {
  for (const gopS of gops) {
    const camera = await startCamera(gopS);
    await using _camera = camera.program;
    await using server = await BenchServer.start({ cam: camera.url }, ['cam']);
    await new Promise((resolve) => setTimeout(resolve, gopS * 1000 + 1500));
    const url = addressOf(server, kind);
    const [medianLimit, p95Limit] = FIRST_PICTURE_LIMITS[kind];
    const got = await load(server, kind, url, kind === 'hls' ? 5 : 20, 1);
    const detail = `max ${percentile(got.firstPictureMs, 100).toFixed(0)} ms of ${got.firstPictureMs.length}`;
    report(
      `${kind.toUpperCase()}, GOP ${gopS} s, first picture, median`,
      median(got.firstPictureMs),
      medianLimit,
      'ms',
      detail,
    );
    if (p95Limit !== undefined) {
      const p95 = percentile(got.firstPictureMs, 95);
      report(`${kind.toUpperCase()}, GOP ${gopS} s, first picture, p95`, p95, p95Limit, 'ms');
    }
  }
}

/** The camera's plug is pulled and put back: how long after it answers again do its viewers see a picture? */
async function comeBack(): Promise<void> {
  const port = await freePort();
  const first = new Program(node, [here('camera.ts'), '2', String(port)]);
  await first.line();
  await using server = await BenchServer.start({ cam: `rtsp://127.0.0.1:${port}/main` });
  const program = new Program(node, [here('load.ts'), 'rtsp', server.rtsp('cam'), '10', '12']);
  await using _load = program;
  await program.line();
  first.child.kill('SIGKILL');
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  const second = new Program(node, [here('camera.ts'), '2', String(port)]);
  await using _camera = second;
  await second.line();
  const backMs = Number(clockNs()) / 1e6;
  const result: LoadResult = JSON.parse(await program.line());
  const delays = result.resumedMs.map((ms) => ms - backMs);
  const detail = `${delays.length} of 10 viewers stayed and saw it again`;
  report(
    'camera back after 3 s, RTSP viewers see it',
    delays.length === 10 ? percentile(delays, 100) : Number.POSITIVE_INFINITY,
    500,
    'ms',
    detail,
  );
}

async function memory(): Promise<void> {
  const camera = await startCamera(2);
  await using _camera = camera.program;
  const names = ['cam', 'cam2', 'cam3', 'cam4'];
  const streams = Object.fromEntries(names.map((name) => [name, camera.url]));
  {
    await using server = await BenchServer.start(streams, names);
    await new Promise((resolve) => setTimeout(resolve, 15_000));
    report('memory, 4 cameras held', residentMb(server.program.pid), 110, 'MB');
    const got = await load(server, 'rtsp', server.rtsp('cam'), 100);
    report('memory, + 100 RTSP', got.residentMb, 120, 'MB');
  }
  await using server = await BenchServer.start(streams, names);
  await new Promise((resolve) => setTimeout(resolve, 6_000));
  const got = await load(server, 'mse', `${server.api.replace('http', 'ws')}/api/ws?src=cam`, 50);
  report('memory, + 50 MSE', got.residentMb, 125, 'MB');
  await webrtcMemory(camera.url);
}

async function webrtcMemory(cameraUrl: string): Promise<void> {
  const names = ['cam', 'cam2', 'cam3', 'cam4'];
  await using server = await BenchServer.start(Object.fromEntries(names.map((name) => [name, cameraUrl])), names);
  await new Promise((resolve) => setTimeout(resolve, 6_000));
  const got = await load(server, 'webrtc', addressOf(server, 'webrtc'), 30);
  report('memory, + 30 WebRTC', got.residentMb, 210, 'MB');
}

async function startTime(): Promise<void> {
  const times: number[] = [];
  for (let n = 0; n < 7; n++) {
    await using server = await BenchServer.start({});
    times.push(server.readyMs);
  }
  report('command to API ready, median of 7', median(times), 400, 'ms');
}

console.log(`H.264 2560×1440, ${FPS} fps, 4 Mb/s, with AAC; windows of ${seconds} s`);
if (wanted('start')) await startTime();
if (wanted('rtsp')) {
  await cost('rtsp', RTSP_LIMITS);
  await firstPictures('rtsp', [2, 4]);
}
if (wanted('mse')) {
  await cost(
    'mse',
    new Map([
      [10, 1.6],
      [50, 1.6],
    ]),
  );
  await firstPictures('mse', [2, 4]);
}
if (wanted('webrtc')) {
  await cost(
    'webrtc',
    new Map([
      [10, 1.3],
      [30, 1.3],
    ]),
  );
  await firstPictures('webrtc', [2, 4]);
}
if (wanted('hls')) await firstPictures('hls', [2]);
if (wanted('drop')) await comeBack();
if (wanted('memory')) await memory();
if (wanted('transcode')) await benchTranscode(report, rounds);

console.log('\n| work | measured | to reach | |\n|---|---|---|---|');
for (const row of rows)
  console.log(`| ${row.what} | ${row.measured} | ${row.target} | ${row.met ? 'reached' : 'not reached'} |`);
