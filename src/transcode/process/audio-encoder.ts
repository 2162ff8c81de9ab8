import {
  AV_SAMPLE_FMT_FLT,
  AV_SAMPLE_FMT_FLTP,
  AV_SAMPLE_FMT_S16,
  type AVSampleFormat,
  type FFEncoderCodec,
} from 'node-av/constants';
import { Codec, CodecContext, FFmpegError, Frame, Packet, Rational } from 'node-av/lib';
import type { MadeAudioCodec } from '../../core/targets.ts';
import type { AudioPlan } from '../audio-format.ts';
import { JobError } from '../protocol.ts';
import { layoutOf } from './audio-layout.ts';
import { mute, planesOf, type Samples } from './samples.ts';

interface Encoder {
  readonly name: string;
  readonly sampleFormat: AVSampleFormat;
  readonly options: Readonly<Record<string, string | number>>;
}

const PCM = { sampleFormat: AV_SAMPLE_FMT_S16, options: {} };
const ENCODERS: Readonly<Record<MadeAudioCodec, Encoder>> = {
  opus: { name: 'libopus', sampleFormat: AV_SAMPLE_FMT_FLT, options: { application: 'audio', frame_duration: 20 } },
  aac: { name: 'aac', sampleFormat: AV_SAMPLE_FMT_FLTP, options: {} },
  flac: { name: 'flac', sampleFormat: AV_SAMPLE_FMT_S16, options: {} },
  // Without the reservoir a frame stands for itself: several less are held back, and a viewer can begin anywhere.
  mp3: { name: 'libmp3lame', sampleFormat: AV_SAMPLE_FMT_FLTP, options: { reservoir: 0 } },
  g722: { name: 'g722', ...PCM },
  l16: { name: 'pcm_s16be', ...PCM },
  pcma: { name: 'pcm_alaw', ...PCM },
  pcmu: { name: 'pcm_mulaw', ...PCM },
};

/**
 * One encoder with the frame that is filled for it. Positions count the samples that it was fed with; a unit's `position`
 * lies before them by the encoder's delay, so that what a decoder makes of it sounds at its time.
 */
export class AudioEncoder implements Disposable {
  readonly sampleFormat: AVSampleFormat;
  readonly frameSamples: number;
  /** Of the frame being filled: one for each channel, or one for all. Written by `AudioOutput`. */
  planes: readonly Samples[];
  readonly #context: CodecContext;
  readonly #frame: Frame;
  readonly #packet = new Packet();
  #position = 0n;

  /** @throws JobError `request` */
  constructor(plan: AudioPlan) {
    const { name, sampleFormat, options } = ENCODERS[plan.codec];
    this.sampleFormat = sampleFormat;
    // Checked border: node-av brands the names of codecs; whether there is one is looked at below.
    const codec = Codec.findEncoderByName(name as FFEncoderCodec);
    if (codec === null) throw new JobError('request', `FFmpeg here has no encoder for ${plan.codec}`);
    const context = new CodecContext();
    context.allocContext3(codec);
    context.threadCount = 1;
    context.sampleRate = plan.encoderRateHz;
    context.sampleFormat = sampleFormat;
    context.channelLayout = layoutOf(plan.channels);
    context.timeBase = new Rational(1, plan.encoderRateHz);
    if (plan.bitrate > 0) context.bitRate = BigInt(plan.bitrate);
    if (plan.frameSamples > 0) context.frameSize = plan.frameSamples;
    for (const [option, value] of Object.entries(options)) {
      FFmpegError.throwIfError(context.setOption(option, value), `set ${option} of ${name}`);
    }
    const opened = context.open2Sync(codec);
    if (opened < 0) {
      context.freeContext();
      const what = `${plan.encoderRateHz} Hz, ${plan.channels} channels, ${plan.bitrate} bit/s`;
      throw new JobError('request', `${plan.codec} with ${what} can't be made: ${FFmpegError.strerror(opened)}`);
    }
    this.#context = context;
    // The encoders of PCM take any number of samples and say 0.
    this.frameSamples = context.frameSize > 0 ? context.frameSize : plan.frameSamples;
    this.#frame = new Frame();
    this.#frame.alloc();
    this.#packet.alloc();
    this.#frame.format = sampleFormat;
    this.#frame.sampleRate = plan.encoderRateHz;
    this.#frame.channelLayout = context.channelLayout;
    this.#frame.nbSamples = this.frameSamples;
    FFmpegError.throwIfError(this.#frame.getBuffer(0), 'allocate a frame');
    this.planes = planesOf(this.#frame);
  }

  /**
   * Codes the frame in `planes`, which may be filled again afterwards.
   * @throws FFmpegError
   */
  encode(onUnit: (position: number, data: Buffer) => void): void {
    const frame = this.#frame;
    for (const plane of this.planes) mute(plane);
    frame.pts = this.#position;
    this.#position += BigInt(this.frameSamples);
    FFmpegError.throwIfError(this.#context.sendFrameSync(frame), 'encode');
    while (this.#context.receivePacketSync(this.#packet) >= 0) {
      // A copy of its own, made by node-av.
      const { data, pts } = this.#packet;
      this.#packet.unref();
      if (data !== null) onUnit(Number(pts), data);
    }
    if (!frame.isWritable) {
      FFmpegError.throwIfError(frame.makeWritable(), 'copy a frame');
      this.planes = planesOf(frame);
    }
  }

  [Symbol.dispose](): void {
    this.planes = [];
    this.#context.freeContext();
    this.#frame.free();
    this.#packet.free();
  }
}
