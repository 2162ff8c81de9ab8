import type { AVColorPrimaries, AVColorRange, AVColorSpace, AVColorTransferCharacteristic } from 'node-av/constants';
import type { Frame } from 'node-av/lib';
import type { VideoFormat } from '../../core/media.ts';
import type { VideoTarget } from '../../core/targets.ts';
import type { PipelineUnit } from '../pipeline.ts';

/** What the decoding and the coding of pictures look like to the pipeline, whatever they are done with. */

export interface VideoDecoder extends Disposable {
  /**
   * Takes a unit; then `receive` is to be called until it gives null.
   * @returns false when the unit is damaged
   * @throws Error when the decoder itself can't go on; the pipeline then takes the next one of `VideoCodecs.decoders`
   */
  send(unit: PipelineUnit): boolean;
  /** Says that no unit follows; the pictures that were held back for their order can be received then. */
  end(): void;
  /**
   * The next picture in the order of presentation, with its `pts`: it is the decoder's, until the next call. `damaged`
   * when there would have been one; null when another unit is needed first.
   */
  receive(): Frame | 'damaged' | null;
}

export interface MadeVideoUnit {
  readonly pts: number;
  readonly key: boolean;
  readonly data: Buffer;
  readonly format: VideoFormat;
}

/** All that the pictures given to one encoder have in common. */
export interface PictureKind {
  readonly width: number;
  readonly height: number;
  readonly pixelFormat: Frame['format'];
  readonly range: AVColorRange;
  readonly space: AVColorSpace;
  readonly primaries: AVColorPrimaries;
  readonly transfer: AVColorTransferCharacteristic;
  readonly aspect: { readonly num: number; readonly den: number };
}

export interface VideoEncoder extends Disposable {
  /**
   * Codes a picture, whose `pts` and `pictType` may be written to. Gives no more than one unit for each picture.
   * @throws Error when the encoder can't go on; the pipeline then takes the next one of `VideoCodecs.encoders`
   */
  encode(picture: Frame, pts: number, key: boolean): MadeVideoUnit | null;
}

/** A way of decoding, e.g. in software or by one kind of hardware. */
export interface DecoderMaker {
  /** As it is told to the owner, e.g. `software`, `VAAPI`. */
  readonly name: string;
  /** @throws JobError when it can't be opened here */
  open(format: VideoFormat): VideoDecoder;
}

export interface EncoderMaker {
  readonly name: string;
  /** @throws JobError when it can't be opened here */
  open(target: VideoTarget, kind: PictureKind, fps: number): VideoEncoder;
}

/** The one place where it is chosen what decodes and codes: best first, software last. Never empty. */
export interface VideoCodecs {
  decoders(format: VideoFormat): readonly DecoderMaker[];
  encoders(target: VideoTarget): readonly EncoderMaker[];
}
