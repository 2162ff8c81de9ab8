import { AV_PIX_FMT_BGRA, AV_PIX_FMT_PAL8, AVERROR_EAGAIN, type FFEncoderCodec } from 'node-av/constants';
import { Codec, CodecContext, FFmpegError, FilterGraph, Frame, Packet, Rational } from 'node-av/lib';
import { VIDEO_CLOCK_HZ } from '../../core/media.ts';
import { type GifPicture, joinGif } from '../../wire/gif/join.ts';
import { type AnimationJob, JobError } from '../protocol.ts';
import { DecodeStage } from './decode-stage.ts';
import { FilterChain, makeFilter, sourceArgs } from './filter-chain.ts';
import { PictureFilter } from './picture-filter.ts';
import { FpsLimit } from './picture-times.ts';
import { isOfKind, kindOf } from './shape-stage.ts';
import { softwareCodecs } from './software-codecs.ts';
import type { PictureKind } from './video-codecs.ts';
import { type PictureSize, scaledSize } from './video-target.ts';

/** A shown picture; `frame` is its owner's to free. */
interface Shot {
  readonly frame: Frame;
  readonly pts: number;
}

/**
 * Decodes the units of some seconds and makes a small animation of them, which plays without end.
 * @throws JobError `input` when no picture can be decoded
 */
export function makeAnimation(job: AnimationJob): Buffer {
  const shots: Shot[] = [];
  try {
    decodeShots(job, shots);
    const [first] = shots;
    if (first === undefined) {
      throw new JobError('input', `no picture could be decoded from ${job.units.length} units of ${job.format.codec}`);
    }
    const durationsMs = shots.map(({ pts }, index) => {
      const next = shots[index + 1];
      return next === undefined ? 1000 / job.fps : ((next.pts - pts) * 1000) / VIDEO_CLOCK_HZ;
    });
    const kind = kindOf(first.frame);
    const encode = job.form === 'webp' ? encodeWebp : encodeGif;
    return encode(shots, durationsMs, kind, job.quality);
  } finally {
    for (const { frame } of shots) frame.free();
  }
}

/** Fills `shots` with the pictures that are to be shown, scaled and turned: some 120 MB for the largest job. */
function decodeShots(job: AnimationJob, shots: Shot[]): void {
  const { format } = job;
  const times = job.units.map(({ pts }) => pts);
  const intervalTicks = times.length < 2 ? 0 : (Math.max(...times) - Math.min(...times)) / (times.length - 1);
  const limit = new FpsLimit(job.fps);
  let filter: { readonly of: PictureKind; readonly chain: PictureFilter } | undefined;
  let size: PictureSize | undefined;
  using decode = new DecodeStage(softwareCodecs, {
    picture: (frame, pts) => {
      if (pts < job.fromPts || !limit.wants(pts, intervalTicks, false)) return;
      limit.took(pts, intervalTicks);
      size ??= sizeOf(job, frame);
      if (filter === undefined || !isOfKind(frame, filter.of)) {
        filter?.chain[Symbol.dispose]();
        const of = kindOf(frame);
        const shape = { size, rotate: job.rotate, flip: undefined, fullRange: false };
        filter = { of, chain: new PictureFilter(of, shape) };
      }
      const shot = filter.chain.apply(frame).clone();
      if (shot === null) throw new Error('no memory for a picture');
      shots.push({ frame: shot, pts });
    },
    note: () => {},
  });
  try {
    for (const { pts, key, data } of job.units) {
      decode.push({ format, pts, dts: pts, key, data }, format);
    }
    decode.finish();
  } finally {
    filter?.chain[Symbol.dispose]();
  }
}

/** Never larger than the picture of the camera, and with its aspect ratio unless both sides are given. */
function sizeOf({ width, height }: AnimationJob, source: PictureSize): PictureSize {
  const wide = width === 0 ? undefined : Math.min(width, source.width);
  const high = height === 0 ? undefined : Math.min(height, source.height);
  return scaledSize(
    {
      kind: 'video',
      codec: 'jpeg',
      ...(wide === undefined ? {} : { width: wide }),
      ...(high === undefined ? {} : { height: high }),
    },
    source,
  );
}

