import { execFile, spawnSync } from 'node:child_process';
import { promisify } from 'node:util';
import { isVideo, type VideoCodec, type VideoFormat } from '../src/core/media.ts';
import { makeVideoFormat } from '../src/wire/codecs/formats.ts';
import { forEachAnnexBNal } from '../src/wire/codecs/nal.ts';
import { makeClip } from './mp4-source.ts';
import { toAnnexB } from './nal.ts';

/** One picture of a test stream, as a pipeline takes it. */
export interface TestUnit {
  readonly format: VideoFormat;
  readonly pts: number;
  readonly dts: number;
  readonly key: boolean;
  readonly data: Buffer;
}

/** The left half is red, the upper right quarter white, the lower right one blue: a rotation can be told. */
export function quarters(size = '320x240'): string {
  const box = (y: string, colour: string): string => `drawbox=x=iw/2:w=iw/2:y=${y}:h=ih/2:c=${colour}:t=fill`;
  return `color=red:s=${size}:r=25,format=yuv420p,${box('0', 'white')},${box('ih/2', 'blue')}`;
}

const CODERS: Readonly<Record<VideoCodec, readonly string[]>> = {
  h264: ['-c:v', 'libx264', '-preset', 'ultrafast', '-sc_threshold', '0'],
  h265: ['-c:v', 'libx265', '-preset', 'ultrafast', '-tag:v', 'hvc1'],
  av1: ['-c:v', 'libaom-av1', '-cpu-used', '8', '-usage', 'realtime', '-row-mt', '0'],
  vp8: ['-c:v', 'libvpx', '-deadline', 'realtime', '-cpu-used', '8'],
  vp9: ['-c:v', 'libvpx-vp9', '-deadline', 'realtime', '-cpu-used', '8'],
  jpeg: ['-c:v', 'mjpeg', '-q:v', '3'],
};

export interface TestStream {
  /** A graph of ffmpeg's lavfi. */
  readonly picture?: string;
  readonly pictures?: number;
  /** Pictures from key frame to key frame. */
  readonly gop?: number;
  readonly bFrames?: number;
  readonly pixelFormat?: string;
  readonly args?: readonly string[];
}

/** Has ffmpeg make a stream at 25 pictures a second; times begin at 0. */
export async function makeStream(codec: VideoCodec, options: TestStream = {}): Promise<TestUnit[]> {
  const { picture = quarters(), pictures = 10, gop = 25, bFrames = 0, pixelFormat = 'yuv420p', args = [] } = options;
  const x265 = `log-level=none:bframes=${bFrames}:keyint=${gop}:min-keyint=${gop}:scenecut=0:open-gop=0:pools=1`;
  const all = [
    ...['-f', 'lavfi', '-i', picture, '-frames:v', String(pictures), ...CODERS[codec]],
    ...(codec === 'h265' ? ['-x265-params', x265] : codec === 'jpeg' ? [] : ['-g', String(gop)]),
    ...(codec === 'h264' ? ['-bf', String(bFrames), '-keyint_min', String(gop)] : []),
    ...['-pix_fmt', codec === 'jpeg' ? 'yuvj420p' : pixelFormat, '-threads', '1', ...args],
  ];
  if (codec === 'jpeg' || codec === 'vp8') {
    const { stdout } = await promisify(execFile)(
      'ffmpeg',
      ['-v', 'error', ...all, '-f', codec === 'jpeg' ? 'image2pipe' : 'ivf', '-'],
      { encoding: 'buffer', maxBuffer: 64 * 1024 * 1024 },
    );
    const frames = codec === 'jpeg' ? jpegs(stdout) : ivfFrames(stdout);
    const format = makeVideoFormat(codec, 0, 0);
    return frames.map((data, index) => {
      // RFC 6386 §9.1: the lowest bit of a VP8 frame is 0 in key frames.
      const key = codec === 'jpeg' || ((data[0] ?? 0) & 1) === 0;
      return { format, pts: index * 3600, dts: index * 3600, key, data };
    });
  }
  const { units } = await makeClip(all);
  return units.map(({ format, ticks, decodeTicks, key, data }) => {
    if (!isVideo(format)) throw new Error('no video');
    return { format, pts: ticks, dts: decodeTicks, key, data };
  });
}

