import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Resampler } from '../../src/listen/audio/resampler.ts';
import { loadModel, packageRuntime } from '../../src/listen/process/litert.ts';
import { EMBEDDING_STEP, ROW_BYTES, SCORES } from './material.ts';
import { FOLDS, ROUNDS, readClips, sceneName } from './scenes.ts';

/**
 * Keeps the model's scores of all the material, as it is, through A-law and through AAC, for `train.ts`.
 *
 *   node scripts/cry/scores.ts AUDIO_DIR SCENES_DIR MODEL.tflite OUT_DIR
 */
const [audio = '', scenes = '', modelPath = '', out = ''] = process.argv.slice(2);
const WINDOW = 15_600;
const HOP = 7_800;

/** 16-bit PCM of a file through one of the three ways, with its rate. */
function pcm(path: string, way: string): { rateHz: number; samples: Int16Array } {
  const rateHz = way === 'alaw' ? 8_000 : 16_000;
  const through: Record<string, readonly string[]> = {
    plain: [],
    alaw: ['-ar', '8000', '-c:a', 'pcm_alaw', '-f', 'wav'],
    aac: ['-ar', '16000', '-c:a', 'aac', '-b:a', '32k', '-f', 'adts'],
  };
  const raw = ['-f', 's16le', '-ac', '1', '-ar', String(rateHz), 'pipe:1'];
  const options = { maxBuffer: 1 << 29 };
  const coding = through[way] ?? [];
  let input: Buffer | undefined;
  let from = ['-i', path];
  if (coding.length > 0) {
    input = spawnSync('ffmpeg', ['-v', 'error', '-i', path, '-ac', '1', ...coding, 'pipe:1'], options).stdout;
    from = ['-i', 'pipe:0'];
  }
  const { stdout } = spawnSync('ffmpeg', ['-v', 'error', ...from, ...raw], { ...options, ...(input && { input }) });
  return {
    rateHz,
    samples: new Int16Array(stdout.buffer.slice(stdout.byteOffset, stdout.byteOffset + (stdout.length & ~1))),
  };
}

const model = await loadModel(modelPath, packageRuntime());
const files = [
  ...['nursery', 'no-cry'].map((name) => [`scene-${name}`, join(audio, 'scenes', `${name}.flac`)] as const),
  ...readClips(audio).map((clip) => [clip.file.replaceAll('/', '+'), join(audio, 'clips', clip.file)] as const),
  ...Array.from({ length: FOLDS * ROUNDS }, (_, at) => {
    const name = sceneName(at % FOLDS, Math.floor(at / FOLDS));
    return [name, join(scenes, `${name}.wav`)] as const;
  }),
];
mkdirSync(out, { recursive: true });
for (const way of ['plain', 'alaw', 'aac']) {
  for (const [name, path] of files) {
    const target = join(out, `${name}.${way}.bin`);
    if (existsSync(target)) continue;
    const { rateHz, samples } = pcm(path, way);
    let heard = Float32Array.from(samples, (sample) => sample / 32_768);
    if (rateHz !== 16_000) {
      const resampler = new Resampler(rateHz);
      const made = new Float32Array(resampler.roomFor(heard.length));
      heard = made.slice(0, resampler.push(heard, made));
    }
    if (heard.length < WINDOW) {
      const padded = new Float32Array(WINDOW);
      padded.set(heard);
      heard = padded;
    }
    const count = Math.floor((heard.length - WINDOW) / HOP) + 1;
    // A byte each: 521 scores (in 1/256), 1,024 numbers of the embedding (in its own steps), the level in −dBFS.
    const rows = Buffer.alloc(count * ROW_BYTES);
    for (let index = 0; index < count; index++) {
      const window = heard.slice(index * HOP, index * HOP + WINDOW);
      const power = window.reduce((sum, s) => sum + s * s, 0) / WINDOW;
      const all = await model.run(window);
      for (const [at, value] of all.entries()) {
        rows[index * ROW_BYTES + at] = Math.min(255, Math.round(at < SCORES ? value * 256 : value / EMBEDDING_STEP));
      }
      rows[index * ROW_BYTES + ROW_BYTES - 1] = Math.min(255, Math.round(-10 * Math.log10(power + 1e-10)));
    }
    writeFileSync(target, rows);
  }
}