function encodeWebp(
  shots: readonly Shot[],
  durationsMs: readonly number[],
  kind: PictureKind,
  quality: number,
): Buffer {
  using toRgb = new FilterChain(kind, [['format', 'pix_fmts=bgra']]);
  using encoder = openEncoder('libwebp_anim', kind, AV_PIX_FMT_BGRA, 1000, { quality, compression_level: 3 });
  using packet = new Packet();
  packet.alloc();
  let atMs = 0;
  const from = shots[0]?.pts ?? 0;
  for (const { frame, pts } of shots) {
    const rgb = toRgb.apply(frame);
    atMs = Math.max(atMs, Math.round(((pts - from) * 1000) / VIDEO_CLOCK_HZ));
    rgb.pts = BigInt(atMs);
    FFmpegError.throwIfError(encoder.sendFrameSync(rgb), 'encode');
    // It keeps all: the file comes out in the end.
    if (encoder.receivePacketSync(packet) !== AVERROR_EAGAIN) throw new Error('the WebP encoder gave too early');
    atMs++;
  }
  FFmpegError.throwIfError(encoder.sendFrameSync(null), 'encode');
  FFmpegError.throwIfError(encoder.receivePacketSync(packet), 'encode');
  if (packet.data === null) throw new Error('the WebP encoder gave no data');
  return withLastDuration(Buffer.from(packet.data), durationsMs.at(-1) ?? 0);
}

/** The encoder knows no duration of the last picture: in the last ANMF chunk it stands behind position and size. */
function withLastDuration(file: Buffer, lastMs: number): Buffer {
  const at = file.lastIndexOf('ANMF', file.length, 'latin1');
  const durationAt = at + 8 + 12;
  if (at > 0 && durationAt + 3 <= file.length) file.writeUIntLE(Math.min(0xffffff, Math.round(lastMs)), durationAt, 3);
  return file;
}

function encodeGif(shots: readonly Shot[], durationsMs: readonly number[], kind: PictureKind): Buffer {
  using palette = FilterChain.applyToAll(
    kind,
    [['palettegen', 'stats_mode=diff']],
    shots.map(({ frame }) => frame),
  );
  using graph = new FilterGraph();
  graph.alloc();
  graph.nbThreads = 1;
  const pictures = makeFilter(graph, 'buffer', sourceArgs(kind), 0);
  const colours = makeFilter(graph, 'buffer', sourceArgs(kindOf(palette)), 1);
  const use = makeFilter(graph, 'paletteuse', 'dither=bayer:bayer_scale=4:diff_mode=rectangle', 2);
  const sink = makeFilter(graph, 'buffersink', '', 3);
  for (const linked of [pictures.link(0, use, 0), colours.link(0, use, 1), use.link(0, sink, 0)]) {
    FFmpegError.throwIfError(linked, 'link filters');
  }
  FFmpegError.throwIfError(graph.configSync(), 'configure filters');
  palette.pts = 0n;
  FFmpegError.throwIfError(colours.buffersrcAddFrameSync(palette), 'filter');
  FFmpegError.throwIfError(colours.buffersrcAddFrameSync(null), 'filter');
  using encoder = openEncoder('gif', kind, AV_PIX_FMT_PAL8, 100, {});
  using packet = new Packet();
  using coloured = new Frame();
  packet.alloc();
  coloured.alloc();
  const made: GifPicture[] = shots.map(({ frame }, index) => {
    frame.pts = BigInt(index);
    FFmpegError.throwIfError(pictures.buffersrcAddFrameSync(frame), 'filter');
    coloured.unref();
    FFmpegError.throwIfError(sink.buffersinkGetFrameSync(coloured), 'filter');
    FFmpegError.throwIfError(encoder.sendFrameSync(coloured), 'encode');
    FFmpegError.throwIfError(encoder.receivePacketSync(packet), 'encode');
    if (packet.data === null) throw new Error('the GIF encoder gave no data');
    const data = Buffer.from(packet.data);
    packet.unref();
    return { data, durationMs: durationsMs[index] ?? 0 };
  });
  return joinGif(made);
}

function openEncoder(
  name: string,
  kind: PictureKind,
  pixelFormat: PictureKind['pixelFormat'],
  clockRateHz: number,
  options: Readonly<Record<string, number>>,
): CodecContext {
  // Checked border: node-av brands the names of codecs; whether there is one is looked at here.
  const codec = Codec.findEncoderByName(name as FFEncoderCodec);
  if (codec === null) throw new JobError('request', `FFmpeg here has no encoder ${name}`);
  const context = new CodecContext();
  context.allocContext3(codec);
  context.width = kind.width;
  context.height = kind.height;
  // Checked border: a Frame's format may be that of samples too; here it is one of pixels.
  context.pixelFormat = pixelFormat as CodecContext['pixelFormat'];
  context.timeBase = new Rational(1, clockRateHz);
  context.threadCount = 1;
  for (const [option, value] of Object.entries(options)) context.setOption(option, value);
  const opened = context.open2Sync(codec);
  if (opened >= 0) return context;
  context.freeContext();
  throw new JobError('request', `the encoder ${name} can't be opened: ${FFmpegError.strerror(opened)}`);
}
