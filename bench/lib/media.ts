import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const OUT = fileURLToPath(new URL('../out', import.meta.url));

export const FPS = 20;
/** Length of the loop; holds whole GOPs of 2 s and 4 s. */
const LOOP_S = 8;

/** One coded picture as NAL units without start codes, and whether it is a key frame. */
export interface Picture {
  readonly nals: readonly Buffer[];
  readonly key: boolean;
}

export interface BenchMedia {
  readonly pictures: readonly Picture[];
  readonly sps: Buffer;
  readonly pps: Buffer;
  /** Raw AAC frames, 16 kHz mono, 1024 samples each. */
  readonly audio: readonly Buffer[];
}

/** 2560×1440 H.264 High at 4 Mb/s with AAC, encoded once and kept in `bench/out`. */
export async function benchMedia(gopS: 2 | 4): Promise<BenchMedia> {
  mkdirSync(OUT, { recursive: true });
  const video = join(OUT, `main-gop${gopS}.h264`);
  const audio = join(OUT, 'main.aac');
  if (!existsSync(video)) {
    const gop = String(gopS * FPS);
    await run('ffmpeg', [
      ...['-v', 'error', '-y', '-f', 'lavfi'],
      ...['-i', `testsrc2=size=2560x1440:rate=${FPS}:duration=${LOOP_S},noise=alls=6:allf=t`],
      ...['-pix_fmt', 'yuv420p', '-c:v', 'libx264', '-profile:v', 'high', '-preset', 'superfast', '-bf', '0'],
      ...['-g', gop, '-keyint_min', gop, '-sc_threshold', '0', '-b:v', '4M', '-maxrate', '4.4M', '-bufsize', '4M'],
      ...['-x264-params', 'sliced-threads=0:slices=1', '-f', 'h264', part(video)],
    ]);
    renameSync(part(video), video);
  }
  if (!existsSync(audio)) {
    await run('ffmpeg', [
      ...['-v', 'error', '-y', '-f', 'lavfi', '-i', `sine=f=440:r=16000:d=${LOOP_S}`],
      ...['-c:a', 'aac', '-b:a', '32k', '-ac', '1', '-f', 'adts', part(audio)],
    ]);
    renameSync(part(audio), audio);
  }
  return { ...readPictures(readFileSync(video)), audio: readAdts(readFileSync(audio)) };
}

/** Written under a name of this process' own first: several may make the same file at once. */
function part(file: string): string {
  return `${file}.${process.pid}.part`;
}

function readPictures(bytes: Buffer): { pictures: Picture[]; sps: Buffer; pps: Buffer } {
  const pictures: Picture[] = [];
  let sps: Buffer = Buffer.alloc(0);
  let pps: Buffer = Buffer.alloc(0);
  for (const nal of annexB(bytes)) {
    const type = (nal[0] ?? 0) & 31;
    if (type === 7) sps = nal;
    else if (type === 8) pps = nal;
    else if (type === 1 || type === 5) pictures.push({ nals: [nal], key: type === 5 });
  }
  return { pictures, sps, pps };
}

function* annexB(bytes: Buffer): Generator<Buffer> {
  const mark = Buffer.from([0, 0, 1]);
  let at = bytes.indexOf(mark);
  while (at >= 0) {
    const next = bytes.indexOf(mark, at + 3);
    const end = next < 0 ? bytes.length : bytes[next - 1] === 0 ? next - 1 : next;
    yield bytes.subarray(at + 3, end);
    at = next;
  }
}

function readAdts(bytes: Buffer): Buffer[] {
  const frames: Buffer[] = [];
  for (let at = 0; at + 7 <= bytes.length; ) {
    const length = (bytes.readUIntBE(at + 3, 3) >> 5) & 0x1fff;
    if (length < 7) break;
    const headerBytes = ((bytes[at + 1] ?? 0) & 1) === 1 ? 7 : 9;
    frames.push(bytes.subarray(at + headerBytes, at + length));
    at += length;
  }
  return frames;
}
