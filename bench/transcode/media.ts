import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type Clip, readClip } from '../../testkit/mp4-source.ts';

const run = promisify(execFile);
const OUT = fileURLToPath(new URL('../out', import.meta.url));
const FRAGMENTS = ['-movflags', 'frag_every_frame+delay_moov+default_base_moof'];

/** A file in `bench/out`, made once. */
async function made(name: string, args: readonly string[]): Promise<string> {
  mkdirSync(OUT, { recursive: true });
  const file = join(OUT, name);
  if (existsSync(file)) return file;
  const part = join(OUT, `${process.pid}-${name}`);
  await run('ffmpeg', ['-v', 'error', '-y', ...args, part]);
  renameSync(part, file);
  return file;
}

export interface BenchFile {
  readonly path: string;
  readonly clip: Clip;
}

function read(path: string): BenchFile {
  return { path, clip: readClip(readFileSync(path)) };
}

/** Ten minutes of AAC, 48 kHz stereo at 128 kb/s: tones that change, and noise. */
export async function soundFile(): Promise<BenchFile> {
  const sound = 'aevalsrc=0.3*sin(2*PI*(300+200*sin(t))*t)+0.05*(random(0)-0.5)|0.3*sin(2*PI*440*t):s=48000:d=600';
  return read(await made('sound.mp4', ['-f', 'lavfi', '-i', sound, '-c:a', 'aac', '-b:a', '128k', ...FRAGMENTS]));
}

/** Ten seconds of H.265, 1920×1080 at 25 pictures a second, a key frame each 2 s, with AAC. */
export async function h265File(): Promise<BenchFile> {
  const args = [
    ...['-f', 'lavfi', '-i', 'testsrc2=size=1920x1080:rate=25,noise=alls=6:allf=t'],
    ...['-f', 'lavfi', '-i', 'sine=frequency=440:sample_rate=48000', '-t', '10', '-pix_fmt', 'yuv420p'],
    ...['-c:v', 'libx265', '-preset', 'superfast', '-b:v', '4M', '-g', '50', '-keyint_min', '50'],
    ...['-x265-params', 'log-level=none:bframes=0:scenecut=0', '-c:a', 'aac', ...FRAGMENTS],
  ];
  return read(await made('h265.mp4', args));
}
