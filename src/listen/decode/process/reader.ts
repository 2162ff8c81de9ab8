import {
  AV_CHANNEL_LAYOUT_MONO,
  AV_CHANNEL_LAYOUT_STEREO,
  AV_LOG_FATAL,
  AV_NOPTS_VALUE,
  AV_SAMPLE_FMT_S16,
  AVDISCARD_ALL,
  AVERROR_EAGAIN,
  AVMEDIA_TYPE_AUDIO,
} from 'node-av/constants';
import {
  Codec,
  CodecContext,
  Dictionary,
  FFmpegError,
  FormatContext,
  Frame,
  Log,
  Packet,
  SoftwareResampleContext,
  type Stream,
} from 'node-av/lib';

export interface Piece {
  /** 16 bits in the machine's order, channels interleaved. */
  readonly samples: Buffer;
  readonly rateHz: number;
  readonly channels: number;
  /** Time of the first sample from the beginning of the file. */
  readonly atS: number;
}

/** So much is handed over at once. */
const PIECE_S = 1;
const MAX_DAMAGED = 1_000;

/** Decodes the best sound of a file at its own rate, one or two channels. */
export class SoundReader {
  readonly #input: FormatContext;
  readonly #stream: Stream;
  readonly #context: CodecContext;
  readonly #packet = new Packet();
  readonly #frame = new Frame();
  #mixer: { readonly context: SoftwareResampleContext; readonly key: string } | undefined;
  #ended = false;
  #nextS = 0;
  #damaged = 0;
  /** Frame that did not go with the piece before it. */
  #kept: Piece | undefined;

  private constructor(input: FormatContext, stream: Stream, context: CodecContext) {
    this.#input = input;
    this.#stream = stream;
    this.#context = context;
    this.#packet.alloc();
    this.#frame.alloc();
  }

  /** @throws Error when it can't be read, or holds no sound that FFmpeg can decode */
  static async open(path: string): Promise<SoundReader> {
    Log.setLevel(AV_LOG_FATAL);
    const input = new FormatContext();
    using options = new Dictionary();
    // A playlist must not lead to the network.
    options.set('protocol_whitelist', 'file');
    FFmpegError.throwIfError(await input.openInput(`file:${path}`, null, options), 'open the file');
    FFmpegError.throwIfError(await input.findStreamInfo(null), 'find its tracks');
    const index = input.findBestStream(AVMEDIA_TYPE_AUDIO);
    const stream = input.streams.find((one) => one.index === index);
    if (stream === undefined) throw new Error('it holds no sound');
    // By index: each access makes new objects for the same streams.
    for (const other of input.streams) if (other.index !== index) other.discard = AVDISCARD_ALL;
    const codec = Codec.findDecoder(stream.codecpar.codecId);
    if (codec === null) throw new Error('FFmpeg here has no decoder for its sound');
    const context = new CodecContext();
    context.allocContext3(codec);
    FFmpegError.throwIfError(context.parametersToContext(stream.codecpar), 'read the parameters');
    context.pktTimebase = stream.timeBase;
    context.threadCount = 1;
    FFmpegError.throwIfError(context.open2Sync(codec), 'open the decoder');
    return new SoundReader(input, stream, context);
  }

  /** @returns about a second of sound, undefined after the last */
  async read(): Promise<Piece | undefined> {
    const parts: Buffer[] = [];
    let first: Piece | undefined;
    let seconds = 0;
    while (seconds < PIECE_S) {
      const frame = this.#kept ?? (await this.#next());
      this.#kept = undefined;
      if (frame === undefined) break;
      const follows = first === undefined || (first.rateHz === frame.rateHz && first.channels === frame.channels);
      // A jump in time is the receiver's to see.
      if (first !== undefined && (!follows || Math.abs(first.atS + seconds - frame.atS) > 0.02)) {
        this.#kept = frame;
        break;
      }
      first ??= frame;
      parts.push(frame.samples);
      seconds += frame.samples.length / (2 * frame.channels * frame.rateHz);
    }
    return first === undefined ? undefined : { ...first, samples: Buffer.concat(parts) };
  }

  async #next(): Promise<Piece | undefined> {
    for (;;) {
      const got = this.#context.receiveFrameSync(this.#frame);
      if (got >= 0) {
        const piece = this.#mix();
        this.#frame.unref();
        if (piece !== undefined) return piece;
        continue;
      }
      if (got !== AVERROR_EAGAIN) {
        if (this.#ended || ++this.#damaged > MAX_DAMAGED) return undefined;
      }
      if (this.#ended) return undefined;
      await this.#feed();
    }
  }

  async #feed(): Promise<void> {
    const read = await this.#input.readFrame(this.#packet);
    if (read === AVERROR_EAGAIN) return;
    if (read < 0) {
      this.#ended = true;
      this.#context.sendPacketSync(null);
      return;
    }
    // A damaged packet is passed over: what is missing shows as a jump in time.
    if (this.#packet.streamIndex === this.#stream.index) this.#context.sendPacketSync(this.#packet);
    this.#packet.unref();
  }

  #mix(): Piece | undefined {
    // WAV tells the number of channels and not which they are; the mixer wants to know.
    const { nbChannels, mask } = this.#frame.channelLayout;
    if (mask === 0n && nbChannels <= 2) this.#frame.channelLayout = layoutOf(nbChannels);
    const { bestEffortTimestamp, sampleRate, channelLayout, nbSamples } = this.#frame;
    const { num, den } = this.#stream.timeBase;
    if (nbSamples <= 0 || sampleRate <= 0) return undefined;
    const atS = bestEffortTimestamp === AV_NOPTS_VALUE ? this.#nextS : (Number(bestEffortTimestamp) * num) / den;
    this.#nextS = atS + nbSamples / sampleRate;
    const channels = Math.min(channelLayout.nbChannels, 2);
    using made = new Frame();
    made.alloc();
    made.format = AV_SAMPLE_FMT_S16;
    made.sampleRate = sampleRate;
    made.channelLayout = layoutOf(channels);
    FFmpegError.throwIfError(this.#mixerFor(channels).convertFrame(made, this.#frame), 'mix the sound');
    const bytes = made.nbSamples * channels * 2;
    // Copied: the frame's memory is given back at the end of this call.
    const samples = Buffer.from((made.data?.[0] ?? Buffer.alloc(0)).subarray(0, bytes));
    return samples.length === 0 ? undefined : { samples, rateHz: sampleRate, channels, atS };
  }

  #mixerFor(channels: number): SoftwareResampleContext {
    const { format, sampleRate, channelLayout } = this.#frame;
    const key = `${format} ${sampleRate} ${channelLayout.nbChannels} ${channelLayout.mask}`;
    if (this.#mixer?.key === key) return this.#mixer.context;
    this.#mixer?.context.free();
    const context = new SoftwareResampleContext();
    // Checked border: of a frame of sound `format` is that of its samples.
    const from = format as Parameters<SoftwareResampleContext['allocSetOpts2']>[4];
    FFmpegError.throwIfError(
      context.allocSetOpts2(layoutOf(channels), AV_SAMPLE_FMT_S16, sampleRate, channelLayout, from, sampleRate),
      'set up the mixer',
    );
    FFmpegError.throwIfError(context.init(), 'set up the mixer');
    this.#mixer = { context, key };
    return context;
  }
}

function layoutOf(channels: number) {
  return channels === 1 ? AV_CHANNEL_LAYOUT_MONO : AV_CHANNEL_LAYOUT_STEREO;
}
