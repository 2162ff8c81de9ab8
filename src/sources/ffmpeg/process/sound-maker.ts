import { AV_CHANNEL_LAYOUT_MONO, AV_CHANNEL_LAYOUT_STEREO, AV_SAMPLE_FMT_S16 } from 'node-av/constants';
import { FFmpegError, Frame, type Packet, SoftwareResampleContext, type Stream } from 'node-av/lib';
import { Decoder } from './decoder.ts';

/** Decodes sound to samples of 16 bits in the machine's order, one or two channels. */
export class SoundMaker {
  readonly #rateHz: number;
  readonly #channels: number;
  readonly #emit: (samples: Buffer, ticks: number) => void;
  #decoder: Decoder | undefined;
  #mixer: { readonly context: SoftwareResampleContext; readonly key: string } | undefined;

  constructor(rateHz: number, channels: number, emit: (samples: Buffer, ticks: number) => void) {
    this.#rateHz = rateHz;
    this.#channels = channels;
    this.#emit = emit;
  }

  begin(stream: Stream): void {
    this.#decoder?.[Symbol.dispose]();
    this.#decoder = new Decoder(stream);
  }

  /** @param packet null: the end */
  push(packet: Packet | null, movedS: number): void {
    this.#decoder?.decode(packet, (frame, seconds) => {
      const samples = this.#mix(frame);
      if (samples.length > 0) this.#emit(samples, Math.round((seconds + movedS) * this.#rateHz));
    });
  }

  #mix(frame: Frame): Buffer {
    using made = new Frame();
    made.alloc();
    made.format = AV_SAMPLE_FMT_S16;
    made.sampleRate = this.#rateHz;
    made.channelLayout = this.#layout;
    FFmpegError.throwIfError(this.#mixerFor(frame).convertFrame(made, frame), 'mix the sound');
    const bytes = made.nbSamples * this.#channels * 2;
    return Buffer.from((made.data?.[0] ?? Buffer.alloc(0)).subarray(0, bytes));
  }

  get #layout() {
    return this.#channels === 1 ? AV_CHANNEL_LAYOUT_MONO : AV_CHANNEL_LAYOUT_STEREO;
  }

  #mixerFor(frame: Frame): SoftwareResampleContext {
    const { format, sampleRate, channelLayout } = frame;
    const key = `${format} ${sampleRate} ${channelLayout.nbChannels} ${channelLayout.mask}`;
    if (this.#mixer?.key === key) return this.#mixer.context;
    this.#mixer?.context.free();
    const context = new SoftwareResampleContext();
    // Checked border: of a frame of sound `format` is that of its samples.
    const from = format as Parameters<SoftwareResampleContext['allocSetOpts2']>[4];
    FFmpegError.throwIfError(
      context.allocSetOpts2(this.#layout, AV_SAMPLE_FMT_S16, this.#rateHz, channelLayout, from, sampleRate),
      'set up the mixer',
    );
    FFmpegError.throwIfError(context.init(), 'set up the mixer');
    this.#mixer = { context, key };
    return context;
  }
}