function jpegs(all: Buffer): Buffer[] {
  const found: Buffer[] = [];
  for (let at = 0; at < all.length; ) {
    const end = all.indexOf(Buffer.from([0xff, 0xd9]), at) + 2;
    found.push(all.subarray(at, end));
    at = end;
  }
  return found;
}

function ivfFrames(file: Buffer): Buffer[] {
  const found: Buffer[] = [];
  for (let at = 32; at + 12 <= file.length; ) {
    const bytes = file.readUInt32LE(at);
    found.push(file.subarray(at + 12, at + 12 + bytes));
    at += 12 + bytes;
  }
  return found;
}

/** The bytes of H.264, H.265 or JPEG pictures as ffmpeg reads them. */
export function toFile(format: VideoFormat, units: readonly Buffer[]): Buffer {
  if (format.codec === 'jpeg') return Buffer.concat(units);
  const { vps, sps, pps } = format.parameterSets;
  const start = Buffer.from([0, 0, 0, 1]);
  return Buffer.concat([...[...vps, ...sps, ...pps].flatMap((set) => [start, set]), ...units.map(toAnnexB)]);
}

const DEMUXERS: Readonly<Partial<Record<VideoCodec, string>>> = { h264: 'h264', h265: 'hevc', jpeg: 'mjpeg' };

function inputArgs(format: VideoFormat): string[] {
  return ['-v', 'error', '-f', DEMUXERS[format.codec] ?? '', '-i', '-'];
}

/** What another program sees in pictures: the colours in the middle of the four quarters, of each one. */
export function seenColours(format: VideoFormat, units: readonly Buffer[]): string[] {
  const args = ['-vf', 'scale=4:4:flags=area', '-f', 'rawvideo', '-pix_fmt', 'rgb24', '-'];
  const run = spawnSync('ffmpeg', [...inputArgs(format), '-vsync', 'passthrough', ...args], {
    input: toFile(format, units),
  });
  const complaints = run.stderr.toString();
  if (complaints !== '') throw new Error(complaints);
  const seen: string[] = [];
  for (let at = 0; at < run.stdout.length; at += 48) {
    const colour = (x: number, y: number): string => {
      const [r = 0, g = 0, b = 0] = run.stdout.subarray(at + (y * 4 + x) * 3);
      if (r > 180 && g > 180 && b > 180) return 'white';
      return r > 180 && g < 80 && b < 80 ? 'red' : b > 180 && r < 80 && g < 80 ? 'blue' : `rgb(${r},${g},${b})`;
    };
    seen.push([colour(0, 0), colour(3, 0), colour(0, 3), colour(3, 3)].join(' '));
  }
  return seen;
}

/** Fields of `ffprobe -show_entries`, e.g. `frame=pict_type`; a line each. */
export function probe(format: VideoFormat, units: readonly Buffer[], entries: string): string[] {
  const run = spawnSync('ffprobe', [...inputArgs(format), '-show_entries', entries, '-of', 'csv=p=0'], {
    input: toFile(format, units),
  });
  return run.stdout
    .toString()
    .split('\n')
    .map((line) => line.replace(/,+$/, ''))
    .filter((line) => line !== '');
}

/** The pictures' brightness, one byte a pixel, scaled to this size. */
export function seenLuma(format: VideoFormat, units: readonly Buffer[], width: number, height: number): Buffer[] {
  const args = ['-vf', `scale=${width}:${height}`, '-f', 'rawvideo', '-pix_fmt', 'gray', '-'];
  const { stdout } = spawnSync('ffmpeg', [...inputArgs(format), '-vsync', 'passthrough', ...args], {
    input: toFile(format, units),
    maxBuffer: 256 * 1024 * 1024,
  });
  const bytes = width * height;
  return Array.from({ length: Math.floor(stdout.length / bytes) }, (_, index) =>
    stdout.subarray(index * bytes, (index + 1) * bytes),
  );
}

/** Types of the NAL units of a picture. */
export function nalTypes(format: VideoFormat, data: Buffer): number[] {
  const types: number[] = [];
  forEachAnnexBNal(toAnnexB(data), (bytes, start) => {
    const first = bytes[start] ?? 0;
    types.push(format.codec === 'h264' ? first & 31 : (first >> 1) & 63);
  });
  return types;
}
