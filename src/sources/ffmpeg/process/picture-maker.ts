import {
  AV_CODEC_FLAG_LOW_DELAY,
  AV_PIX_FMT_YUV420P,
  AVERROR_EAGAIN,
  AVERROR_EOF,
  type FFEncoderCodec,
  SWS_BICUBIC,
} from 'node-av/constants';
import {
  Codec,
  CodecContext,
  FFmpegError,
  Frame,
  Packet,
  Rational,
  SoftwareScaleContext,
  type Stream,
} from 'node-av/lib';
import { VIDEO_CLOCK_HZ } from '../../../core/media.ts';
import { Decoder } from './decoder.ts';

/** A byte stream (annex B) of one picture; ticks of 90 kHz. */
export interface CodedPicture {
  readonly pts: number;
  readonly dts: number;
  readonly key: boolean;
  readonly data: Buffer;
}

const GOP_S = 2;

/** Decodes pictures of any codec and codes them as H.264, without delay. */
export class PictureMaker {
  readonly #emit: (picture: CodedPicture) => void;
  #decoder: Decoder | undefined;
  #encoder: Encoder | undefined;
  #fps = 25;
  #lastTicks = Number.NEGATIVE_INFINITY;

  constructor(emit: (picture: CodedPicture) => void) {
    this.#emit = emit;
  }

  begin(stream: Stream): void {
    const { num, den } = stream.avgFrameRate;
    this.#fps = num > 0 && den > 0 ? Math.min(120, Math.max(1, num / den)) : 25;
    this.#decoder?.[Symbol.dispose]();
    this.#decoder = new Decoder(stream);
  }

  /** @param packet null: the end */
  push(packet: Packet | null, movedS: number): void {
    this.#decoder?.decode(packet, (frame, seconds) => {
      const ticks = Math.round((seconds + movedS) * VIDEO_CLOCK_HZ);
      if (ticks <= this.#lastTicks) return;
      this.#lastTicks = ticks;
      this.#encoder ??= new Encoder(frame.width, frame.height, this.#fps, this.#emit);
      this.#encoder.encode(frame, ticks);
    });
  }
}

/** libx264, for pictures of any size and kind: all get the size of the first. */
class Encoder {
  readonly #context = new CodecContext();
  readonly #picture = new Frame();
  readonly #packet = new Packet();
  readonly #emit: (picture: CodedPicture) => void;
  #scaler: { readonly context: SoftwareScaleContext; readonly key: string } | undefined;

  constructor(width: number, height: number, fps: number, emit: (picture: CodedPicture) => void) {
    this.#emit = emit;
    // Checked border: node-av brands the names of codecs; whether there is one is looked at below.
    const codec = Codec.findEncoderByName('libx264' as FFEncoderCodec);
    if (codec === null) throw new Error('FFmpeg here has no H.264 encoder');
    const context = this.#context;
    context.allocContext3(codec);
    // 4:2:0 has one colour sample for two pixels each way.
    context.width = Math.max(2, width - (width % 2));
    context.height = Math.max(2, height - (height % 2));
    context.pixelFormat = AV_PIX_FMT_YUV420P;
    context.timeBase = new Rational(1, VIDEO_CLOCK_HZ);
    context.framerate = new Rational(Math.round(fps * 1000), 1000);
    context.gopSize = Math.max(1, Math.round(fps * GOP_S));
    context.maxBFrames = 0;
    context.setFlags(AV_CODEC_FLAG_LOW_DELAY);
    for (const [name, value] of [
      ['preset', 'superfast'],
      ['tune', 'zerolatency'],
      ['crf', '23'],
    ] as const) {
      FFmpegError.throwIfError(context.setOption(name, value), `set ${name}=${value}`);
    }
    FFmpegError.throwIfError(context.open2Sync(codec), 'open the H.264 encoder');
    this.#picture.alloc();
    this.#picture.width = context.width;
    this.#picture.height = context.height;
    this.#picture.format = AV_PIX_FMT_YUV420P;
    FFmpegError.throwIfError(this.#picture.getBuffer(), 'allocate a picture');
    this.#packet.alloc();
  }

  encode(frame: Frame, ticks: number): void {
    FFmpegError.throwIfError(this.#picture.makeWritable(), 'take the picture back');
    FFmpegError.throwIfError(this.#scalerFor(frame).scaleFrameSync(this.#picture, frame), 'scale the picture');
    this.#picture.pts = BigInt(ticks);
    FFmpegError.throwIfError(this.#context.sendFrameSync(this.#picture), 'encode');
    for (;;) {
      const got = this.#context.receivePacketSync(this.#packet);
      if (got === AVERROR_EAGAIN || got === AVERROR_EOF) return;
      FFmpegError.throwIfError(got, 'encode');
      const { data, pts, dts, isKeyframe } = this.#packet;
      if (data !== null) this.#emit({ pts: Number(pts), dts: Number(dts), key: isKeyframe, data: Buffer.from(data) });
      this.#packet.unref();
    }
  }

  #scalerFor(frame: Frame): SoftwareScaleContext {
    const { width, height, format } = frame;
    const key = `${width}x${height} ${format}`;
    if (this.#scaler?.key === key) return this.#scaler.context;
    this.#scaler?.context.freeContext();
    const context = new SoftwareScaleContext();
    // Checked border: of a picture `format` is that of its pixels.
    const from = format as Parameters<SoftwareScaleContext['getContext']>[2];
    context.getContext(width, height, from, this.#context.width, this.#context.height, AV_PIX_FMT_YUV420P, SWS_BICUBIC);
    this.#scaler = { context, key };
    return context;
  }
}
