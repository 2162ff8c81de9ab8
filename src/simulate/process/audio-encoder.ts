import {
  AV_CHANNEL_LAYOUT_MONO,
  AV_SAMPLE_FMT_FLTP,
  AV_SAMPLE_FMT_S16,
  AVERROR_EAGAIN,
  AVERROR_EOF,
  type FFEncoderCodec,
} from 'node-av/constants';
import { Codec, CodecContext, FFmpegError, Frame, Packet, Rational } from 'node-av/lib';
import { SAMPLE_RATES_HZ, type SimulatedAudioCodec } from '../protocol.ts';
import { FLASH_MS } from './stage.ts';

const ENCODERS: Readonly<Record<Exclude<SimulatedAudioCodec, 'none'>, string>> = {
  aac: 'aac',
  opus: 'libopus',
  pcma: 'pcm_alaw',
  pcmu: 'pcm_mulaw',
};
const BEEP_HZ = 880;
const BEEP_LEVEL = 0.12;
/** For codecs that take any number of samples: packets of 20 ms, as RFC 3551 §4.2 has it. */
const FREE_FRAME_MS = 20;

export interface CodedSound {
  /** Of the sampling rate. */
  readonly ticks: number;
  readonly data: Buffer;
}

/** A soft beep at each full second of the wall clock, as long as the lamp in the picture is lit. */
export class AudioEncoder implements Disposable {
  readonly #context = new CodecContext();
  readonly #frame = new Frame();
  readonly #packet = new Packet();
  readonly #rateHz: number;
  readonly #frameSamples: number;
  readonly #planar: boolean;
  readonly #startMs: number;
  #samples = 0;

  /** @param startMs UTC of the first sample */
  constructor(codecName: Exclude<SimulatedAudioCodec, 'none'>, startMs: number) {
    const codec = Codec.findEncoderByName(ENCODERS[codecName] as FFEncoderCodec);
    if (codec === null) throw new Error(`FFmpeg here has no ${codecName} encoder`);
    this.#startMs = startMs;
    this.#rateHz = SAMPLE_RATES_HZ[codecName];
    this.#planar = codecName === 'aac';
    const context = this.#context;
    context.allocContext3(codec);
    context.sampleRate = this.#rateHz;
    context.channelLayout = AV_CHANNEL_LAYOUT_MONO;
    context.sampleFormat = this.#planar ? AV_SAMPLE_FMT_FLTP : AV_SAMPLE_FMT_S16;
    context.timeBase = new Rational(1, this.#rateHz);
    if (codecName === 'aac' || codecName === 'opus') context.bitRate = 32_000n;
    FFmpegError.throwIfError(context.open2Sync(codec), `open the ${codecName} encoder`);
    this.#frameSamples = context.frameSize > 0 ? context.frameSize : (this.#rateHz * FREE_FRAME_MS) / 1000;
    this.#frame.alloc();
    this.#frame.format = context.sampleFormat;
    this.#frame.nbSamples = this.#frameSamples;
    this.#frame.sampleRate = this.#rateHz;
    this.#frame.channelLayout = AV_CHANNEL_LAYOUT_MONO;
    FFmpegError.throwIfError(this.#frame.getBuffer(), 'allocate sound');
    this.#packet.alloc();
  }

  /** AudioSpecificConfig, OpusHead; empty for the others. */
  get config(): Buffer {
    return this.#context.extraData ?? Buffer.alloc(0);
  }

  /** Codes all that has sounded by then, in whole frames. */
  encodeUntil(wallMs: number): CodedSound[] {
    const coded: CodedSound[] = [];
    const due = ((wallMs - this.#startMs) * this.#rateHz) / 1000;
    while (this.#samples + this.#frameSamples <= due) {
      FFmpegError.throwIfError(this.#frame.makeWritable(), 'take the frame back');
      FFmpegError.throwIfError(this.#frame.fromBuffer(this.#sound()), 'fill the frame');
      this.#frame.pts = BigInt(this.#samples);
      this.#samples += this.#frameSamples;
      FFmpegError.throwIfError(this.#context.sendFrameSync(this.#frame), 'encode');
      this.#receive(coded);
    }
    return coded;
  }

  /** Leaves sound out that nobody could have sent, after the machine had stood still. */
  skipTo(wallMs: number): void {
    const due = Math.floor(((wallMs - this.#startMs) * this.#rateHz) / 1000 / this.#frameSamples) * this.#frameSamples;
    if (due > this.#samples) this.#samples = due;
  }

  [Symbol.dispose](): void {
    this.#packet.free();
    this.#frame.free();
    this.#context.freeContext();
  }

  #receive(coded: CodedSound[]): void {
    for (;;) {
      const got = this.#context.receivePacketSync(this.#packet);
      if (got === AVERROR_EAGAIN || got === AVERROR_EOF) return;
      FFmpegError.throwIfError(got, 'encode');
      const { data, pts } = this.#packet;
      if (data !== null) coded.push({ ticks: Number(pts), data: Buffer.from(data) });
      this.#packet.unref();
    }
  }

  /** The next frame's samples, as the encoder takes them. */
  #sound(): Buffer {
    const bytes = Buffer.alloc(this.#frameSamples * (this.#planar ? 4 : 2));
    for (let index = 0; index < this.#frameSamples; index++) {
      const atMs = (this.#startMs + ((this.#samples + index) * 1000) / this.#rateHz) % 1000;
      if (atMs >= FLASH_MS) continue;
      const swell = Math.sin((Math.PI * atMs) / FLASH_MS);
      const value = Math.sin((2 * Math.PI * BEEP_HZ * atMs) / 1000) * swell * BEEP_LEVEL;
      if (this.#planar) bytes.writeFloatLE(value, index * 4);
      else bytes.writeInt16LE(Math.round(value * 32_767), index * 2);
    }
    return bytes;
  }
}
