/** Red, green, blue, 0…1. */
export type Rgb = readonly [number, number, number];
/** Distance to the edge of a shape in design units, negative inside. */
export type Shape = (x: number, y: number) => number;
/** A colour for all of a shape, or one for each place. */
export type Paint = Rgb | ((x: number, y: number) => Rgb);
export interface Box {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

/** Planes of a picture in YUV 4:2:0, ITU-R BT.709, limited range. */
export interface Planes {
  readonly width: number;
  readonly height: number;
  readonly y: Uint8Array;
  readonly u: Uint8Array;
  readonly v: Uint8Array;
}

/**
 * Draws smooth-edged shapes once, at the start; what moves is copied around later. Coordinates are design units, which
 * `scaleX` and `scaleY` map to pixels. Sides in pixels are even.
 */
export class Canvas {
  readonly width: number;
  readonly height: number;
  readonly #scaleX: number;
  readonly #scaleY: number;
  readonly #rgb: Float32Array;
  /** Opacity, 0…1; a background is opaque from the beginning. */
  readonly alpha: Float32Array;

  constructor(width: number, height: number, scaleX: number, scaleY: number) {
    this.width = width;
    this.height = height;
    this.#scaleX = scaleX;
    this.#scaleY = scaleY;
    this.#rgb = new Float32Array(width * height * 3);
    this.alpha = new Float32Array(width * height);
  }

  /** Colours everything. */
  fill(paint: (x: number, y: number) => Rgb): void {
    for (let row = 0; row < this.height; row++) {
      const y = (row + 0.5) / this.#scaleY;
      for (let column = 0; column < this.width; column++) {
        const at = row * this.width + column;
        this.#rgb.set(paint((column + 0.5) / this.#scaleX, y), at * 3);
        this.alpha[at] = 1;
      }
    }
  }

  /** Lays a shape over what is there. `box` must enclose it. */
  draw(shape: Shape, box: Box, paint: Paint, opacity = 1): void {
    const scale = Math.min(this.#scaleX, this.#scaleY);
    this.#visit(box, (at, x, y) => {
      const cover = Math.min(1, Math.max(0, 0.5 - shape(x, y) * scale)) * opacity;
      if (cover > 0) this.#blend(at, typeof paint === 'function' ? paint(x, y) : paint, cover);
    });
  }

  /** Adds light around a point that fades to nothing at `radius`. */
  glow(centreX: number, centreY: number, radius: number, colour: Rgb, strength: number): void {
    const box = { left: centreX - radius, top: centreY - radius, right: centreX + radius, bottom: centreY + radius };
    this.#visit(box, (at, x, y) => {
      const near = 1 - Math.hypot(x - centreX, y - centreY) / radius;
      if (near <= 0) return;
      const light = near * near * strength;
      for (let channel = 0; channel < 3; channel++) {
        const index = at * 3 + channel;
        this.#rgb[index] = Math.min(1, (this.#rgb[index] ?? 0) + (colour[channel] ?? 0) * light);
      }
    });
  }

  /** A fine, even grain hides the steps of dark gradients, as the noise of a real camera does. */
  toPlanes(): Planes {
    const { width, height } = this;
    const y = new Uint8Array(width * height);
    const u = new Uint8Array((width * height) / 4);
    const v = new Uint8Array((width * height) / 4);
    for (let row = 0; row < height; row += 2) {
      for (let column = 0; column < width; column += 2) {
        let blue = 0;
        let red = 0;
        for (let part = 0; part < 4; part++) {
          const at = (row + (part >> 1)) * width + column + (part & 1);
          const r = this.#rgb[at * 3] ?? 0;
          const g = this.#rgb[at * 3 + 1] ?? 0;
          const b = this.#rgb[at * 3 + 2] ?? 0;
          const luma = 0.2126 * r + 0.7152 * g + 0.0722 * b;
          y[at] = Math.floor(16 + 219 * luma + grain(at));
          blue += (b - luma) / 1.8556;
          red += (r - luma) / 1.5748;
        }
        const at = ((row / 2) * width) / 2 + column / 2;
        u[at] = Math.round(128 + (224 * blue) / 4);
        v[at] = Math.round(128 + (224 * red) / 4);
      }
    }
    return { width, height, y, u, v };
  }

  #visit(box: Box, work: (at: number, x: number, y: number) => void): void {
    const left = Math.max(0, Math.floor(box.left * this.#scaleX - 1));
    const right = Math.min(this.width, Math.ceil(box.right * this.#scaleX + 1));
    const top = Math.max(0, Math.floor(box.top * this.#scaleY - 1));
    const bottom = Math.min(this.height, Math.ceil(box.bottom * this.#scaleY + 1));
    for (let row = top; row < bottom; row++) {
      const y = (row + 0.5) / this.#scaleY;
      for (let column = left; column < right; column++)
        work(row * this.width + column, (column + 0.5) / this.#scaleX, y);
    }
  }

  #blend(at: number, colour: Rgb, cover: number): void {
    const under = this.alpha[at] ?? 0;
    const out = cover + under * (1 - cover);
    this.alpha[at] = out;
    for (let channel = 0; channel < 3; channel++) {
      const index = at * 3 + channel;
      const below = (this.#rgb[index] ?? 0) * under * (1 - cover);
      this.#rgb[index] = ((colour[channel] ?? 0) * cover + below) / out;
    }
  }
}

/** 0…1, the same for the same place. */
function grain(at: number): number {
  const mixed = Math.imul(at ^ (at >>> 15), 0x2c1b3c6d);
  return ((mixed ^ (mixed >>> 12)) >>> 0) / 0x1_0000_0000;
}

/** Colour of six hexadecimal digits, as in CSS without `#`. */
export function rgb(hex: string): Rgb {
  const value = Number.parseInt(hex, 16);
  return [(value >> 16) / 255, ((value >> 8) & 255) / 255, (value & 255) / 255];
}

/** A colour between two: `share` 0 is `from`, 1 is `to`. */
export function mix(from: Rgb, to: Rgb, share: number): Rgb {
  const part = Math.min(1, Math.max(0, share));
  return [from[0] + (to[0] - from[0]) * part, from[1] + (to[1] - from[1]) * part, from[2] + (to[2] - from[2]) * part];
}
