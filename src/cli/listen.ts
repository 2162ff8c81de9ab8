import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { HearthcamError } from '../core/errors.ts';
import { SENSITIVITIES } from '../core/events.ts';
import { SecretMask } from '../core/secrets.ts';
import type { CrySettings } from '../listen/cry/settings.ts';
import type { Detection } from '../listen/detector.ts';
import { hearFile } from '../listen/evaluate/hearing.ts';
import { curvesOf, mistakesOf, tableOf } from '../listen/evaluate/report.ts';
import { evaluate, type Through } from '../listen/evaluate/run.ts';
import { curveSvg, hearingSvg } from '../listen/evaluate/svg.ts';
import { ensureModel } from '../listen/model/file.ts';
import { Scorer } from '../listen/scorer.ts';
import { choiceOption, type ParsedArgs, UsageError } from './args.ts';
import { openLog } from './log.ts';
import type { Terminal } from './main.ts';

/** Where models lie when nothing else is said. */
export const MODELS_DIR = 'models';

/** `hearthcam listen FILE` prints what is heard in a recording; `--evaluate DIR` scores a labelled folder. */
export async function listen(args: ParsedArgs, terminal: Terminal): Promise<number> {
  const last = (name: string): string | undefined => args.options.get(name)?.at(-1);
  const { log } = openLog(
    { level: 'warn', moduleLevels: {}, format: 'text', output: 'stderr' },
    new SecretMask(),
    terminal,
  );
  const directory = last('evaluate');
  const [file, more] = args.positionals;
  if (more !== undefined) throw new UsageError(`unexpected "${more}"`, 'one file at a time');
  if (directory === undefined && file === undefined) throw new UsageError('listen needs a FILE, or --evaluate DIR');
  const cry: CrySettings = choiceOption(args, 'sensitivity', 'balanced', SENSITIVITIES);
  const modelPath = await ensureModel({ directory: resolve(terminal.cwd, last('models') ?? MODELS_DIR), log });
  await using scorer = await Scorer.open({ modelPath, log });
  const plot = last('plot');
  if (plot !== undefined && !plot.endsWith('.svg'))
    throw new UsageError(`--plot writes SVG: "${plot}" must end in .svg`);
  const json = args.options.has('json');
  if (directory !== undefined) {
    return await runEvaluation({ directory, scorer, log, cry }, { plot, json }, terminal);
  }
  const path = resolve(terminal.cwd, file ?? '');
  const sounds = Object.fromEntries((args.options.get('sound') ?? []).map((name) => [name, {}]));
  const say = (detection: Detection): void => {
    if (!json && detection.state !== 'updated') terminal.stdout.write(`${lineOf(detection)}\n`);
  };
  const hearing = await hearFile(path, { scorer, log, cry, sounds, onDetection: say });
  if (json) terminal.stdout.write(`${JSON.stringify(hearing, null, 1)}\n`);
  if (plot !== undefined) await writeFile(resolve(terminal.cwd, plot), hearingSvg(hearing, basename(path)));
  return 0;
}

function lineOf({ detection, state, startMs, endMs, knownMs, confidence, evidence }: Detection): string {
  const at = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`;
  if (state === 'started') {
    const classes =
      evidence
        .at(-1)
        ?.classes.slice(0, 3)
        .map(([name, score]) => `${name} ${score.toFixed(2)}`) ?? [];
    return `${detection} started at ${at(startMs)}, known at ${at(knownMs)}, confidence ${confidence.toFixed(2)} (${classes.join('; ')})`;
  }
  return `${detection} ended at ${at(endMs)} after ${at(endMs - startMs)}, highest confidence ${confidence.toFixed(2)}`;
}

async function runEvaluation(
  options: { directory: string; scorer: Scorer; log: Parameters<typeof evaluate>[0]['log']; cry: CrySettings },
  { plot, json }: { plot: string | undefined; json: boolean },
  terminal: Terminal,
): Promise<number> {
  const directory = resolve(terminal.cwd, options.directory);
  if (!existsSync(directory))
    throw new HearthcamError('listen.labels', `there is no folder ${directory}`, { status: 400 });
  const work = await mkdtemp(join(tmpdir(), 'hearthcam-listen-'));
  try {
    const ffmpeg = await hasFfmpeg();
    if (!ffmpeg) terminal.stderr.write('without ffmpeg on this machine the sound is heard only as it is\n');
    const ways: Record<string, Through> = { 'as it is': (path) => Promise.resolve(path) };
    if (ffmpeg) {
      ways['A-law 8 kHz'] = coded(work, ['-ar', '8000', '-c:a', 'pcm_alaw'], 'wav');
      ways['AAC 32 kb/s'] = coded(work, ['-ar', '16000', '-c:a', 'aac', '-b:a', '32k'], 'm4a');
    }
    const result = await evaluate({
      ...options,
      directory,
      ways,
      onProgress: (done, total) => {
        if (done % 100 === 0 || done === total) terminal.stderr.write(`${done} of ${total} heard\n`);
      },
    });
    if (plot !== undefined) await writeFile(resolve(terminal.cwd, plot), curveSvg(result.curves));
    if (json) terminal.stdout.write(`${JSON.stringify(result, null, 1)}\n`);
    else {
      terminal.stdout.write(`${tableOf(result)}\n\n${mistakesOf(result)}\n\n`);
      terminal.stdout.write(`sound  threshold  recall  false alarms/h  median delay\n${curvesOf(result)}\n`);
    }
    return 0;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

const run = promisify(execFile);

async function hasFfmpeg(): Promise<boolean> {
  try {
    await run('ffmpeg', ['-version']);
    return true;
  } catch {
    // Whatever the reason: it can't be used.
    return false;
  }
}

/** Through a codec, as one channel; one file at a time. */
function coded(work: string, coding: readonly string[], extension: string): Through {
  return async (path) => {
    const out = join(work, `coded.${extension}`);
    await run('ffmpeg', ['-v', 'error', '-y', '-i', path, '-vn', '-ac', '1', ...coding, out]);
    return out;
  };
}
