import { AV_FRAME_FLAG_CORRUPT } from 'node-av/constants';
import type { Frame } from 'node-av/lib';
import { describeError } from '../../core/errors.ts';
import type { VideoCodec, VideoFormat } from '../../core/media.ts';
import { sameFormat } from '../../wire/codecs/formats.ts';
import type { PipelineUnit } from '../pipeline.ts';
import type { DecoderMaker, VideoCodecs, VideoDecoder } from './video-codecs.ts';

const MENDS: Readonly<Record<VideoCodec, boolean>> = {
  h264: true,
  h265: true,
  av1: false,
  vp8: false,
  vp9: false,
  jpeg: true,
};
/** Key frames on their way through the decoder, at most. */
const MAX_PENDING_KEYS = 32;
/** Pictures that one unit can bring out, at most: a decoder that only ever reports errors must come to an end. */
const MAX_PICTURES_A_UNIT = 64;

export interface DecodeEvents {
  /** A picture in the order of presentation; the frame is the decoder's, until this returns. `key`: as its unit. */
  picture(frame: Frame, pts: number, key: boolean): void;
  /** Said once. */
  note(message: string): void;
}

/**
 * Decodes whatever comes: begins at a key frame, follows changes of the format, passes over damage, and takes the next
 * decoder when one fails.
 *
 * What is shown after damage, by measure (PSNR against the undamaged pictures, a moving scene): libavcodec mends H.264
 * with the pictures before, which is nearer to the truth than a picture that stands still after 3 pictures (27 against
 * 25 dB, after a second 31 against 18 dB), so its pictures are taken. In H.265 what is lost becomes grey (14 dB), so the
 * decoder gives no picture (its default) until the next key frame. VP8, VP9 and AV1 mend nothing and what follows is
 * noise, so after damage that is reported nothing is decoded until the next key frame. (VP9 reports hardly any.)
 */
export class DecodeStage implements Disposable {
  readonly #codecs: VideoCodecs;
  readonly #events: DecodeEvents;
  readonly #pendingKeys: number[] = [];
  #makers: readonly DecoderMaker[] = [];
  #maker = 0;
  #decoder: VideoDecoder | undefined;
  /** What `#decoder` was opened for. */
  #format: VideoFormat | undefined;
  /** After damage that nothing mends. */
  #keyAwaited = false;
  /** Units, or their pictures, that were damaged. */
  damaged = 0;

  constructor(codecs: VideoCodecs, events: DecodeEvents) {
    this.#codecs = codecs;
    this.#events = events;
  }

  push(unit: PipelineUnit, format: VideoFormat): void {
    // Parameters change at a key frame; a format that comes earlier counts from the next one on.
    if (unit.key && format !== this.#format) this.#follow(format);
    // Pictures before the first key frame can't be decoded.
    if (!unit.key && (this.#decoder === undefined || this.#keyAwaited)) return;
    this.#keyAwaited = false;
    for (;;) {
      this.#decoder ??= this.#open(format);
      const decoder = this.#decoder;
      if (decoder === undefined) {
        this.damaged++;
        return;
      }
      try {
        if (unit.key) this.#addKey(unit.pts);
        if (!decoder.send(unit)) this.#addDamage(format);
      } catch (error) {
        if (!this.#takeNext(error)) this.damaged++;
        // The next decoder needs a key frame to begin with.
        if (unit.key && this.#maker < this.#makers.length) continue;
        return;
      }
      this.#receive(decoder, format);
      return;
    }
  }

  /** Gives the pictures that were held back for their order: no unit follows before `restart`. */
  finish(): void {
    if (this.#decoder === undefined || this.#format === undefined) return;
    this.#decoder.end();
    this.#receive(this.#decoder, this.#format);
  }

  /** The next unit has nothing to do with those before. Pictures that were held back are lost. */
  restart(): void {
    this.#close();
  }

  [Symbol.dispose](): void {
    this.#close();
  }

  #follow(format: VideoFormat): void {
    const last = this.#format;
    this.#format = format;
    if (last !== undefined && sameFormat(last, format)) return;
    if (this.#decoder !== undefined) {
      this.#decoder.end();
      this.#receive(this.#decoder, last ?? format);
    }
    this.#close();
    this.#makers = this.#codecs.decoders(format);
    this.#maker = 0;
  }

  #open(format: VideoFormat): VideoDecoder | undefined {
    for (;;) {
      const maker = this.#makers[this.#maker];
      if (maker === undefined) return undefined;
      try {
        return maker.open(format);
      } catch (error) {
        this.#takeNext(error);
      }
    }
  }

  /** Gives up the decoder in use; false when there is no other. */
  #takeNext(error: unknown): boolean {
    this.#close();
    const maker = this.#makers[this.#maker];
    const next = this.#makers[++this.#maker];
    const what = `decoding ${this.#format?.codec ?? ''} by ${maker?.name ?? ''} failed`;
    const then = next === undefined ? 'no picture can be shown' : `${next.name} goes on`;
    this.#events.note(`${what}, ${then}: ${describeError(error)}`);
    return next !== undefined;
  }

  #receive(decoder: VideoDecoder, format: VideoFormat): void {
    for (let count = 0; count < MAX_PICTURES_A_UNIT; count++) {
      const frame = decoder.receive();
      if (frame === null) return;
      if (frame === 'damaged') {
        this.#addDamage(format);
        continue;
      }
      if (frame.decodeErrorFlags !== 0 || (frame.flags & AV_FRAME_FLAG_CORRUPT) !== 0) this.#addDamage(format);
      const pts = Number(frame.pts);
      this.#events.picture(frame, pts, this.#takeKey(pts));
      // The events may have closed everything.
      if (this.#decoder !== decoder) return;
    }
  }

  #addDamage(format: VideoFormat): void {
    this.damaged++;
    this.#keyAwaited = !MENDS[format.codec];
  }

  #addKey(pts: number): void {
    this.#pendingKeys.push(Math.round(pts));
    if (this.#pendingKeys.length > MAX_PENDING_KEYS) this.#pendingKeys.shift();
  }

  #takeKey(pts: number): boolean {
    const at = this.#pendingKeys.indexOf(pts);
    if (at >= 0) this.#pendingKeys.splice(0, at + 1);
    return at >= 0;
  }

  #close(): void {
    this.#decoder?.[Symbol.dispose]();
    this.#decoder = undefined;
    this.#pendingKeys.length = 0;
  }
}
