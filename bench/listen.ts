import { readFileSync } from 'node:fs';
import { quietLog } from '../src/cli/log.ts';
import type { Pcm } from '../src/listen/audio/feed.ts';
import { Listener } from '../src/listen/listener.ts';
import { Scorer } from '../src/listen/scorer.ts';

/**
 * What listening costs: `npm run bench:listen [MODEL.tflite]`. Sound is made here and pushed in pieces of 20 ms as
 * cameras send it, as fast as it is taken; the times of the processor are divided by the length of the sound.
 */
const modelPath = process.argv[2] ?? 'models/yamnet.tflite';
const RATE_HZ = 8_000;
const PIECE = RATE_HZ / 50;

/** Seconds of the processor that this process, with its threads, has used. */
function used(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

/** Resident memory in MB, from the kernel. */
function residentMb(): number {
  const pages = Number(readFileSync('/proc/self/statm', 'utf8').split(' ')[1]);
  return (pages * 4_096) / 1e6;
}

function sound(seconds: number, loud: boolean): Pcm[] {
  let state = 1;
  const out: Pcm[] = [];
  for (let index = 0; index < seconds * 50; index++) {
    const samples = new Int16Array(PIECE);
    for (let at = 0; at < PIECE; at++) {
      state = (state * 1_664_525 + 1_013_904_223) >>> 0;
      const t = (index * PIECE + at) / RATE_HZ;
      const voice = loud ? 8_000 * Math.sin(2 * Math.PI * 450 * t) * Math.max(0, Math.sin(2 * Math.PI * 1.1 * t)) : 0;
      samples[at] = voice + (state / 2 ** 31 - 1) * 60;
    }
    out.push({ samples, sampleRateHz: RATE_HZ, channels: 1, atMs: index * 20 });
  }
  return out;
}

const say = (text: string): void => {
  process.stdout.write(`${text}\n`);
};

async function run(
  scorer: Scorer,
  listeners: number,
  pieces: readonly Pcm[],
): Promise<{ cpu: number; seconds: number; scored: number }> {
  const before = scorer.statistics.windows;
  const all = Array.from(
    { length: listeners },
    () => new Listener({ scorer, cry: 'balanced', sounds: { bark: {}, smoke_alarm: {} }, onDetection: () => {} }),
  );
  const cpu = used();
  const startMs = performance.now();
  for (const [index, piece] of pieces.entries()) {
    for (const listener of all) listener.push(piece);
    // As often as windows come: nobody is ever further behind than a window.
    if (index % 24 === 23) await Promise.all(all.map((listener) => listener.settled()));
  }
  await Promise.all(all.map((listener) => listener.settled()));
  const seconds = (performance.now() - startMs) / 1_000;
  for (const listener of all) listener[Symbol.dispose]();
  return { cpu: used() - cpu, seconds, scored: scorer.statistics.windows - before };
}

const bare = residentMb();
await using scorer = await Scorer.open({ modelPath, log: quietLog });
await scorer.seat().score(new Float32Array(15_600));
say(`memory of the worker: ${(residentMb() - bare).toFixed(0)} MB (60 allowed)`);
await run(scorer, 1, sound(20, true));

const LENGTH_S = 120;
const loud = await run(scorer, 1, sound(LENGTH_S, true));
say(
  `while sounds are scored: ${((loud.cpu / LENGTH_S) * 100).toFixed(2)} % of a core (2.5 allowed), ${loud.scored} windows`,
);
const quiet = await run(scorer, 1, sound(LENGTH_S, false));
say(`in silence: ${((quiet.cpu / LENGTH_S) * 100).toFixed(2)} % of a core (0.3 allowed), ${quiet.scored} windows`);
const many = await run(scorer, 16, sound(30, true));
say(
  `16 cameras: ${((many.cpu / 30) * 100).toFixed(0)} % of a core, ${(30 / many.seconds).toFixed(1)} times as fast as the sound, ${many.scored} windows, ${scorer.statistics.dropped} dropped`,
);
say(`memory after it: ${(residentMb() - bare).toFixed(0)} MB more than at the start`);
