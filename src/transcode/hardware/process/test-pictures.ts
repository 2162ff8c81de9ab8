import {
  AV_PIX_FMT_YUV420P,
  AVCOL_PRI_BT709,
  AVCOL_RANGE_MPEG,
  AVCOL_SPC_BT709,
  AVCOL_TRC_BT709,
} from 'node-av/constants';
import { Frame } from 'node-av/lib';
import type { HardwareCodec } from '../../../core/hardware.ts';
import type { VideoFormat } from '../../../core/media.ts';
import type { PipelineUnit } from '../../pipeline.ts';
import { FilterChain, type FilterStep } from '../../process/filter-chain.ts';
import { deviceOf, poolOf } from '../../process/hardware-kinds.ts';
import { kindOf } from '../../process/shape-stage.ts';
import type { DecoderMaker, EncoderMaker } from '../../process/video-codecs.ts';

const WIDTH = 1280;
const HEIGHT = 720;
export const TEST_PICTURES = 8;
const FPS = 25;
const TICKS_A_PICTURE = 90_000 / FPS;
/** Pictures are compared in this size: noise of coding is lost by it, wrong rows and colours are not. */
const SMALL = { width: 160, height: 90 } as const;

/** A few pictures with a wedge of grey that moves to the left, coloured fields and a block that moves down. */
export class TestPictures implements Disposable {
  /** Held as long as the pictures: node-av does not keep what it makes a picture of from being collected. */
  readonly #pixels: readonly Buffer[] = Array.from({ length: TEST_PICTURES }, (_, index) => paint(index));
  readonly #pictures: readonly Frame[] = this.#pixels.map(frameOf);
  readonly #small: readonly Buffer[] = this.#pictures.map(shrink);

  /** @throws Error when the encoder can't */
  code(codec: HardwareCodec, maker: EncoderMaker): readonly PipelineUnit[] {
    const units: PipelineUnit[] = [];
    const [first] = this.#pictures;
    if (first === undefined) return units;
    using encoder = maker.open({ kind: 'video', codec }, kindOf(first), FPS);
    for (const [index, picture] of this.#pictures.entries()) {
      const made = encoder.encode(picture, index * TICKS_A_PICTURE, index === 0);
      if (made !== null) units.push({ ...made, dts: made.pts });
    }
    return units;
  }

  /** How far the samples of a picture are from those of the one with this time, on average. */
  difference(pts: number, small: Buffer): number {
    const own = this.#small[pts / TICKS_A_PICTURE];
    if (own === undefined || own.length !== small.length) return Number.POSITIVE_INFINITY;
    let sum = 0;
    for (let at = 0; at < own.length; at++) sum += Math.abs((own[at] ?? 0) - (small[at] ?? 0));
    return sum / own.length;
  }

  [Symbol.dispose](): void {
    for (const picture of this.#pictures) picture.free();
  }
}

/** What comes out, made small, by time. @throws Error when the decoder can't */
export function decodePictures(
  units: readonly PipelineUnit[],
  maker: DecoderMaker,
  look: (picture: Frame) => void = () => {},
): ReadonlyMap<number, Buffer> {
  const seen = new Map<number, Buffer>();
  const [first] = units;
  if (first === undefined) return seen;
  // Checked border: the units are those of a video encoder.
  using decoder = maker.open(first.format as VideoFormat);
  const receive = (): void => {
    for (;;) {
      const picture = decoder.receive();
      if (picture === null) return;
      if (picture === 'damaged') throw new Error('an undamaged picture could not be decoded');
      look(picture);
      seen.set(Number(picture.pts), shrink(picture));
    }
  };
  for (const unit of units) {
    if (!decoder.send(unit)) throw new Error('an undamaged picture was not taken');
    receive();
  }
  decoder.end();
  receive();
  return seen;
}

function paint(index: number): Buffer {
  const luma = Buffer.alloc(WIDTH * HEIGHT);
  const row = Buffer.from(
    Array.from({ length: WIDTH }, (_, x) => 16 + Math.floor((((x + 160 * index) % WIDTH) * 219) / WIDTH)),
  );
  for (let y = 0; y < HEIGHT; y++) row.copy(luma, y * WIDTH);
  // A bright block that goes to the right and down.
  for (let y = 0; y < 160; y++) {
    const start = (80 + index * 16 + y) * WIDTH + 160 + index * 32;
    luma.fill(235, start, start + 160);
  }
  const chroma = (left: number, right: number): Buffer => {
    const plane = Buffer.alloc((WIDTH * HEIGHT) / 4, left);
    for (let y = 0; y < HEIGHT / 2; y++) plane.fill(right, y * (WIDTH / 2) + WIDTH / 4, (y + 1) * (WIDTH / 2));
    return plane;
  };
  return Buffer.concat([luma, chroma(90, 200), chroma(190, 80)]);
}

function frameOf(pixels: Buffer, index: number): Frame {
  const picture = Frame.fromVideoBuffer(pixels, {
    width: WIDTH,
    height: HEIGHT,
    format: AV_PIX_FMT_YUV420P,
    timeBase: { num: 1, den: 90_000 },
  });
  picture.colorRange = AVCOL_RANGE_MPEG;
  picture.colorSpace = AVCOL_SPC_BT709;
  picture.colorPrimaries = AVCOL_PRI_BT709;
  picture.colorTrc = AVCOL_TRC_BT709;
  picture.pts = BigInt(index * TICKS_A_PICTURE);
  return picture;
}

function shrink(picture: Frame): Buffer {
  const isThere = deviceOf(picture.format) !== undefined;
  const steps: FilterStep[] = [
    ...(isThere ? FROM_DEVICE : []),
    ['scale', `w=${SMALL.width}:h=${SMALL.height}:flags=area`],
    ['format', 'pix_fmts=yuv420p'],
  ];
  using chain = new FilterChain(kindOf(picture), steps, { frames: poolOf(picture) });
  return Buffer.from(chain.apply(picture).toBuffer());
}

const FROM_DEVICE: readonly FilterStep[] = [
  ['hwdownload', ''],
  ['format', 'pix_fmts=nv12'],
];
