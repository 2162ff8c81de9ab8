import { availableParallelism } from 'node:os';
import {
  AV_CODEC_FLAG_LOW_DELAY,
  AVERROR_EAGAIN,
  AVERROR_EOF,
  FF_THREAD_FRAME,
  FF_THREAD_SLICE,
  type FFDecoderCodec,
} from 'node-av/constants';
import { Codec, CodecContext, FFmpegError, Frame, Packet } from 'node-av/lib';
import type { VideoCodec, VideoFormat } from '../../core/media.ts';
import type { PipelineUnit } from '../pipeline.ts';
import { JobError, MAX_PIXELS_A_SIDE } from '../protocol.ts';
import type { DecoderMaker, VideoDecoder } from './video-codecs.ts';

const DECODERS: Readonly<Record<VideoCodec, string>> = {
  h264: 'h264',
  h265: 'hevc',
  av1: 'libdav1d',
  vp8: 'vp8',
  vp9: 'vp9',
  jpeg: 'mjpeg',
};

/**
 * From here on (more than 1920x1088) one core may be too slow at 25 pictures a second. Below, threads only cost:
 * cameras send one slice a picture, which slice threads can't share, and each frame thread adds a picture of delay.
 */
const MANY_PIXELS = 1920 * 1088;

export const softwareDecoder: DecoderMaker = {
  name: 'software',
  open: (format) => new SoftwareDecoder(format),
};

/** libavcodec's own decoders, and dav1d for AV1. */
class SoftwareDecoder implements VideoDecoder {
  readonly #context = new CodecContext();
  readonly #packet = new Packet();
  readonly #frame = new Frame();

  constructor(format: VideoFormat) {
    // Checked border: node-av brands the names of codecs; whether there is one is looked at below.
    const codec = Codec.findDecoderByName(DECODERS[format.codec] as FFDecoderCodec);
    if (codec === null) throw new JobError('request', `FFmpeg here has no decoder for ${format.codec}`);
    const context = this.#context;
    context.allocContext3(codec);
    const threaded =
      format.width * format.height > MANY_PIXELS && format.codec !== 'jpeg' && availableParallelism() > 1;
    context.threadCount = threaded ? 2 : 1;
    context.threadType = threaded ? FF_THREAD_FRAME : FF_THREAD_SLICE;
    // Without it a decoder may wait for pictures that could come before; with it there are no frame threads.
    if (format.reorderDepth === 0 && !threaded) context.setFlags(AV_CODEC_FLAG_LOW_DELAY);
    // dav1d holds back as many pictures as it has threads otherwise; other decoders don't know the option.
    if (format.codec === 'av1') context.setOption('max_frame_delay', 1);
    // A damaged header can announce any size; without a limit the memory for it would be asked for.
    let opened = context.setOption('max_pixels', MAX_PIXELS_A_SIDE * MAX_PIXELS_A_SIDE);
    if (format.config.length > 0) context.extraData = format.config;
    if (opened >= 0) opened = context.open2Sync(codec);
    if (opened < 0) {
      this[Symbol.dispose]();
      throw new JobError('input', `${format.codec} can't be decoded: ${FFmpegError.strerror(opened)}`);
    }
    this.#packet.alloc();
    this.#frame.alloc();
  }

  send(unit: PipelineUnit): boolean {
    // An empty packet would end the stream.
    if (unit.data.length === 0) return false;
    const packet = this.#packet;
    packet.data = unit.data;
    packet.pts = BigInt(Math.round(unit.pts));
    packet.dts = BigInt(Math.round(unit.dts));
    packet.isKeyframe = unit.key;
    const result = this.#context.sendPacketSync(packet);
    packet.unref();
    return result >= 0;
  }

  end(): void {
    this.#context.sendPacketSync(null);
  }

  receive(): Frame | 'damaged' | null {
    const frame = this.#frame;
    frame.unref();
    const result = this.#context.receiveFrameSync(frame);
    if (result >= 0) return frame;
    // With frame threads the error of an earlier unit comes here, and pictures may be waiting behind it.
    return result === AVERROR_EAGAIN || result === AVERROR_EOF ? null : 'damaged';
  }

  [Symbol.dispose](): void {
    this.#context.freeContext();
    this.#packet.free();
    this.#frame.free();
  }
}
