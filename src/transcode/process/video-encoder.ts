import { availableParallelism } from 'node:os';
import {
  AV_CODEC_FLAG_QSCALE,
  AV_PICTURE_TYPE_I,
  AV_PICTURE_TYPE_NONE,
  AV_PIX_FMT_YUV420P,
  AV_PIX_FMT_YUVJ420P,
  AVCOL_RANGE_JPEG,
  AVERROR_EAGAIN,
  FF_QP2LAMBDA,
  type FFEncoderCodec,
} from 'node-av/constants';
import { Codec, CodecContext, FFmpegError, type Frame, Packet, Rational } from 'node-av/lib';
import { VIDEO_CLOCK_HZ, type VideoFormat } from '../../core/media.ts';
import type { VideoTarget } from '../../core/targets.ts';
import { makeVideoFormat } from '../../wire/codecs/formats.ts';
import { forEachAnnexBNal } from '../../wire/codecs/nal.ts';
import { NalAssembler } from '../../wire/codecs/nal-assembler.ts';
import { JobError } from '../protocol.ts';
import { qscaleFor } from './still.ts';
import type { EncoderMaker, MadeVideoUnit, PictureKind, VideoEncoder } from './video-codecs.ts';
import { maxKbps } from './video-target.ts';

/** The quality that suffices where the bit rate allows it (x264's scale, its default; x265 counts from 28). */
const H264_CRF = 23;
const H265_CRF = 28;
/** With a bit rate asked for it may be used: about what the eye can't tell from the source. */
const RATED_CRF_LESS = 5;
const DEFAULT_JPEG_QUALITY = 80;
/** Pictures above this are coded by several threads; below, the wait for one another costs more than it gains. */
const MANY_PIXELS = 1920 * 1088;
/** Key frames are asked for by the pipeline, never made by the encoder itself. */
const NO_OWN_KEY_FRAMES = 100_000;

export const softwareEncoder: EncoderMaker = {
  name: 'software',
  open: (target, kind, fps) => {
    switch (target.codec) {
      case 'jpeg':
        return new JpegEncoder(target.quality ?? DEFAULT_JPEG_QUALITY, kind);
      case 'h264':
        return new NalEncoder('h264', openX264(target, kind, fps), fps);
      case 'h265':
        return new NalEncoder('h265', openX265(target, kind, fps), fps);
    }
  },
};

/** A context with all that encoders have in common, to be opened by `openEncoder`. @throws JobError */
export function allocateEncoder(name: string, kind: PictureKind, fps: number): { context: CodecContext; codec: Codec } {
  // Checked border: node-av brands the names of codecs; whether there is one is looked at here.
  const codec = Codec.findEncoderByName(name as FFEncoderCodec);
  if (codec === null) throw new JobError('request', `FFmpeg here has no encoder ${name}`);
  const context = new CodecContext();
  context.allocContext3(codec);
  context.width = kind.width;
  context.height = kind.height;
  context.pixelFormat = AV_PIX_FMT_YUV420P;
  context.colorRange = kind.range;
  context.colorSpace = kind.space;
  context.colorPrimaries = kind.primaries;
  context.colorTrc = kind.transfer;
  context.sampleAspectRatio = new Rational(kind.aspect.num, kind.aspect.den);
  // Encoders write their time base into the parameter sets as the rate of pictures: 90,000 a second would make programs
  // that believe it repeat each picture thousands of times.
  const rate = frameRate(fps);
  context.timeBase = new Rational(rate.den, rate.num);
  context.framerate = new Rational(rate.num, rate.den);
  context.maxBFrames = 0;
  context.gopSize = NO_OWN_KEY_FRAMES;
  return { context, codec };
}

/** The nearest usual rate: estimates are a little off, and parameter sets are to stay the same. */
function frameRate(fps: number): { num: number; den: number } {
  return fps < 0.75 ? { num: 1, den: Math.max(1, Math.round(1 / fps)) } : { num: Math.round(fps), den: 1 };
}

/** @throws JobError, and frees the context, when an option isn't known or the encoder doesn't take the pictures */
export function openEncoder(
  context: CodecContext,
  codec: Codec,
  options: Readonly<Record<string, string | number>>,
): CodecContext {
  for (const [name, value] of Object.entries(options)) {
    const set = context.setOption(name, value);
    if (set < 0) fail(context, `option ${name}=${value}`, set);
  }
  const opened = context.open2Sync(codec);
  if (opened < 0) fail(context, `${context.width}x${context.height}`, opened);
  return context;
}

function fail(context: CodecContext, what: string, result: number): never {
  context.freeContext();
  throw new JobError('request', `the encoder can't be opened: ${what} (${FFmpegError.strerror(result)})`);
}

/** The encoder may use `maxKbps`, with a buffer of one second of it: a key frame is larger than the pictures behind. */
function limitRate(context: CodecContext, target: VideoTarget, kind: PictureKind, fps: number): void {
  const bitsPerS = maxKbps(target, kind, fps) * 1000;
  context.rcMaxRate = BigInt(bitsPerS);
  context.rcBufferSize = bitsPerS;
}

function openX264(target: VideoTarget, kind: PictureKind, fps: number): CodecContext {
  const { context, codec } = allocateEncoder('libx264', kind, fps);
  limitRate(context, target, kind, fps);
  context.threadCount = kind.width * kind.height > MANY_PIXELS ? Math.min(4, availableParallelism()) : 1;
  return openEncoder(context, codec, {
    preset: 'superfast',
    tune: 'zerolatency',
    profile: 'high',
    crf: H264_CRF - (target.bitrateKbps === undefined ? 0 : RATED_CRF_LESS),
    'forced-idr': 1,
    // Captions of the source would become SEI messages.
    a53cc: 0,
    'x264-params': 'scenecut=0:open-gop=0',
  });
}

