import {
  AV_CODEC_FLAG_QSCALE,
  AV_LOG_FATAL,
  AV_PIX_FMT_YUVJ420P,
  AVCOL_RANGE_JPEG,
  FF_QP2LAMBDA,
  type FFDecoderCodec,
  type FFEncoderCodec,
} from 'node-av/constants';
import { Codec, CodecContext, FFmpegError, Filter, FilterGraph, Frame, Log, Packet, Rational } from 'node-av/lib';
import type { VideoCodec } from '../../core/media.ts';
import { JobError, MAX_PIXELS_A_SIDE, type StillJob } from '../protocol.ts';

const DECODERS: Readonly<Record<VideoCodec, string>> = {
  h264: 'h264',
  h265: 'hevc',
  av1: 'libdav1d',
  vp8: 'vp8',
  vp9: 'vp9',
  jpeg: 'mjpeg',
};

/** FFmpeg tells every oddity of a stream on stderr; what matters comes back as an error of the job. */
export function quietLibraries(): void {
  Log.setLevel(AV_LOG_FATAL);
}

/**
 * Decodes one key frame and codes it as a JPEG, scaled and then rotated as asked (go2rtc's order).
 * @throws JobError `input` when the bytes hold no picture, `request` when the result would be too large.
 */
export function makeStill(job: StillJob): Buffer {
  using picture = decodeKeyFrame(job);
  const { width, height } = targetSize(job, picture.width, picture.height);
  using shaped = shape(picture, width, height, job.rotate);
  return encodeJpeg(shaped, job.quality);
}

function decodeKeyFrame(job: StillJob): Frame {
  // Checked border: node-av brands the names of codecs; whether there is one is looked at below.
  const codec = Codec.findDecoderByName(DECODERS[job.codec] as FFDecoderCodec);
  if (codec === null) throw new JobError('request', `FFmpeg here has no decoder for ${job.codec}`);
  using decoder = new CodecContext();
  decoder.allocContext3(codec);
  // One picture gains nothing from threads, and each of them keeps buffers.
  decoder.threadCount = 1;
  // A damaged header can announce any size; without a limit the memory for it would be asked for.
  check(decoder.setOption('max_pixels', MAX_PIXELS_A_SIDE * MAX_PIXELS_A_SIDE), job, 'no size limit can be set');
  if (job.config.length > 0) decoder.extraData = job.config;
  check(decoder.open2Sync(codec), job, 'its parameters are damaged');
  using packet = new Packet();
  packet.alloc();
  packet.data = job.data;
  packet.isKeyframe = true;
  check(decoder.sendPacketSync(packet), job, 'it is damaged');
  // A decoder that reorders gives the picture only once it knows that none follows.
  check(decoder.sendPacketSync(null), job, 'it is damaged');
  const frame = new Frame();
  frame.alloc();
  const got = decoder.receiveFrameSync(frame);
  if (got >= 0 && frame.width > 0 && frame.height > 0) return frame;
  frame.free();
  throw new JobError('input', `no picture could be decoded from a ${job.codec} key frame of ${job.data.length} bytes`);
}

function check(result: number, job: StillJob, what: string): void {
  if (result >= 0) return;
  const reason = FFmpegError.strerror(result);
  throw new JobError(
    'input',
    `a ${job.codec} key frame of ${job.data.length} bytes can't be decoded: ${what} (${reason})`,
  );
}

function targetSize(job: StillJob, width: number, height: number): { width: number; height: number } {
  const wide = job.width > 0 ? job.width : job.height > 0 ? Math.round((width * job.height) / height) : width;
  const high = job.height > 0 ? job.height : job.width > 0 ? Math.round((height * job.width) / width) : height;
  if (wide < 1 || high < 1 || wide > MAX_PIXELS_A_SIDE || high > MAX_PIXELS_A_SIDE) {
    // Without a size in the request it is the picture itself, that is, its damaged header.
    throw new JobError(
      job.width === 0 && job.height === 0 ? 'input' : 'request',
      `a still of ${wide}x${high} pixels can't be made: sides must be from 1 to ${MAX_PIXELS_A_SIDE}`,
    );
  }
  return { width: wide, height: high };
}

