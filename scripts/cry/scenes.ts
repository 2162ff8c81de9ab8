import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Makes scenes to train and cross-validate with, from the labelled clips of the development half: for each of five
 * folds of recordings (`group`) some files of 25 minutes that use this fold's recordings alone.
 *
 *   node scripts/cry/scenes.ts AUDIO_DIR OUT_DIR
 *
 * Writes `fold<N>.wav` (16 kHz mono) and `fold<N>.csv` (start, end, label, class, snr_db, background).
 */

const RATE = 16_000;
export const FOLDS = 5;
/** Scenes of each fold: other backgrounds, levels and neighbours of the same recordings. */
export const ROUNDS = 3;
export const sceneName = (fold: number, round: number): string =>
  round === 0 ? `fold${fold}` : `fold${fold}-${round}`;
const BACKGROUNDS = [
  'quiet',
  'hum',
  'white',
  'pink',
  'brown',
  'fan',
  'shush',
  'rain',
  'sea_waves',
  'clock_tick',
  'crackling_fire',
  'wind',
  'music',
  'talk',
];
const SNRS = [20, 10, 5, 0];

export interface Clip {
  readonly file: string;
  readonly label: string;
  readonly class: string;
  readonly group: string;
  readonly source: string;
}

export function readCsv(path: string): Record<string, string>[] {
  const [head = '', ...lines] = readFileSync(path, 'utf8').trim().split(/\r?\n/);
  const names = head.split(',');
  return lines.map((line) => {
    const cells = [...line.matchAll(/("([^"]*)"|[^,]*)(,|$)/g)].map((match) => match[2] ?? match[1] ?? '');
    return Object.fromEntries(names.map((name, index) => [name, cells[index] ?? '']));
  });
}

export function readClips(directory: string): Clip[] {
  return readCsv(join(directory, 'clips/labels.csv')).map((row) => ({
    file: row['file'] ?? '',
    label: row['label'] ?? '',
    class: row['class'] ?? '',
    group: row['group'] ?? '',
    source: row['source'] ?? '',
  }));
}

/** A fold for each group, the same in every run: by a hash of its name. */
export function foldOf(group: string): number {
  let hash = 2_166_136_261;
  for (const char of group) hash = Math.imul(hash ^ char.charCodeAt(0), 16_777_619) >>> 0;
  return (hash >>> 8) % FOLDS;
}

/** Mulberry32: the same scenes in every run. */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function decode(path: string): Float32Array {
  const bytes = execFileSync(
    'ffmpeg',
    ['-v', 'error', '-i', path, '-f', 'f32le', '-ac', '1', '-ar', String(RATE), 'pipe:1'],
    {
      maxBuffer: 1 << 29,
    },
  );
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
}

function rms(samples: Float32Array): number {
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  return Math.sqrt(sum / Math.max(1, samples.length)) + 1e-9;
}

/** RMS of the loudest quarter of 50 ms pieces: pauses don't count. */
function activeRms(samples: Float32Array): number {
  const piece = RATE / 20;
  const levels: number[] = [];
  for (let at = 0; at + piece <= samples.length; at += piece) levels.push(rms(samples.subarray(at, at + piece)));
  levels.sort((a, b) => b - a);
  const top = levels.slice(0, Math.max(1, levels.length >> 2));
  return Math.sqrt(top.reduce((sum, level) => sum + level * level, 0) / top.length);
}

/** Without the silence at both ends (30 dB below the active level). */
function trim(samples: Float32Array): Float32Array {
  const floor = activeRms(samples) * 10 ** (-30 / 20);
  const piece = RATE / 50;
  let from = 0;
  let to = samples.length;
  while (from + piece < to && rms(samples.subarray(from, from + piece)) < floor) from += piece;
  while (to - piece > from && rms(samples.subarray(to - piece, to)) < floor) to -= piece;
  return samples.subarray(from, to);
}

function noise(kind: string, length: number, random: () => number): Float32Array {
  const out = new Float32Array(length);
  let low = 0;
  let lower = 0;
  for (let at = 0; at < length; at++) {
    const white = random() + random() + random() - 1.5;
    low = 0.97 * low + 0.03 * white;
    lower = 0.995 * lower + 0.005 * white;
    const t = at / RATE;
    switch (kind) {
      case 'white':
        out[at] = white;
        break;
      case 'pink':
        out[at] = 0.15 * white + low + lower * 2;
        break;
      case 'brown':
        out[at] = lower;
        break;
      case 'fan':
        out[at] = low * (1 + 0.2 * Math.sin(2 * Math.PI * 9 * t)) + 0.05 * Math.sin(2 * Math.PI * 118 * t);
        break;
      case 'shush':
        out[at] = (white - low * 3) * (0.55 + 0.45 * Math.sin(2 * Math.PI * 0.7 * t));
        break;
      default:
        out[at] = 0.02 * white + 0.5 * Math.sin(2 * Math.PI * 50 * t) + 0.25 * Math.sin(2 * Math.PI * 100 * t);
    }
  }
  return out;
}

function loop(pieces: readonly Float32Array[], length: number): Float32Array {
  const out = new Float32Array(length);
  if (pieces.length === 0) return out;
  let at = 0;
  for (let index = 0; at < length; index++) {
    const piece = pieces[index % pieces.length] ?? new Float32Array(RATE);
    out.set(piece.subarray(0, Math.min(piece.length, length - at)), at);
    at += Math.max(piece.length, RATE / 10);
  }
  return out;
}

function wav(samples: Float32Array): Buffer {
  const out = Buffer.alloc(44 + samples.length * 2);
  out.write('RIFF', 0);
  out.writeUInt32LE(36 + samples.length * 2, 4);
  out.write('WAVEfmt ', 8);
  out.writeUInt32LE(16, 16);
  out.writeUInt16LE(1, 20);
  out.writeUInt16LE(1, 22);
  out.writeUInt32LE(RATE, 24);
  out.writeUInt32LE(RATE * 2, 28);
  out.writeUInt16LE(2, 32);
  out.writeUInt16LE(16, 34);
  out.write('data', 36);
  out.writeUInt32LE(samples.length * 2, 40);
  for (const [index, sample] of samples.entries()) {
    out.writeInt16LE(Math.max(-32_768, Math.min(32_767, Math.round(sample * 32_767))), 44 + index * 2);
  }
  return out;
}

function makeFold(
  directory: string,
  clips: readonly Clip[],
  fold: number,
  round: number,
): { wav: Buffer; csv: string } {
  const random = randomFrom(1_000 * (1 + round) + fold);
  const pick = <T>(list: readonly T[]): T | undefined => list[Math.floor(random() * list.length)];
  const own = clips.filter((clip) => foldOf(clip.group) === fold);
  const load = (clip: Clip): Float32Array => decode(join(directory, 'clips', clip.file));
  const groups = [...new Set(own.filter((clip) => clip.label === 'cry').map((clip) => clip.group))];
  const others = own.filter((clip) => clip.label !== 'cry');
  const pieces: Float32Array[] = [];
  const rows = ['start,end,label,class,snr_db,background'];
  let startS = 0;
  const distractors = others.filter((clip) => !clip.class.startsWith('synth'));
  const queue = [...distractors].sort(() => random() - 0.5);
  const bouts = [...groups].sort(() => random() - 0.5);
  for (let minute = 0; bouts.length > 0 || queue.length > 0; minute++) {
    const length = 60 * RATE;
    const kind = BACKGROUNDS[(minute + fold + 5 * round) % BACKGROUNDS.length] ?? 'quiet';
    const snr = SNRS[(minute * 7 + fold + round) % SNRS.length] ?? 10;
    const matching = others.filter((clip) => (kind === 'talk' ? clip.class === 'speech' : clip.class.startsWith(kind)));
    const bed = matching.length > 0 ? loop(matching.map(load), length) : noise(kind, length, random);
    const bedLevel = kind === 'quiet' ? -65 : -25 - 35 * random();
    const gain = 10 ** (bedLevel / 20) / activeRms(bed);
    const mixed = bed.map((sample) => sample * gain);
    const put = (sound: Float32Array, atS: number, levelDb: number): number => {
      const scale = Math.min(
        10 ** (levelDb / 20) / activeRms(sound),
        0.95 / sound.reduce((peak, s) => Math.max(peak, Math.abs(s)), 1e-6),
      );
      const from = Math.round(atS * RATE);
      const end = Math.min(length, from + sound.length);
      for (let at = from; at < end; at++) mixed[at] = (mixed[at] ?? 0) + (sound[at - from] ?? 0) * scale;
      return end / RATE;
    };
    rows.push(`${startS},${startS + 60},background,${kind},${snr},`);
    for (const slot of [3 + 4 * random(), 33 + 4 * random()]) {
      const group = bouts.pop();
      if (group !== undefined) {
        const sound = trim(
          Float32Array.from(
            own
              .filter((clip) => clip.group === group)
              .slice(0, 3)
              .flatMap((clip) => [...load(clip)]),
          ),
        ).subarray(0, 12 * RATE);
        const level = kind === 'quiet' ? -35 + 20 * random() : Math.min(-6, Math.max(-40, bedLevel + snr));
        const end = put(sound, slot, level);
        rows.push(`${startS + slot},${startS + end},cry,${group},${kind === 'quiet' ? 30 : snr},${kind}`);
      }
      const clip = queue.pop();
      if (clip !== undefined) {
        const sound = trim(load(clip)).subarray(0, 6 * RATE);
        const begin = slot + 16;
        const end = put(sound, begin, -30 + 22 * random());
        rows.push(`${startS + begin},${startS + end},distractor,${clip.class},,`);
      }
    }
    pieces.push(mixed);
    startS += 60;
    pick([0]);
  }
  const all = new Float32Array(pieces.length * 60 * RATE);
  for (const [index, piece] of pieces.entries()) all.set(piece, index * 60 * RATE);
  return { wav: wav(all), csv: `${rows.join('\n')}\n` };
}

if (import.meta.main) {
  const [audio = '', out = ''] = process.argv.slice(2);
  const clips = readClips(audio);
  for (let round = 0; round < ROUNDS; round++) {
    for (let fold = 0; fold < FOLDS; fold++) {
      const name = join(out, sceneName(fold, round));
      if (existsSync(`${name}.wav`)) continue;
      const made = makeFold(audio, clips, fold, round);
      writeFileSync(`${name}.wav`, made.wav);
      writeFileSync(`${name}.csv`, made.csv);
    }
  }
}
