import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Codec, TrackFormat } from '../src/core/media.ts';
import { adtsConfig, readAdtsHeader } from '../src/wire/aac/adts.ts';
import { makeAacFormat } from '../src/wire/aac/config.ts';
import { Av1Inspector } from '../src/wire/av1/unit.ts';
import { makeAudioFormat, makeVideoFormat } from '../src/wire/codecs/formats.ts';
import { forEachAnnexBNal } from '../src/wire/codecs/nal.ts';
import { NalAssembler } from '../src/wire/codecs/nal-assembler.ts';
import { parseJpeg } from '../src/wire/jpeg/jpeg.ts';
import { makeVp8Format } from '../src/wire/vp8/format.ts';
import { vp8KeySize } from '../src/wire/vp8/vp8.ts';
import { makeVp9Format } from '../src/wire/vp9/format.ts';
import { readVp9Key } from '../src/wire/vp9/vp9.ts';

/** One coded picture or audio frame of a stream made by ffmpeg, in decoding order. */
export interface CodedUnit {
  readonly format: TrackFormat;
  readonly key: boolean;
  readonly data: Buffer;
}

/** Runs ffmpeg with the output on its stdout. */
export async function ffmpegBytes(args: readonly string[]): Promise<Buffer> {
  const { stdout } = await promisify(execFile)('ffmpeg', ['-v', 'error', '-nostdin', ...args, 'pipe:1'], {
    encoding: 'buffer',
    maxBuffer: 128 * 1024 * 1024,
  });
  return stdout;
}

const PICTURE = ['-f', 'lavfi', '-i', 'testsrc2=size=320x240:rate=25'];
const NOISE = ['-f', 'lavfi', '-i', 'anoisesrc=sample_rate=48000:amplitude=0.3'];

const RECIPES: Readonly<Partial<Record<Codec, readonly string[]>>> = {
  h264: [...PICTURE, '-c:v', 'libx264', '-preset', 'fast', '-bf', '2', '-x264-params', 'aud=1:slices=2', '-f', 'h264'],
  h265: [...PICTURE, '-c:v', 'libx265', '-preset', 'fast', '-x265-params', 'log-level=none:aud=1', '-f', 'hevc'],
  av1: [...PICTURE, '-c:v', 'libsvtav1', '-preset', '12', '-f', 'ivf'],
  vp8: [...PICTURE, '-c:v', 'libvpx', '-deadline', 'realtime', '-f', 'ivf'],
  vp9: [...PICTURE, '-c:v', 'libvpx-vp9', '-deadline', 'realtime', '-cpu-used', '8', '-f', 'ivf'],
  jpeg: [...PICTURE, '-pix_fmt', 'yuvj420p', '-c:v', 'mjpeg', '-huffman', 'default', '-f', 'mjpeg'],
  aac: [...NOISE, '-c:a', 'aac', '-ac', '2', '-f', 'adts'],
  opus: [...NOISE, '-c:a', 'libopus', '-ac', '2', '-f', 'ogg'],
  pcma: [...NOISE, '-c:a', 'pcm_alaw', '-ar', '8000', '-ac', '1', '-f', 'alaw'],
  l16: [...NOISE, '-c:a', 'pcm_s16be', '-ar', '16000', '-ac', '2', '-f', 's16be'],
};

/** A real stream of a codec: a moving picture of 320×240 at 25 pictures a second with two key frames, or noise. */
export function makeBitstream(codec: Codec, seconds = 2): Promise<CodedUnit[]> {
  const key = `${codec} ${seconds}`;
  const made = streams.get(key) ?? encode(codec, seconds);
  streams.set(key, made);
  return made;
}
/** Encoding takes its time on a busy machine: once in a test file is enough. */
const streams = new Map<string, Promise<CodedUnit[]>>();

async function encode(codec: Codec, seconds: number): Promise<CodedUnit[]> {
  const recipe = RECIPES[codec];
  if (recipe === undefined) throw new Error(`no recipe for ${codec}`);
  const at = recipe.lastIndexOf('-f');
  const video = recipe[3] === PICTURE[3];
  const gop = video ? ['-g', '25', '-keyint_min', '25'] : [];
  return split(codec, await ffmpegBytes([...recipe.slice(0, at), ...gop, '-t', String(seconds), ...recipe.slice(at)]));
}