const TURNS: Readonly<Record<StillJob['rotate'], readonly (readonly [filter: string, args: string])[]>> = {
  0: [],
  90: [['transpose', 'clock']],
  180: [
    ['hflip', ''],
    ['vflip', ''],
  ],
  270: [['transpose', 'cclock']],
};

/** Scales, rotates, and makes the levels those of a JPEG (ITU-T T.871: full range), whatever the camera's are. */
function shape(picture: Frame, width: number, height: number, rotate: StillJob['rotate']): Frame {
  const { colorSpace, colorRange } = picture;
  const source =
    `video_size=${picture.width}x${picture.height}:pix_fmt=${picture.format}:time_base=1/90000:pixel_aspect=1/1` +
    `:colorspace=${colorSpace}:range=${colorRange}`;
  using graph = new FilterGraph();
  graph.alloc();
  graph.nbThreads = 1;
  const chain = [
    ['buffer', source],
    ['scale', `w=${width}:h=${height}:flags=bicubic:out_range=full`],
    ...TURNS[rotate],
    ['format', 'pix_fmts=yuvj420p'],
    ['buffersink', ''],
  ].map(([name = '', args = ''], index) => {
    const filter = Filter.getByName(name);
    const made = filter === null ? null : graph.createFilter(filter, `f${index}`, args === '' ? null : args);
    if (made === null) throw new Error(`FFmpeg here can't make the filter ${name}=${args}`);
    return made;
  });
  for (const [index, made] of chain.entries()) {
    const next = chain[index + 1];
    if (next !== undefined) FFmpegError.throwIfError(made.link(0, next, 0), 'link filters');
  }
  FFmpegError.throwIfError(graph.configSync(), 'configure filters');
  FFmpegError.throwIfError(chain[0]?.buffersrcAddFrameSync(picture) ?? -1, 'filter');
  const frame = new Frame();
  frame.alloc();
  FFmpegError.throwIfError(chain.at(-1)?.buffersinkGetFrameSync(frame) ?? -1, 'filter');
  return frame;
}

/**
 * FFmpeg's quantiser scale for a JPEG quality of 1…100 as everybody else counts it: the IJG rule for scaling the
 * example tables of ITU-T T.81 Annex K, carried over to FFmpeg's MPEG-1 matrix, which is finer by about 1 : 17.
 */
export function qscaleFor(quality: number): number {
  const percent = quality < 50 ? 5000 / quality : 200 - 2 * quality;
  return Math.min(31, Math.max(1, (17 * percent) / 100));
}

function encodeJpeg(frame: Frame, quality: number): Buffer {
  // Checked border: as for the decoder.
  const codec = Codec.findEncoderByName('mjpeg' as FFEncoderCodec);
  if (codec === null) throw new Error('FFmpeg here has no JPEG encoder');
  const lambda = Math.round(qscaleFor(quality) * FF_QP2LAMBDA);
  using encoder = new CodecContext();
  encoder.allocContext3(codec);
  encoder.width = frame.width;
  encoder.height = frame.height;
  encoder.pixelFormat = AV_PIX_FMT_YUVJ420P;
  encoder.colorRange = AVCOL_RANGE_JPEG;
  encoder.timeBase = new Rational(1, 25);
  encoder.threadCount = 1;
  encoder.setFlags(AV_CODEC_FLAG_QSCALE);
  encoder.qMin = 1;
  encoder.globalQuality = lambda;
  FFmpegError.throwIfError(encoder.open2Sync(codec), 'open the JPEG encoder');
  frame.quality = lambda;
  frame.pts = 0n;
  FFmpegError.throwIfError(encoder.sendFrameSync(frame), 'encode');
  using packet = new Packet();
  packet.alloc();
  FFmpegError.throwIfError(encoder.receivePacketSync(packet), 'encode');
  if (packet.data === null) throw new Error('the JPEG encoder gave no data');
  return Buffer.from(packet.data);
}
