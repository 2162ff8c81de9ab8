import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { MediaWant } from '../../src/core/negotiate.ts';
import { Scope } from '../../src/core/scope.ts';
import type { Stream } from '../../src/core/stream.ts';
import { Pipes } from '../../src/transcode/pipes.ts';
import { createRemaker } from '../../src/transcode/remaker.ts';
import { DEFAULT_TRANSCODE } from '../../src/transcode/settings.ts';
import { collect, makeTestHub } from '../../testkit/hub.ts';
import { type Clip, clipSource } from '../../testkit/mp4-source.ts';
import { Program } from '../lib/process.ts';
import { BenchServer } from '../lib/server.ts';
import { type LoadResult, median, percentile } from '../lib/stats.ts';
import { costInCodecProcess } from './codec-process.ts';
import { h265File, soundFile } from './media.ts';

type Report = (what: string, value: number, limit: number, unit: string, detail?: string) => void;

const H264: MediaWant = { kind: 'video', codecs: ['h264'] };
const OPUS: MediaWant = { kind: 'audio', codecs: ['opus'] };
const ANY: readonly MediaWant[] = [
  { kind: 'video', codecs: 'any' },
  { kind: 'audio', codecs: 'any' },
];

/** What making of tracks costs and how late it is, against the ffmpeg program doing the same in the same run. */
export async function benchTranscode(report: Report, rounds: number): Promise<void> {
  if (rounds > 0) await cost(report, rounds);
  await delays(report);
  await besides(report, Math.max(1, rounds));
}

async function cost(report: Report, rounds: number): Promise<void> {
  const sound = await soundFile();
  const opus = ['-c:a', 'libopus', '-b:a', '64k', '-application', 'lowdelay', '-frame_duration', '20'];
  await compare(
    report,
    rounds,
    { what: 'AAC → Opus, 10 minutes, CPU', limit: 1.3 },
    () => costInCodecProcess(sound.clip, 0, { kind: 'audio', codec: 'opus', bitrateKbps: 64 }).then(({ cpuS }) => cpuS),
    ['-i', sound.path, '-vn', ...opus, '-f', 'null', '-'],
  );
  const h265 = await h265File();
  const x264 = [
    ...['-vf', 'scale=-2:720:flags=bicubic', '-c:v', 'libx264', '-preset', 'superfast', '-tune', 'zerolatency'],
    ...['-profile:v', 'high', '-crf', '23', '-maxrate', '2500k', '-bufsize', '2500k', '-threads', '1'],
    ...['-force_key_frames', 'expr:gte(t,n_forced*2)', '-x264-params', 'scenecut=0:open-gop=0'],
  ];
  await compare(
    report,
    rounds,
    { what: '1080p H.265 → 720p H.264, software, CPU', limit: 1.15 },
    () =>
      costInCodecProcess(h265.clip, 0, { kind: 'video', codec: 'h264', height: 720 }).then(({ cpuS, made }) => {
        if (made < 240) throw new Error(`only ${made} pictures were made`);
        return cpuS;
      }),
    ['-threads', '1', '-i', h265.path, '-an', ...x264, '-f', 'null', '-'],
  );
}

async function compare(
  report: Report,
  rounds: number,
  row: { readonly what: string; readonly limit: number },
  ours: () => Promise<number>,
  ffmpegArgs: readonly string[],
): Promise<void> {
  const runs: { ratio: number; ours: number; theirs: number }[] = [];
  for (let round = 0; round < rounds; round++) {
    const theirs = await ffmpegCpuS(ffmpegArgs);
    const own = await ours();
    runs.push({ ratio: own / theirs, ours: own, theirs });
  }
  const ratios = runs.map(({ ratio }) => ratio);
  const seconds = (pick: (run: (typeof runs)[number]) => number): string => `${median(runs.map(pick)).toFixed(2)} s`;
  report(
    row.what,
    median(ratios),
    row.limit,
    '× ffmpeg',
    `${Math.min(...ratios).toFixed(2)}–${Math.max(...ratios).toFixed(2)} in ${rounds} rounds; ` +
      `${seconds((run) => run.ours)} against ${seconds((run) => run.theirs)}`,
  );
}

/** Processor time that ffmpeg itself reports. */
async function ffmpegCpuS(args: readonly string[]): Promise<number> {
  const child = spawn('ffmpeg', ['-hide_banner', '-nostdin', '-benchmark', '-v', 'info', ...args]);
  let text = '';
  child.stderr.on('data', (chunk: Buffer) => {
    text = (text + chunk.toString()).slice(-4_000);
  });
  await once(child, 'exit');
  const [, user = '', system = ''] = /bench: utime=([\d.]+)s stime=([\d.]+)s/.exec(text) ?? [];
  if (user === '') throw new Error(`ffmpeg said no times: ${text}`);
  return Number(user) + Number(system);
}

