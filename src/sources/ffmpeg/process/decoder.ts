import { AV_NOPTS_VALUE, type AVCodecID, AVERROR_EAGAIN, AVERROR_EOF } from 'node-av/constants';
import { avGetCodecName, Codec, CodecContext, FFmpegError, Frame, type Packet, type Stream } from 'node-av/lib';

/** A damaged header can announce any size; without a limit the memory for it would be asked for. */
const MAX_PIXELS = 8192 * 8192;

/** Frames of one packet that can't be decoded. */
const MAX_DAMAGED = 100;

/** Decodes one track of a file from its beginning to its end. */
export class Decoder implements Disposable {
  readonly #context = new CodecContext();
  readonly #frame = new Frame();
  readonly #unitS: number;
  #nextS = 0;

  /** @throws Error when FFmpeg here can't decode it */
  constructor(stream: Stream) {
    const codec = Codec.findDecoder(stream.codecpar.codecId);
    if (codec === null) throw new Error(`FFmpeg here has no decoder for ${nameOf(stream.codecpar.codecId)}`);
    const { num, den } = stream.timeBase;
    this.#unitS = num / den;
    this.#context.allocContext3(codec);
    FFmpegError.throwIfError(this.#context.parametersToContext(stream.codecpar), 'read the parameters');
    this.#context.pktTimebase = stream.timeBase;
    this.#context.threadCount = 1;
    this.#context.setOption('max_pixels', MAX_PIXELS);
    FFmpegError.throwIfError(this.#context.open2Sync(codec), `open the decoder for ${nameOf(stream.codecpar.codecId)}`);
    this.#frame.alloc();
  }

  /** Gives each frame with its time in seconds, for the call alone. Damaged packets are passed over. @param packet null: the end */
  decode(packet: Packet | null, take: (frame: Frame, seconds: number) => void): void {
    if (this.#context.sendPacketSync(packet) < 0) return;
    for (let damaged = 0; damaged < MAX_DAMAGED; ) {
      const got = this.#context.receiveFrameSync(this.#frame);
      if (got === AVERROR_EAGAIN || got === AVERROR_EOF) return;
      // The rest of the packet may be in order.
      if (got < 0) {
        damaged++;
        continue;
      }
      const { bestEffortTimestamp, duration, nbSamples, sampleRate } = this.#frame;
      const seconds = bestEffortTimestamp === AV_NOPTS_VALUE ? this.#nextS : Number(bestEffortTimestamp) * this.#unitS;
      const lastsS = nbSamples > 0 && sampleRate > 0 ? nbSamples / sampleRate : Number(duration) * this.#unitS;
      this.#nextS = seconds + (lastsS > 0 ? lastsS : 0.04);
      take(this.#frame, seconds);
      this.#frame.unref();
    }
  }

  [Symbol.dispose](): void {
    this.#frame.free();
    this.#context.freeContext();
  }
}

function nameOf(codecId: AVCodecID): string {
  return avGetCodecName(codecId) ?? 'its codec';
}