function openX265(target: VideoTarget, kind: PictureKind, fps: number): CodecContext {
  const { context, codec } = allocateEncoder('libx265', kind, fps);
  const kbps = maxKbps(target, kind, fps);
  const pools = kind.width * kind.height > MANY_PIXELS ? Math.min(4, availableParallelism()) : 'none';
  return openEncoder(context, codec, {
    preset: 'ultrafast',
    tune: 'zerolatency',
    crf: H265_CRF - (target.bitrateKbps === undefined ? 0 : RATED_CRF_LESS),
    'forced-idr': 1,
    a53cc: 0,
    'x265-params': `log-level=none:info=0:scenecut=0:open-gop=0:bframes=0:keyint=-1:vbv-maxrate=${kbps}:vbv-bufsize=${kbps}:pools=${pools}:frame-threads=1`,
  });
}

/** H.264 and H.265: byte streams with parameter sets before each key frame become units as `AccessUnit.data` says. */
export class NalEncoder implements VideoEncoder {
  readonly #context: CodecContext;
  readonly #packet = new Packet();
  readonly #assembler: NalAssembler;
  readonly #isSei: (firstByte: number) => boolean;
  readonly #ticksAPicture: number;
  /** In pictures of the encoder's rate, as near to the true times as is possible with whole numbers that grow. */
  #lastTime = Number.NEGATIVE_INFINITY;
  /** Of the pictures in the encoder; they come out in order, as there are no B-frames. */
  readonly #pts: number[] = [];

  /** @param context opened, with `frameRate(fps)` as its rate */
  constructor(codec: 'h264' | 'h265', context: CodecContext, fps: number) {
    this.#context = context;
    const { num, den } = frameRate(fps);
    this.#ticksAPicture = (VIDEO_CLOCK_HZ * den) / num;
    this.#packet.alloc();
    this.#assembler = new NalAssembler(codec, ({ code, message }) => {
      throw new Error(`the encoder made parameter sets that can't be read: ${message} (${code})`);
    });
    this.#isSei =
      codec === 'h264' ? (byte) => (byte & 31) === 6 : (byte) => ((byte >> 1) & 62) === 38 && (byte & 0x80) === 0;
  }

  encode(picture: Frame, pts: number, key: boolean): MadeVideoUnit | null {
    const packet = this.#packet;
    this.#lastTime = Math.max(this.#lastTime + 1, Math.round(pts / this.#ticksAPicture));
    picture.pts = BigInt(this.#lastTime);
    this.#pts.push(pts);
    picture.pictType = key ? AV_PICTURE_TYPE_I : AV_PICTURE_TYPE_NONE;
    FFmpegError.throwIfError(this.#context.sendFrameSync(picture), 'encode');
    const result = this.#context.receivePacketSync(packet);
    if (result === AVERROR_EAGAIN) return null;
    FFmpegError.throwIfError(result, 'encode');
    const { data } = packet;
    // The bytes are copied once, into the assembler's slab; SEI of encoders only says how they were set up.
    if (data !== null) {
      forEachAnnexBNal(data, (bytes, start, end) => {
        if (!this.#isSei(bytes[start] ?? 0)) this.#assembler.add(bytes, start, end);
      });
    }
    packet.unref();
    const unit = this.#assembler.take();
    // Parameter sets may come by themselves first (V4L2).
    if (unit === null) return null;
    return { pts: this.#pts.shift() ?? pts, key: unit.key, data: unit.data, format: unit.format };
  }

  [Symbol.dispose](): void {
    this.#context.freeContext();
    this.#packet.free();
  }
}

class JpegEncoder implements VideoEncoder {
  readonly #context: CodecContext;
  readonly #packet = new Packet();
  readonly #lambda: number;
  readonly #format: VideoFormat;

  constructor(quality: number, kind: PictureKind) {
    const { context, codec } = allocateEncoder('mjpeg', kind, 25);
    this.#context = context;
    this.#lambda = Math.round(qscaleFor(quality) * FF_QP2LAMBDA);
    this.#format = makeVideoFormat('jpeg', kind.width, kind.height);
    context.pixelFormat = AV_PIX_FMT_YUVJ420P;
    context.colorRange = AVCOL_RANGE_JPEG;
    context.threadCount = 1;
    context.setFlags(AV_CODEC_FLAG_QSCALE);
    context.qMin = 1;
    context.globalQuality = this.#lambda;
    // RFC 2435 (JPEG over RTP) knows only the example tables of ITU-T T.81 Annex K, and two quantisation tables.
    openEncoder(context, codec, { huffman: 'default', force_duplicated_matrix: 1 });
    this.#packet.alloc();
  }

  encode(picture: Frame, pts: number): MadeVideoUnit | null {
    const packet = this.#packet;
    picture.pts = BigInt(pts);
    picture.pictType = AV_PICTURE_TYPE_NONE;
    picture.quality = this.#lambda;
    FFmpegError.throwIfError(this.#context.sendFrameSync(picture), 'encode');
    FFmpegError.throwIfError(this.#context.receivePacketSync(packet), 'encode');
    const { data } = packet;
    if (data === null) throw new Error('the JPEG encoder gave no data');
    const copy = Buffer.from(data);
    packet.unref();
    return { pts, key: true, data: copy, format: this.#format };
  }

  [Symbol.dispose](): void {
    this.#context.freeContext();
    this.#packet.free();
  }
}