function split(codec: Codec, bytes: Buffer): CodedUnit[] {
  switch (codec) {
    case 'h264':
    case 'h265':
      return splitNals(codec, bytes);
    case 'av1':
    case 'vp8':
    case 'vp9':
      return splitIvf(codec, bytes);
    case 'jpeg':
      return splitJpegs(bytes);
    case 'aac':
      return splitAdts(bytes);
    case 'opus':
      return splitOgg(bytes);
    case 'l16':
      return splitSamples(makeAudioFormat('l16', 16_000, 2), bytes, 1280);
    case 'pcma':
      return splitSamples(makeAudioFormat('pcma', 8_000, 1), bytes, 320);
    default:
      throw new Error(`can't take ${codec} apart`);
  }
}

/** Each access unit begins with a delimiter. */
function splitNals(codec: 'h264' | 'h265', bytes: Buffer): CodedUnit[] {
  const units: CodedUnit[] = [];
  const assembler = new NalAssembler(codec, (problem) => {
    throw new Error(problem.message);
  });
  const take = (): void => {
    const unit = assembler.take();
    if (unit !== null) units.push(unit);
  };
  forEachAnnexBNal(bytes, (data, start, end) => {
    const head = data[start] ?? 0;
    const delimiter = codec === 'h264' ? (head & 0x1f) === 9 : ((head >> 1) & 0x3f) === 35;
    if (delimiter && assembler.hasPicture) take();
    assembler.add(data, start, end);
  });
  take();
  return units;
}

function splitIvf(codec: 'av1' | 'vp8' | 'vp9', bytes: Buffer): CodedUnit[] {
  const units: CodedUnit[] = [];
  const av1 = new Av1Inspector((problem) => {
    throw new Error(problem.message);
  });
  let format: TrackFormat | null = null;
  let at = bytes.readUInt16LE(6);
  while (at + 12 <= bytes.length) {
    const size = bytes.readUInt32LE(at);
    const data = bytes.subarray(at + 12, at + 12 + size);
    at += 12 + size;
    let key = false;
    if (codec === 'av1') {
      ({ key, format } = av1.inspect(data));
    } else if (codec === 'vp8') {
      const found = vp8KeySize(data);
      key = found !== null;
      if (found !== null) format ??= makeVp8Format(found.width, found.height);
    } else {
      const found = readVp9Key(data);
      key = found !== null;
      if (found !== null) format ??= makeVp9Format(found);
    }
    if (format === null) throw new Error(`${codec}: no key frame at the beginning`);
    units.push({ format, key, data });
  }
  return units;
}

function splitJpegs(bytes: Buffer): CodedUnit[] {
  const units: CodedUnit[] = [];
  const border = Buffer.from([0xff, 0xd9, 0xff, 0xd8]);
  let from = 0;
  let format: TrackFormat | null = null;
  while (from < bytes.length) {
    const found = bytes.indexOf(border, from);
    const data = bytes.subarray(from, found < 0 ? bytes.length : found + 2);
    const { width, height } = parseJpeg(data);
    format ??= makeVideoFormat('jpeg', width, height);
    units.push({ format, key: true, data });
    from += data.length;
  }
  return units;
}

function splitAdts(bytes: Buffer): CodedUnit[] {
  const units: CodedUnit[] = [];
  let format: TrackFormat | null = null;
  for (let at = 0; ; ) {
    const header = readAdtsHeader(bytes, at);
    if (header === null) return units;
    format ??= makeAacFormat(adtsConfig(header));
    units.push({ format, key: true, data: bytes.subarray(at + header.headerBytes, at + header.frameBytes) });
    at += header.frameBytes;
  }
}

/** Packets of an Ogg stream (RFC 3533 §6), without the two header packets. */
function splitOgg(bytes: Buffer): CodedUnit[] {
  const packets: Buffer[] = [];
  let open: Buffer[] = [];
  for (let at = 0; at + 27 <= bytes.length; ) {
    const segments = bytes[at + 26] ?? 0;
    let data = at + 27 + segments;
    for (let index = 0; index < segments; index++) {
      const size = bytes[at + 27 + index] ?? 0;
      open.push(bytes.subarray(data, data + size));
      data += size;
      if (size === 255) continue;
      packets.push(Buffer.concat(open));
      open = [];
    }
    at = data;
  }
  const format = makeAudioFormat('opus', 48_000, 2);
  return packets.slice(2).map((data) => ({ format, key: true, data }));
}

function splitSamples(format: TrackFormat, bytes: Buffer, unitBytes: number): CodedUnit[] {
  const units: CodedUnit[] = [];
  for (let at = 0; at + unitBytes <= bytes.length; at += unitBytes) {
    units.push({ format, key: true, data: bytes.subarray(at, at + unitBytes) });
  }
  return units;
}
