import type { Frame } from 'node-av/lib';
import { describeError } from '../../core/errors.ts';
import { deviceOf, poolOf } from './hardware-kinds.ts';
import { PictureFilter, type PictureShape, shapeKey } from './picture-filter.ts';
import type { PictureKind } from './video-codecs.ts';
import type { VideoOutput } from './video-output.ts';

/** Outputs whose pictures look the same. */
interface Group {
  readonly shape: PictureShape;
  readonly outputs: VideoOutput[];
  /** Made with the first picture that is wanted. */
  filter: PictureFilter | undefined;
  /** What the filter gives; undefined until its first picture. */
  kind: PictureKind | undefined;
  /** Whether pictures that lie in a device are scaled there. */
  scaleThere: boolean;
}

/** Brings the pictures into each shape that is asked for, once, and only when an output wants the picture. */
export class ShapeStage implements Disposable {
  readonly #onFault: (output: VideoOutput, error: unknown) => void;
  readonly #onNote: (message: string) => void;
  readonly #outputs = new Set<VideoOutput>();
  #source: PictureKind | undefined;
  /** Of the last picture, where that was unlike those before. */
  #candidate: PictureKind | undefined;
  #groups = new Map<string, Group>();
  /** The decoder's own: another one is another decoder, whose pictures lie in another pool of the device. */
  #frame: Frame | undefined;

  /**
   * @param onFault the output can't be made; it has been taken out
   * @param onNote for the owner
   */
  constructor(onFault: (output: VideoOutput, error: unknown) => void, onNote: (message: string) => void = () => {}) {
    this.#onFault = onFault;
    this.#onNote = onNote;
  }

  /** What the last picture was like. */
  get source(): PictureKind | undefined {
    return this.#source;
  }

  add(output: VideoOutput): void {
    this.#outputs.add(output);
    if (this.#source !== undefined) this.#join(output, this.#source);
  }

  /** The next picture may look like none before: it comes from another codec. */
  expectChange(): void {
    this.#source = undefined;
  }

  remove(output: VideoOutput): void {
    this.#outputs.delete(output);
    for (const [key, group] of this.#groups) {
      const at = group.outputs.indexOf(output);
      if (at < 0) continue;
      group.outputs.splice(at, 1);
      if (group.outputs.length > 0) continue;
      group.filter?.[Symbol.dispose]();
      this.#groups.delete(key);
    }
  }

  /**
   * @param mark whether it is a key frame in all outputs
   * @param sure the size doesn't come from the coded picture itself, whose damaged header can announce any
   */
  picture(frame: Frame, pts: number, intervalTicks: number, mark: boolean, sure: boolean): void {
    if (!this.#look(frame, sure)) return;
    for (const group of this.#groups.values()) {
      let shaped: Frame | undefined;
      // A copy: an output that fails is taken out.
      for (const output of group.outputs.length === 1 ? group.outputs : [...group.outputs]) {
        if (!output.wants(pts, intervalTicks, mark)) continue;
        try {
          shaped ??= this.#shape(group, frame);
          if (group.kind !== undefined) output.take(shaped, group.kind, pts, intervalTicks, mark);
        } catch (error) {
          this.remove(output);
          this.#onFault(output, error);
        }
      }
    }
  }

  [Symbol.dispose](): void {
    this.#dropGroups();
    this.#outputs.clear();
  }

  /**
   * All shapes follow from the source's; when that changes they are made anew.
   * @returns false when the picture is to be left out, for it may be damaged: unlike all before, and the first to be so
   */
  #look(frame: Frame, sure: boolean): boolean {
    const samePool = frame === this.#frame || deviceOf(frame.format) === undefined;
    this.#frame = frame;
    if (samePool && this.#source !== undefined && isOfKind(frame, this.#source)) {
      this.#candidate = undefined;
      return true;
    }
    const source = kindOf(frame);
    const seen = this.#candidate !== undefined && isOfKind(frame, this.#candidate);
    if (this.#source !== undefined && !sure && !seen) {
      this.#candidate = source;
      return false;
    }
    this.#candidate = undefined;
    this.#source = source;
    this.#dropGroups();
    for (const output of [...this.#outputs]) {
      try {
        this.#join(output, source);
      } catch (error) {
        this.remove(output);
        this.#onFault(output, error);
      }
    }
    return true;
  }

  #join(output: VideoOutput, source: PictureKind): void {
    const shape = output.shape(source);
    const key = shapeKey(shape);
    const group = this.#groups.get(key);
    if (group !== undefined) {
      group.outputs.push(output);
      return;
    }
    this.#groups.set(key, { shape, outputs: [output], filter: undefined, kind: undefined, scaleThere: true });
  }

  #shape(group: Group, frame: Frame): Frame {
    const source = this.#source ?? kindOf(frame);
    let shaped: Frame;
    try {
      group.filter ??= new PictureFilter(source, group.shape, poolOf(frame), group.scaleThere);
      shaped = group.filter.apply(frame);
    } catch (error) {
      if (deviceOf(frame.format) === undefined || !group.scaleThere) throw error;
      // Not every device that decodes can scale.
      this.#onNote(`scaling by hardware failed, software does it: ${describeError(error)}`);
      group.filter?.[Symbol.dispose]();
      group.filter = undefined;
      group.kind = undefined;
      group.scaleThere = false;
      return this.#shape(group, frame);
    }
    if (group.kind === undefined) {
      const { num, den } = source.aspect;
      const turned = group.shape.rotate === 90 || group.shape.rotate === 270;
      group.kind = { ...kindOf(shaped), aspect: turned ? { num: den, den: num } : { num, den } };
    }
    return shaped;
  }

  #dropGroups(): void {
    for (const group of this.#groups.values()) group.filter?.[Symbol.dispose]();
    this.#groups = new Map();
  }
}

/** What the encoder has to be told of a picture. */
export function kindOf(frame: Frame): PictureKind {
  const { num, den } = frame.sampleAspectRatio;
  return {
    width: frame.width,
    height: frame.height,
    pixelFormat: frame.format,
    range: frame.colorRange,
    space: frame.colorSpace,
    primaries: frame.colorPrimaries,
    transfer: frame.colorTrc,
    // 0: not said, then pixels are square.
    aspect: num > 0 && den > 0 ? { num, den } : { num: 1, den: 1 },
  };
}

export function isOfKind(frame: Frame, kind: PictureKind): boolean {
  return (
    frame.width === kind.width &&
    frame.height === kind.height &&
    frame.format === kind.pixelFormat &&
    frame.colorRange === kind.range &&
    frame.colorSpace === kind.space &&
    frame.colorPrimaries === kind.primaries &&
    frame.colorTrc === kind.transfer &&
    isSameAspect(frame, kind)
  );
}

function isSameAspect(frame: Frame, { aspect }: PictureKind): boolean {
  const { num, den } = frame.sampleAspectRatio;
  return num > 0 && den > 0 ? num === aspect.num && den === aspect.den : aspect.num === aspect.den;
}
