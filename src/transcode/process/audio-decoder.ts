import { AVERROR_EAGAIN, type FFDecoderCodec } from 'node-av/constants';
import { Codec, CodecContext, type Frame, Packet } from 'node-av/lib';
import { HearthcamError } from '../../core/errors.ts';
import type { AudioCodec, AudioFormat } from '../../core/media.ts';
import { buildAudioSpecificConfig } from '../../wire/aac/config.ts';
import { JobError } from '../protocol.ts';
import { layoutOf } from './audio-layout.ts';
import { G726Bits } from './g726-bits.ts';

const DECODERS: Readonly<Record<AudioCodec, string>> = {
  aac: 'aac',
  opus: 'opus',
  pcma: 'pcm_alaw',
  pcmu: 'pcm_mulaw',
  l16: 'pcm_s16be',
  flac: 'flac',
  mp3: 'mp3float',
  g722: 'g722',
  // RFC 3551 §4.5.4 packs from the least significant bit on; FFmpeg calls ITU's order g726 and this one g726le.
  g726: 'g726le',
};

/** More is no audio frame of any codec, but memory that a damaged header asks for. */
const MAX_FRAME_SAMPLES = 1 << 16;
const MIN_RATE_HZ = 1_000;
const MAX_RATE_HZ = 400_000;
const MAX_CHANNELS = 8;

/** Decodes the units of one track; opens its decoder anew when their format changes. */
export class AudioDecoder implements Disposable {
  readonly #packet = new Packet();
  #context: CodecContext | null = null;
  #format: AudioFormat;
  /** G.726 alone: bits a sample, which no field of the format tells. */
  #g726: G726Bits | null = null;

  /** @throws JobError `request` when FFmpeg here has no such decoder */
  constructor(format: AudioFormat) {
    this.#format = format;
    this.#packet.alloc();
    try {
      this.#open(format);
    } catch (error) {
      this.#packet.free();
      throw error;
    }
  }

  get isOpen(): boolean {
    return this.#context !== null;
  }

  /** @throws JobError `request` when FFmpeg here has no such decoder */
  change(format: AudioFormat): void {
    this.#format = format;
    this.#open(format);
  }

  /**
   * Takes in a unit; what it held comes out of `receive`.
   * @returns false when it is damaged
   */
  send(data: Buffer, pts: number): boolean {
    if (this.#g726?.learn(data.length, pts, this.#format.clockRateHz) === true) this.#open(this.#format);
    const context = this.#context;
    // An empty packet would tell the decoder that the stream has ended.
    if (context === null || data.length === 0) return false;
    this.#packet.data = data;
    const sent = context.sendPacketSync(this.#packet);
    this.#packet.unref();
    return sent >= 0;
  }

  /**
   * Takes out the next decoded frame.
   * @returns 'none' when there is no other, 'damaged' when what is there is not sound
   */
  receive(frame: Frame): 'frame' | 'none' | 'damaged' {
    const got = this.#context?.receiveFrameSync(frame) ?? AVERROR_EAGAIN;
    if (got === AVERROR_EAGAIN) return 'none';
    if (got < 0) return 'damaged';
    const { nbSamples, sampleRate, channels } = frame;
    const sane =
      nbSamples > 0 &&
      nbSamples <= MAX_FRAME_SAMPLES &&
      sampleRate >= MIN_RATE_HZ &&
      sampleRate <= MAX_RATE_HZ &&
      channels >= 1 &&
      channels <= MAX_CHANNELS;
    return sane ? 'frame' : 'damaged';
  }

  [Symbol.dispose](): void {
    this.#close();
    this.#packet.free();
  }

  #close(): void {
    this.#context?.freeContext();
    this.#context = null;
  }

  #open(format: AudioFormat): void {
    this.#close();
    if (format.codec !== 'g726') this.#g726 = null;
    else this.#g726 ??= new G726Bits();
    for (const config of configsToTry(format)) {
      this.#context = openDecoder(format, config, this.#g726?.bits ?? 0);
      if (this.#context !== null) return;
    }
  }
}

/** The track's own configuration first, then what a decoder can do without it. */
function configsToTry(format: AudioFormat): readonly Buffer[] {
  const none = Buffer.alloc(0);
  switch (format.codec) {
    case 'aac': {
      const configs = format.config.length > 0 ? [format.config] : [];
      try {
        configs.push(buildAudioSpecificConfig(format.sampleRateHz, format.channels));
      } catch (error) {
        // A format that no configuration can say: its own one is all that there is.
        if (!(error instanceof HearthcamError)) throw error;
      }
      return configs;
    }
    case 'flac':
      return format.config.length > 0 ? [format.config, none] : [none];
    case 'opus':
      // With it the decoder would leave out the pre-skip, whose time the track's time stamps count already.
      return [none];
    default:
      return [none];
  }
}

/** Null when the parameters can't be. @throws JobError `request` */
function openDecoder(format: AudioFormat, config: Buffer, bitsPerSample: number): CodecContext | null {
  const name = DECODERS[format.codec];
  // Checked border: node-av brands the names of codecs; whether there is one is looked at below.
  const codec = Codec.findDecoderByName(name as FFDecoderCodec);
  if (codec === null) throw new JobError('request', `FFmpeg here has no decoder for ${format.codec}`);
  const channels = format.codec === 'g722' || format.codec === 'g726' ? 1 : format.channels;
  if (!(format.sampleRateHz > 0 && format.sampleRateHz <= MAX_RATE_HZ)) return null;
  if (!(channels >= 1 && channels <= MAX_CHANNELS)) return null;
  const context = new CodecContext();
  context.allocContext3(codec);
  context.threadCount = 1;
  context.sampleRate = format.codec === 'g722' ? 16_000 : Math.round(format.sampleRateHz);
  context.channelLayout = layoutOf(Math.floor(channels));
  if (bitsPerSample > 0) context.bitsPerCodedSample = bitsPerSample;
  if (config.length > 0) context.extraData = config;
  if (context.open2Sync(codec) >= 0) return context;
  context.freeContext();
  return null;
}
