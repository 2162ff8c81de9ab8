import { GLYPH_HEIGHT, GLYPH_WIDTH, glyphRows } from '../../core/bitmap-font.ts';
import { MARK_COLUMNS, MARK_ROWS, markBits, markLayout } from '../mark.ts';
import type { SceneName } from '../protocol.ts';
import { Canvas, type Planes, rgb } from './canvas.ts';
import { garden } from './garden.ts';
import { nursery } from './nursery.ts';
import { type Scene, type SpriteDesign, STAGE_HEIGHT, STAGE_WIDTH } from './scene.ts';
import { circle, paint, rect } from './shapes.ts';

const SCENES: Readonly<Record<SceneName, Scene>> = { nursery, garden };

/** Luma of burnt-in text and of the cells of the mark: white and black of limited range. */
const WHITE = 235;
const BLACK = 16;
/** The lamp beside the clock is lit for so long from the beginning of each second; the beep lasts as long. */
export const FLASH_MS = 120;

interface Sprite extends Planes {
  /** 0…256, one for each luma sample; even chroma places use the upper left one of their four. */
  readonly alpha: Uint16Array;
}

interface Dirty {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

export interface StageOptions {
  readonly width: number;
  readonly height: number;
  readonly scene: SceneName;
  /** Shown below the clock. */
  readonly title: string;
  /** Moving noise of so many levels, which gives the encoder something to spend its bits on. 0: none. */
  readonly noise: number;
}

/**
 * The picture of a simulated camera. The scene is drawn once; for each picture only what moved is put back and drawn
 * anew, which costs a fraction of encoding it.
 */
export class Stage {
  /** Y, U and V behind one another without padding (`yuv420p`). */
  readonly picture: Buffer;
  readonly #options: StageOptions;
  readonly #scene: Scene;
  readonly #planes: Planes;
  readonly #background: Planes;
  readonly #sprites: readonly Sprite[];
  readonly #lamps: { readonly lit: Sprite; readonly dark: Sprite };
  readonly #osd: ReturnType<typeof osdLayout>;
  readonly #noise: Int8Array;
  #dirty: Dirty[] = [];

  constructor(options: StageOptions) {
    const { width, height } = options;
    this.#options = options;
    this.#scene = SCENES[options.scene];
    const scaleX = width / STAGE_WIDTH;
    const scaleY = height / STAGE_HEIGHT;
    this.#osd = osdLayout(width, options.title);
    const canvas = new Canvas(width, height, scaleX, scaleY);
    this.#scene.paint(canvas);
    this.#paintPlates(canvas, scaleX, scaleY);
    this.#background = canvas.toPlanes();
    this.picture = Buffer.alloc((width * height * 3) / 2);
    const luma = width * height;
    this.#planes = {
      width,
      height,
      y: this.picture.subarray(0, luma),
      u: this.picture.subarray(luma, luma + luma / 4),
      v: this.picture.subarray(luma + luma / 4),
    };
    for (const plane of ['y', 'u', 'v'] as const) this.#planes[plane].set(this.#background[plane]);
    this.#sprites = this.#scene.sprites.map((design) => makeSprite(design, scaleX, scaleY));
    this.#lamps = { lit: lamp(this.#osd.glyph * 6, 'ffe9a8'), dark: lamp(this.#osd.glyph * 6, '4a4a52') };
    this.#text(this.#background.y, options.title, this.#osd.left, this.#osd.titleTop, this.#osd.small);
    this.#planes.y.set(this.#background.y);
    this.#noise = makeNoise(options.noise);
  }

