import { AV_CODEC_FLAG_LOW_DELAY, AVERROR_EAGAIN, AVERROR_EOF, type FFDecoderCodec } from 'node-av/constants';
import { Codec, CodecContext, FFmpegError, Frame, Packet, Rational } from 'node-av/lib';
import { HARDWARE_CODECS, HARDWARE_NAMES, type HardwareReport } from '../../core/hardware.ts';
import { VIDEO_CLOCK_HZ, type VideoFormat } from '../../core/media.ts';
import type { PipelineUnit } from '../pipeline.ts';
import { JobError, MAX_PIXELS_A_SIDE } from '../protocol.ts';
import { KINDS, openDevice } from './hardware-kinds.ts';
import type { DecoderMaker, VideoDecoder } from './video-codecs.ts';

/** Pictures that filters and encoders may hold while the decoder goes on. */
const EXTRA_PICTURES = 8;
/** Errors in a row, with no picture between them, after which it is the device that fails and not the stream. */
const MAX_ERRORS = 10;

export function hardwareDecoder(report: HardwareReport): DecoderMaker {
  return { name: HARDWARE_NAMES[report.kind], open: (format) => new HardwareDecoder(report, format) };
}

/**
 * Its pictures stay in the device, where the kind has pictures of its own. What a device of VAAPI or CUDA can't decode (an
 * unusual profile) libavcodec decodes by itself; then they lie in memory, as those of a decoder in software.
 */
class HardwareDecoder implements VideoDecoder {
  readonly #context = new CodecContext();
  readonly #packet = new Packet();
  readonly #frame = new Frame();
  #errorsInARow = 0;
  /** Found while pictures were received, said with the next unit. */
  #failure: string | undefined;

  /** @throws JobError */
  constructor({ kind, device }: HardwareReport, format: VideoFormat) {
    const spec = KINDS[kind];
    const tried = HARDWARE_CODECS.find((codec) => codec === format.codec);
    const name = tried === undefined ? format.codec : spec.decoders[tried];
    // Checked border: node-av brands the names of codecs; whether there is one is looked at below.
    const codec = Codec.findDecoderByName(name as FFDecoderCodec);
    if (codec === null || tried === undefined) throw new JobError('request', `FFmpeg here has no decoder ${name}`);
    const hardware = openDevice(kind, device);
    const context = this.#context;
    context.allocContext3(codec);
    // The device works at its own pace; threads would only add pictures of delay.
    context.threadCount = 1;
    if (format.reorderDepth === 0) context.setFlags(AV_CODEC_FLAG_LOW_DELAY);
    // V4L2 carries times in microseconds, and needs to know what ours are.
    context.pktTimebase = new Rational(1, VIDEO_CLOCK_HZ);
    if (hardware !== null && spec.device !== undefined) {
      context.hwDeviceCtx = hardware;
      context.setHardwarePixelFormat(spec.device.pixelFormat);
      context.extraHWFrames = EXTRA_PICTURES;
    }
    // Quick Sync gives pictures up to four later otherwise; other decoders don't know the option.
    if (kind === 'qsv') context.setOption('async_depth', 1);
    let result = context.setOption('max_pixels', MAX_PIXELS_A_SIDE * MAX_PIXELS_A_SIDE);
    if (format.config.length > 0) context.extraData = format.config;
    if (result >= 0) result = context.open2Sync(codec);
    if (result < 0) {
      this[Symbol.dispose]();
      throw new JobError('request', `${name} can't be opened: ${FFmpegError.strerror(result)}`);
    }
    this.#packet.alloc();
    this.#frame.alloc();
  }

  send(unit: PipelineUnit): boolean {
    if (this.#failure !== undefined) throw new Error(this.#failure);
    if (unit.data.length === 0) return false;
    const packet = this.#packet;
    packet.data = unit.data;
    packet.pts = BigInt(Math.round(unit.pts));
    packet.dts = BigInt(Math.round(unit.dts));
    packet.isKeyframe = unit.key;
    const result = this.#context.sendPacketSync(packet);
    packet.unref();
    if (result < 0) this.#addError(result);
    return result >= 0;
  }

  end(): void {
    this.#context.sendPacketSync(null);
  }

  receive(): Frame | 'damaged' | null {
    const frame = this.#frame;
    frame.unref();
    const result = this.#context.receiveFrameSync(frame);
    if (result === AVERROR_EAGAIN || result === AVERROR_EOF) return null;
    if (result < 0) {
      this.#addError(result);
      return 'damaged';
    }
    this.#errorsInARow = 0;
    return frame;
  }

  #addError(result: number): void {
    if (++this.#errorsInARow >= MAX_ERRORS) this.#failure = `no picture any more: ${FFmpegError.strerror(result)}`;
  }

  [Symbol.dispose](): void {
    this.#context.freeContext();
    this.#packet.free();
    this.#frame.free();
  }
}
