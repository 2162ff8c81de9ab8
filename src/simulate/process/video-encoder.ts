import {
  AV_CODEC_FLAG_LOW_DELAY,
  AV_PIX_FMT_YUV420P,
  AVCOL_PRI_BT709,
  AVCOL_RANGE_MPEG,
  AVCOL_SPC_BT709,
  AVCOL_TRC_BT709,
  AVERROR_EAGAIN,
  AVERROR_EOF,
  type FFEncoderCodec,
} from 'node-av/constants';
import { Codec, CodecContext, FFmpegError, Frame, Packet, Rational } from 'node-av/lib';
import { VIDEO_CLOCK_HZ } from '../../core/media.ts';
import type { StreamPlan } from '../protocol.ts';

export interface CodedPicture {
  /** 90 kHz */
  readonly ticks: number;
  readonly decodeTicks: number;
  /** Annex B, parameter sets in front of each key frame. */
  readonly data: Buffer;
}

/** libx264 or libx265 as a camera's encoder: quick, without delay unless B-frames are wanted. */
export class VideoEncoder implements Disposable {
  readonly #context = new CodecContext();
  readonly #frame = new Frame();
  readonly #packet = new Packet();

  constructor(plan: StreamPlan) {
    // Checked border: node-av brands the names of codecs; whether there is one is looked at below.
    const codec = Codec.findEncoderByName((plan.codec === 'h264' ? 'libx264' : 'libx265') as FFEncoderCodec);
    if (codec === null) throw new Error(`FFmpeg here has no ${plan.codec} encoder`);
    const context = this.#context;
    context.allocContext3(codec);
    context.width = plan.width;
    context.height = plan.height;
    context.pixelFormat = AV_PIX_FMT_YUV420P;
    context.colorRange = AVCOL_RANGE_MPEG;
    context.colorSpace = AVCOL_SPC_BT709;
    context.colorPrimaries = AVCOL_PRI_BT709;
    context.colorTrc = AVCOL_TRC_BT709;
    context.timeBase = new Rational(1, VIDEO_CLOCK_HZ);
    context.framerate = new Rational(Math.round(plan.fps * 1000), 1000);
    context.gopSize = plan.gop;
    context.maxBFrames = plan.bFrames;
    context.threadCount = 1;
    if (plan.bFrames === 0) context.setFlags(AV_CODEC_FLAG_LOW_DELAY);
    const option = (name: string, value: string): void => {
      FFmpegError.throwIfError(context.setOption(name, value), `set ${name}=${value}`);
    };
    option('preset', 'ultrafast');
    if (plan.bFrames === 0) option('tune', 'zerolatency');
    const shared = [
      `keyint=${plan.gop}`,
      `min-keyint=${plan.gop}`,
      'scenecut=0',
      `bframes=${plan.bFrames}`,
      'b-adapt=0',
    ];
    if (plan.bitRateKbps > 0) {
      context.bitRate = BigInt(plan.bitRateKbps * 1000);
      shared.push(`vbv-maxrate=${plan.bitRateKbps}`, `vbv-bufsize=${plan.bitRateKbps}`);
    } else {
      option('crf', '24');
    }
    if (plan.codec === 'h264') {
      option('x264-params', [...shared, 'threads=1', 'rc-lookahead=0', 'open-gop=0'].join(':'));
    } else {
      option(
        'x265-params',
        [
          ...shared,
          'pools=none',
          'frame-threads=1',
          `rc-lookahead=${plan.bFrames === 0 ? 0 : 5}`,
          'open-gop=0',
          'repeat-headers=1',
          'log-level=none',
        ].join(':'),
      );
    }
    FFmpegError.throwIfError(context.open2Sync(codec), `open the ${plan.codec} encoder`);
    this.#frame.alloc();
    this.#frame.width = plan.width;
    this.#frame.height = plan.height;
    this.#frame.format = AV_PIX_FMT_YUV420P;
    this.#frame.colorRange = AVCOL_RANGE_MPEG;
    this.#frame.colorSpace = AVCOL_SPC_BT709;
    FFmpegError.throwIfError(this.#frame.getBuffer(), 'allocate a picture');
    this.#packet.alloc();
  }

  /**
   * Codes a picture.
   * @param picture `yuv420p` without padding
   * @returns what is finished: none or several when there are B-frames
   */
  encode(picture: Buffer, ticks: number): CodedPicture[] {
    // The encoder may still read from the frame that it was given last.
    FFmpegError.throwIfError(this.#frame.makeWritable(), 'take the frame back');
    FFmpegError.throwIfError(this.#frame.fromBuffer(picture), 'fill the frame');
    this.#frame.pts = BigInt(ticks);
    FFmpegError.throwIfError(this.#context.sendFrameSync(this.#frame), 'encode');
    const coded: CodedPicture[] = [];
    for (;;) {
      const got = this.#context.receivePacketSync(this.#packet);
      if (got === AVERROR_EAGAIN || got === AVERROR_EOF) return coded;
      FFmpegError.throwIfError(got, 'encode');
      const { data, pts, dts } = this.#packet;
      if (data !== null) coded.push({ ticks: Number(pts), decodeTicks: Number(dts), data: Buffer.from(data) });
      this.#packet.unref();
    }
  }

  [Symbol.dispose](): void {
    this.#packet.free();
    this.#frame.free();
    this.#context.freeContext();
  }
}