  /** Draws the picture of that time into `picture`. */
  draw(counter: number, wallMs: number): void {
    if (this.#noise.length > 0) this.#spreadNoise(counter);
    else this.#restore();
    this.#scene.place(wallMs / 1000, (sprite, left, top) => {
      const { width, height } = this.#options;
      const design = this.#sprites[sprite];
      if (design !== undefined) this.#put(design, (left * width) / STAGE_WIDTH, (top * height) / STAGE_HEIGHT);
    });
    const { left, top, glyph, lampLeft, lampTop } = this.#osd;
    const clock = clockText(wallMs);
    this.#text(this.#planes.y, clock, left, top, glyph);
    this.#dirty.push({ left, top, width: clock.length * glyph * (GLYPH_WIDTH + 1), height: glyph * GLYPH_HEIGHT });
    this.#put(wallMs % 1000 < FLASH_MS ? this.#lamps.lit : this.#lamps.dark, lampLeft, lampTop);
    this.#mark(counter, wallMs);
  }

  /** Dark plates behind the text and the mark, so that both can be read on any scene. */
  #paintPlates(canvas: Canvas, scaleX: number, scaleY: number): void {
    const { plate } = this.#osd;
    const pad = plate.left / 2;
    paint(
      canvas,
      rect(
        (plate.left - pad) / scaleX,
        (plate.top - pad) / scaleY,
        (plate.width + 2 * pad) / scaleX,
        (plate.height + 2 * pad) / scaleY,
        10,
      ),
      rgb('101018'),
      0.62,
    );
    const { left, top, cellWidth, cellHeight } = markLayout(canvas.width, canvas.height);
    paint(
      canvas,
      rect(
        (left - cellWidth / 2) / scaleX,
        (top - cellHeight / 2) / scaleY,
        ((MARK_COLUMNS + 1) * cellWidth) / scaleX,
        ((MARK_ROWS + 1) * cellHeight) / scaleY,
        3,
      ),
      rgb('101010'),
    );
  }

  #restore(): void {
    const { width } = this.#planes;
    for (const { left, top, width: wide, height: high } of this.#dirty) {
      for (let row = top; row < top + high; row++) {
        const at = row * width + left;
        this.#planes.y.set(this.#background.y.subarray(at, at + wide), at);
      }
      for (let row = top >> 1; row < (top + high) >> 1; row++) {
        const at = (row * width) / 2 + (left >> 1);
        this.#planes.u.set(this.#background.u.subarray(at, at + (wide >> 1)), at);
        this.#planes.v.set(this.#background.v.subarray(at, at + (wide >> 1)), at);
      }
    }
    this.#dirty = [];
  }

  /** Instead of `restore`: every luma sample is new anyway. */
  #spreadNoise(counter: number): void {
    this.#restore();
    const { y, width, height } = this.#planes;
    const from = this.#background.y;
    const noise = this.#noise;
    for (let row = 0; row < height; row++) {
      let n = Math.imul(row * 977 + counter * 7919, 0x9e3779b1) >>> 17;
      for (let at = row * width, end = at + width; at < end; at++, n++) {
        y[at] = (from[at] ?? 0) + (noise[n & 0xffff] ?? 0);
      }
    }
  }

  #put(sprite: Sprite, x: number, y: number): void {
    const { width, height } = this.#planes;
    // Even places, so that chroma needs no interpolation.
    const left = 2 * Math.round(x / 2);
    const top = 2 * Math.round(y / 2);
    const fromX = Math.max(0, -left);
    const fromY = Math.max(0, -top);
    const toX = Math.min(sprite.width, width - left);
    const toY = Math.min(sprite.height, height - top);
    if (fromX >= toX || fromY >= toY) return;
    this.#dirty.push({ left: left + fromX, top: top + fromY, width: toX - fromX, height: toY - fromY });
    for (let row = fromY; row < toY; row++) {
      blendRow(this.#planes.y, (top + row) * width + left, sprite.y, sprite.alpha, row * sprite.width, 1, fromX, toX);
    }
    const half = sprite.width / 2;
    for (let row = fromY / 2; row < toY / 2; row++) {
      const to = ((top / 2 + row) * width) / 2 + left / 2;
      const chroma = row * half;
      for (const plane of ['u', 'v'] as const) {
        const from = sprite[plane];
        const alphaAt = row * 2 * sprite.width;
        const target = this.#planes[plane];
        for (let column = fromX / 2; column < toX / 2; column++) {
          const alpha = sprite.alpha[alphaAt + column * 2] ?? 0;
          if (alpha === 0) continue;
          const under = target[to + column] ?? 128;
          target[to + column] = under + ((((from[chroma + column] ?? 128) - under) * alpha) >> 8);
        }
      }
    }
  }

  #text(y: Uint8Array, text: string, left: number, top: number, size: number): void {
    const { width } = this.#options;
    for (const [index, character] of [...text].entries()) {
      const x0 = left + index * size * (GLYPH_WIDTH + 1);
      for (const [row, bits] of glyphRows(character).entries()) {
        for (let column = 0; column < GLYPH_WIDTH; column++) {
          if ((bits & (1 << (GLYPH_WIDTH - 1 - column))) === 0) continue;
          for (let line = 0; line < size; line++) {
            const at = (top + row * size + line) * width + x0 + column * size;
            y.fill(WHITE, at, at + size);
          }
        }
      }
    }
  }

  #mark(counter: number, wallMs: number): void {
    const { width, height, y } = this.#planes;
    const { left, top, cellWidth, cellHeight } = markLayout(width, height);
    for (const [index, bit] of markBits(counter, wallMs).entries()) {
      const column = index % MARK_COLUMNS;
      const row = Math.floor(index / MARK_COLUMNS);
      const fromX = Math.round(left + column * cellWidth);
      const toX = Math.round(left + (column + 1) * cellWidth);
      for (let line = Math.round(top + row * cellHeight); line < Math.round(top + (row + 1) * cellHeight); line++) {
        y.fill(bit ? WHITE : BLACK, line * width + fromX, line * width + toX);
      }
    }
  }
}