/** How late what is made comes, and how long the first of it takes. */
async function delays(report: Report): Promise<void> {
  const { clip } = await h265File();
  const frameMs = 40;
  await withStream(clip, async (stream) => {
    const sound = await addedMs(stream, [OPUS], 'audio', 150);
    report('AAC → Opus, latency added, p95', percentile(sound, 95), 60, 'ms', `p50 ${median(sound).toFixed(0)} ms`);
  });
  await withStream(clip, async (stream) => {
    const picture = await addedMs(stream, [H264], 'video', 150);
    report(
      '1080p H.265 → H.264, latency added, p95',
      percentile(picture, 95) / frameMs,
      3,
      'pictures',
      `p50 ${median(picture).toFixed(0)} ms`,
    );
  });
  for (const [what, wants] of [
    ['sound', [OPUS]],
    ['picture', [H264]],
  ] as const) {
    const times: number[] = [];
    for (let n = 0; n < 7; n++) times.push(await withStream(clip, (stream) => firstMs(stream, wants, n * 290)));
    const detail = `max ${Math.max(...times).toFixed(0)} ms of ${times.length}, anywhere in the GOP of 2 s`;
    report(`start of a transcode to its first ${what}, median`, median(times), 700, 'ms', detail);
  }
}

async function withStream<T>(clip: Clip, work: (stream: Stream) => Promise<T>): Promise<T> {
  const scope = new Scope('bench');
  await using hub = makeTestHub({
    sources: [clipSource('clip', clip).module],
    streams: { cam: ['clip:'] },
    makeRemaker: (log) =>
      createRemaker({
        pipes: new Pipes({ log, scope, maxEncodes: () => 4 }),
        settings: () => ({ ...DEFAULT_TRANSCODE, mode: 'auto' }),
        hardwareMakes: () => false,
      }),
  });
  const stream = hub.hub.require('cam');
  using direct = await collect(stream, ANY);
  await direct.wait('video', 60);
  try {
    return await work(stream);
  } finally {
    await scope.close();
  }
}

/** Between the arrival of the unit in which a made one begins, and that one's. */
async function addedMs(
  stream: Stream,
  wants: readonly MediaWant[],
  kind: 'video' | 'audio',
  count: number,
): Promise<number[]> {
  const arrivals: { wallMs: number; atMs: number }[] = [];
  const stop = stream.subscribe(
    (units) => {
      for (const { format, wallMs } of units) {
        if (format.kind === kind) arrivals.push({ wallMs, atMs: performance.now() });
      }
    },
    { immediate: true },
  );
  const consumer = await stream.open({ formatName: 'bench', protocol: '', remoteAddr: '', wants });
  const id = consumer.tracks[0]?.id;
  const done = Promise.withResolvers<void>();
  const made: { wallMs: number; atMs: number }[] = [];
  const leave = consumer.stream.subscribe(
    (units) => {
      for (const { trackId, wallMs } of units) if (trackId === id) made.push({ wallMs, atMs: performance.now() });
      if (made.length >= count) done.resolve();
    },
    { immediate: true },
  );
  await done.promise;
  leave();
  stop();
  consumer.close();
  // The first ones are those of the start. Streams have time lines of their own, so the clock on the wall relates them.
  return made.slice(-100).flatMap(({ wallMs, atMs }) => {
    const from = arrivals.findLast((arrival) => arrival.wallMs <= wallMs + 1);
    return from === undefined ? [] : [atMs - from.atMs];
  });
}

async function firstMs(stream: Stream, wants: readonly MediaWant[], waitMs: number): Promise<number> {
  await new Promise((resolve) => setTimeout(resolve, waitMs));
  const startMs = performance.now();
  const consumer = await stream.open({ formatName: 'bench', protocol: '', remoteAddr: '', wants });
  const id = consumer.tracks[0]?.id;
  const first = Promise.withResolvers<void>();
  const leave = consumer.stream.subscribe(
    (units) => {
      if (units.some((unit) => unit.trackId === id)) first.resolve();
    },
    { immediate: true },
  );
  await first.promise;
  const tookMs = performance.now() - startMs;
  leave();
  consumer.close();
  return tookMs;
}

/** What the viewers of a camera notice of a transcode that uses a whole core. */
async function besides(report: Report, rounds: number): Promise<void> {
  const here = (file: string): string => fileURLToPath(new URL(file, import.meta.url));
  const camera = new Program(process.execPath, [here('../camera.ts'), '2']);
  await using _camera = camera;
  const url = `rtsp://127.0.0.1:${await camera.line()}/main`;
  const p99 = async (busy: boolean): Promise<number> => {
    await using server = await BenchServer.start({ cam: url }, [], ['transcode: auto']);
    const viewer = new AbortController();
    if (busy) {
      // 1440p in H.265 is more than one core can make; what it gives is little, so that only the making is measured.
      fetch(`${server.api}/api/stream.mp4?src=cam&video=h265`, { signal: viewer.signal })
        .then(async (response) => {
          if (response.body === null) return;
          for await (const _chunk of response.body);
        })
        .catch(() => {});
      await new Promise((resolve) => setTimeout(resolve, 3_000));
    }
    const load = new Program(process.execPath, [here('../load.ts'), 'rtsp', server.rtsp('cam'), '10', '8']);
    await using _load = load;
    await load.line();
    const result: LoadResult = JSON.parse(await load.line());
    viewer.abort();
    return result.latencyP99Ms;
  };
  const quiet: number[] = [];
  const busy: number[] = [];
  for (let round = 0; round < rounds; round++) {
    quiet.push(await p99(false));
    busy.push(await p99(true));
  }
  const each = (values: readonly number[]): string => values.map((value) => value.toFixed(2)).join(', ');
  const detail = `${each(busy)} ms with, ${each(quiet)} ms without`;
  report('RTSP, 10 viewers, p99 while a transcode uses a core', median(busy) / median(quiet), 1.1, '× without', detail);
}