/** All in pixels and even. */
function osdLayout(width: number, title: string) {
  const glyph = Math.max(2, Math.round(width / 256));
  const small = Math.max(1, Math.round(glyph * 0.6));
  const left = even(glyph * 5);
  const top = even(glyph * 4);
  const clockWidth = 12 * glyph * (GLYPH_WIDTH + 1);
  const titleTop = top + glyph * (GLYPH_HEIGHT + 2);
  const titleWidth = title.length * small * (GLYPH_WIDTH + 1);
  const lampLeft = left + clockWidth + glyph;
  const plateWidth = Math.max(clockWidth + glyph * 8, titleWidth);
  const plateHeight = titleTop - top + small * GLYPH_HEIGHT;
  return {
    glyph,
    small,
    left,
    top,
    titleTop,
    lampLeft,
    lampTop: top + glyph / 2,
    plate: { left, top, width: plateWidth, height: plateHeight },
  };
}

function even(value: number): number {
  return 2 * Math.round(value / 2);
}

/** Local time of day, `14:03:27.533`. */
function clockText(wallMs: number): string {
  const time = new Date(wallMs);
  const two = (value: number): string => String(value).padStart(2, '0');
  const ms = String(time.getMilliseconds()).padStart(3, '0');
  return `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}.${ms}`;
}

function makeSprite(design: SpriteDesign, scaleX: number, scaleY: number): Sprite {
  const width = 2 * Math.ceil((design.width * scaleX) / 2);
  const height = 2 * Math.ceil((design.height * scaleY) / 2);
  const canvas = new Canvas(width, height, scaleX, scaleY);
  design.draw(canvas);
  return spriteOf(canvas);
}

function lamp(size: number, colour: string): Sprite {
  const side = even(size);
  const canvas = new Canvas(side, side, 1, 1);
  paint(canvas, circle(side / 2, side / 2, side / 2 - 1), rgb(colour));
  return spriteOf(canvas);
}

function spriteOf(canvas: Canvas): Sprite {
  return { ...canvas.toPlanes(), alpha: Uint16Array.from(canvas.alpha, (share) => Math.round(share * 256)) };
}

function blendRow(
  target: Uint8Array,
  targetAt: number,
  source: Uint8Array,
  alpha: Uint16Array,
  sourceAt: number,
  step: number,
  from: number,
  to: number,
): void {
  for (let column = from; column < to; column += step) {
    const share = alpha[sourceAt + column] ?? 0;
    if (share === 0) continue;
    const under = target[targetAt + column] ?? 0;
    target[targetAt + column] = under + ((((source[sourceAt + column] ?? 0) - under) * share) >> 8);
  }
}

/** The same each time: tests that compare runs need it. */
function makeNoise(levels: number): Int8Array {
  if (levels === 0) return new Int8Array(0);
  const noise = new Int8Array(0x1_0000);
  let state = 0x1234567;
  for (let index = 0; index < noise.length; index++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    noise[index] = Math.round(((state >>> 8) / 0x100_0000 - 0.5) * 2 * levels);
  }
  return noise;
}
